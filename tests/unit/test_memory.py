"""Models that no memory can hold are refused before they are made."""

import pytest
import torch
from helpers import CPU, tiny_config
from hypothesis import given, settings
from hypothesis import strategies as st

from groundup.errors import GroundupError
from groundup.model.gpt import GPT
from groundup.train import memory
from groundup.train.memory import free_memory_of, refuse_what_cannot_fit


@settings(max_examples=30, deadline=None, derandomize=True, database=None)
@given(
    shape=st.fixed_dictionaries(
        {
            "vocab_size": st.integers(1, 40),
            "context_length": st.integers(1, 20),
            "d_model": st.sampled_from([4, 8, 12]),
            "n_layers": st.integers(1, 3),
            "n_heads": st.sampled_from([1, 2, 4]),
            "bias": st.booleans(),
            "tie_weights": st.booleans(),
        }
    )
)
def test_the_parameters_are_counted_without_making_them(shape):
    config = tiny_config(**shape)
    assert config.n_parameters == GPT(config).n_parameters


def test_a_model_that_fits_is_let_through_and_one_byte_less_is_refused(monkeypatch):
    config = tiny_config()
    needed = 20 * GPT(config).n_parameters
    for free in (needed, None):
        monkeypatch.setattr(memory, "free_memory_of", lambda device, free=free: free)
        refuse_what_cannot_fit(config, CPU)
    monkeypatch.setattr(memory, "free_memory_of", lambda device: needed - 1)
    with pytest.raises(GroundupError, match=r"model: \d+,\d+ parameters do not fit into the memory of cpu; got 0 GB"):
        refuse_what_cannot_fit(config, CPU)


def test_the_free_memory_is_what_linux_says_or_what_a_container_may_use(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "CGROUP_LIMIT", tmp_path / "memory.max")
    monkeypatch.setattr(memory, "MEMORY_FACTS", tmp_path / "meminfo")
    assert free_memory_of(CPU) is None
    (tmp_path / "meminfo").write_text("MemTotal:       4000 kB\nMemFree:    1000 kB\nMemAvailable:    3000 kB\n")
    assert free_memory_of(CPU) == 3000 * 1024
    for limit, expected in (("max", 3000 * 1024), ("1000000", 1_000_000), ("99999999999", 3000 * 1024)):
        (tmp_path / "memory.max").write_text(f"{limit}\n")
        assert free_memory_of(CPU) == expected


def test_this_machine_tells_its_free_memory():
    free = free_memory_of(CPU)
    assert free is not None
    assert free > 100_000_000


def test_the_free_memory_of_an_accelerator_is_its_own(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (30_000_000_000, 80_000_000_000))
    assert free_memory_of(torch.device("cuda")) == 30_000_000_000


def test_a_model_that_is_used_as_it_is_needs_room_for_its_weights_alone(monkeypatch):
    config = tiny_config()
    weights = 4 * GPT(config).n_parameters
    monkeypatch.setattr(memory, "free_memory_of", lambda device: weights)
    refuse_what_cannot_fit(config, CPU, trains=False)
    monkeypatch.setattr(memory, "free_memory_of", lambda device: weights - 1)
    with pytest.raises(GroundupError, match="for them; allowed: 0 GB"):
        refuse_what_cannot_fit(config, CPU, trains=False)
