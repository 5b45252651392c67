"""What makes a run come out again: random numbers that depend on names, and mathematics that is settled first.

Every random choice is drawn from a generator seeded by the run's seed and the purpose of the choice ("pretrain",
"batch order", epoch 3). So a choice can be made again from its name alone: nothing has to be replayed to resume a
run at step 700, and adding a random choice in one place changes none in another.
"""

from __future__ import annotations

import functools
import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # torch takes two seconds to import, and the stages that only draw with NumPy never need it
    import numpy as np
    import torch

# The functions that torch leaves to MKL's vector mathematics (aten/src/ATen/cpu/vml.h).
BY_MKL = "acos asin atan cos erf erfc erfinv exp expm1 log log10 log1p sin sqrt tan tanh trunc"


def derive_seed(seed: int, *names: object) -> int:
    """A 63-bit seed for one named purpose, the same on every platform."""
    text = "\x1f".join([str(seed), *(str(name) for name in names)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def numpy_generator(seed: int, *names: object) -> np.random.Generator:
    """A NumPy generator for one named purpose."""
    import numpy as np

    return np.random.Generator(np.random.PCG64(derive_seed(seed, *names)))


def torch_generator(seed: int, *names: object, device: str | torch.device = "cpu") -> torch.Generator:
    """A torch generator for one named purpose."""
    import torch

    return torch.Generator(device=device).manual_seed(derive_seed(seed, *names))


def seed_torch(seed: int, *names: object) -> None:
    """Seed torch's global generators (weight initialisation, dropout) for one named purpose.

    What is computed from then on is the same in every process, too.
    """
    import torch

    settle_vector_math()
    torch.manual_seed(derive_seed(seed, *names))


@functools.cache
def settle_vector_math() -> None:
    """Let MKL choose how it computes sines, exponentials and the like, before several threads ask at once.

    It chooses at the first call in a process. Where that call is shared out to threads, one of them may compute its
    part with errors of 1e-4, this once: of 80 processes, 12 got another sine. For a single number there is one thread.

    Source: https://github.com/pytorch/pytorch/issues/188792
    """
    import torch

    for dtype in (torch.float32, torch.float64):
        for name in BY_MKL.split():
            getattr(torch, name)(torch.full((1,), 0.5, dtype=dtype, device="cpu"))
