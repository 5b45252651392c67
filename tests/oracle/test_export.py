"""What is exported loads in `transformers` without this project's code and gives the same numbers and tokens."""

import json
import subprocess
import sys
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from imports import gpt2_vocabulary
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

from groundup.errors import GroundupError
from groundup.export import export_model
from groundup.model.gpt import GPT, GPTClassifier, GPTConfig
from groundup.tokenizer.bpe import END_OF_TEXT, train_bpe
from groundup.tokenizer.encoding import Tokenizer
from groundup.train.checkpoint import save_model

CLOSE = {"rtol": 0.0, "atol": 1e-5}
TEXTS = [
    "The cat sat on the mat, and the rat sat on the cat.",
    "Whether 'tis nobler: that the cat can't, won't and shan't sit 1234 times on 1234 mats?",
    "naïve café, 東京 and 東京, 😀😀 — and then the end.\n\n\n  The end. ",
]


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer(train_bpe(TEXTS, 320))


def random_model(tokenizer, **changes):
    torch.manual_seed(0)
    shape = {"context_length": 48, "d_model": 16, "n_layers": 2, "n_heads": 4, **changes}
    model = GPT(GPTConfig(vocab_size=tokenizer.vocab_size, **shape))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model.eval()


def exported(tmp_path, model, tokenizer, **facts):
    source, target = tmp_path / "ours", tmp_path / "theirs"
    source.mkdir()
    save_model(source, model, tokenizer, facts)
    export_model(source, target)
    return target


SHAPES = [
    {},
    {"n_heads": 1, "n_layers": 1},
    {"d_model": 40, "n_layers": 3, "n_heads": 5},
    {"d_model": 64, "n_heads": 16, "context_length": 64},
]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("bias", "tie_weights"), product([True, False], [True, False]))
def test_a_language_model_gives_the_same_scores(tmp_path, tokenizer, shape, bias, tie_weights):
    model = random_model(tokenizer, bias=bias, tie_weights=tie_weights, **shape)
    folder = exported(tmp_path, model, tokenizer)
    theirs, info = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    input_ids = torch.randint(tokenizer.vocab_size, (3, 40), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(model(input_ids), theirs.eval()(input_ids).logits, **CLOSE)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("bias", "spelled_out"), [(True, False), (False, False), (True, True)])
def test_a_classifier_gives_the_same_scores_for_padded_texts(tmp_path, tokenizer, shape, bias, spelled_out):
    classifier = GPTClassifier(random_model(tokenizer, bias=bias, **shape), 2).eval()
    with torch.no_grad():
        classifier.class_head.weight.normal_()
        classifier.class_head.bias.copy_(torch.tensor([0.7, -1.3]))
    facts = {"labels": ["ham", "spam"], "threshold": 0.4, "spelled_out": spelled_out}
    folder = exported(tmp_path, classifier, tokenizer, **facts)
    theirs = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    read = AutoTokenizer.from_pretrained(folder)
    texts = ["The cat!", "the rat sat on", "!!"]
    if spelled_out:
        texts = [text + "\n" + " ".join(text) for text in texts]  # as docs/exports.md says
    batch = read(texts, return_tensors="pt", padding=True)
    rows = [[*tokenizer.encode(text), tokenizer.end_of_text_id] for text in texts]
    lengths = torch.tensor([len(row) for row in rows])
    ours = torch.zeros(3, int(lengths.max()), dtype=torch.long)
    for number, row in enumerate(rows):
        ours[number, : len(row)] = torch.tensor(row)
        assert batch["input_ids"][number, : len(row)].tolist() == row
    with torch.no_grad():
        torch.testing.assert_close(classifier(ours, lengths), theirs(**batch).logits, **CLOSE)
    assert theirs.config.id2label == {0: "ham", 1: "spam"}
    assert theirs.config.threshold == 0.4
    assert theirs.config.spelled_out is spelled_out


def classifier_of(tokenizer, n_classes, **shape):
    classifier = GPTClassifier(random_model(tokenizer, **shape), n_classes).eval()
    with torch.no_grad():
        classifier.class_head.weight.normal_()
        classifier.class_head.bias.normal_(std=2.0)
    return classifier


