"""Weights in Hugging Face's files give, in our model, the scores that `transformers` computes with them."""

import json
import shutil

import pytest
import torch
from helpers import byte_tokenizer, trained_tokenizer
from safetensors.torch import load_file, save_file
from transformers import GPT2Config, GPT2LMHeadModel, GPT2Model

from groundup.config import GPT2_SHAPES
from groundup.errors import GroundupError
from groundup.model.gpt import GPT, GPTConfig
from groundup.train.checkpoint import save_model
from groundup.train.given_weights import given_shape, load_given_model
from groundup.train.weights_file import PIECE_BYTES, copy_tensors

CLOSE = {"rtol": 0.0, "atol": 1e-5}
VOCAB_SIZE, CONTEXT = 257, 12
TOKENS = torch.randint(VOCAB_SIZE, (2, CONTEXT), generator=torch.Generator().manual_seed(1))


def their_model(kind=GPT2LMHeadModel, n_layers=2, n_heads=2, d_model=8, **changes):
    """A model of `transformers` whose every weight, biases and norms included, says something."""
    torch.manual_seed(0)
    sizes = {
        "vocab_size": VOCAB_SIZE,
        "n_positions": CONTEXT,
        "n_embd": d_model,
        "n_layer": n_layers,
        "n_head": n_heads,
    }
    model = kind(GPT2Config(**sizes, bos_token_id=256, eos_token_id=256, **changes)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def shape(n_layers=2, n_heads=2, d_model=8, **changes):
    return GPTConfig(
        **{
            "vocab_size": VOCAB_SIZE,
            "context_length": CONTEXT,
            "d_model": d_model,
            "n_layers": n_layers,
            "n_heads": n_heads,
        }
        | changes
    )


def their_scores(model, tokens=TOKENS):
    with torch.no_grad():
        return model(tokens).logits


def our_scores(folder, config, tokens=TOKENS):
    with torch.no_grad():
        return load_given_model(folder, config, byte_tokenizer())(tokens)


@pytest.fixture
def given(tmp_path):
    """The folder that `transformers` writes."""
    their_model().save_pretrained(tmp_path / "given")
    return tmp_path / "given"


def changed(folder, change):
    """Change the tensors of a folder's file."""
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors")


@pytest.mark.parametrize("name", sorted(GPT2_SHAPES))
def test_every_shape_of_gpt2_scores_as_in_transformers(name, tmp_path):
    """Its layers and its heads, in narrower heads; benchmarks/given_weights.py does it at full width."""
    of = GPT2_SHAPES[name]
    sizes = {"n_layers": of.n_layers, "n_heads": of.n_heads, "d_model": 4 * of.n_heads}
    theirs = their_model(**sizes)
    theirs.save_pretrained(tmp_path)
    torch.testing.assert_close(our_scores(tmp_path, shape(**sizes)), their_scores(theirs), **CLOSE)


def test_a_file_as_openai_made_it_names_no_transformer_and_brings_its_masks(tmp_path):
    their_model(GPT2Model).save_pretrained(tmp_path)
    whole = their_model()

    def add_masks(tensors):
        assert "wte.weight" in tensors
        for layer in range(2):
            tensors[f"h.{layer}.attn.bias"] = torch.ones(1, 1, CONTEXT, CONTEXT).tril()
            tensors[f"h.{layer}.attn.masked_bias"] = torch.tensor(-1e4)

    changed(tmp_path, add_masks)
    trunk = their_model(GPT2Model)
    whole.transformer.load_state_dict(trunk.state_dict())
    torch.testing.assert_close(our_scores(tmp_path, shape()), their_scores(whole), **CLOSE)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_as_many_bits_are_read_too(dtype, tmp_path):
    theirs = their_model().to(dtype)
    theirs.save_pretrained(tmp_path)
    torch.testing.assert_close(our_scores(tmp_path, shape()), their_scores(theirs.float()), **CLOSE)


def test_a_head_of_its_own_is_read(tmp_path):
    theirs = their_model(tie_word_embeddings=False)
    theirs.save_pretrained(tmp_path)
    torch.testing.assert_close(our_scores(tmp_path, shape(tie_weights=False)), their_scores(theirs), **CLOSE)
    with pytest.raises(
        GroundupError, match=r"lm_head.weight is not the token embedding.*set model.tie_weights to false"
    ):
        our_scores(tmp_path, shape())


def test_a_head_of_its_own_begins_as_the_embedding_where_the_weights_share_them(given):
    model = load_given_model(given, shape(tie_weights=False), byte_tokenizer())
    assert torch.equal(model.head.weight, model.token_embedding.weight)
    assert model.head.weight.data_ptr() != model.token_embedding.weight.data_ptr()
    torch.testing.assert_close(our_scores(given, shape(tie_weights=False)), their_scores(their_model()), **CLOSE)


def test_a_shared_head_that_the_file_holds_twice_is_no_stranger(given):
    changed(given, lambda tensors: tensors.update({"lm_head.weight": tensors["transformer.wte.weight"].clone()}))
    torch.testing.assert_close(our_scores(given, shape()), their_scores(their_model()), **CLOSE)


def test_a_shorter_context_takes_the_first_positions(given):
    short = TOKENS[:, :5]
    scores = our_scores(given, shape(context_length=5), short)
    torch.testing.assert_close(scores, their_scores(their_model(), short), **CLOSE)


def test_a_model_of_this_project_is_read_as_it_is(tmp_path):
    torch.manual_seed(0)
    model = GPT(shape())
    save_model(tmp_path, model, byte_tokenizer(), {"initial_weights": "gpt2"})
    with torch.no_grad():
        assert torch.equal(our_scores(tmp_path, shape()), model.eval()(TOKENS))
    assert given_shape(tmp_path, byte_tokenizer()) == shape()
    with pytest.raises(GroundupError, match=r"n_heads is not the model's; got 2; allowed: 4; .*model.n_heads to 2"):
        our_scores(tmp_path, shape(n_heads=4))


def test_the_shape_is_told_by_their_description(given):
    assert given_shape(given, byte_tokenizer()) == shape()
    (given / "config.json").write_text("{}")
    with pytest.raises(GroundupError, match=r"config.json: no shape of a GPT-2; got KeyError"):
        given_shape(given, byte_tokenizer())


def test_rows_longer_than_a_piece_and_pieces_of_many_rows_are_read_whole(tmp_path):
    n = PIECE_BYTES // 4
    tensors = {"long": torch.randn(2, n + 3), "many": torch.randn(3 * n // 1000 + 1, 1000), "flat": torch.randn(n + 1)}
    save_file(tensors, tmp_path / "file")
    found = {name: torch.zeros_like(tensor) for name, tensor in tensors.items()}
    copy_tensors(tmp_path / "file", found.items())
    assert all(torch.equal(found[name], tensors[name]) for name in tensors)


REFUSED = {
    "missing": (lambda t: t.pop("transformer.h.1.mlp.c_fc.bias"), r"1 of .* transformer.h.1.mlp.c_fc.bias is missing"),
    "extra": (lambda t: t.update(surprise=torch.zeros(2)), "1 of .* surprise is not known"),
    "one more layer": (
        lambda t: t.update({n.replace(".1.", ".2."): x.clone() for n, x in t.items() if ".h.1." in n}),
        r"12 of .* transformer.h.2.* …; .*set .*model.n_layers to 3",
    ),
    "wrong shape": (
        lambda t: t.update({"transformer.h.0.ln_1.weight": torch.ones(9)}),
        r"transformer.h.0.ln_1.weight has shape \(9,\), not \(8,\)",
    ),
    "not turned": (
        lambda t: t.update({"transformer.h.0.attn.c_attn.weight": torch.ones(24, 8)}),
        r"transformer.h.0.attn.c_attn.weight has shape \(24, 8\), not \(8, 24\)",
    ),
    "too few positions": (
        lambda t: t.update({"transformer.wpe.weight": torch.ones(11, 8)}),
        r"transformer.wpe.weight has shape \(11, 8\), not \(12, 8\); .*model.context_length to 11 or less",
    ),
    "another vocabulary": (
        lambda t: t.update({"transformer.wte.weight": torch.ones(300, 8)}),
        r"transformer.wte.weight has shape \(300, 8\).*tokenize.vocab_size to 300",
    ),
    "no number": (
        lambda t: t["transformer.h.1.ln_2.bias"].fill_(float("nan")),
        "transformer.h.1.ln_2.bias holds a number that is infinite, or none at all",
    ),
    "whole numbers": (
        lambda t: t.update({"transformer.h.1.ln_2.bias": torch.ones(8, dtype=torch.int64)}),
        "transformer.h.1.ln_2.bias holds no numbers that are weights; got torch.int64",
    ),
    "extra whole numbers": (
        lambda t: t.update(surprise=torch.ones(2, dtype=torch.int64)),
        "1 of .* surprise is not known",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_tensors_that_do_not_fit_are_refused_by_name(given, name):
    change, said = REFUSED[name]
    changed(given, change)
    with pytest.raises(GroundupError, match=said) as error:
        our_scores(given, shape())
    assert "\n" not in str(error.value)
    assert "to mend it" in str(error.value)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("activation_function", "relu"),
        ("model_type", "llama"),
        ("layer_norm_epsilon", 1e-6),
        ("scale_attn_weights", False),
        ("scale_attn_by_inverse_layer_idx", True),
        ("n_head", 4),
    ],
)
def test_settings_under_which_it_would_compute_something_else_are_refused(given, key, value):
    facts = json.loads((given / "config.json").read_text())
    (given / "config.json").write_text(json.dumps({**facts, key: value}))
    with pytest.raises(GroundupError, match=rf"config.json: {key} is not .*; got {value}; ") as error:
        our_scores(given, shape())
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["encoder.json", "tokenizer.json"])
def test_another_vocabulary_beside_the_weights_is_refused(given, name):
    def write(ids):
        inner = {token: number for token, number in ids.items() if number != 256}
        added = [{"content": token, "id": number} for token, number in ids.items() if number == 256]
        facts = {"model": {"vocab": inner}, "added_tokens": added} if name == "tokenizer.json" else ids
        (given / name).write_text(json.dumps(facts))

    ids = byte_tokenizer().ids_by_token()
    write(ids)
    our_scores(given, shape())
    ids["a"], ids["b"] = ids["b"], ids["a"]
    write(ids)
    with pytest.raises(GroundupError, match=r"the vocabulary beside the weights is not the one of the texts"):
        our_scores(given, shape())


def test_a_vocabulary_of_another_size_is_refused(given):
    trained_tokenizer().save(given)
    with pytest.raises(GroundupError, match=r"not the one of the texts; got 290 tokens; allowed: the 257"):
        our_scores(given, shape())


def test_a_pickle_in_place_of_the_weights_is_refused_by_name(given):
    torch.save(their_model().state_dict(), given / "model.safetensors")
    with pytest.raises(GroundupError, match=r"model.safetensors: a pickle, as torch.save writes it"):
        our_scores(given, shape())


def test_without_a_description_the_tensors_tell_enough(given):
    for name in ("config.json", "generation_config.json"):
        (given / name).unlink()
    torch.testing.assert_close(our_scores(given, shape()), their_scores(their_model()), **CLOSE)
    shutil.rmtree(given)
    with pytest.raises(GroundupError, match="no such file or folder"):
        our_scores(given, shape())
