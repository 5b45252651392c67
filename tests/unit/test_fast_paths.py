"""Each fast path can be turned off, and then it is not taken."""

import contextlib
import ctypes
import threading
import types
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from helpers import CPU, classifier_settings, labelled_rows, pretrain_settings, runtime_params, tiny_gpt, token_store

from groundup import fast_paths
from groundup.config import FastPath
from groundup.generate import generate
from groundup.model import attention, inference, layers, loss
from groundup.model.gpt import GPTClassifier, choose_trainable
from groundup.tasks import classify
from groundup.tasks.instruct import InstructTask
from groundup.tasks.language import LanguageTask
from groundup.train import precision
from groundup.train.device import WARM_UPS, RecordedGradients, compile_blocks, gradients_on, made_early, on_device
from groundup.train.loop import train
from groundup.train.step import add_gradients

GPU = torch.device("cuda")


@pytest.fixture(autouse=True)
def as_before():
    yield
    fast_paths.choose()


def test_the_runtime_settings_say_which_paths_are_taken(monkeypatch):
    monkeypatch.setattr(precision, "keep_freed_memory", lambda: pytest.fail("it was to be left out"))
    monkeypatch.setattr(torch, "set_deterministic_debug_mode", lambda mode: None)
    precision.prepare_runtime(runtime_params(without=("kept_memory", "fused_loss"), compile=True))
    assert [path for path in get_args(FastPath) if not fast_paths.taken(path)] == ["fused_loss", "kept_memory"]
    assert fast_paths.compiled()


class TakenError(Exception):
    """A fast path, or its plain way, was taken."""


def gives_up(*_, **__):
    raise TakenError


def attention_in_bf16(monkeypatch):
    monkeypatch.setattr(attention, "drop", gives_up)
    q, k, v = (torch.randn(1, 2, 4, 8, dtype=torch.bfloat16) for _ in "qkv")
    attention.attend(q, k, v, None, 0.0)


def gate_in_bf16(monkeypatch):
    monkeypatch.setattr(layers, "FUSED", gives_up)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        layers.widened_and_gated(torch.randn(1, 2, 8), torch.nn.Linear(8, 32))


def loss_of_features(monkeypatch):
    monkeypatch.setattr(loss._HeadCrossEntropy, "apply", gives_up)
    features = torch.randn(1, 2, 8, requires_grad=True)
    loss.token_loss(features, torch.randn(5, 8), torch.tensor([[1, 2]])).backward()
    assert features.grad is not None


def batches_of_a_gpu(monkeypatch):
    monkeypatch.setattr(torch.Tensor, "pin_memory", gives_up)
    monkeypatch.setattr(torch.Tensor, "to", lambda self, *_, **__: self)
    on_device(np.zeros(3), GPU)


def writing(monkeypatch):
    monkeypatch.setattr(inference, "PACK", gives_up)
    monkeypatch.setitem(inference.PACKED_FROM_WIDTH, torch.bfloat16, 1)
    monkeypatch.setattr(inference, "PACKED_PRODUCT", inference.PACKED_PRODUCT or gives_up)
    generate(tiny_gpt(), [[1, 2]], inference.PACKED_FROM_TOKENS, precision="bf16")


def guesses(monkeypatch):
    monkeypatch.setattr(inference, "GUESSED_FROM_WEIGHTS", 1)
    monkeypatch.setattr(inference, "PACK_IN_8_BITS", gives_up)
    generate(tiny_gpt(), [[1, 2]], inference.GUESSED_FROM_TOKENS)


@pytest.mark.parametrize(
    ("path", "way"),
    [
        ("plain_attention", attention_in_bf16),
        ("fused_gate", gate_in_bf16),
        ("fused_loss", loss_of_features),
        ("packed_weights", writing),
        ("guesses", guesses),
        ("early_batches", batches_of_a_gpu),
    ],
)
def test_a_path_is_taken_until_it_is_turned_off(monkeypatch, path, way):
    if path == "fused_gate" and layers.FUSED is None:
        pytest.skip("this torch has no such operator")
    if path == "guesses" and torch.backends.quantized.engine not in inference.ENGINES_IN_8_BITS:
        pytest.skip("this processor has no such products")
    with pytest.raises(TakenError):
        way(monkeypatch)
    fast_paths.choose(without=[path])
    way(monkeypatch)


