"""How far a figure scatters from seed to seed, and whether a difference stands out of that."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as students_t

BETTER, WORSE, NO_DIFFERENCE = "better", "worse", "no difference beyond the noise between seeds"


@dataclass(frozen=True)
class Spread:
    """A figure in every run; `low` and `high` bound the mean that more runs would tend to."""

    values: tuple[float, ...]
    mean: float
    deviation: float
    low: float
    high: float

    def verdict(self, lower_is_better: bool = False) -> str:
        """What it says of two systems, if it is of the difference of their figures, in words."""
        low, high = (-self.high, -self.low) if lower_is_better else (self.low, self.high)
        return BETTER if low > 0 else WORSE if high < 0 else NO_DIFFERENCE


def spread(values: Sequence[float], confidence: float, overlap: float = 0.0) -> Spread:
    """Mean, standard deviation (of a sample: n - 1) and Student's t-interval of the mean.

    Runs that cut the same rows anew share most of what they train on, so they differ less than runs on new rows would;
    the interval is wider by that.

    Args:
        values: two or more.
        overlap: test rows for each train row, where the runs cut the same rows; 0 where each run has rows of its own.
    Source: Nadeau and Bengio 2003, "Inference for the Generalization Error", the corrected resampled t-test.
    """
    mean, deviation = float(np.mean(values)), float(np.std(values, ddof=1))
    quantile = float(students_t.ppf((1 + confidence) / 2, len(values) - 1))
    half = quantile * deviation * math.sqrt(1 / len(values) + overlap)
    return Spread(tuple(values), mean, deviation, mean - half, mean + half)
