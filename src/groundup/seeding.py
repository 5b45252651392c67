"""Random numbers that depend on names, not on the order in which code asks for them.

Every random choice is drawn from a generator seeded by the run's seed and the purpose of the choice ("pretrain",
"batch order", epoch 3). So a choice can be made again from its name alone: nothing has to be replayed to resume a
run at step 700, and adding a random choice in one place changes none in another.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # torch takes two seconds to import, and the stages that only draw with NumPy never need it
    import numpy as np
    import torch


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
    """Seed torch's global generators (weight initialisation, dropout) for one named purpose."""
    import torch

    torch.manual_seed(derive_seed(seed, *names))
