"""The learning rate over the steps."""

import itertools
import math

import pytest

from groundup.train.schedule import learning_rate_at


def rates(max_steps: int, warmup_steps: int, highest: float = 1.0, lowest: float = 0.1) -> list[float]:
    return [
        learning_rate_at(
            step, max_steps=max_steps, warmup_steps=warmup_steps, learning_rate=highest, min_learning_rate=lowest
        )
        for step in range(max_steps)
    ]


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
