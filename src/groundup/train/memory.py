"""Whether a training can fit into memory at all, told before anything is made."""

from pathlib import Path

import torch

from groundup.errors import GroundupError
from groundup.model.gpt import GPTConfig

# Of each parameter there are the weight, its gradient, two averages of AdamW's and the best weight so far, all fp32.
BYTES_PER_PARAMETER = 4
COPIES_IN_TRAINING = 5

MEMORY_FACTS = Path("/proc/meminfo")
CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")  # what a container may use; "max" for everything


def refuse_what_cannot_fit(config: GPTConfig, device: torch.device, *, trains: bool = True) -> None:
    """Stop before a model is made that the device's memory cannot hold, while it is trained or as it is.

    Batches come on top, so a model that is not refused here may still be too large.

    Raises: GroundupError if the parameters alone need more than there is.
    """
    needed = config.n_parameters * BYTES_PER_PARAMETER * (COPIES_IN_TRAINING if trains else 1)
    there = free_memory_of(device)
    if there is not None and needed > there:
        raise GroundupError(
            f"model: {config.n_parameters:,} parameters do not fit into the memory of {device.type}",
            got=f"{needed / 1e9:,.0f} GB for {'their training' if trains else 'them'}",
            allowed=f"{there / 1e9:,.0f} GB, which are free",
            do="lower model.d_model or model.n_layers",
        )


def free_memory_of(device: torch.device) -> int | None:
    """Bytes of a device's memory that nothing uses; None where nobody tells."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    if not MEMORY_FACTS.is_file():
        return None
    facts = dict(line.split(":") for line in MEMORY_FACTS.read_text(encoding="utf-8").splitlines())
    free = int(facts["MemAvailable"].split()[0]) * 1024
    limit = CGROUP_LIMIT.read_text(encoding="utf-8").strip() if CGROUP_LIMIT.is_file() else "max"
    return min(free, int(limit)) if limit.isdecimal() else free
