"""Which device computes and in which number format."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from helpers import runtime_params

from groundup.errors import GroundupError
from groundup.train import precision
from groundup.train.precision import autocast, choose_device, computes_bf16, prepare_runtime

CPU = torch.device("cpu")


def product_in(context) -> torch.dtype:
    with context:
        return (torch.ones(2, 2) @ torch.ones(2, 2)).dtype


def test_auto_takes_a_gpu_only_where_there_is_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == CPU
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device("auto") == torch.device("cuda")
    assert choose_device("cuda:0") == torch.device("cuda", 0)
    assert choose_device("cpu") == CPU


@pytest.mark.parametrize("wanted", ["cuda", "cuda:0", "mps"])
def test_a_device_that_is_not_there_is_refused_in_one_line(monkeypatch, wanted):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(GroundupError, match=f"runtime.device is not on this machine; got {wanted}; allowed: ") as e:
        choose_device(wanted)
    assert "\n" not in str(e.value)


def test_precision_decides_in_which_numbers_products_are_formed(monkeypatch):
    for hardware in (True, False):
        monkeypatch.setattr(precision, "computes_bf16", lambda device, hardware=hardware: hardware)
        assert product_in(autocast("fp32", CPU)) == torch.float32
        assert product_in(autocast("bf16", CPU)) == torch.bfloat16
        assert product_in(autocast("auto", CPU)) == (torch.bfloat16 if hardware else torch.float32)


@pytest.mark.parametrize(
    ("flags", "expected"), [("fpu sse avx512f avx512_bf16", True), ("amx_bf16 amx_tile", True), ("avx2 avx512f", False)]
)
def test_a_cpu_computes_bf16_if_it_says_so(monkeypatch, tmp_path, flags, expected):
    facts = tmp_path / "cpuinfo"
    facts.write_text(f"processor : 0\nflags : {flags}\n")
    monkeypatch.setattr(precision, "Path", lambda name: facts if name == "/proc/cpuinfo" else Path(name))
    assert computes_bf16(CPU) is expected
    facts.unlink()
    assert computes_bf16(CPU) is False  # a system that does not say


def test_preparing_sets_threads_and_repeatable_results(monkeypatch):
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    fills = torch.utils.deterministic.fill_uninitialized_memory
    try:
        assert prepare_runtime(runtime_params(threads=2)) == CPU
        assert torch.get_num_threads() == 2
        assert torch.are_deterministic_algorithms_enabled()
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
        prepare_runtime(runtime_params(threads=0))
        assert torch.get_num_threads() == 2  # 0 leaves them as they are
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)
        torch.utils.deterministic.fill_uninitialized_memory = fills


@pytest.mark.skipif(sys.platform != "linux", reason="mallopt is glibc's")
def test_on_a_gpu_what_cannot_be_repeated_is_an_error(monkeypatch):
    """With no more than a warning, torch's attention there adds up gradients in any order."""
    asked = []
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    monkeypatch.setattr(torch.utils.deterministic, "fill_uninitialized_memory", False)
    monkeypatch.setattr(torch, "set_deterministic_debug_mode", asked.append)
    monkeypatch.setattr(torch, "set_float32_matmul_precision", lambda precision: None)
    for device in ("cpu", "cuda"):
        monkeypatch.setattr(precision, "choose_device", lambda _, device=device: torch.device(device))
        prepare_runtime(runtime_params())
    assert asked == ["warn", "error"]


def test_freed_memory_is_used_again_without_new_pages():
    """In a process of its own: the C library keeps to what it was told."""
    script = """
import resource, sys, torch
from groundup.train.precision import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for number in range(60):
    if number == 20:  # the heap has found its size
        began = faults()
    torch.ones(48 << 20, dtype=torch.uint8)  # more than 32 MiB, which glibc never keeps by itself
print(faults() - began)
"""
    given_back, kept = (
        int(subprocess.run([sys.executable, "-c", script, way], capture_output=True, text=True, check=True).stdout)
        for way in ("give back", "keep")
    )
    assert given_back > 40 * 20  # 48 MiB are 12,288 pages, or 24 of two megabytes
    assert kept < given_back / 4


def test_what_lies_freed_between_what_is_used_is_given_back():
    """In a process of its own, whose heap nothing else has filled."""
    script = """
import resource, torch
from pathlib import Path
from groundup.train.precision import give_back_freed_memory, keep_freed_memory
def mebibytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() >> 20
assert keep_freed_memory()
held = [torch.ones(1 << 20, dtype=torch.uint8) for _ in range(400)]
held = held[::2]
before = mebibytes()
give_back_freed_memory()
print(before - mebibytes(), int(sum(each.sum() for each in held)) >> 20)
"""
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    given_back, kept = map(int, told.split())
    assert given_back > 150  # of 200 MiB
    assert kept == 200


def test_where_the_c_library_cannot_be_told_nothing_happens(monkeypatch):
    def without_mallopt(name):
        raise OSError("no such library")

    monkeypatch.setattr(precision.ctypes, "CDLL", without_mallopt)
    assert precision.keep_freed_memory() is False
    precision.give_back_freed_memory()
