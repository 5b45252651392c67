"""The learning rate, and the sizes that grow, as pure functions of the step."""

import math

from groundup.config import TrainingParams


def learning_rate_at(step: int, max_steps: int, settings: TrainingParams) -> float:
    """A straight rise over the warm-up, then as `settings.schedule` says, to the last step.

    `cosine`: half a cosine down to the minimum. `constant`: no change. `warmup_stable_decay`: no change, and a straight
    fall to the minimum over the last `decay_steps`.

    Args:
        step: of the update that is about to happen, from 0 to `max_steps` - 1.
    Source: Loshchilov & Hutter 2017, "SGDR", and the book's appendix D (cosine); Hu et al. 2024, "MiniCPM"
        (warm-up, stable, decay), with the straight fall of Hägele et al. 2024, "Scaling Laws and Compute-Optimal
        Training Beyond Fixed Training Durations".
    """
    highest, lowest = settings.learning_rate, settings.min_learning_rate
    if step < settings.warmup_steps:
        return highest * (step + 1) / settings.warmup_steps
    if settings.schedule == "constant":
        return highest
    if settings.schedule == "warmup_stable_decay":
        left = max_steps - 1 - step
        return highest if left >= settings.decay_steps else lowest + (highest - lowest) * left / settings.decay_steps
    progress = (step - settings.warmup_steps) / max(1, max_steps - 1 - settings.warmup_steps)
    return lowest + 0.5 * (highest - lowest) * (1 + math.cos(math.pi * min(1.0, progress)))


def grown(step: int, warmup_steps: int, full: int) -> int:
    """A size that rises in a straight line to its full one over the first steps; 1 at least.

    Source: batches, Brown et al. 2020, "Language Models are Few-Shot Learners", appendix B; windows, Li et al. 2022,
        "The Stability-Efficiency Dilemma: Investigating Sequence Length Warmup for Training GPT Models"
    """
    return full if step >= warmup_steps else max(1, full * (step + 1) // warmup_steps)


def steps_that_any_length_shares(max_steps: int, settings: TrainingParams) -> int:
    """How many first steps are the same in a longer training, so that it can go on from behind them.

    None of a cosine's: how far it has fallen by a step depends on where it ends.
    """
    match settings.schedule:
        case "constant":
            return max_steps
        case "warmup_stable_decay":
            return max(0, max_steps - settings.decay_steps)
        case _:
            return 0