def test_the_loss_and_its_gradients_are_the_same_the_plain_way():
    gradients = []
    for without in ([], ["fused_loss"]):
        fast_paths.choose(without=without)
        generator = torch.Generator().manual_seed(0)
        features = torch.randn(2, 5, 8, generator=generator, dtype=torch.float64, requires_grad=True)
        head = torch.randn(7, 8, generator=generator, dtype=torch.float64, requires_grad=True)
        targets = torch.tensor([[1, 2, -100, 3, 6], [0, 0, 4, -100, 5]])
        total = loss.token_loss(features, head, targets)
        total.backward()
        gradients.append((total, features.grad, head.grad))
    for fast, plain in zip(*gradients, strict=True):
        torch.testing.assert_close(fast, plain, check_dtype=False, rtol=1e-6, atol=1e-6)  # it sums in fp32


def test_a_frozen_trunk_runs_each_time_if_nothing_is_to_be_kept(monkeypatch, tmp_path):
    monkeypatch.setattr(classify, "FrozenTrunk", gives_up)
    rows = labelled_rows(tmp_path)
    model = GPTClassifier(tiny_gpt(), 2)
    choose_trainable(model, "last_block")

    def loss_of_a_batch() -> None:
        task = classify.ClassifyTask(rows, rows, ["ham", "spam"], classifier_settings(), 12, 0, CPU)
        task.loss(model, task.batches(0)[0])

    with pytest.raises(TakenError):
        loss_of_a_batch()
    fast_paths.choose(without=["frozen_trunk"])
    loss_of_a_batch()


def test_every_path_is_asked_for_somewhere():
    """A name in the settings that no code asks for would turn off nothing."""
    sources = Path(fast_paths.__file__).parent.rglob("*.py")
    text = "".join(source.read_text(encoding="utf-8") for source in sources)
    assert all(f'taken("{path}")' in text for path in get_args(FastPath))


def test_batches_come_from_a_thread_one_step_early_and_are_the_same():
    made: list[tuple[int, str]] = []

    def make(number: int) -> int:
        made.append((number, threading.current_thread().name))
        return number * number

    with made_early(make, GPU) as batches_of:
        assert [batches_of(number) for number in (4, 5, 6)] == [16, 25, 36]
    assert [number for number, _ in made[:3]] == [4, 5, 6]
    assert made[0][1] == threading.current_thread().name
    assert all(name != threading.current_thread().name for _, name in made[1:])
    with made_early(make, CPU) as batches_of:
        assert batches_of is make


def test_a_batch_that_cannot_be_made_says_so_when_it_is_asked_for():
    def make(number: int) -> int:
        if number == 2:
            raise ValueError("no such batch")
        return number

    with made_early(make, GPU) as batches_of:
        assert batches_of(1) == 1
        with pytest.raises(ValueError, match="no such batch"):
            batches_of(2)


def test_steps_are_recorded_where_a_device_can_and_all_batches_are_alike():
    assert isinstance(gradients_on(GPU, alike=True), RecordedGradients)
    assert gradients_on(GPU, alike=False) is add_gradients
    assert gradients_on(CPU, alike=True) is add_gradients
    fast_paths.choose(without=["cuda_graphs"])
    assert gradients_on(GPU, alike=True) is add_gradients


@dataclass
class Numbers:
    """A batch of which the loss is the sum of `x @ weight`, so that the gradient is the sum of its rows."""

    x: torch.Tensor


class Recording:
    """Stands in for a CUDA graph: `again` puts the results of what was recorded where they were put then."""

    def replay(self):
        self.again()


