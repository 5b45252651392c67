"""A saved model is the same when loaded; what is damaged is refused in one line, and nothing is ever unpickled."""

import json
import pickle
import subprocess
import sys

import pytest
import torch
from helpers import byte_tokenizer, trained_tokenizer
from helpers import tiny_gpt as tiny_gpt_of
from safetensors.torch import load_file, save_file

from groundup.errors import GroundupError
from groundup.model.gpt import GPT, GPTClassifier
from groundup.train.checkpoint import DESCRIPTION_FILE, WEIGHTS_FILE, load_classifier, load_model, save_model


def tiny_gpt(**changes) -> GPT:
    """A small model of the trained tokenizer's size."""
    return tiny_gpt_of(**{"vocab_size": trained_tokenizer().vocab_size, **changes})


IDS = torch.randint(31, (2, 9), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("tie_weights", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_a_saved_language_model_gives_the_same_scores_to_the_last_bit(tmp_path, tie_weights, bias):
    model, tokenizer = tiny_gpt(tie_weights=tie_weights, bias=bias).eval(), trained_tokenizer()
    save_model(tmp_path, model, tokenizer, {"seed": 7})
    loaded, loaded_tokenizer, facts = load_model(tmp_path)
    assert torch.equal(loaded(IDS), model(IDS))
    assert loaded.config == model.config
    assert not loaded.training
    assert (loaded.head is None) == tie_weights
    assert loaded_tokenizer.vocabulary == tokenizer.vocabulary
    assert facts["seed"] == 7


def test_a_saved_classifier_gives_the_same_scores_to_the_last_bit(tmp_path):
    model = GPTClassifier(tiny_gpt(), 3).eval()
    save_model(tmp_path, model, trained_tokenizer(), {"labels": ["a", "b", "c"], "threshold": 0.25})
    loaded, _, facts = load_classifier(tmp_path)
    lengths = torch.tensor([4, 9])
    assert torch.equal(loaded(IDS, lengths), model(IDS, lengths))
    assert (facts["labels"], facts["threshold"]) == (["a", "b", "c"], 0.25)
    assert not loaded.training


def test_a_frozen_model_can_be_saved(tmp_path):
    model = tiny_gpt().requires_grad_(False)
    save_model(tmp_path, model, trained_tokenizer(), {})
    assert torch.equal(load_model(tmp_path)[0](IDS), model(IDS))


class RunsWhenUnpickled:
    def __reduce__(self):
        return (pytest.exit, ("a pickle in place of weights was run",))


def put(folder, what: str) -> None:
    weights = folder / WEIGHTS_FILE
    if what == "nothing":
        weights.unlink()
    elif what == "an empty file":
        weights.write_bytes(b"")
    elif what == "half of it":
        weights.write_bytes(weights.read_bytes()[: weights.stat().st_size // 2])
    elif what == "a header that lies":
        weights.write_bytes(b"\xff" * 8 + weights.read_bytes()[8:])
    elif what == "text":
        weights.write_text("weights, honestly")
    elif what == "a pickle":
        weights.write_bytes(pickle.dumps(RunsWhenUnpickled()))
    else:
        torch.save({"weight": torch.zeros(2)}, weights)


@pytest.mark.parametrize(
    "what", ["nothing", "an empty file", "half of it", "a header that lies", "text", "a pickle", "torch's own format"]
)
def test_missing_or_damaged_weights_are_refused_in_one_line(tmp_path, what):
    save_model(tmp_path, tiny_gpt(), trained_tokenizer(), {})
    put(tmp_path, what)
    said = {
        "nothing": "no such file",
        "a pickle": "a pickle, as torch.save writes it, which could run any code",
        "torch's own format": "a pickle, as torch.save writes it, which could run any code",
    }
    with pytest.raises(GroundupError, match=said.get(what, "damaged, or no safetensors")) as e:
        load_model(tmp_path)
    assert WEIGHTS_FILE in str(e.value)
    assert "to mend it" in str(e.value)
    assert "\n" not in str(e.value)


def change_shape(weights):
    weights["final_norm.weight"] = torch.zeros(17)


def add_one(weights):
    weights["surprise"] = torch.zeros(1)


def lose_one(weights):
    del weights["final_norm.bias"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (change_shape, r"final_norm\.weight has shape \(17,\), not \(16,\)"),
        (add_one, "surprise is not known"),
        (lose_one, r"final_norm\.bias is missing"),
    ],
)
def test_weights_that_do_not_fit_are_refused_by_name(tmp_path, change, message):
    save_model(tmp_path, tiny_gpt(), trained_tokenizer(), {})
    weights = load_file(tmp_path / WEIGHTS_FILE)
    change(weights)
    save_file(weights, tmp_path / WEIGHTS_FILE)
    with pytest.raises(GroundupError, match=f"weights do not fit the model's shape: {message}; to mend it") as e:
        load_model(tmp_path)
    assert "\n" not in str(e.value)


def test_weights_of_another_size_are_refused_in_one_line(tmp_path):
    save_model(tmp_path, tiny_gpt(), trained_tokenizer(), {})
    small = tiny_gpt(n_layers=1, vocab_size=30)
    save_file({name: weight.detach() for name, weight in small.state_dict().items()}, tmp_path / WEIGHTS_FILE)
    with pytest.raises(GroundupError, match="do not fit the model's shape") as e:
        load_model(tmp_path)
    assert "\n" not in str(e.value)


def test_one_kind_of_model_is_not_taken_for_the_other(tmp_path):
    save_model(tmp_path, tiny_gpt(), trained_tokenizer(), {})
    with pytest.raises(GroundupError, match="not a classifier; got language_model"):
        load_classifier(tmp_path)
    classifier = tmp_path / "classifier"
    classifier.mkdir()
    save_model(classifier, GPTClassifier(tiny_gpt(), 2), trained_tokenizer(), {"labels": ["a", "b"]})
    with pytest.raises(GroundupError, match="not a language model; got classifier"):
        load_model(classifier)


def without(key: str):
    return lambda description: {name: value for name, value in description.items() if name != key}


def with_config(**changes):
    return lambda description: {**description, "config": {**description["config"], **changes}}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without("kind"), "not a language model"),
        (without("config"), "no valid model shape"),
        (with_config(n_heads=3), "no valid model shape; got d_model 16 is not divisible by n_heads 3"),
        (with_config(n_layers=0), "no valid model shape; got n_layers must be at least 1"),
        (with_config(unheard_of=1), "no valid model shape"),
        (with_config(d_model="16"), "no valid model shape"),
        (lambda _: ["a list"], "not a language model; got list"),
    ],
)
def test_a_description_that_describes_no_model_is_refused_in_one_line(tmp_path, change, message):
    save_model(tmp_path, tiny_gpt(), trained_tokenizer(), {})
    path = tmp_path / DESCRIPTION_FILE
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    with pytest.raises(GroundupError, match=message) as e:
        load_model(tmp_path)
    assert "\n" not in str(e.value)


