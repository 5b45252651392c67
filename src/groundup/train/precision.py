"""Which device computes, and in which number format."""

import contextlib
import ctypes
import os
from pathlib import Path

import torch

from groundup.config import Precision, RuntimeParams
from groundup.errors import GroundupError
from groundup.fast_paths import choose, taken
from groundup.seeding import settle_vector_math

# mallopt's names for what it sets, from glibc's malloc.h.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
LARGEST_KEPT = 1 << 28  # bytes; a larger block is a mapping of its own, which goes back when it is freed
NEVER = 2**31 - 1


def choose_device(wanted: str) -> torch.device:
    """The device to compute on; `auto` takes a GPU if there is one.

    Raises: GroundupError if the wanted device is not there.
    """
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(wanted)
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not available[device.type]:
        raise GroundupError(
            "runtime.device is not on this machine", got=wanted, allowed="auto, cpu", do="set runtime.device to auto"
        )
    return device


def prepare_runtime(runtime: RuntimeParams) -> torch.device:
    """Set threads, memory and determinism for this process; returns the device to compute on."""
    choose(without=runtime.without, compiled=runtime.compile)
    settle_vector_math()
    if taken("kept_memory"):
        keep_freed_memory()
    if runtime.threads:
        torch.set_num_threads(runtime.threads)
    device = choose_device(runtime.device)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS repeats its results only with this set
    # As `use_deterministic_algorithms`, but for torch's compiler, which that one imports for two seconds. On a GPU a
    # warning is not enough: attention's gradients are repeatable only where anything else would be an error.
    torch.set_deterministic_debug_mode("error" if device.type == "cuda" else "warn")
    # Filling new memory with NaN, which comes along with it, is for finding bugs and costs time at every allocation.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high")  # fp32 products in TF32, which is ten times as fast there
    return device


def keep_freed_memory() -> bool:
    """Let freed memory of a few megabytes wait for its next use, instead of giving it back to the system each time.

    A training step takes and frees the same tensors again and again. What was given back comes anew as zeroed pages,
    whose faults take a good part of a small model's step (`benchmarks/freed_memory.py`).

    Returns: whether the C library could be told so; only glibc can.
    Source:  mallopt(3)
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):  # musl, macOS, Windows
        return False
    return bool(mallopt(M_MMAP_THRESHOLD, LARGEST_KEPT) and mallopt(M_TRIM_THRESHOLD, NEVER))


def give_back_freed_memory() -> None:
    """Give the system what lies freed in the heap, wherever it lies.

    Batches of many shapes leave pieces there that fit nothing that comes after. Over a training they add up to several
    times what a step needs.

    Source:  malloc_trim(3)
    """
    with contextlib.suppress(OSError, AttributeError, TypeError):  # as above, and macOS has no such function
        ctypes.CDLL(None).malloc_trim(0)


def computes_bf16(device: torch.device) -> bool:
    """Whether the hardware multiplies bf16 itself; without that, bf16 is slower than fp32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    cpu_facts = Path("/proc/cpuinfo")
    return (
        device.type == "cpu"
        and cpu_facts.exists()
        and any(flag in cpu_facts.read_text() for flag in ("avx512_bf16", "amx_bf16"))
    )


def uses_bf16(precision: Precision, device: torch.device) -> bool:
    """Whether the wanted precision is bf16; `auto` takes it where the hardware has it."""
    return precision == "bf16" or (precision == "auto" and computes_bf16(device))


def autocast(precision: Precision, device: torch.device) -> contextlib.AbstractContextManager[None]:
    """A context in which products and the shortcut run in the wanted precision; weights and losses stay in fp32."""
    if not uses_bf16(precision, device):
        return contextlib.nullcontext()
    # What was cast is kept until the context ends, which a recorded step has no use for.
    return torch.autocast(device.type, dtype=torch.bfloat16, cache_enabled=device.type != "cuda")
