"""The figures of the report against brute force, known values and their definitions."""

import json
import math
from itertools import pairwise
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score, precision_score, recall_score, roc_auc_score

from groundup.evaluation.answers import answer_words, exact_match, token_f1
from groundup.evaluation.intervals import wilson_interval
from groundup.evaluation.metrics import (
    classification_figures,
    classifier_figures,
    each_against_the_rest,
    many_class_figures,
)
from groundup.tasks.classes import Classes
from groundup.tasks.threshold import choose_threshold, with_best_threshold

# A coarse grid makes equal probabilities, which a threshold cannot part, frequent.
PROBABILITY = st.one_of(st.integers(0, 8).map(lambda n: n / 8), st.floats(0.0, 1.0, width=32))
RATED = st.lists(st.tuples(st.integers(0, 1), PROBABILITY), min_size=1, max_size=12)


def counted(labels: np.ndarray, called: np.ndarray) -> tuple[int, int, int, int]:
    """True positives, false positives, false negatives, true negatives, one row at a time."""
    pairs = list(zip(labels.tolist(), called.tolist(), strict=True))
    return tuple(pairs.count(pair) for pair in ((1, True), (0, True), (1, False), (0, False)))  # type: ignore[return-value]


def figure_at(threshold: float, labels: np.ndarray, probabilities: np.ndarray, figure: str) -> float:
    hits, false_alarms, missed, rest = counted(labels, probabilities >= threshold)
    if figure == "accuracy":
        return (hits + rest) / len(labels)
    return 2 * hits / (2 * hits + false_alarms + missed) if hits else 0.0


def all_thresholds(probabilities: np.ndarray) -> list[float]:
    """One threshold for each way in which a threshold up to 1 can part the rows, half way between neighbours."""
    distinct = [0.0, *sorted(set(probabilities.tolist()) | {1.0})]
    return [(low + high) / 2 for low, high in pairwise(distinct)] + [*([1.0] if probabilities.max() == 1.0 else [])]


@pytest.mark.parametrize("figure", ["accuracy", "f1"])
@settings(deadline=None, max_examples=200, derandomize=True)
@example(rated=[(1, 1.0)])
@example(rated=[(0, 0.0)])
@example(rated=[(0, 0.5), (1, 0.5)])
@given(rated=RATED)
def test_the_chosen_threshold_is_as_good_as_the_best_of_all(figure: str, rated: list[tuple[int, float]]) -> None:
    labels = np.array([label for label, _ in rated])
    probabilities = np.array([probability for _, probability in rated])
    best = max(figure_at(each, labels, probabilities, figure) for each in all_thresholds(probabilities))
    chosen = choose_threshold(labels, probabilities, figure)
    assert 0.0 <= chosen <= 1.0
    assert figure_at(chosen, labels, probabilities, figure) == pytest.approx(best, abs=1e-12)


@pytest.mark.parametrize("figure", ["accuracy", "f1"])
@settings(deadline=None, max_examples=100, derandomize=True)
@given(rated=RATED)
def test_of_equally_good_thresholds_the_one_nearest_to_half_is_taken(
    figure: str, rated: list[tuple[int, float]]
) -> None:
    labels = np.array([label for label, _ in rated])
    probabilities = np.array([probability for _, probability in rated])
    chosen = choose_threshold(labels, probabilities, figure)
    reached = figure_at(chosen, labels, probabilities, figure)
    distinct = sorted(set(probabilities.tolist()))
    ends = [0.0, *distinct, 1.0]
    between = [(low + high) / 2 for low, high in pairwise(ends) if low < high]
    between += [0.0] if distinct[0] == 0.0 else []  # a row at 0 is called positive by the threshold 0 alone
    equally_good = [each for each in between if figure_at(each, labels, probabilities, figure) >= reached - 1e-12]
    assert abs(chosen - 0.5) <= min(abs(each - 0.5) for each in equally_good) + 1e-12