@pytest.mark.parametrize(("n_classes", "d_model"), [(4, 16), (3, 40), (20, 64), (16, 16)])
def test_a_classifier_of_many_classes_gives_the_same_scores_and_names(tmp_path, tokenizer, n_classes, d_model):
    classifier = classifier_of(tokenizer, n_classes, d_model=d_model)
    labels = [f"label {number}" for number in range(n_classes)]
    folder = exported(tmp_path, classifier, tokenizer, labels=labels, threshold=None)
    theirs = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    texts = ["The cat!", "the rat sat on", "!!"]
    batch = AutoTokenizer.from_pretrained(folder)(texts, return_tensors="pt", padding=True)
    rows = [[*tokenizer.encode(text), tokenizer.end_of_text_id] for text in texts]
    ours = torch.zeros(3, max(map(len, rows)), dtype=torch.long)
    for number, row in enumerate(rows):
        ours[number, : len(row)] = torch.tensor(row)
    with torch.no_grad():
        scores = classifier(ours, torch.tensor([len(row) for row in rows]))
        # As many classes as features leave one shift only, which may be long: more is rounded away.
        close = CLOSE if n_classes < d_model else {"rtol": 0.0, "atol": 3e-4}
        torch.testing.assert_close(scores, theirs(**batch).logits, **close)
    assert scores.shape == (3, n_classes)
    assert theirs.config.id2label == dict(enumerate(labels))
    assert theirs.config.label2id == {label: number for number, label in enumerate(labels)}
    assert not hasattr(theirs.config, "threshold")


def test_more_classes_than_features_are_refused_as_their_bias_has_no_place(tmp_path, tokenizer):
    classifier = classifier_of(tokenizer, 9, d_model=8)
    with pytest.raises(GroundupError, match="9 classes and 8 features; scores would be") as caught:
        exported(tmp_path, classifier, tokenizer, labels=list("abcdefghi"), threshold=None)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "theirs").exists()
    with torch.no_grad():
        classifier.class_head.bias.zero_()  # without a bias there is nothing to place
    (tmp_path / "without").mkdir()
    assert exported(tmp_path / "without", classifier, tokenizer, labels=list("abcdefghi"), threshold=None).is_dir()


@pytest.fixture(scope="module", params=["trained", "GPT-2's"])
def tokenizers(request, tokenizer, tmp_path_factory):
    ours = tokenizer if request.param == "trained" else Tokenizer.load(gpt2_vocabulary())
    folder = exported(tmp_path_factory.mktemp("tokenizer"), random_model(ours, d_model=4), ours)
    return ours, AutoTokenizer.from_pretrained(folder)


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(text=st.text(max_size=40) | st.sampled_from(TEXTS))
def test_a_text_gets_the_same_token_ids_and_comes_back(tokenizers, text):
    ours, theirs = tokenizers
    if END_OF_TEXT in text:
        return  # that is a token to them and plain text to us
    assert theirs(text)["input_ids"] == ours.encode(text)
    assert theirs.decode(ours.encode(text)) == text


def test_the_folder_is_loaded_and_writes_without_this_project(tmp_path, tokenizer):
    model = random_model(tokenizer)
    folder = exported(tmp_path, model, tokenizer)
    code = f"""
import sys
sys.modules["groundup"] = None
from transformers import AutoModelForCausalLM, AutoTokenizer
model, tokenizer = AutoModelForCausalLM.from_pretrained({str(folder)!r}), AutoTokenizer.from_pretrained({str(folder)!r})
ids = tokenizer("The cat", return_tensors="pt")
print(tokenizer.decode(model.generate(**ids, max_new_tokens=5, do_sample=False)[0]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("The cat")


def test_what_is_there_already_is_left_alone(tmp_path, tokenizer):
    folder = exported(tmp_path, random_model(tokenizer), tokenizer)
    before = (folder / "config.json").read_bytes()
    with pytest.raises(GroundupError, match="there is something already"):
        export_model(tmp_path / "ours", folder)
    assert (folder / "config.json").read_bytes() == before


def test_a_folder_without_a_model_is_refused_and_leaves_nothing(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(GroundupError, match=r"model\.json: no such file"):
        export_model(tmp_path / "empty", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_config_is_json_without_what_it_does_not_know(tmp_path, tokenizer):
    config = json.loads((exported(tmp_path, random_model(tokenizer), tokenizer) / "config.json").read_text())
    assert config["architectures"] == ["GPT2LMHeadModel"]
    assert (config["n_layer"], config["n_head"], config["n_embd"]) == (2, 4, 16)
    assert not np.isnan(config["layer_norm_epsilon"])
