"""What makes a run come out again: random numbers that follow from a seed and names, and settled mathematics."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from data_helpers import raw_params
from torch.utils._python_dispatch import TorchDispatchMode

from groundup.model.gpt import GPTConfig
from groundup.model.initial import new_model
from groundup.params_file import parse_params
from groundup.seeding import BY_MKL, derive_seed, numpy_generator, seed_torch, settle_vector_math, torch_generator
from groundup.train.precision import prepare_runtime


def test_a_seed_is_the_same_on_every_machine_and_in_every_version():
    # The first 8 bytes of the SHA-256 of b"1\x1fwindows\x1f0", big end first, halved. Another number here means that
    # every run with the same seed comes out differently than before.
    assert derive_seed(1, "windows", 0) == 6_336_008_838_218_998_937


def test_every_name_and_number_counts_and_so_does_where_one_ends():
    purposes = [
        (1, "a", "b"),
        (1, "ab"),
        (1, "b", "a"),
        (2, "a", "b"),
        (1, "a"),
        (1,),
        (1, "a", 1),
        (1, "a", 11),
        (11, "a"),
        (1, 1, "a"),
    ]
    for one, other in itertools.combinations(purposes, 2):
        assert derive_seed(*one) != derive_seed(*other), (one, other)


def test_seeds_fit_into_63_bits_and_use_them():
    seeds = [derive_seed(0, number) for number in range(200)]
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert max(seeds) > 2**62


def test_generators_draw_the_same_for_the_same_name_and_other_numbers_for_another():
    for make in (
        lambda *names: numpy_generator(*names).random(8),
        lambda *names: torch.rand(8, generator=torch_generator(*names)).numpy(),
    ):
        assert np.array_equal(make(3, "order", 1), make(3, "order", 1))
        assert not np.array_equal(make(3, "order", 1), make(3, "order", 2))


def test_a_generator_of_its_own_leaves_the_global_one_alone():
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    torch.rand(5, generator=torch_generator(1, "other"))
    assert torch.equal(torch.rand(3), expected)


def test_seed_torch_sets_the_global_generator_by_name():
    seed_torch(1, "dropout", 4)
    first = torch.rand(4)
    torch.rand(9)
    seed_torch(1, "dropout", 4)
    assert torch.equal(torch.rand(4), first)
    seed_torch(1, "dropout", 5)
    assert not torch.equal(torch.rand(4), first)


class FirstCalls(TorchDispatchMode):
    """How many numbers each function of MKL's was first called with."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: dict[str, int] = {}

    def __torch_dispatch__(self, function: Any, types: Any, arguments: Any = (), options: Any = None) -> Any:
        name = function.overloadpacket.__name__.removesuffix("_")
        if name in BY_MKL.split():
            self.sizes.setdefault(name, arguments[0].numel())
        return function(*arguments, **(options or {}))


@pytest.mark.parametrize(
    "begin",
    [
        pytest.param(lambda: new_model(GPTConfig(64, 16, 16, 2, 2), "copying", 1), id="a new model"),
        pytest.param(lambda: seed_torch(1, "dropout", 0), id="a training step"),
        pytest.param(lambda: prepare_runtime(parse_params(raw_params()).runtime), id="a stage"),
    ],
)
def test_vector_mathematics_begins_with_a_single_number(begin: Callable[[], object]) -> None:
    # https://github.com/pytorch/pytorch/issues/188792: a first call shared out to threads may be wrong in one of them.
    settle_vector_math.cache_clear()
    with FirstCalls() as first:
        begin()
    assert first.sizes == dict.fromkeys(BY_MKL.split(), 1)
