"""Fronts of points whose order is known."""

from __future__ import annotations

import numpy as np

from equiworld.reporting.trade_offs import dominated, dominating, on_a_front


def test_a_point_is_dominated_by_one_that_is_better_in_one_respect_and_no_worse_in_the_other() -> None:
    cost, gain = [1.0, 2.0, 2.0, 3.0, 1.0], [1.0, 3.0, 2.0, 3.0, 1.0]
    assert dominated(cost, gain).tolist() == [False, False, True, True, False]  # equal points leave each other alone


def test_the_two_fronts_meet_where_the_bound_is_best() -> None:
    # A triangle on its side: the upper and the lower edge are fronts, what lies between is on none.
    assert on_a_front([0, 1, 1, 2, 2, 2], [5, 8, 2, 9, 5, 1]).tolist() == [True, True, True, True, False, True]


def test_every_front_of_random_points_is_what_its_definition_says() -> None:
    rng = np.random.default_rng(0)
    cost, gain = rng.normal(size=(2, 40))
    points = list(zip(cost.tolist(), gain.tolist(), strict=True))
    expected = [any(c <= a and g >= b and (c, g) != (a, b) for c, g in points) for a, b in points]
    assert dominated(cost, gain).tolist() == expected


def test_one_set_dominates_another_where_it_is_better_by_more_than_means_nothing() -> None:
    front = [1.0, 2.0, 3.0], [1.0, 3.0, 4.0]
    cost, gain = [2.0, 1.9, 0.5, 9.0], [3.0, 3.2, 0.9, 4.0]  # a tie; better than the middle; another end; worse
    assert dominating(cost, gain, *front).tolist() == [
        [False, False, False],
        [False, True, False],
        [False, False, False],
        [False, False, False],
    ]
    assert dominating(cost, gain, *front, slack=(0.0, 0.1))[1].tolist() == [False, True, False]
    assert not dominating(cost, gain, *front, slack=(0.2, 0.1)).any()


def test_within_one_set_it_is_what_is_dominated() -> None:
    rng = np.random.default_rng(1)
    cost, gain = rng.integers(0, 6, (2, 50))
    assert dominating(cost, gain, cost, gain).any(0).tolist() == dominated(cost, gain).tolist()
