"""Fewer labelled rows: nested, with every class, and the rows themselves unchanged."""

from collections import Counter

import numpy as np
import pytest

from groundup.data.token_store import write_token_store
from groundup.errors import GroundupError
from groundup.tasks.classify import LabelledRows
from groundup.tasks.fewer_rows import draw_order, drawn_rows

LABELS = ["ham"] * 81 + ["spam"] * 16 + ["offer"] * 3


@pytest.fixture
def rows(tmp_path) -> LabelledRows:
    """A hundred messages in mixed order, each of whose tokens tell which it is."""
    labels = np.random.default_rng(3).permutation(LABELS).tolist()
    store = write_token_store(tmp_path, [[number, *range(number % 4)] for number in range(100)], vocab_size=128)
    return LabelledRows(store, [f"message {n}" for n in range(100)], labels, [f"guess {n}" for n in range(100)])


def numbers(rows: LabelledRows) -> list[int]:
    return [int(text.split()[1]) for text in rows.texts]


def test_the_rows_of_fewer_are_among_the_rows_of_more(rows):
    before: set[int] = set()
    for n in range(3, 101):
        now = set(numbers(drawn_rows(rows, n, seed=1)))
        assert len(now) == n
        assert before < now
        before = now


def test_each_class_has_a_row_and_its_share_to_within_one(rows):
    share = {name: count / 100 for name, count in Counter(LABELS).items()}
    for n in range(3, 101):
        counts = Counter(drawn_rows(rows, n, seed=1).labels)
        assert set(counts) == set(share)
        assert all(abs(counts[name] - n * share[name]) <= 1 or counts[name] == 1 for name in ("offer", "spam"))
        assert abs(counts["ham"] - n * share["ham"]) <= 2  # where the one row of a rare class is more than its share


def test_a_drawn_row_keeps_its_tokens_label_and_guess_and_the_order_of_the_rows(rows):
    drawn = drawn_rows(rows, 17, seed=1)
    chosen = numbers(drawn)
    assert chosen == sorted(chosen)
    for place, number in enumerate(chosen):
        assert drawn.store[place].tolist() == rows.store[number].tolist()
        assert drawn.labels[place] == rows.labels[number]
        assert drawn.best_guesses[place] == f"guess {number}"


@pytest.mark.parametrize("n", [0, 100, 101])
def test_all_rows_are_the_rows_themselves(rows, n):
    assert drawn_rows(rows, n, seed=1) is rows


def test_another_seed_draws_others_and_the_same_seed_the_same(rows):
    assert numbers(drawn_rows(rows, 30, seed=1)) == numbers(drawn_rows(rows, 30, seed=1))
    assert numbers(drawn_rows(rows, 30, seed=1)) != numbers(drawn_rows(rows, 30, seed=2))
    assert sorted(draw_order(rows.labels, 1)) == list(range(100))


def test_rows_of_whom_nobody_knows_a_best_guess_have_none(rows):
    unknown = LabelledRows(rows.store, rows.texts, rows.labels)
    assert drawn_rows(unknown, 5, seed=1).best_guesses == []


def test_fewer_rows_than_classes_are_refused(rows):
    with pytest.raises(GroundupError, match=r"train_rows leaves a class without a row; got 2; allowed: 3 or more") as e:
        drawn_rows(rows, 2, seed=1)
    assert "ham, offer, spam" in str(e.value)
    assert "\n" not in str(e.value)