def test_a_threshold_lies_half_way_between_the_rows_that_it_parts() -> None:
    labels, probabilities = np.array([0, 0, 1, 1]), np.array([0.1, 0.2, 0.6, 0.9])
    assert choose_threshold(labels, probabilities, "accuracy") == pytest.approx(0.4)
    assert choose_threshold(labels, probabilities, "f1") == pytest.approx(0.4)


def test_f1_and_accuracy_can_ask_for_different_thresholds() -> None:
    labels = np.array([1, 0, 0, 1, 0, 0, 0, 0, 0])
    probabilities = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1])
    assert choose_threshold(labels, probabilities, "accuracy") == pytest.approx(0.85)
    f1 = choose_threshold(labels, probabilities, "f1")
    assert figure_at(f1, labels, probabilities, "f1") == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("right", "n", "low", "high"),
    # Worked out by hand from Wilson's formula, to four digits, at 95 % confidence.
    [
        (8, 10, 0.4902, 0.9433),
        (0, 10, 0.0, 0.2775),
        (10, 10, 0.7225, 1.0),
        (50, 100, 0.4038, 0.5962),
        (1, 1, 0.2065, 1),
    ],
)
def test_wilson_interval_has_known_values(right: int, n: int, low: float, high: float) -> None:
    assert wilson_interval(right, n, 0.95) == (pytest.approx(low, abs=1e-4), pytest.approx(high, abs=1e-4))