@pytest.mark.parametrize(("content", "message"), [(None, "no such file"), ("{", "not valid JSON")])
def test_a_missing_or_broken_description_is_refused(tmp_path, content, message):
    save_model(tmp_path, tiny_gpt(), trained_tokenizer(), {})
    path = tmp_path / DESCRIPTION_FILE
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(GroundupError, match=message):
        load_model(tmp_path)


def test_a_missing_tokenizer_is_refused(tmp_path):
    save_model(tmp_path, tiny_gpt(), trained_tokenizer(), {})
    (tmp_path / "vocab.bpe").unlink()
    with pytest.raises(GroundupError, match=r"vocab\.bpe: no such file"):
        load_model(tmp_path)


def test_the_folder_holds_nothing_but_data(tmp_path):
    save_model(tmp_path, tiny_gpt(), trained_tokenizer(), {})
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "encoder.json",
        "model.json",
        "model.safetensors",
        "vocab.bpe",
    ]
    shape = json.loads((tmp_path / DESCRIPTION_FILE).read_text())["config"]
    assert GPT(tiny_gpt().config).config.to_dict() == shape


def test_a_tokenizer_of_another_model_is_refused(tmp_path):
    save_model(tmp_path, tiny_gpt(), byte_tokenizer(), {})
    with pytest.raises(GroundupError, match=r"the tokenizer is not the model's; got 257 tokens; allowed: 290 tokens"):
        load_model(tmp_path)


@pytest.mark.parametrize("config", [{"d_model": 16.0}, {"d_model": "wide"}, {"context_length": 10**13}])
def test_an_impossible_shape_is_refused_in_one_line(tmp_path, config):
    save_model(tmp_path, tiny_gpt(), trained_tokenizer(), {})
    description = json.loads((tmp_path / DESCRIPTION_FILE).read_text())
    description["config"].update(config)
    (tmp_path / DESCRIPTION_FILE).write_text(json.dumps(description))
    with pytest.raises(GroundupError, match="no valid model shape") as caught:
        load_model(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("labels", [None, "missing"])
def test_a_classifier_without_labels_is_refused_in_one_line(tmp_path, labels):
    save_model(tmp_path, GPTClassifier(tiny_gpt(), 2), trained_tokenizer(), {} if labels else {"labels": None})
    with pytest.raises(GroundupError, match="no valid model shape"):
        load_classifier(tmp_path)


def test_loading_draws_no_random_numbers_and_leaves_the_initialisers_as_they_are(tmp_path):
    save_model(tmp_path, tiny_gpt(vocab_size=290), trained_tokenizer(), {})
    torch.manual_seed(3)
    wanted = torch.rand(4)
    torch.manual_seed(3)
    load_model(tmp_path)
    assert torch.equal(torch.rand(4), wanted)
    assert torch.nn.init.zeros_(torch.ones(2)).tolist() == [0.0, 0.0]
    assert torch.nn.Linear(50, 50).weight.abs().max() > 0


def test_loading_does_not_wait_for_what_only_compilers_need(tmp_path):
    """sympy and 800 other modules come with torch's meta device and cost as much time as all the rest of a start."""
    save_model(tmp_path, tiny_gpt(vocab_size=290), trained_tokenizer(), {})
    code = (
        "import sys; from pathlib import Path; from groundup.train.checkpoint import load_model; "
        f"load_model(Path({str(tmp_path)!r})); print('sympy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
