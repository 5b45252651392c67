"""The model made ready to write gives the scores of the model itself, in every layout of its weights."""

import itertools

import pytest
import torch
from helpers import LORA, tiny_gpt

from groundup.generate import Sampling, generate, next_tokens
from groundup.model import inference
from groundup.model.gpt import GPT
from groundup.model.inference import InferenceGPT, KeyValueCache, Layout, best_layout
from groundup.model.lora import add_lora, merge_lora

CAN_PACK = inference.PACK is not None and inference.PACKED_PRODUCT is not None
packing = pytest.mark.skipif(not CAN_PACK, reason="this torch has no oneDNN, or no longer the operators")
LAYOUTS = ["plain", "transposed", pytest.param("packed", marks=packing)]
PROMPTS = [[1], [2, 3, 4, 5, 6], list(range(7, 19)), [1, 2, 3], list(range(20))]  # the context is 12 tokens
SHAPES = [{}, {"tie_weights": False}, {"bias": False}, {"bias": False, "tie_weights": False, "n_heads": 4}]

# Sums of up to 64 products in another order differ by a few of fp32's last places, here over 2 layers.
FP32 = {"rtol": 1e-5, "atol": 2e-5}


@pytest.fixture
def always_packed(monkeypatch):
    """Tiny models are packed too, for texts of any length."""
    monkeypatch.setattr(inference, "PACKED_FROM_WIDTH", {torch.float32: 1, torch.bfloat16: 1})
    monkeypatch.setattr(inference, "PACKED_FROM_TOKENS", 1)
    monkeypatch.setattr(inference, "PACKED_FROM_TEXTS", {"intel": 1, "other": 1})


def scores_step_by_step(model: GPT, ids: torch.Tensor, dtype: torch.dtype, layout: Layout) -> torch.Tensor:
    """Scores after the first three tokens, read at once, and after each one more. Shapes: (B, T) -> (B, T - 2, V)"""
    network = InferenceGPT(model, dtype, layout)
    cache = network.new_cache(len(ids), 12)
    edges = [0, *range(3, ids.shape[1] + 1)]
    with torch.no_grad():
        scores = [network.next_scores(ids[:, start:end], None, cache, None) for start, end in itertools.pairwise(edges)]
    assert cache.length == ids.shape[1]
    return torch.stack(scores, dim=1)