@settings(deadline=None, max_examples=60, derandomize=True)
@given(n=st.integers(1, 5000), share=st.floats(0, 1), confidence=st.sampled_from([0.5, 0.8, 0.95, 0.99]))
def test_wilson_interval_follows_its_formula(n: int, share: float, confidence: float) -> None:
    right = round(share * n)
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    middle = (right / n + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(right / n * (1 - right / n) / n + z * z / (4 * n * n))
    low, high = wilson_interval(right, n, confidence)
    assert (low, high) == (pytest.approx(max(0.0, middle - half), abs=1e-9), pytest.approx(min(1.0, middle + half)))
    assert low <= right / n <= high


@settings(deadline=None, max_examples=100, derandomize=True)
@given(rated=RATED, threshold=st.sampled_from([0.0, 0.25, 0.5, 1.0]))
def test_classification_figures_follow_their_definitions(rated: list[tuple[int, float]], threshold: float) -> None:
    labels = np.array([label for label, _ in rated])
    probabilities = np.array([probability for _, probability in rated])
    figures = classification_figures(labels, probabilities, threshold, 0.9)
    hits, false_alarms, missed, rest = counted(labels, probabilities >= threshold)
    assert figures["confusion"] == {
        "true_negative": rest,
        "false_positive": false_alarms,
        "false_negative": missed,
        "true_positive": hits,
    }
    assert figures["accuracy"] == pytest.approx((hits + rest) / len(rated))
    assert figures["precision"] == pytest.approx(hits / max(1, hits + false_alarms))
    assert figures["recall"] == pytest.approx(hits / max(1, hits + missed))
    assert figures["f1"] == pytest.approx(2 * hits / max(1, 2 * hits + false_alarms + missed))
    assert (figures["accuracy_low"], figures["accuracy_high"]) == wilson_interval(hits + rest, len(rated), 0.9)
    positive, negative = probabilities[labels == 1], probabilities[labels == 0]
    wins = [float(p > n) + 0.5 * float(p == n) for p in positive for n in negative]
    assert figures["roc_auc"] == pytest.approx(sum(wins) / len(wins) if wins else 0.5)


def test_classification_figures_are_plain_numbers_that_json_knows() -> None:
    figures = classification_figures(np.array([0, 1, 1]), np.array([0.2, 0.4, 0.9]), 0.5, 0.95)
    assert {type(value) for value in figures.values()} == {float, dict}
    assert {type(value) for value in figures["confusion"].values()} == {int}


def test_figures_of_two_classes_are_those_of_the_positive_one_with_its_threshold() -> None:
    labels, positive = np.array([0, 1, 1, 0, 1]), np.array([0.2, 0.4, 0.9, 0.6, 0.55])
    both = np.column_stack([1 - positive, positive])
    classes = with_best_threshold(Classes(["ham", "spam"]), labels, both, "f1")
    threshold = choose_threshold(labels, positive, "f1")
    assert classes.threshold == threshold
    expected = classification_figures(labels, positive, threshold, 0.95) | {"threshold": threshold}
    assert classifier_figures(labels, both, classes, 0.95) == expected


# --- more than two classes

NAMES = ["bill", "bug", "praise", "question"]
# A hundred rows of four classes, of which each is called rightly more or less often.
DRAW = np.random.default_rng(5)
MANY_LABELS = DRAW.choice(4, 100, p=[0.4, 0.3, 0.2, 0.1])
MANY = DRAW.dirichlet(np.ones(4), 100) + 0.3 * (MANY_LABELS[:, None] == np.arange(4))
MANY /= MANY.sum(axis=1, keepdims=True)


def test_figures_of_many_classes_are_those_of_scikit_learn() -> None:
    classes = with_best_threshold(Classes(NAMES), MANY_LABELS, MANY, "accuracy")
    figures = classifier_figures(MANY_LABELS, MANY, classes, 0.95)
    called = MANY.argmax(axis=1)
    assert set(called) == {0, 1, 2, 3}
    right = int((called == MANY_LABELS).sum())
    assert 40 < right < 100
    assert figures["accuracy"] == right / 100
    assert (figures["accuracy_low"], figures["accuracy_high"]) == wilson_interval(right, 100, 0.95)
    for key, figure in (("precision", precision_score), ("recall", recall_score), ("f1", f1_score)):
        assert figures[f"macro_{key}"] == pytest.approx(figure(MANY_LABELS, called, average="macro"))
        of_each = figure(MANY_LABELS, called, average=None)
        assert [figures["per_class"][name][key] for name in NAMES] == pytest.approx(of_each)
    auc = roc_auc_score(MANY_LABELS, MANY, multi_class="ovr", average="macro")
    assert figures["macro_roc_auc"] == pytest.approx(auc)
    for number, name in enumerate(NAMES):
        assert figures["per_class"][name]["support"] == int((number == MANY_LABELS).sum())
        for other, other_name in enumerate(NAMES):
            pairs = int(((number == MANY_LABELS) & (called == other)).sum())
            assert figures["confusion"][name][other_name] == pairs
    assert "threshold" not in figures
    assert "f1" not in figures


def without_bounds(per_class: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    return {
        name: {key: value for key, value in row.items() if not key.endswith(("_low", "_high"))}
        for name, row in per_class.items()
    }


def test_precision_and_recall_have_the_wilson_intervals_of_their_counts() -> None:
    labels, called = np.array([1] * 9 + [0] * 20), np.array([1] * 7 + [0] * 2 + [1] * 3 + [0] * 17)
    figures = classification_figures(labels, called * 0.8 + 0.1, 0.5, 0.9)
    assert (figures["precision_low"], figures["precision_high"]) == wilson_interval(7, 10, 0.9)
    assert (figures["recall_low"], figures["recall_high"]) == wilson_interval(7, 9, 0.9)


def test_figures_of_many_classes_worked_out_by_hand() -> None:
    """Three a are called a, b, a; two b are called b, a; one c is called c."""
    labels, called = np.array([0, 0, 0, 1, 1, 2]), np.array([0, 1, 0, 1, 0, 2])
    figures = many_class_figures(labels, np.eye(3)[called] * 0.8 + 0.1, ["a", "b", "c"], 0.95)
    two_thirds = pytest.approx(2 / 3)
    assert figures["accuracy"] == two_thirds
    assert without_bounds(figures["per_class"]) == {
        "a": {"support": 3, "precision": two_thirds, "recall": two_thirds, "f1": two_thirds},
        "b": {"support": 2, "precision": 0.5, "recall": 0.5, "f1": 0.5},
        "c": {"support": 1, "precision": 1.0, "recall": 1.0, "f1": 1.0},
    }
    assert figures["macro_f1"] == pytest.approx((2 / 3 + 0.5 + 1) / 3)
    assert figures["confusion"] == {
        "a": {"a": 2, "b": 1, "c": 0},
        "b": {"a": 1, "b": 1, "c": 0},
        "c": {"a": 0, "b": 0, "c": 1},
    }


def test_a_class_without_rows_has_no_part_in_the_means() -> None:
    labels = np.array([0, 0, 2, 2])
    probabilities = np.array([[0.9, 0.05, 0.05], [0.1, 0.8, 0.1], [0.2, 0.1, 0.7], [0.3, 0.2, 0.5]])
    figures = many_class_figures(labels, probabilities, ["a", "b", "c"], 0.95)
    assert without_bounds(figures["per_class"])["b"] == {"support": 0, "precision": 0.0}
    b_was_called_once = wilson_interval(0, 1, 0.95)
    assert (
        figures["per_class"]["b"]["precision_low"],
        figures["per_class"]["b"]["precision_high"],
    ) == b_was_called_once
    assert figures["per_class"]["a"]["recall_high"] == wilson_interval(1, 2, 0.95)[1]
    assert figures["macro_recall"] == pytest.approx((0.5 + 1.0) / 2)
    assert figures["macro_f1"] == pytest.approx((2 / 3 + 1.0) / 2)
    assert set(each_against_the_rest(labels, probabilities, ["a", "b", "c"])) == {"a", "c"}
    # Of the four pairs of an a and a c, two c have a higher score for a than the second a has.
    assert figures["macro_roc_auc"] == pytest.approx((2 / 4 + 1.0) / 2)


def test_rows_of_one_class_alone_have_no_roc() -> None:
    figures = many_class_figures(np.array([1, 1]), np.full((2, 3), 1 / 3), ["a", "b", "c"], 0.95)
    assert figures["macro_roc_auc"] == 0.5
    assert figures["accuracy"] == 0.0


def test_figures_of_many_classes_are_plain_numbers_that_json_knows() -> None:
    figures = many_class_figures(MANY_LABELS, MANY, NAMES, 0.95)
    assert json.loads(json.dumps(figures)) == figures


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The cat, a dog and an owl.", ["cat", "dog", "and", "owl"]),
        ("  WORDS\tand\nlines ", ["words", "and", "lines"]),
        ("well-known (really!)", ["well", "known", "really"]),
        ("Another theatre, antics", ["another", "theatre", "antics"]),
        ("Straße", ["strasse"]),
        ("5 + 7 = 12", ["5", "7", "12"]),
        ("the a an", []),
        ("", []),
    ],
)
def test_answer_words_leave_out_case_punctuation_and_articles(text: str, words: list[str]) -> None:
    assert answer_words(text) == words


