"""Whether the probabilities of a classifier are as high as it is often right, and one number that corrects them."""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar

from groundup.tasks.classes import Classes

MOST_BINS, ROWS_OF_A_BIN = 20, 25  # a share of fewer rows says little, and noise would count as bad calibration
# Where the validation rows are told apart without a mistake, ever lower temperatures fit them ever better: no limit
# but this one keeps the probabilities from 0 and 1.
TEMPERATURES = (0.1, 10.0)
EPSILON = float(np.finfo(np.float64).eps)  # the least probability that a loss is taken of, as scikit-learn does


@dataclass(frozen=True)
class Reliability:
    """Rows of like probability, from low to high: what they were told on average, and how often that came true.

    Shapes:  (n_bins,), each
    """

    mean_probability: np.ndarray
    observed: np.ndarray
    rows: np.ndarray

    @property
    def expected_calibration_error(self) -> float:
        """How far the told probability is from the observed share, over all rows.

        Source:  Naeini et al. 2015, "Obtaining Well Calibrated Probabilities Using Bayesian Binning".
        """
        return float(np.average(np.abs(self.mean_probability - self.observed), weights=self.rows))


def reliability(labels: np.ndarray, probabilities: np.ndarray, classes: Classes) -> Reliability:
    """How often each told probability comes true: of two classes the positive one's, of more the most probable one's.

    The bins hold about equally many rows, and equal probabilities are in one bin. Most probabilities lie close to 0 and
    to 1, so that bins of equal width would be empty between or hold a row or two, whose share says nothing.

    Shapes:  labels (N,), probabilities (N, K)
    Source:  Nixon et al. 2019, "Measuring Calibration in Deep Learning": bins of equal mass.
    """
    told = classes.told(probabilities)
    came_true = labels == (1 if classes.has_positive else probabilities.argmax(axis=1))
    n_bins = max(1, min(MOST_BINS, len(told) // ROWS_OF_A_BIN))
    bins = equal_parts(told, n_bins)
    rows = np.bincount(bins, minlength=n_bins)
    held = rows > 0
    sums = (np.bincount(bins, weights=each, minlength=n_bins)[held] for each in (told, came_true))
    mean_probability, observed = (each / rows[held] for each in sums)
    return Reliability(mean_probability, observed, rows[held])


def equal_parts(values: np.ndarray, n_parts: int) -> np.ndarray:
    """To which of some parts of about equal size each value belongs, from the lowest on; equal values to one part.

    Shapes:  (N,) -> (N,)
    """
    n_below = np.searchsorted(np.sort(values), values, side="left")
    return n_below * n_parts // len(values)


def brier_score(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """The squared distance of the probabilities from what is, 0 at best.

    Of two classes it is that of the positive one's probability, at most 1; of more the sum over them, at most 2.

    Shapes:  labels (N,), probabilities (N, K)
    Oracle:  sklearn.metrics.brier_score_loss
    Source:  Brier 1950, "Verification of Forecasts Expressed in Terms of Probability".
    """
    n_classes = probabilities.shape[1]
    squares = ((probabilities - np.eye(n_classes)[labels]) ** 2).sum(axis=1)
    return float(squares.mean() / (2 if n_classes == 2 else 1))


def log_losses(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """How surprised each row's own class finds the classifier.

    Shapes:  labels (N,), probabilities (N, K) -> (N,)
    Units:   nats
    Oracle:  sklearn.metrics.log_loss, their mean
    """
    return -np.log(np.maximum(probabilities[np.arange(len(labels)), labels], EPSILON))


def with_temperature(logits: np.ndarray, temperature: float) -> np.ndarray:
    """The probabilities of divided logits: nearer to each other the higher the temperature, their order unchanged.

    Shapes:  (N, K) -> (N, K)
    """
    scaled = (logits - logits.max(axis=1, keepdims=True)) / temperature
    powers = np.exp(scaled)
    return powers / powers.sum(axis=1, keepdims=True)


def fit_temperature(labels: np.ndarray, logits: np.ndarray) -> float:
    """The one temperature with which these rows are told with the least log loss; 1 where none is better than 1.

    The most probable class stays the same, and so does each call of two classes whose threshold is scaled with the
    probabilities. It lies within `TEMPERATURES`, at whose lower end it is if every row is told rightly.

    Shapes:  labels (N,), logits (N, K)
    Source:  Guo et al. 2017, "On Calibration of Modern Neural Networks".
    """

    def loss(log_temperature: float) -> float:
        scaled = logits / np.exp(log_temperature)
        highest = scaled.max(axis=1, keepdims=True)
        normaliser = highest[:, 0] + np.log(np.exp(scaled - highest).sum(axis=1))
        return float((normaliser - scaled[np.arange(len(labels)), labels]).mean())

    # In its logarithm the temperature has one valley: the loss is convex in 1 / temperature.
    found = minimize_scalar(loss, bounds=np.log(TEMPERATURES), method="bounded", options={"xatol": 1e-8})
    return float(np.exp(found.x)) if found.fun < loss(0.0) - 1e-12 else 1.0


def calibration_figures(
    labels: np.ndarray, probabilities: np.ndarray, scaled: np.ndarray, classes: Classes
) -> dict[str, float]:
    """Brier score, expected calibration error and log loss of the probabilities as they are and as they are scaled.

    Shapes:  labels (N,), probabilities (N, K), twice
    """
    return {
        f"{key}{ending}": value
        for ending, each in (("", probabilities), ("_scaled", scaled))
        for key, value in (
            ("brier", brier_score(labels, each)),
            ("ece", reliability(labels, each, classes).expected_calibration_error),
            ("loss_nats", float(log_losses(labels, each).mean())),
        )
    }
