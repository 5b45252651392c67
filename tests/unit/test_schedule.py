"""The learning rate over the steps."""

import itertools
import math

import pytest
from helpers import training_settings

from groundup.train.schedule import grown, learning_rate_at, steps_that_any_length_shares


def rates(max_steps: int, warmup_steps: int, highest: float = 1.0, lowest: float = 0.1, **changes) -> list[float]:
    settings = training_settings(warmup_steps=warmup_steps, learning_rate=highest, min_learning_rate=lowest, **changes)
    return [learning_rate_at(step, max_steps, settings) for step in range(max_steps)]


def test_it_rises_in_equal_steps_and_reaches_the_top_at_the_end_of_the_warm_up():
    assert rates(20, 4)[:5] == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0])


def test_it_then_falls_all_the_way_to_the_minimum_at_the_last_step():
    falling = rates(20, 4)[4:]
    assert all(later < earlier for earlier, later in itertools.pairwise(falling))
    assert falling[-1] == pytest.approx(0.1)


def test_it_falls_along_half_a_cosine():
    all_rates = rates(21, 0)
    assert all_rates[10] == pytest.approx(0.55)  # half way in steps is half way in rate
    assert all_rates[5] == pytest.approx(0.1 + 0.9 * (1 + math.cos(math.pi / 4)) / 2)


@pytest.mark.parametrize(("max_steps", "warmup_steps"), [(1, 0), (1, 1), (2, 1), (5, 5), (3, 50)])
def test_short_trainings_have_rates_within_the_limits(max_steps, warmup_steps):
    all_rates = rates(max_steps, warmup_steps)
    assert all(0 < rate <= 1.0 for rate in all_rates)
    assert all_rates[0] == pytest.approx(1 / warmup_steps if warmup_steps else 1.0)


def test_equal_limits_make_it_constant():
    assert rates(9, 0, highest=0.3, lowest=0.3) == pytest.approx([0.3] * 9)


def test_a_constant_schedule_stays_where_the_warm_up_ends():
    assert rates(6, 2, schedule="constant") == [0.5, 1.0, 1.0, 1.0, 1.0, 1.0]


def test_warm_up_stable_decay_falls_in_equal_steps_over_the_last_ones_to_the_minimum():
    all_rates = rates(12, 2, schedule="warmup_stable_decay", decay_steps=4)
    assert all_rates == pytest.approx([0.5, *[1.0] * 7, 0.775, 0.55, 0.325, 0.1])


def test_warm_up_stable_decay_without_decay_steps_is_constant():
    assert rates(6, 2, schedule="warmup_stable_decay", decay_steps=0) == pytest.approx([0.5, *[1.0] * 5])


@pytest.mark.parametrize("schedule", ["cosine", "constant", "warmup_stable_decay"])
@pytest.mark.parametrize(("shorter", "longer"), [(10, 11), (10, 40), (3, 9)])
def test_the_steps_that_any_length_shares_have_the_same_rates_in_a_longer_training(schedule, shorter, longer):
    settings = training_settings(schedule=schedule, decay_steps=4, warmup_steps=2)
    shared = steps_that_any_length_shares(shorter, settings)
    assert 0 <= shared <= shorter
    assert (
        rates(shorter, 2, schedule=schedule, decay_steps=4)[:shared]
        == rates(longer, 2, schedule=schedule, decay_steps=4)[:shared]
    )
    assert (shared == 0) == (schedule == "cosine" or (schedule, shorter) == ("warmup_stable_decay", 3))


def test_a_size_grows_in_a_straight_line_and_is_full_at_the_end_of_its_warm_up():
    assert [grown(step, 4, 16) for step in range(6)] == [4, 8, 12, 16, 16, 16]
    assert [grown(step, 6, 3) for step in range(7)] == [1, 1, 1, 2, 2, 3, 3]
    assert [grown(step, 0, 16) for step in range(2)] == [16, 16]