@pytest.mark.parametrize(
    ("answer", "wanted", "same"),
    [
        ("The answer is 42.", "answer is: 42", True),
        ("is 42 answer", "answer is 42", False),
        ("", "", True),
        ("", "the", True),
        ("word", "", False),
        ("words", "word", False),
    ],
)
def test_exact_match_compares_words_in_order(answer: str, wanted: str, same: bool) -> None:
    assert exact_match(answer, wanted) is same


@pytest.mark.parametrize(
    ("answer", "wanted", "f1"),
    [
        ("red green blue", "blue, green, red!", 1.0),
        ("red green", "green yellow", 0.5),
        ("red red red", "red", 0.5),  # a word counts as often as both have it
        ("red", "red red red", 0.5),
        ("cat", "dog", 0.0),
        ("", "dog", 0.0),
        ("dog", "the", 0.0),
        ("", "", 1.0),
        ("a b c d", "b x", 2 * 1 / (3 + 2)),
    ],
)
def test_token_f1_counts_shared_words(answer: str, wanted: str, f1: float) -> None:
    assert token_f1(answer, wanted) == pytest.approx(f1)


@settings(deadline=None, max_examples=100, derandomize=True)
@given(st.text(max_size=30), st.text(max_size=30))
def test_token_f1_is_symmetric_and_one_for_what_matches_exactly(answer: str, wanted: str) -> None:
    assert 0.0 <= token_f1(answer, wanted) == token_f1(wanted, answer) <= 1.0
    if exact_match(answer, wanted):
        assert token_f1(answer, wanted) == 1.0
