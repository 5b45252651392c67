"""A model exported as GGUF holds every weight; llama.cpp, where it is installed, gives the same tokens and scores."""

import errno
import runpy
import sys
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from imports import ROOT

from groundup.errors import GroundupError
from groundup.export_gguf import export_gguf
from groundup.model.gpt import GPT, GPTClassifier, GPTConfig
from groundup.model.gpt2_weights import to_gpt2
from groundup.tokenizer.bpe import END_OF_TEXT, byte_to_character, train_bpe
from groundup.tokenizer.encoding import Tokenizer
from groundup.train.checkpoint import save_model

gguf = pytest.importorskip("gguf")
measuring = runpy.run_path(str(ROOT / "benchmarks" / "open_gguf.py"))

# llama.cpp looks GELU up by fp16 values: next to the border of two of them a difference in the seventh digit becomes
# one in the fourth. With the same table in our model no more than that is left; a wrong weight costs whole units.
LOOKED_UP = 2e-3


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer(train_bpe(measuring["TEXTS"] + measuring["PROMPTS"] * 2, 400))


def random_model(tokenizer, **changes):
    torch.manual_seed(0)
    shape = {"context_length": 96, "d_model": 32, "n_layers": 2, "n_heads": 4, **changes}
    model = GPT(GPTConfig(vocab_size=tokenizer.vocab_size, **shape))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model.eval()


def saved(tmp_path, model, tokenizer, **facts):
    folder = tmp_path / "ours"
    folder.mkdir()
    save_model(folder, model, tokenizer, facts)
    return folder


def exported(tmp_path, model, tokenizer):
    target = tmp_path / "new" / "ours.gguf"
    export_gguf(saved(tmp_path, model, tokenizer), target)
    return target


def converted(model):
    """The weights by the package's own table of names, from those that its converter of GPT-2 reads."""
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.GPT2, model.config.n_layers)
    weights = {}
    for name, tensor in to_gpt2(model).items():
        input_first = name.endswith(("c_attn.weight", "c_proj.weight", "c_fc.weight"))
        weights[names.get_name(name, (".weight", ".bias"))] = (tensor.T if input_first else tensor).numpy()
    if model.config.tie_weights:
        del weights["output.weight"]
    if not model.config.bias:
        for name, weight in list(weights.items()):
            if name.startswith("blk.") or name == "output_norm.weight":
                weights[name.replace("weight", "bias")] = np.zeros(len(weight), dtype=np.float32)
    return weights


@pytest.mark.parametrize("shape", [{}, {"d_model": 40, "n_layers": 11, "n_heads": 5}])
@pytest.mark.parametrize(("bias", "tie_weights"), product([True, False], [True, False]))
def test_every_weight_is_there_as_it_is(tmp_path, tokenizer, shape, bias, tie_weights):
    model = random_model(tokenizer, bias=bias, tie_weights=tie_weights, **shape)
    read = {tensor.name: tensor for tensor in gguf.GGUFReader(exported(tmp_path, model, tokenizer)).tensors}
    expected = converted(model)
    assert read.keys() == expected.keys()
    for name, tensor in read.items():
        assert tensor.tensor_type == gguf.GGMLQuantizationType.F32
        np.testing.assert_array_equal(tensor.data, expected[name], err_msg=name)


def test_shape_and_tokenizer_are_described(tmp_path, tokenizer):
    model = random_model(tokenizer)
    target = exported(tmp_path, model, tokenizer)
    read = {name: field.contents() for name, field in gguf.GGUFReader(target).fields.items()}
    character = byte_to_character()
    visible = ["".join(character[byte] for byte in token) for token in tokenizer.vocabulary]
    merges = [" ".join("".join(character[byte] for byte in part) for part in pair) for pair in tokenizer.merges]
    end = tokenizer.end_of_text_id
    assert {name: value for name, value in read.items() if not name.startswith("GGUF.")} == {
        "general.architecture": "gpt2",
        "general.type": "model",
        "general.name": "ours",
        "general.file_type": 0,
        "gpt2.context_length": 96,
        "gpt2.embedding_length": 32,
        "gpt2.feed_forward_length": 128,
        "gpt2.block_count": 2,
        "gpt2.attention.head_count": 4,
        "gpt2.attention.layer_norm_epsilon": pytest.approx(1e-5),
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "gpt-2",
        "tokenizer.ggml.tokens": [*visible, END_OF_TEXT],
        "tokenizer.ggml.token_type": [1] * end + [3],
        "tokenizer.ggml.merges": merges,
        "tokenizer.ggml.bos_token_id": end,
        "tokenizer.ggml.eos_token_id": end,
        "tokenizer.ggml.add_bos_token": False,
    }
    assert [path.name for path in target.parent.iterdir()] == ["ours.gguf"]


