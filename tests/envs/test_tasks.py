"""Distances on circles and lines, and the rewards that goals give."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equiworld.envs import Factor, FactorSpace, FlatLand, FlatLandContinuous, FlatLandWalls, GoalTask, UsageError
from equiworld.envs.tasks import distance, factor_distances, shortest_steps

SPACE = FactorSpace(
    [
        Factor("turn", 10, "cyclic"),
        Factor("level", 5, "ordinal"),
        Factor("kind", 3, "categorical"),
        Factor("phase", None, "continuous", -1.0, 3.0, circular=True),
        Factor("heat", None, "continuous", 0.0, 2.0),
    ]
)
TORUS = FlatLand().factors
PLACES = st.lists(st.tuples(st.integers(0, 32), st.integers(0, 32)), min_size=1, max_size=5)


def test_each_kind_of_factor_has_its_distance() -> None:
    first = np.array([[9, 0, 0, -0.9, 0.0], [2, 4, 1, 0.0, 1.0], [0, 2, 2, 1.0, 2.0]])
    second = np.array([[1, 4, 2, 2.9, 2.0], [2, 3, 1, 1.0, 1.5], [5, 2, 2, -1.0, 0.0]])
    expected = [[2, 4, 1, 0.2, 2.0], [0, 1, 0, 1.0, 0.5], [5, 0, 0, 2.0, 2.0]]
    np.testing.assert_allclose(factor_distances(SPACE, first, second), expected, atol=1e-12)
    np.testing.assert_allclose(factor_distances(SPACE, second, first), expected, atol=1e-12)
    # As shares of the largest: 5, 4, 1, 2 and 2.
    shares = [[0.4, 1, 1, 0.1, 1], [0, 0.25, 0, 0.5, 0.25], [1, 0, 0, 1, 1]]
    np.testing.assert_allclose(distance(SPACE, first, second), np.mean(shares, axis=1))
    np.testing.assert_allclose(distance(SPACE, first, second, [0, 3]), np.mean(np.array(shares)[:, [0, 3]], axis=1))


@settings(deadline=None)
@given(PLACES, st.integers(0, 32))
def test_the_distance_on_the_torus_is_a_metric_that_shifts_leave_alone(places: list[tuple[int, int]], by: int) -> None:
    rows = np.array(places)
    first, second = np.repeat(rows, len(rows), axis=0), np.tile(rows, (len(rows), 1))
    apart = distance(TORUS, first, second)
    assert (apart >= 0).all() and (apart <= 1).all()
    assert np.array_equal(apart == 0, (first == second).all(axis=1))
    np.testing.assert_allclose(distance(TORUS, (first + by) % 33, (second + by) % 33), apart)
    through = np.roll(second, 1, axis=0)
    assert (apart <= distance(TORUS, first, through) + distance(TORUS, through, second) + 1e-12).all()


def test_sparse_dense_and_potential_rewards() -> None:
    goal, before = np.array([[0, 0]] * 3), np.array([[10, 0], [3, 1], [16, 16]])
    after = np.array([[5, 0], [31, 1], [16, 16]])
    left, earlier = np.array([5 / 32, 3 / 32, 1.0]), np.array([10 / 32, 4 / 32, 1.0])
    rewards, reached = GoalTask("sparse", 2).rewards(TORUS, before, after, goal)
    assert rewards.tolist() == [0, 1, 0] and reached.tolist() == [False, True, False]
    rewards, reached = GoalTask("dense", 2).rewards(TORUS, before, after, goal)
    np.testing.assert_allclose(rewards, -left)
    assert reached.tolist() == [False, True, False]
    rewards, _ = GoalTask("potential", 2, discount=0.9).rewards(TORUS, before, after, goal)
    np.testing.assert_allclose(rewards, [earlier[0] - 0.9 * left[0], 1 + earlier[1], 1 - 0.9])


def test_the_potential_adds_the_same_to_every_way() -> None:
    """Discounted and summed up, what the potential adds depends on the start alone (Ng, Harada and Russell 1999)."""
    rng, world = np.random.default_rng(0), FlatLand()
    goal, task = np.array([[7, 20]]), GoalTask("potential", 2, discount=0.9)
    for _ in range(20):
        state = start = world.factors.sample(rng, 1)
        shaped = plain = 0.0
        for step in range(500):
            after = world.act(state, rng.integers(4, size=1))
            rewards, reached = task.rewards(TORUS, state, after, goal)
            shaped += 0.9**step * rewards[0]
            plain += 0.9**step * reached[0]
            state = after
            if reached[0]:
                break
        rest = 0.0 if reached[0] else 0.9**500 * distance(TORUS, state, goal)[0]
        np.testing.assert_allclose(shaped - plain, distance(TORUS, start, goal)[0] - rest, atol=1e-9)


def test_only_the_named_factors_count() -> None:
    task = GoalTask("dense", 0, factors=("y",))
    rewards, reached = task.rewards(TORUS, np.array([[0, 0]]), np.array([[9, 4]]), np.array([[0, 4]]))
    assert rewards.tolist() == [0.0] and reached.tolist() == [True]
    assert GoalTask(tolerance=2).reached(TORUS, np.array([[32, 1], [0, 3]]), np.array([[1, 0]] * 2)).tolist() == [
        True,
        False,
    ]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: GoalTask("sprase"),  # type: ignore[arg-type]
            "goal: there is no reward 'sprase' (did you mean 'sparse'?); there are: sparse, dense, potential",
        ),
        (
            lambda: GoalTask(shown="nowhere"),  # type: ignore[arg-type]
            "goal: there is no shown 'nowhere'; there are: image, observation, hidden",
        ),
        (lambda: GoalTask(discount="a"), "goal: the discount must be a number above 0 and at most 1, got 'a'"),
        (lambda: GoalTask(factors="hue"), "goal: the factors that count must be one name or more, got 'hue'"),
        (lambda: GoalTask(tolerance="2"), "goal: the tolerance must be a number, 0 or more, got '2'"),
        (lambda: GoalTask(tolerance=-1), "goal: the tolerance must be a number, 0 or more, got -1"),
        (lambda: GoalTask(tolerance=float("nan")), "goal: the tolerance must be a number, 0 or more, got nan"),
        (lambda: GoalTask(discount=0), "goal: the discount must be a number above 0 and at most 1, got 0"),
        (lambda: GoalTask(factors=()), "goal: the factors that count must be one name or more, got ()"),
        (lambda: GoalTask(factors=("z",)).columns(TORUS), "goal: there is no factor 'z'; there are: x, y"),
    ],
)
def test_refusals_are_one_line(call: Callable[[], object], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        call()
    assert str(caught.value) == message


def test_shortest_paths_on_the_torus_are_those_of_its_axes() -> None:
    world, rng = FlatLand(), np.random.default_rng(0)
    starts, goals = world.factors.sample(rng, 300), world.factors.sample(rng, 300)
    for tolerance in (0, 2):
        steps = np.arange(-16, 17)
        apart = (5 * steps[:, None] - np.arange(33) + 16) % 33 - 16
        axis = np.where(np.abs(apart) <= tolerance, np.abs(steps)[:, None], 99).min(0)
        found = shortest_steps(world, GoalTask(tolerance=tolerance), starts, goals)
        assert found.tolist() == axis[(goals - starts) % 33].sum(1).tolist()
    assert shortest_steps(world, GoalTask(tolerance=2), goals, goals).tolist() == [0] * 300


def test_shortest_paths_between_walls_and_where_there_is_none() -> None:
    walls = FlatLandWalls()
    # Nine steps of 5 to the right end where six are enough; and from there 2 is met as 32 - 30.
    assert shortest_steps(walls, GoalTask(), [[0, 0], [0, 0], [0, 0]], [[32, 0], [5, 0], [2, 0]]).tolist() == [7, 1, 13]
    apart = FlatLand(period=10, stride=2)
    assert shortest_steps(apart, GoalTask(), [[0, 0], [0, 0]], [[1, 0], [8, 4]]).tolist() == [-1, 3]


def test_shortest_paths_may_look_at_some_factors_alone() -> None:
    task = GoalTask(factors=("y",))
    assert shortest_steps(FlatLand(), task, [[0, 0]], [[7, 10]]).tolist() == [2]


def test_shortest_paths_need_what_can_be_counted() -> None:
    with pytest.raises(UsageError, match="discrete"):
        shortest_steps(FlatLandContinuous(), GoalTask(), [[0.0, 0.0]], [[1.0, 1.0]])