def test_a_recording_plays_on_the_numbers_of_each_batch_and_leaves_nothing_of_the_warm_up(monkeypatch):
    weight = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    first, second = Numbers(torch.tensor([[1.0, 0.0], [3.0, 5.0]])), Numbers(torch.tensor([[7.0, 1.0], [1.0, 1.0]]))
    expected = [(numbers.x.sum(0) / 2, (numbers.x @ weight).sum().item()) for numbers in (first, second)]
    gradients_before, losses, restored = [], [], []

    def loss_of(model, batch):
        gradients_before.append(weight.grad)
        return (batch.x @ weight).sum()

    def noted(*told):
        losses.append(add_gradients(*told))
        return losses[-1]

    @contextlib.contextmanager
    def graph(recording, capture_error_mode):
        yield
        total, gradient = losses[-1], weight.grad

        def again():
            total.copy_((first.x @ weight).sum().detach())
            gradient.copy_(first.x.sum(0) / 2)

        recording.again = again

    stream = types.SimpleNamespace(wait_stream=lambda other: None)
    monkeypatch.setattr("groundup.train.device.add_gradients", noted)
    for name, stand_in in {
        "get_rng_state": lambda: "as it was",
        "set_rng_state": restored.append,
        "Stream": lambda: stream,
        "current_stream": lambda: stream,
        "stream": contextlib.nullcontext,
        "CUDAGraph": Recording,
        "graph": graph,
    }.items():
        monkeypatch.setattr(torch.cuda, name, stand_in)
    recorded = RecordedGradients()
    model, precisely = torch.nn.ParameterList([weight]), contextlib.nullcontext()
    for numbers, (gradient, total) in zip((first, second), expected, strict=True):
        weight.grad = None
        assert recorded(model, [numbers], loss_of, precisely, 2).item() == total
        assert torch.equal(weight.grad, gradient)
    assert gradients_before == [None] * (WARM_UPS + 1)  # none adds to what another left, and none runs after
    assert restored == ["as it was"]


def test_the_loop_asks_for_the_gradients_that_suit_a_task_and_trains_by_them(monkeypatch):
    asked, steps = [], []

    def suiting(device, *, alike):
        asked.append((device, alike))
        return lambda *told: steps.append(1) or add_gradients(*told)

    monkeypatch.setattr("groundup.train.loop.gradients_on", suiting)
    store = token_store([np.arange(60) % 31])
    settings = pretrain_settings(batch_size=2, max_steps=3)
    task = LanguageTask(store, store, None, settings, 12, 0, CPU)
    monkeypatch.setattr(task, "validate", lambda model: {"loss_nats": 1.0})
    train(tiny_gpt(), task, settings, seed=0)
    assert asked == [(CPU, True)]
    assert len(steps) == 3
    assert not classify.ClassifyTask.alike
    assert not InstructTask.alike


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")  # the compiler's own looking round
def test_compiled_blocks_give_the_same_training():
    """With the compiler's tracing and without its kernels, which a machine for tests need not be able to build."""
    store = token_store([np.arange(60) % 31])
    losses = {}
    for compiled in (False, True):
        model = tiny_gpt()
        if compiled:
            compile_blocks(model, backend="eager")
            assert all(block._compiled_call_impl is not None for block in model.blocks)
        names = list(model.state_dict())
        task = LanguageTask(store, store, None, pretrain_settings(batch_size=2), 12, 0, CPU)
        batch = task.batches(0)[0]
        total = task.loss(model, batch)
        total.backward()
        losses[compiled] = (total.detach(), model.blocks[0].feed_forward.widen.weight.grad, names)
    torch.testing.assert_close(losses[True][0], losses[False][0], rtol=0, atol=0)
    torch.testing.assert_close(losses[True][1], losses[False][1], rtol=1e-6, atol=1e-7)
    assert losses[True][2] == losses[False][2]


def test_the_loop_compiles_a_model_only_where_it_is_told_to(monkeypatch):
    compiled = []
    monkeypatch.setattr("groundup.train.loop.compile_blocks", compiled.append)
    store = token_store([np.arange(60) % 31])
    for wanted in (False, True):
        fast_paths.choose(compiled=wanted)
        model = tiny_gpt()
        settings = pretrain_settings(batch_size=2, max_steps=1)
        task = LanguageTask(store, store, None, settings, 12, 0, CPU)
        monkeypatch.setattr(task, "validate", lambda model: {"loss_nats": 1.0})
        train(model, task, settings, seed=0)
        assert compiled == ([model] if wanted else [])


def test_keeping_memory_is_asked_of_the_c_library(monkeypatch):
    asked = []
    monkeypatch.setattr(ctypes, "CDLL", lambda name: type("C", (), {"mallopt": lambda *told: asked.append(told) or 1}))
    assert precision.keep_freed_memory()
    assert asked == [
        (precision.M_MMAP_THRESHOLD, precision.LARGEST_KEPT),
        (precision.M_TRIM_THRESHOLD, precision.NEVER),
    ]