def test_a_classifier_is_refused(tmp_path, tokenizer):
    classifier = GPTClassifier(random_model(tokenizer), 2)
    folder = saved(tmp_path, classifier, tokenizer, labels=["ham", "spam"], threshold=0.5)
    with pytest.raises(GroundupError, match=r"got classifier; allowed: language_model; to mend it: .*--format hf"):
        export_gguf(folder, tmp_path / "out" / "classifier.gguf")
    assert not (tmp_path / "out").exists()


def test_what_is_there_already_is_left_alone(tmp_path, tokenizer):
    target = tmp_path / "there.gguf"
    target.write_text("mine")
    with pytest.raises(GroundupError, match="there is something already"):
        export_gguf(saved(tmp_path, random_model(tokenizer), tokenizer), target)
    assert target.read_text() == "mine"


def test_without_the_package_the_line_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(GroundupError, match=r"not installed; to mend it: run `.*python.* -m pip install gguf`"):
        export_gguf(tmp_path, tmp_path / "out" / "model.gguf")
    assert not (tmp_path / "out").exists()


def test_a_full_disk_leaves_nothing(tmp_path, tokenizer, monkeypatch):
    def no_room(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(gguf.GGUFWriter, "write_tensors_to_file", no_room)
    with pytest.raises(OSError, match=r"No space left.*ours\.gguf"):
        exported(tmp_path, random_model(tokenizer), tokenizer)
    assert not list((tmp_path / "new").iterdir())


@pytest.fixture(params=sorted(measuring["RUNTIMES"]))
def runtime(request):
    pytest.importorskip(request.param)
    opened = []

    def opens(path: Path, context_length: int = 96):
        opened.append(measuring["RUNTIMES"][request.param](path, context_length))
        return opened[-1]

    yield opens
    for each in opened:
        each.close()


@pytest.mark.parametrize(("bias", "tie_weights"), product([True, False], [True, False]))
def test_llama_cpp_gives_the_same_scores(tmp_path, tokenizer, runtime, bias, tie_weights):
    model = random_model(tokenizer, bias=bias, tie_weights=tie_weights)
    opened = runtime(exported(tmp_path, model, tokenizer))
    ids = torch.randint(tokenizer.vocab_size, (90,), generator=torch.Generator().manual_seed(1)).tolist()
    with measuring["rounded_gelu"]():
        for end in (1, 2, 40, 90):
            assert measuring["furthest"](model, ids[:end], opened.scores(ids[:end])) < LOOKED_UP


def test_llama_cpp_writes_what_our_model_finds_likeliest(tmp_path, tokenizer, runtime):
    model = random_model(tokenizer)
    prompt = tokenizer.encode("One morning")
    written = runtime(exported(tmp_path, model, tokenizer)).greedy(prompt, 40)
    assert len(set(written)) > 5
    with measuring["rounded_gelu"](), torch.no_grad():
        scores = model(torch.tensor([prompt + written]))[0, len(prompt) - 1 : -1]
    chosen = scores.gather(1, torch.tensor(written)[:, None])[:, 0]
    behind = scores.amax(dim=1) - chosen  # shape: (T,); of two that are as good as equal either may come
    assert float(behind.max()) < 2 * LOOKED_UP


def test_llama_cpp_stops_at_the_end_of_a_text(tmp_path, tokenizer, runtime):
    model = random_model(tokenizer, tie_weights=False)
    with torch.no_grad():
        model.final_norm.bias.fill_(1.0)
        model.head.weight[tokenizer.end_of_text_id].fill_(10.0)
    end = [tokenizer.end_of_text_id]
    assert runtime(exported(tmp_path, model, tokenizer)).greedy(tokenizer.encode("One"), 5) in ([], end)


def test_llama_cpp_gives_the_same_tokens(tmp_path, tokenizer, runtime):
    opened = runtime(exported(tmp_path, random_model(tokenizer), tokenizer))
    for text in measuring["TEXTS"] + measuring["PROMPTS"]:
        assert opened.tokens(text) == tokenizer.encode(text), text
