"""The baselines learn from train rows, choose on validation rows, and see test rows only to call them."""

from collections import Counter
from itertools import product

import numpy as np
import pytest
from sklearn.metrics import log_loss

from groundup.evaluation import baselines
from groundup.evaluation.baselines import (
    majority_probabilities,
    naive_bayes_probabilities,
    svm_scores,
    tfidf_probabilities,
)
from groundup.evaluation.metrics import classifier_figures
from groundup.tasks.classes import Classes

TRAIN = (
    ["free prize today", "free cash now", "claim cash prize", "see you at lunch", "lunch at noon", "home at noon then"],
    np.array([1, 1, 1, 0, 0, 0]),
)
VALIDATION = (["cash prize for you", "see you at home", "free lunch"], np.array([1, 0, 0]))
TEST = ["prize cash", "noon at home", "words never seen"]
HALF = Classes(["ham", "spam"], 0.5)


def positive(both: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Of the scores of two classes those of the second, on validation and on test."""
    for scores in both:
        np.testing.assert_allclose(scores.sum(axis=1), 1.0, atol=1e-12)
    return both[0][:, 1], both[1][:, 1]


def test_the_majority_baseline_calls_every_row_the_more_frequent_class() -> None:
    labels = np.array([0, 0, 0, 1])
    probabilities = majority_probabilities(labels, 5, 2)
    assert probabilities.tolist() == [[0.75, 0.25]] * 5
    figures = classifier_figures(np.array([0, 1, 0, 0, 0]), probabilities, HALF, 0.95)
    assert figures["accuracy"] == pytest.approx(4 / 5)
    assert figures["f1"] == 0.0


def test_the_majority_baseline_calls_every_row_positive_where_positives_prevail() -> None:
    figures = classifier_figures(np.array([0, 1, 1]), majority_probabilities(np.array([1, 1, 0]), 3, 2), HALF, 0.95)
    assert figures["recall"] == 1.0
    assert figures["confusion"]["false_positive"] == 1


def test_tfidf_learns_which_words_tell_the_classes_apart() -> None:
    on_validation, on_test = positive(tfidf_probabilities(TRAIN, VALIDATION, TEST))
    assert on_validation.shape == (3,)
    assert on_test[0] > 0.5 > on_test[1]
    assert ((on_test > 0) & (on_test < 1)).all()
    assert tfidf_probabilities(TRAIN, VALIDATION, TEST)[1][:, 1].tolist() == on_test.tolist()


def test_tfidf_swaps_sides_when_the_labels_swap() -> None:
    swapped = tfidf_probabilities((TRAIN[0], 1 - TRAIN[1]), (VALIDATION[0], 1 - VALIDATION[1]), TEST)
    straight = tfidf_probabilities(TRAIN, VALIDATION, TEST)
    np.testing.assert_allclose(swapped[1], 1 - straight[1], atol=1e-4)


def test_the_test_rows_have_no_part_in_the_fit() -> None:
    alone = tfidf_probabilities(TRAIN, VALIDATION, TEST[:1])
    beside = tfidf_probabilities(TRAIN, VALIDATION, [*TEST, "prize prize prize lunch", "noon"])
    assert alone[0].tolist() == beside[0].tolist()
    assert alone[1][0].tolist() == beside[1][0].tolist()


def test_the_regularisation_is_the_one_with_the_lowest_loss_on_validation(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = tfidf_probabilities(TRAIN, VALIDATION, TEST)
    tried = baselines.REGULARISATION_TRIED
    assert len(tried) >= 3
    losses = []
    for strength in tried:
        monkeypatch.setattr(baselines, "REGULARISATION_TRIED", (strength,))
        losses.append(log_loss(VALIDATION[1], tfidf_probabilities(TRAIN, VALIDATION, TEST)[0], labels=[0, 1]))
    assert len(set(losses)) == len(tried)
    assert log_loss(VALIDATION[1], chosen[0], labels=[0, 1]) == min(losses)


def test_the_svm_knows_a_word_by_its_pieces_where_words_alone_are_new() -> None:
    spelled_anew = ["priize caash", "noooon att home", "lunchh"]
    _, by_pieces = positive(svm_scores(TRAIN, VALIDATION, spelled_anew))
    assert by_pieces[0] > by_pieces[1]
    assert by_pieces[0] > by_pieces[2]
    _, by_words = positive(tfidf_probabilities(TRAIN, VALIDATION, ["priize caash", "lunchh"]))
    assert by_words[0] == by_words[1]  # no word that it has seen


def test_the_svm_s_scores_lie_between_0_and_1_and_part_at_the_margin() -> None:
    on_validation, on_test = positive(svm_scores(TRAIN, VALIDATION, TEST))
    assert on_validation.shape == (3,)
    assert ((on_test > 0) & (on_test < 1)).all()
    assert on_test[0] > 0.5 > on_test[1]
    assert svm_scores(TRAIN, VALIDATION, TEST)[1][:, 1].tolist() == on_test.tolist()


def test_the_test_rows_have_no_part_in_the_svm_s_fit() -> None:
    alone = svm_scores(TRAIN, VALIDATION, TEST[:1])
    beside = svm_scores(TRAIN, VALIDATION, [*TEST, "prize prize prize lunch", "noon"])
    assert alone[0].tolist() == beside[0].tolist()
    assert alone[1][0].tolist() == beside[1][0].tolist()


def test_the_svm_s_regularisation_is_the_one_with_the_lowest_loss_on_validation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def hinge_loss(scores: np.ndarray) -> float:
        distances = np.log(scores / (1 - scores))
        return float(np.maximum(0, 1 - (2 * VALIDATION[1] - 1) * distances).mean())

    chosen = hinge_loss(svm_scores(TRAIN, VALIDATION, TEST)[0][:, 1])
    losses = []
    for strength, weights in product(baselines.SVM_REGULARISATION_TRIED, baselines.CLASS_WEIGHTS_TRIED):
        monkeypatch.setattr(baselines, "SVM_REGULARISATION_TRIED", (strength,))
        monkeypatch.setattr(baselines, "CLASS_WEIGHTS_TRIED", (weights,))
        losses.append(hinge_loss(svm_scores(TRAIN, VALIDATION, TEST)[0][:, 1]))
    assert len(set(losses)) > 1
    assert chosen == min(losses)


def test_naive_bayes_multiplies_how_often_each_class_uses_each_word(monkeypatch: pytest.MonkeyPatch) -> None:
    """By hand, from counts: what a class is worth before, times the smoothed share of each word in its train texts."""
    monkeypatch.setattr(baselines, "SMOOTHING_TRIED", (0.3,))
    texts, labels = ["free prize", "free free cash", "see you", "lunch at noon", "see lunch"], np.array([1, 1, 0, 0, 0])
    _, on_test = naive_bayes_probabilities((texts, labels), VALIDATION, ["free lunch see see", "unknown"])
    vocabulary = {word for text in texts for word in text.split()}
    worth = []
    for number in (0, 1):
        counts = Counter(
            word for text, label in zip(texts, labels, strict=True) if label == number for word in text.split()
        )
        share = {word: (counts[word] + 0.3) / (sum(counts.values()) + 0.3 * len(vocabulary)) for word in vocabulary}
        worth.append(np.mean(labels == number) * share["free"] * share["lunch"] * share["see"] ** 2)
    np.testing.assert_allclose(on_test[0], np.array(worth) / sum(worth))
    np.testing.assert_allclose(on_test[1], [0.6, 0.4])


def test_naive_bayes_smoothing_is_the_one_with_the_lowest_loss_on_validation(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = naive_bayes_probabilities(TRAIN, VALIDATION, TEST)
    losses = []
    for smoothing in baselines.SMOOTHING_TRIED:
        monkeypatch.setattr(baselines, "SMOOTHING_TRIED", (smoothing,))
        losses.append(log_loss(VALIDATION[1], naive_bayes_probabilities(TRAIN, VALIDATION, TEST)[0], labels=[0, 1]))
    assert len(set(losses)) == len(losses) >= 3
    assert log_loss(VALIDATION[1], chosen[0], labels=[0, 1]) == min(losses)


def test_the_svm_tells_apart_what_only_the_order_of_words_does() -> None:
    texts = ["good not bad", "bad not good"] * 4
    labels = np.array([1, 0] * 4)
    _, on_test = svm_scores((texts, labels), (texts[:2], labels[:2]), ["not bad", "not good"])
    assert on_test[0, 1] > 0.5 > on_test[1, 1]
    _, by_words = naive_bayes_probabilities((texts, labels), (texts[:2], labels[:2]), ["good not bad"])
    np.testing.assert_allclose(by_words, 0.5)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("baseline", [naive_bayes_probabilities, tfidf_probabilities, svm_scores])
@pytest.mark.parametrize("train_texts", [["", " ", "", ""], ["!", "?", "!!", "…"], ["a", "é", "ß", "я"]])
def test_texts_without_words_are_called_something(baseline, train_texts: list[str]) -> None:
    labels = np.array([0, 0, 0, 1])
    on_validation, on_test = baseline((train_texts, labels), (["", "free"], np.array([0, 1])), ["", "!", "word"])
    assert on_validation.shape == (2, 2)
    assert np.isfinite(on_test).all()
    assert on_test[0].argmax() == 0


# --- more than two classes

MANY_TRAIN = (
    ["free prize", "cash prize", "see you at noon", "home at noon", "rain and wind", "snow and rain", "wind today"],
    np.array([0, 0, 1, 1, 2, 2, 2]),
)
MANY_VALIDATION = (["cash and a prize", "see you at home", "rain today"], np.array([0, 1, 2]))
MANY_TEST = ["free cash", "you at noon", "snow and wind", "rain and snow"]


def test_the_majority_of_many_classes_is_the_most_frequent_one() -> None:
    probabilities = majority_probabilities(MANY_TRAIN[1], 2, 4)
    np.testing.assert_allclose(probabilities, [[2 / 7, 2 / 7, 3 / 7, 0.0]] * 2)
    assert probabilities.argmax(axis=1).tolist() == [2, 2]


@pytest.mark.parametrize("baseline", [naive_bayes_probabilities, tfidf_probabilities, svm_scores])
def test_a_baseline_has_a_column_for_each_of_many_classes(baseline) -> None:
    on_validation, on_test = baseline(MANY_TRAIN, MANY_VALIDATION, MANY_TEST)
    assert on_validation.shape == (3, 3)
    assert on_test.argmax(axis=1).tolist() == [0, 1, 2, 2]
    assert ((on_test > 0) & (on_test < 1)).all()


@pytest.mark.parametrize("baseline", [naive_bayes_probabilities, tfidf_probabilities, svm_scores])
def test_validation_rows_may_lack_a_class(baseline) -> None:
    _, on_test = baseline(MANY_TRAIN, (MANY_VALIDATION[0][:2], MANY_VALIDATION[1][:2]), MANY_TEST)
    assert on_test.argmax(axis=1).tolist() == [0, 1, 2, 2]


def test_the_svm_of_many_classes_is_chosen_by_the_hinge_loss_of_each_against_the_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def hinge_loss(scores: np.ndarray) -> float:
        losses = [
            max(0.0, 1 - (1 if number == label else -1) * np.log(score / (1 - score)))
            for row, label in zip(scores, MANY_VALIDATION[1], strict=True)
            for number, score in enumerate(row)
        ]
        return sum(losses) / len(losses)

    tried = (1e-4, 0.1, 10.0)
    monkeypatch.setattr(baselines, "SVM_REGULARISATION_TRIED", tried)
    monkeypatch.setattr(baselines, "CLASS_WEIGHTS_TRIED", (None,))
    chosen = hinge_loss(svm_scores(MANY_TRAIN, MANY_VALIDATION, MANY_TEST)[0])
    losses = []
    for strength in tried:
        monkeypatch.setattr(baselines, "SVM_REGULARISATION_TRIED", (strength,))
        losses.append(hinge_loss(svm_scores(MANY_TRAIN, MANY_VALIDATION, MANY_TEST)[0]))
    assert len(set(losses)) == len(tried)
    assert chosen == min(losses)
