"""The learning rate as a pure function of the step."""

import math


def learning_rate_at(
    step: int, *, max_steps: int, warmup_steps: int, learning_rate: float, min_learning_rate: float
) -> float:
    """A straight rise over the warm-up, then half a cosine down to the minimum at the last step.

    Args:
        step: of the update that is about to happen, from 0 to `max_steps` - 1.
    Source: Loshchilov & Hutter 2017, "SGDR"; the book's appendix D.
    """
    if step < warmup_steps:
        return learning_rate * (step + 1) / warmup_steps
    progress = (step - warmup_steps) / max(1, max_steps - 1 - warmup_steps)
    return min_learning_rate + 0.5 * (learning_rate - min_learning_rate) * (1 + math.cos(math.pi * min(1.0, progress)))
