"""Which sequences a step sees: each once an epoch, and the same again from the same seed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundup.data.batches import (
    STRETCH,
    Epochs,
    batches_of_like_length,
    bucketed_batches,
    cheapest_bins,
    packed,
    pad,
    window_starts,
)
from groundup.seeding import numpy_generator


def epoch_of_starts(n_tokens: int, context: int, batch_size: int, epoch: int, seed: int = 0) -> np.ndarray:
    per_epoch = (n_tokens - 1 - context) // context // batch_size
    numbers = range(epoch * per_epoch, (epoch + 1) * per_epoch)
    return np.concatenate([window_starts(n_tokens, context, batch_size, seed, number) for number in numbers])


@pytest.mark.parametrize(("n_tokens", "context", "batch_size"), [(101, 5, 1), (200, 7, 3), (50, 12, 3), (31, 1, 29)])
def test_an_epoch_reads_each_window_once_and_all_lie_within_the_tokens(n_tokens, context, batch_size):
    for epoch in range(4):
        starts = np.sort(epoch_of_starts(n_tokens, context, batch_size, epoch))
        n_windows = (n_tokens - 1 - context) // context
        assert len(starts) == n_windows - n_windows % batch_size
        assert len(set(starts)) == len(starts)
        assert set(np.diff(starts) % context) <= {0}  # cut at one grid, so that no token is read twice
        assert starts[0] >= 0
        assert starts[-1] + context + 1 <= n_tokens  # the token after the last is its target


def test_a_batch_larger_than_one_is_cut_from_all_windows_when_it_divides_them():
    starts = np.sort(epoch_of_starts(1 + 7 + 6 * 7, 7, 3, epoch=2))
    assert list(np.diff(starts)) == [7] * 5


def test_epochs_differ_in_order_and_in_their_cuts():
    first, second, third = (epoch_of_starts(400, 10, 2, epoch) for epoch in range(3))
    assert len({first[0] % 10, second[0] % 10, third[0] % 10}) > 1
    assert list(first - first.min()) != list(second - second.min())


def test_a_batch_follows_from_the_seed_and_its_number_alone():
    batch = window_starts(500, 9, 4, seed=3, batch=17)
    window_starts(500, 9, 4, seed=3, batch=2)
    assert list(window_starts(500, 9, 4, seed=3, batch=17)) == list(batch)
    assert list(window_starts(500, 9, 4, seed=4, batch=17)) != list(batch)


def test_too_few_tokens_for_one_batch_are_refused_and_just_enough_are_not():
    needed = (3 + 1) * 5 + 1
    assert len(window_starts(needed, 5, 3, seed=0, batch=0)) == 3
    with pytest.raises(ValueError, match="20 tokens do not fill a batch of 3 windows of 5 tokens"):
        window_starts(needed - 1, 5, 3, seed=0, batch=0)


@pytest.mark.parametrize(("n_rows", "batch_size"), [(1, 4), (7, 7), (50, 4), (1000, 3), (64, 1)])
def test_bucketed_batches_hold_every_row_once(n_rows, batch_size):
    lengths = numpy_generator(0, "lengths").integers(1, 50, n_rows)
    batches = bucketed_batches(lengths, batch_size, numpy_generator(0, "batches"))
    assert sorted(np.concatenate(batches)) == list(range(n_rows))
    assert len(batches) == -(-n_rows // batch_size)
    assert max(map(len, batches)) <= batch_size


def test_bucketed_batches_pad_little_and_still_change_from_epoch_to_epoch():
    lengths = numpy_generator(0, "lengths").integers(1, 100, 512)
    first, second = (bucketed_batches(lengths, 8, numpy_generator(0, "epoch", epoch)) for epoch in (0, 1))

    def padding(batches: list[np.ndarray]) -> float:
        return sum(len(rows) * lengths[rows].max() - lengths[rows].sum() for rows in batches) / lengths.sum()

    in_order = [np.arange(start, start + 8) for start in range(0, 512, 8)]
    assert padding(first) < 0.1 < 0.5 < padding(in_order)
    assert {tuple(sorted(rows)) for rows in first} != {tuple(sorted(rows)) for rows in second}


def test_bucketed_batches_do_not_come_from_short_to_long():
    batches = bucketed_batches(np.arange(200), 8, numpy_generator(0, "order"))  # all sorted in one go
    first_rows = [int(rows[0]) for rows in batches]
    assert sorted(first_rows) == list(range(0, 200, 8))
    assert first_rows != sorted(first_rows)


def test_epochs_give_a_step_its_batches_and_the_last_of_an_epoch_what_is_left():
    def batches_of(epoch: int) -> list[np.ndarray]:
        return [np.array([10 * epoch + number]) for number in range(5)]

    epochs = Epochs(batches_of, n_epochs=2, per_step=2)
    assert epochs.max_steps == 6
    seen = [[int(rows[0]) for rows in epochs.rows(step)] for step in range(6)]
    assert seen == [[0, 1], [2, 3], [4], [10, 11], [12, 13], [14]]
    assert [int(rows[0]) for rows in epochs.rows(1)] == [2, 3]  # again from the step alone


def test_padding_fills_up_on_the_right():
    padded = pad([np.array([1, 2, 3]), np.array([4]), np.array([], dtype=int)], fill=-1)
    assert padded.tolist() == [[1, 2, 3], [4, -1, -1], [-1, -1, -1]]
    assert padded.dtype == np.int64


@pytest.mark.parametrize(("n_items", "batch_size"), [(0, 3), (1, 3), (7, 7), (STRETCH * 2 + 5, 2), (1000, 9)])
def test_batches_of_like_length_hold_every_item_once_and_pad_little(n_items, batch_size):
    items = [(number, int(length)) for number, length in enumerate(np.random.default_rng(0).integers(1, 90, n_items))]
    batches = list(batches_of_like_length(iter(items), lambda item: item[1], batch_size))
    assert sorted(item for batch in batches for item in batch) == items
    assert all(len(batch) == batch_size for batch in batches[:-1])
    for start in range(0, len(batches), STRETCH):  # within a stretch no message is shorter than one before it
        lengths = [length for batch in batches[start : start + STRETCH] for _, length in batch]
        assert lengths == sorted(lengths)
    numbers = [number for batch in batches for number, _ in batch]
    assert all(abs(place - number) < STRETCH * batch_size for place, number in enumerate(numbers))  # little waits


LENGTHS = st.lists(st.integers(1, 40), min_size=1, max_size=30)


def filled(bins: list[list[int]], lengths: list[int]) -> list[int]:
    return [sum(lengths[row] for row in each) for each in bins]


@given(LENGTHS, st.integers(0, 80))
def test_packing_lays_every_row_whole_into_one_bin_and_no_two_bins_would_fit_into_one(lengths, more):
    limit = max(lengths) + more
    bins = packed(lengths, limit)
    assert sorted(row for each in bins for row in each) == list(range(len(lengths)))
    tokens = sorted(filled(bins, lengths))
    assert tokens[-1] <= limit
    assert len(tokens) == 1 or tokens[0] + tokens[1] > limit


def test_packing_puts_the_longest_first_and_each_row_where_it_leaves_the_least_room():
    assert packed([3, 6, 1, 7, 4], 10) == [[3, 0], [1, 4], [2]]
    assert packed([5, 2, 7], 9) == [[2, 1], [0]]  # the 2 goes behind the 7, though the bin of the 5 has more room


def test_a_row_longer_than_a_bin_is_not_packed():
    assert packed([5, 4], 5) == [[0], [1]]
    with pytest.raises(ValueError, match="a row of 5 tokens does not fit into a bin of 4"):
        packed([3, 5], 4)


@given(LENGTHS, st.integers(0, 400))
def test_the_cheapest_bins_hold_every_row_once_and_pad_no_more_than_rows_alone(lengths, more):
    limit = max(lengths) + more
    bins = cheapest_bins(lengths, limit)
    assert sorted(row for each in bins for row in each) == list(range(len(lengths)))
    tokens = filled(bins, lengths)
    assert max(tokens) <= limit
    assert len(bins) * max(tokens) <= len(lengths) * max(lengths)


@given(st.integers(1, 90), st.integers(1, 40))
def test_rows_of_one_length_stay_alone_and_in_their_order(length, n_rows):
    assert cheapest_bins([length] * n_rows, 1024) == [[row] for row in range(n_rows)]


def test_rows_share_a_bin_where_that_saves_more_padding_than_attention_costs():
    assert cheapest_bins([100, 50, 50], 100) == [[0], [1, 2]]  # what one padded is filled
    assert cheapest_bins([100, 60, 60], 160) == [[0], [1], [2]]  # a bin of 160 and one of 60 would pad as much
    assert cheapest_bins([100, 60, 60], 220) == [[0, 1, 2]]  # a wider one pads nothing
    assert cheapest_bins([100, 95, 95], 290) == [[0], [1], [2]]  # which here would not be worth the width
