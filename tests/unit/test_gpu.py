"""On a GPU the same is computed as on a CPU, and as exactly repeated; skipped where there is none."""

import contextlib

import pytest
import torch
from helpers import tiny_gpt
from test_resume import PowerCutError, assert_same, run

from groundup import fast_paths
from groundup.generate import Sampling, generate
from groundup.model.attention import attend
from groundup.model.loss import IGNORE_INDEX, token_loss
from groundup.reference.loss import token_loss as plain_token_loss
from groundup.tasks.language import TokenBatch
from groundup.train.device import RecordedGradients, compile_blocks
from groundup.train.resume import Keeper
from groundup.train.step import add_gradients

pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"),
    pytest.mark.filterwarnings("default"),  # torch's compiler has much to say
]
GPU = torch.device("cuda")


@pytest.fixture(autouse=True)
def as_before():
    torch.set_deterministic_debug_mode("error")
    yield
    torch.set_deterministic_debug_mode("default")
    fast_paths.choose()


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("vocab_size", [33, 64])
@pytest.mark.parametrize("precision", [torch.float64, torch.float32, torch.bfloat16])
def test_the_loss_and_its_gradients(precision, vocab_size, compiled):
    fast_paths.choose(compiled=compiled)
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(3, 400, 8, generator=generator, dtype=torch.float64, requires_grad=True)
    head = torch.randn(vocab_size, 8, generator=generator, dtype=torch.float64, requires_grad=True)
    targets = torch.randint(vocab_size, (3, 400), generator=generator)
    targets[:, ::7] = IGNORE_INDEX
    expected = plain_token_loss(features, head, targets)
    expected_gradients = torch.autograd.grad(expected, [features, head])
    on_gpu = [tensor.detach().to(GPU, precision).requires_grad_() for tensor in (features, head)]
    loss = token_loss(*on_gpu, targets.to(GPU))
    gradients = torch.autograd.grad(loss, on_gpu)
    # What is left of a number: 2^-53, 2^-24 or 2^-9 of it, some hundred times over in sums of a thousand.
    tolerance = {torch.float64: 1e-10, torch.float32: 1e-4, torch.bfloat16: 3e-2}[precision]
    for one, other in zip([loss, *gradients], [expected, *expected_gradients], strict=True):
        difference = (one.detach().cpu().double() - other.detach()).norm() / other.detach().norm()
        assert difference < tolerance


def test_a_model_gives_the_scores_and_gradients_that_it_gives_on_a_cpu():
    tokens = torch.randint(31, (4, 13), generator=torch.Generator().manual_seed(0))
    found = []
    for device, compiled in ((torch.device("cpu"), False), (GPU, False), (GPU, True)):
        model = tiny_gpt().to(device)
        if compiled:
            compile_blocks(model)
        loss = token_loss(model.features(tokens[:, :-1].to(device)), model.head_weight, tokens[:, 1:].to(device))
        loss.backward()
        found.append([loss.detach().cpu(), *(parameter.grad.cpu() for parameter in model.parameters())])
    for one in found[1:]:
        for here, there in zip(one, found[0], strict=True):
            torch.testing.assert_close(here, there, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("compiled", [False, True])
def test_a_training_is_repeated_and_goes_on_to_the_last_bit(tmp_path, optimizer, precision, compiled):
    fast_paths.choose(compiled=compiled)
    how = {"device": GPU, "optimizer": optimizer, "precision": precision}
    whole = run(**how)
    assert_same(whole, run(**how))
    with pytest.raises(PowerCutError):
        run(Keeper(tmp_path, 0.0), before_step=5, **how)
    resumed = run(Keeper(tmp_path, 0.0), **how)
    assert resumed[0] == whole[0]
    assert all(torch.equal(resumed[1][name], whole[1][name]) for name in whole[1])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("mask", [False, True])
def test_the_gradients_of_attention_are_repeated(dtype, mask):
    """Of a size that torch's fast ways take, which add up in any order unless they are told not to."""
    generator = torch.Generator(GPU).manual_seed(0)
    q, k, v, upstream = torch.randn(4, 8, 4, 1024, 64, generator=generator, device=GPU, dtype=dtype)
    seen = torch.ones(1024, 1024, dtype=torch.bool, device=GPU).tril() if mask else None
    found = []
    for _ in range(5):
        asked = [tensor.clone().requires_grad_() for tensor in (q, k, v)]
        found.append(torch.autograd.grad(attend(*asked, seen, 0.0), asked, upstream))
    assert all(torch.equal(one, first) for each in found for one, first in zip(each, found[0], strict=True))


@pytest.mark.parametrize("sampling", [Sampling(), Sampling(temperature=0.8, top_k=7, top_p=0.9)])
@pytest.mark.parametrize("prompts", [[[1, 2]], [[1], [2, 3, 4], [5, 6]]])
def test_the_same_is_written(sampling, prompts):
    written = [
        generate(tiny_gpt().to(device), prompts, 30, sampling=sampling, use_cache=use_cache)
        for device, use_cache in (("cpu", True), ("cuda", True), ("cuda", False))
    ]
    assert written[0] == written[1] == written[2]


def test_a_recorded_step_gives_the_gradients_of_the_plain_way():
    batches = [[batch_of(seed)] for seed in range(3)]
    model, recorded = tiny_gpt().to(GPU), RecordedGradients()
    for batch in batches:
        found = []
        for way in (add_gradients, recorded):
            model.zero_grad()
            loss = way(model, batch, language_loss, contextlib.nullcontext(), 24)
            found.append([loss.clone(), *(parameter.grad.clone() for parameter in model.parameters())])
        for one, other in zip(*found, strict=True):
            torch.testing.assert_close(one.cpu(), other.cpu(), rtol=1e-5, atol=1e-6)


def batch_of(seed: int) -> TokenBatch:
    tokens = torch.randint(31, (2, 13), generator=torch.Generator().manual_seed(seed)).to(GPU)
    return TokenBatch(tokens[:, :-1], tokens[:, 1:], 24, 24)


def language_loss(model, batch):
    return token_loss(model.features(batch.input_ids), model.head_weight, batch.targets)