def scores_at_once(model: GPT, ids: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return model(ids)[:, 2:]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("batch_size", [1, 3])
@pytest.mark.parametrize(
    ("dtype", "layout", "tolerance"),
    [
        # float64: only the order of the sums differs.
        (torch.float64, "plain", {"rtol": 1e-12, "atol": 1e-12}),
        (torch.float64, "transposed", {"rtol": 1e-12, "atol": 1e-12}),
        (torch.float32, "plain", FP32),
        pytest.param(torch.float32, "packed", FP32, marks=packing),
    ],
)
def test_the_scores_are_those_of_the_model(shape, batch_size, dtype, layout, tolerance):
    model = tiny_gpt(seed=2, **shape).to(dtype).eval()
    ids = torch.randint(31, (batch_size, 9), generator=torch.Generator().manual_seed(0))
    found = scores_step_by_step(model, ids, dtype, layout)
    torch.testing.assert_close(found, scores_at_once(model, ids), **tolerance)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_in_bf16_the_scores_are_rounded_and_no_more(shape, layout):
    model = tiny_gpt(seed=2, **shape).eval()
    ids = torch.randint(31, (3, 9), generator=torch.Generator().manual_seed(0))
    exact = scores_at_once(model, ids)
    found = scores_step_by_step(model, ids, torch.bfloat16, layout)
    assert found.dtype == torch.bfloat16
    lost = ((found.float() - exact).norm() / exact.norm()).item()
    # One rounding loses 2^-9 at most. Some twelve stand one after the other on the way to a score (weights, norms and
    # products of two layers, and the head), and add up as chance has it: sqrt(12) 2^-9 is 0.7 %, of which twice passes.
    assert 2**-11 < lost < 0.014


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_layer_with_a_low_rank_change_is_read_with_it(layout):
    model = tiny_gpt(seed=2).eval()
    add_lora(model.blocks, LORA)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith(("up", "down")):
                parameter.copy_(0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    ids = torch.randint(31, (3, 9), generator=torch.Generator().manual_seed(0))
    expected = scores_at_once(model, ids)
    torch.testing.assert_close(scores_step_by_step(model, ids, torch.float32, layout), expected, **FP32)
    merge_lora(model)
    torch.testing.assert_close(scores_step_by_step(model, ids, torch.float32, layout), expected, **FP32)


@packing
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("prompts", [PROMPTS, PROMPTS[1:2], [[1, 2], [3, 4], [5, 6]]])
@pytest.mark.parametrize("sampling", [Sampling(), Sampling(temperature=1.0, top_k=20, top_p=0.95)])
def test_packed_weights_write_what_the_model_writes_at_any_lengths_and_beyond_the_context(
    always_packed, shape, prompts, sampling
):
    model = tiny_gpt(seed=1, **shape)
    packed = generate(model, prompts, 30, sampling=sampling, seed=4)
    assert packed == generate(model, prompts, 30, sampling=sampling, seed=4, use_cache=False)
    assert len(set(packed[0])) > 1  # not one token again and again, which would prove little


@packing
def test_packed_rows_may_end_at_different_times(always_packed):
    model = tiny_gpt(seed=1)
    free = generate(model, PROMPTS, 25)
    stop_id = next(token for token in range(31) if len({row.index(token) for row in free if token in row}) > 1)
    stopped = generate(model, PROMPTS, 25, stop_id=stop_id)
    assert stopped == [row[: row.index(stop_id)] if stop_id in row else row for row in free]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_bf16_writes_nearly_what_the_model_in_bf16_writes(always_packed, monkeypatch, layout):
    if layout == "plain":
        monkeypatch.setattr(inference, "PACK", None)
    model = tiny_gpt(seed=1)
    found = generate(model, PROMPTS, 4, precision="bf16")
    expected = generate(model, PROMPTS, 4, precision="bf16", use_cache=False)
    # Two roundings apart, of 20 choices among 31 scores that differ by several per cent, a few may swap.
    equal = sum(a == b for one, other in zip(found, expected, strict=True) for a, b in zip(one, other, strict=True))
    assert equal >= 16


@pytest.mark.parametrize("use_cache", [True, False])
def test_bf16_computes_in_bf16_and_leaves_the_model_as_it_is(monkeypatch, use_cache):
    seen = []

    def spy(scores, *rest):
        seen.append(scores.dtype)
        return next_tokens(scores, *rest)

    monkeypatch.setattr("groundup.generate.next_tokens", spy)
    sampling = Sampling(temperature=1.0)
    model = tiny_gpt(seed=1)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    for precision in ("bf16", "fp32"):
        generate(model, PROMPTS, 1, sampling=sampling, precision=precision, use_cache=use_cache)
    assert seen == [torch.bfloat16, torch.float32]
    torch.testing.assert_close(dict(model.state_dict()), before, rtol=0, atol=0)


def test_without_the_operators_it_writes_the_same(always_packed, monkeypatch):
    model = tiny_gpt(seed=1)
    expected = generate(model, PROMPTS, 20)
    for name in ("PACK", "PACKED_PRODUCT"):
        with monkeypatch.context() as patch:
            patch.setattr(inference, name, None)
            assert best_layout(model, torch.float32, 8, 1000) == "plain"
            assert generate(model, PROMPTS, 20) == expected
            assert all(len(row) == 5 for row in generate(model, PROMPTS, 5, precision="bf16"))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_weights_that_changed_between_two_calls_are_read_anew(always_packed, precision):
    model, other = tiny_gpt(seed=1), tiny_gpt(seed=2)
    before = generate(model, PROMPTS, 8, precision=precision)
    model.load_state_dict(other.state_dict())
    after = generate(model, PROMPTS, 8, precision=precision)
    assert after == generate(other, PROMPTS, 8, precision=precision) != before


@packing
@pytest.mark.parametrize(("processor", "from_texts"), [("intel", 4), ("other", 1)])
def test_weights_are_packed_where_it_pays(monkeypatch, processor, from_texts):
    monkeypatch.setattr(inference, "_processor", lambda: processor)
    wide, narrow = tiny_gpt(d_model=768, n_layers=1), tiny_gpt()
    layouts = [best_layout(wide, torch.float32, n, 200) for n in range(1, 6)]
    assert layouts == ["packed" if n >= from_texts else "plain" for n in range(1, 6)]
    assert best_layout(wide, torch.bfloat16, 1, 200) == "packed"
    assert best_layout(narrow, torch.bfloat16, 1, 200) == "packed"
    assert [best_layout(narrow, torch.float32, n, 200) for n in (1, 3, 4, 16)] == ["plain"] * 2 + ["transposed"] * 2
    assert best_layout(narrow, torch.float32, 16, 1) == "plain"
    assert best_layout(wide, torch.float32, 16, 1) == "plain"
    assert best_layout(wide, torch.float64, 16, 200) == "plain"
    with torch.device("meta"):
        assert best_layout(GPT(wide.config), torch.float32, 16, 200) == "plain"
        assert best_layout(GPT(narrow.config), torch.float32, 16, 200) == "plain"


def test_rows_that_go_on_keep_their_keys_and_values():
    cache = KeyValueCache(2, 5, 1, 4, 3, device=torch.device("cpu"), dtype=torch.float32)
    for new, keys, values in cache.extended(2):
        new.copy_(torch.arange(5.0)[None, :, None, None, None] + torch.tensor([0.0, 10.0])[:, None, None, None, None])
        assert keys[4].unique().tolist() == [4.0]
        assert values[4].unique().tolist() == [14.0]
    cache.keep_rows([0, 4, 2])
    for new, keys, values in cache.extended(1):
        assert new.shape == (2, 3, 1, 1, 3)
        assert keys.shape == values.shape == (3, 1, 3, 3)
        assert keys[:, 0, 0, 0].tolist() == [0, 4, 2]
        assert values[:, 0, 1, 2].tolist() == [10, 14, 12]
    with pytest.raises(AssertionError, match="overwritten"):
        cache.keep_rows([1, 0])
    with pytest.raises(AssertionError, match="too small"):
        list(cache.extended(2))


def test_several_tokens_after_others_need_a_mask():
    network = InferenceGPT(tiny_gpt(), torch.float32, "plain")
    cache = network.new_cache(1, 12)
    ids = torch.tensor([[1, 2]])
    with torch.no_grad():
        network.next_scores(ids, None, cache, None)
        with pytest.raises(AssertionError, match="need a mask"):
            network.next_scores(ids, None, cache, None)
