"""Calibration beside scikit-learn, brute force and what is known of made-up probabilities."""

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, log_loss

from groundup.evaluation.calibration import (
    MOST_BINS,
    ROWS_OF_A_BIN,
    TEMPERATURES,
    brier_score,
    calibration_figures,
    equal_parts,
    fit_temperature,
    log_losses,
    reliability,
    with_temperature,
)
from groundup.tasks.classes import Classes

TWO = Classes(["ham", "spam"], 0.5)
THREE = Classes(["a", "b", "c"])


def of_two(positive: np.ndarray) -> np.ndarray:
    return np.column_stack([1 - positive, positive])


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits)
    return powers / powers.sum(axis=1, keepdims=True)


def drawn(n: int, n_classes: int, temperature: float, seed: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Labels drawn from the probabilities of logits, and the logits as one who is too sure by a factor gives them."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, 2, size=(n, n_classes))
    labels = np.array([generator.choice(n_classes, p=row) for row in softmax(logits)])
    return labels, logits * temperature


@pytest.mark.parametrize("n_classes", [2, 3, 5])
def test_brier_score_and_log_loss_are_those_of_scikit_learn(n_classes: int) -> None:
    labels, logits = drawn(80, n_classes, 1.5)
    probabilities = softmax(logits)
    numbers = list(range(n_classes))
    wanted = brier_score_loss(
        labels, probabilities[:, 1] if n_classes == 2 else probabilities, labels=numbers, scale_by_half=n_classes == 2
    )
    assert brier_score(labels, probabilities) == pytest.approx(wanted, rel=1e-12)
    assert log_losses(labels, probabilities).mean() == pytest.approx(log_loss(labels, probabilities, labels=numbers))


def test_a_class_that_was_ruled_out_and_is_true_has_a_finite_loss() -> None:
    probabilities = np.array([[1.0, 0.0], [0.0, 1.0]])
    assert log_losses(np.array([1, 1]), probabilities).tolist() == pytest.approx([36.04365, 0.0], abs=1e-5)


@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_undoes_what_made_the_logits_too_sure(n_classes: int, temperature: float) -> None:
    labels, logits = drawn(4000, n_classes, temperature)
    found = fit_temperature(labels, logits)
    assert found == pytest.approx(temperature, rel=0.07)
    losses = {each: log_losses(labels, softmax(logits / each)).mean() for each in (found, found * 0.99, found * 1.01)}
    assert min(losses, key=lambda each: losses[each]) == found


def test_validation_rows_without_a_mistake_lead_to_the_lowest_temperature_and_no_further() -> None:
    labels = np.array([0, 1, 0, 1])
    logits = np.array([[2.0, 0.0], [0.0, 2.0], [1.0, 0.0], [0.0, 3.0]])
    assert fit_temperature(labels, logits) == pytest.approx(TEMPERATURES[0], rel=1e-3)
    assert fit_temperature(1 - labels, logits) == pytest.approx(TEMPERATURES[1], rel=1e-3)


def test_where_no_temperature_is_better_it_is_1() -> None:
    assert fit_temperature(np.array([0, 1, 1]), np.zeros((3, 2))) == 1.0


def test_scaled_logits_keep_their_order_and_are_a_softmax_however_large() -> None:
    _, logits = drawn(50, 3, 1.0)
    np.testing.assert_allclose(with_temperature(logits, 1.7), softmax(logits / 1.7))
    assert (with_temperature(logits, 0.2).argmax(axis=1) == logits.argmax(axis=1)).all()
    np.testing.assert_allclose(with_temperature(np.array([[2000.0, 0.0]]), 2.0), [[1.0, 0.0]])


def test_equal_values_are_in_one_part_and_parts_follow_the_order() -> None:
    values = np.array([3.0, 1.0, 1.0, 1.0, 9.0, 2.0, 7.0, 8.0])
    assert equal_parts(values, 4).tolist() == [2, 0, 0, 0, 3, 1, 2, 3]
    assert equal_parts(np.ones(5), 4).tolist() == [0] * 5
    assert equal_parts(np.array([4.0]), 4).tolist() == [0]
    sizes = np.bincount(equal_parts(np.random.default_rng(1).permutation(103), 4))
    assert sizes.min() >= 25
    assert sizes.max() <= 26


def test_the_curve_is_the_share_of_positives_among_rows_of_like_probability() -> None:
    generator = np.random.default_rng(3)
    told = generator.random(1000)
    labels = (generator.random(1000) < told**2).astype(int)
    curve = reliability(labels, of_two(told), TWO)
    parts = np.array_split(np.argsort(told), MOST_BINS)
    assert curve.rows.tolist() == [len(part) for part in parts]
    np.testing.assert_allclose(curve.mean_probability, [told[part].mean() for part in parts])
    np.testing.assert_allclose(curve.observed, [labels[part].mean() for part in parts])
    assert curve.expected_calibration_error == pytest.approx(
        sum(abs(told[part].mean() - labels[part].mean()) * len(part) for part in parts) / 1000
    )
    assert curve.expected_calibration_error == pytest.approx(1 / 2 - 1 / 3, abs=0.03)  # between told and told squared


def test_of_many_classes_the_called_one_is_looked_at() -> None:
    probabilities = np.array([[0.5, 0.3, 0.2]] * 3 + [[0.1, 0.1, 0.8]] * 2)
    curve = reliability(np.array([0, 1, 2, 2, 2]), probabilities, THREE)
    assert curve.rows.tolist() == [5]  # too few rows for two bins
    assert curve.mean_probability.tolist() == pytest.approx([0.62])
    assert curve.observed.tolist() == pytest.approx([3 / 5])


def test_the_order_of_the_rows_does_not_matter() -> None:
    generator = np.random.default_rng(4)
    told, labels = generator.integers(0, 9, 300) / 8, generator.integers(0, 2, 300)
    order = generator.permutation(300)
    one, other = reliability(labels, of_two(told), TWO), reliability(labels[order], of_two(told[order]), TWO)
    np.testing.assert_allclose(one.observed, other.observed)
    assert one.rows.tolist() == other.rows.tolist()
    assert len(one.rows) <= 300 // ROWS_OF_A_BIN


def test_figures_before_and_after_are_of_the_same_rows() -> None:
    labels, logits = drawn(3000, 2, 3.0)
    figures = calibration_figures(labels, softmax(logits), softmax(logits / 3), TWO)
    assert list(figures) == ["brier", "ece", "loss_nats", "brier_scaled", "ece_scaled", "loss_nats_scaled"]
    for key in ("brier", "ece", "loss_nats"):
        assert figures[f"{key}_scaled"] < figures[key]
    assert figures["ece_scaled"] < 0.03 < figures["ece"]
