"""The rule by which probabilities become a call: a threshold for two classes, the most probable one of more."""

import numpy as np
import pytest

from groundup.errors import GroundupError
from groundup.tasks.classes import Classes, label_numbers, listed

TWO = np.array([[0.9, 0.1], [0.6, 0.4], [0.3, 0.7]])
FOUR = np.array([[0.1, 0.2, 0.3, 0.4], [0.7, 0.1, 0.1, 0.1], [0.2, 0.3, 0.3, 0.2]])


@pytest.mark.parametrize(
    ("threshold", "called"), [(0.4, [0, 1, 1]), (0.41, [0, 0, 1]), (0.0, [1, 1, 1]), (1.0, [0, 0, 0])]
)
def test_of_two_classes_the_last_is_called_from_its_threshold_on(threshold, called):
    classes = Classes(["ham", "spam"]).with_threshold(threshold)
    assert classes.called(TWO).tolist() == called
    assert classes.told(TWO).tolist() == [0.1, 0.4, 0.7]


def test_of_more_classes_the_most_probable_is_called_and_no_threshold_changes_that():
    classes = Classes(["a", "b", "c", "d"])
    assert classes.with_threshold(0.9) == classes
    assert classes.called(FOUR).tolist() == [3, 0, 1]
    assert classes.told(FOUR).tolist() == [0.4, 0.7, 0.3]


def test_a_saved_classifier_tells_its_classes():
    facts = {"labels": ["ham", "spam"], "threshold": 0.3, "kind": "classifier"}
    assert Classes.of(facts) == Classes(["ham", "spam"], 0.3)
    assert Classes.of({"labels": ["a", "b", "c"], "threshold": None}).threshold is None


def test_labels_have_the_numbers_of_their_names():
    numbers = label_numbers(["c", "a", "c"], ["a", "b", "c"], "test")
    assert numbers.tolist() == [2, 0, 2]
    assert numbers.dtype == np.int64


def test_labels_that_no_train_row_has_are_named_in_one_line():
    names = [f"n{number}" for number in range(12)]
    with pytest.raises(GroundupError) as caught:
        label_numbers(["n1", "zz", "yy", "zz"], names, "test")
    said = str(caught.value)
    assert said.startswith("the test messages have a label that no train message has; got yy, zz; allowed: n0, n1")
    assert "n7 and 4 more; to mend it: " in said
    assert "\n" not in said


def test_few_names_are_listed_whole():
    assert listed(["a", "b"]) == "a, b"
    assert listed([]) == ""
