"""Models that no memory can hold are refused before they are made."""

import pytest
import torch
from helpers import CPU, tiny_config
from hypothesis import given, settings
from hypothesis import strategies as st

from groundup.errors import GroundupError
from groundup.model.gpt import GPT
from groundup.train import memory
from groundup.train.memory import memory_of, refuse_what_cannot_fit


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
    monkeypatch.setattr(memory, "memory_of", lambda device: needed)
    refuse_what_cannot_fit(config, CPU)
    monkeypatch.setattr(memory, "memory_of", lambda device: needed - 1)
    with pytest.raises(GroundupError, match=r"model: \d+,\d+ parameters do not fit into the memory of cpu; got 0 GB"):
        refuse_what_cannot_fit(config, CPU)


def test_the_memory_of_this_machine_is_what_linux_says_or_what_a_container_may_use(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "CGROUP_LIMIT", tmp_path / "memory.max")
    whole = memory_of(CPU)
    with open("/proc/meminfo") as facts:
        assert whole == int(facts.readline().split()[1]) * 1024
    for limit, expected in (("max", whole), ("1000000", 1_000_000), (str(whole * 2), whole)):
        (tmp_path / "memory.max").write_text(f"{limit}\n")
        assert memory_of(CPU) == expected


def test_the_memory_of_an_accelerator_is_its_own(monkeypatch):
    class Properties:
        total_memory = 80_000_000_000

    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: Properties)
    assert memory_of(torch.device("cuda")) == 80_000_000_000
