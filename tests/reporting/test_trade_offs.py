"""Fronts of points whose order is known."""

from __future__ import annotations

import numpy as np

from equiworld.reporting.trade_offs import dominated, on_a_front


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
