"""Tasks: rewards by hand, the Davies-Bouldin index against scikit-learn, and scenes with nothing to do."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

import numpy as np
import pytest
from sklearn.metrics import davies_bouldin_score

from equiworld.envs import UsageError
from equiworld.envs.spriteworld.distributions import Continuous, Discrete, Product
from equiworld.envs.spriteworld.scoring import BEST, inverse_davies_bouldin
from equiworld.envs.spriteworld.sprites import check, sprite
from equiworld.envs.spriteworld.tasks import Clustering, FindGoalPosition, MetaAggregated, NoReward, Outcome, Task

RED, BLUE, GREEN = (Continuous("c0", hue, hue + 0.1) for hue in (0.0, 0.6, 0.3))


def scene(*places: tuple[float, float, float], slots: int = 6) -> np.ndarray:
    """One scene of sprites at (x, y) with a hue."""
    if not places:
        return np.zeros((1, slots, 10))
    return check(np.stack([sprite(x=x, y=y, c0=hue) for x, y, hue in places]), slots)[None]


def judge(task: Task, *places: tuple[float, float, float]) -> tuple[float, bool, bool]:
    reward, success, applies = task.evaluate(scene(*places))
    return reward[0], success[0], applies[0]


def test_no_reward() -> None:
    assert judge(NoReward(), (0.5, 0.5, 0.0)) == (0.0, False, True)


def test_goal_distances_by_hand() -> None:
    task = FindGoalPosition(RED, terminate_distance=0.075)
    # 0.3 and 0.4 away on the axes make 0.5.
    reward, success, applies = judge(task, (0.2, 0.9, 0.0), (0.5, 0.5, 0.6))
    assert reward == pytest.approx(50 * (0.075 - 0.5))
    assert (success, applies) == (False, True)
    # Two sprites: the sum, and no success while one is away.
    reward, success, _ = judge(task, (0.2, 0.9, 0.0), (0.5, 0.55, 0.05))
    assert reward == pytest.approx(50 * (0.075 - 0.5) + 50 * (0.075 - 0.05))
    assert not success
    reward, success, _ = judge(task, (0.5, 0.5, 0.0), (0.5, 0.55, 0.05))
    assert reward == pytest.approx(50 * (0.075 + 0.025))
    assert success


def test_goal_on_the_very_edge_is_reached() -> None:
    task = FindGoalPosition(goal_position=(0.0, 0.0), terminate_distance=0.5)
    assert judge(task, (0.5, 0.0, 0.0)) == (0.0, True, True)
    assert judge(task, (0.5, np.nextafter(0.0, 1), 0.0))[1]
    assert not judge(task, (np.nextafter(0.5, 1), 0.0, 0.0))[1]


def test_goal_options() -> None:
    sideways = FindGoalPosition(goal_position=(1.0, 0.5), weights_dimensions=(1, 0), terminate_distance=0.15)
    assert judge(sideways, (0.9, 0.0, 0.0))[1]
    weighted = FindGoalPosition(weights_dimensions=(4, 1), raw_reward_multiplier=10, terminate_distance=0.0)
    assert judge(weighted, (0.6, 0.5, 0.0))[0] == pytest.approx(-10 * 0.2)
    sparse = FindGoalPosition(sparse_reward=True, terminate_bonus=3.0)
    assert judge(sparse, (0.9, 0.5, 0.0)) == (0.0, False, True)
    assert judge(sparse, (0.5, 0.5, 0.0))[0] == pytest.approx(50 * 0.05 + 3)


def test_where_no_sprite_passes_there_is_nothing_to_do() -> None:
    assert judge(FindGoalPosition(RED, terminate_bonus=9.0), (0.5, 0.5, 0.6)) == (0.0, False, False)
    assert judge(FindGoalPosition()) == (0.0, False, False)
    assert judge(Clustering([RED, BLUE], terminate_bonus=9.0), (0.5, 0.5, 0.3)) == (0.0, False, False)
    both = MetaAggregated([FindGoalPosition(RED), Clustering([RED, BLUE])], terminate_bonus=9.0)
    assert judge(both, (0.5, 0.5, 0.3)) == (0.0, False, False)


@pytest.mark.parametrize("seed", range(20))
def test_davies_bouldin_is_that_of_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    clusters, points = rng.integers(2, 5), rng.integers(6, 12)
    label = np.concatenate([np.arange(clusters), rng.integers(0, clusters, points - clusters)])
    positions = rng.random((points, 2))
    measure = inverse_davies_bouldin(positions, label, int(clusters))
    assert measure == pytest.approx(1 / davies_bouldin_score(positions, label), rel=1e-6)
    # Points without a cluster do not count, nor does the order of the clusters' numbers.
    more = np.concatenate([rng.random((3, 2)), positions])
    ignored = np.concatenate([np.full(3, -1), clusters - label])
    assert inverse_davies_bouldin(more, ignored, int(clusters) + 1) == pytest.approx(measure, rel=1e-12)


def test_clustering_by_hand() -> None:
    # Pairs 0.1 wide, 0.5 apart: s = 0.05 each, so that the index is 0.1 / 0.5.
    pairs = [(0.2, 0.45, 0.0), (0.2, 0.55, 0.0), (0.7, 0.45, 0.6), (0.7, 0.55, 0.6)]
    reward, success, _ = judge(Clustering([RED, BLUE], terminate_bonus=2.0), *pairs)
    assert reward == pytest.approx((5.0 - 2.5) * 5 + 2.0)
    assert success
    reward, success, _ = judge(Clustering([RED, BLUE], termination_threshold=6.0, reward_range=4.0), *pairs)
    assert reward == pytest.approx((5.0 - 6.0) * 2)
    assert not success
    assert judge(Clustering([RED, BLUE], termination_threshold=6.0, sparse_reward=True), *pairs) == (0.0, False, True)
    # A sprite of no cluster, and a cluster without sprites, change nothing.
    more = judge(Clustering([GREEN, BLUE, RED]), *pairs, (0.9, 0.9, 0.95))
    assert more[0] == pytest.approx(12.5)


def test_a_sprite_belongs_to_the_first_cluster_that_contains_it() -> None:
    anything = Continuous("c0", 0.0, 1.0)
    places = [(0.2, 0.45, 0.0), (0.2, 0.55, 0.0), (0.7, 0.45, 0.6), (0.7, 0.55, 0.6)]
    assert judge(Clustering([RED, anything]), *places) == judge(Clustering([RED, BLUE]), *places)
    assert judge(Clustering([anything, RED]), *places) == (0.0, False, False)


@pytest.mark.parametrize(
    ("places", "measure"),
    [
        ([(0.2, 0.5, 0.0), (0.2, 0.5, 0.0), (0.7, 0.5, 0.6), (0.7, 0.5, 0.6)], BEST),  # each in one point
        ([(0.2, 0.5, 0.0), (0.2, 0.5, 0.0), (0.7, 0.5, 0.6)], BEST),
        ([(0.2, 0.5, 0.0), (0.2001, 0.5, 0.0), (0.7, 0.5, 0.6)], BEST),  # better than the best that counts
        ([(0.5, 0.5, 0.0)] * 2 + [(0.5, 0.5, 0.6)] * 2, 0.0),  # all in one point
        ([(0.25, 0.5, 0.0), (0.75, 0.5, 0.0), (0.5, 0.25, 0.6), (0.5, 0.75, 0.6)], 0.0),  # the same centre
    ],
)
def test_clusters_that_coincide_have_a_measure(places: list[tuple[float, float, float]], measure: float) -> None:
    reward, success, applies = judge(Clustering([RED, BLUE]), *places)
    assert reward == (measure - 2.5) * 5
    assert (success, applies) == (measure > 2.5, True)


@pytest.mark.parametrize(
    "places",
    [
        [],
        [(0.2, 0.5, 0.0), (0.3, 0.5, 0.0)],  # one cluster
        [(0.2, 0.5, 0.0), (0.3, 0.5, 0.6)],  # two of one sprite
    ],
)
def test_too_few_sprites_are_no_clusters(places: list[tuple[float, float, float]]) -> None:
    assert judge(Clustering([RED, BLUE]), *places) == (0.0, False, False)


# Of the three goals the first is 0.1 from its place, the second there, the third has no sprite.
GOALS = [
    FindGoalPosition(RED, (0.0, 0.0), terminate_distance=0.0, raw_reward_multiplier=10),
    FindGoalPosition(BLUE, (1.0, 1.0), terminate_distance=0.5, raw_reward_multiplier=10),
    FindGoalPosition(GREEN),
]
AWAY = [(0.1, 0.0, 0.0), (1.0, 1.0, 0.6)]


@pytest.mark.parametrize(("aggregator", "reward"), [("sum", 4.0), ("max", 5.0), ("min", -1.0), ("mean", 2.0)])
def test_rewards_are_aggregated_over_what_applies(aggregator: str, reward: float) -> None:
    assert judge(MetaAggregated(GOALS, aggregator), *AWAY) == (pytest.approx(reward), False, True)


def test_all_and_any() -> None:
    there = [(0.0, 0.0, 0.0), (1.0, 1.0, 0.6)]
    assert not judge(MetaAggregated(GOALS, terminate_bonus=7.0), *AWAY)[1]
    assert judge(MetaAggregated(GOALS, terminate_bonus=7.0), *there) == (pytest.approx(5 + 7), True, True)
    assert judge(MetaAggregated(GOALS, termination_criterion="any", terminate_bonus=7.0), *AWAY)[:2] == (
        pytest.approx(4 + 7),
        True,
    )
    # A goal without sprites is no success that would count as any.
    assert not judge(MetaAggregated(GOALS, termination_criterion="any"), AWAY[0])[1]
    assert not judge(MetaAggregated([*GOALS, NoReward()]), *there)[1]


def test_many_scenes_are_judged_as_each_alone_and_no_reward_is_nan() -> None:
    rng = np.random.default_rng(0)
    scenes = np.concatenate(
        [
            scene(
                *(
                    (x, y, hue)
                    for (x, y), hue in zip(rng.random((k, 2)), rng.choice([0.05, 0.65, 0.35, 0.9], k), strict=True)
                )
            )
            for k in rng.integers(0, 7, 300)
        ]
    )
    nested = MetaAggregated([MetaAggregated(GOALS, "mean", "any"), Clustering([RED, BLUE])], "min", "any", 0.5)
    for task in (*GOALS, Clustering([RED, BLUE, GREEN]), nested):
        together = task.evaluate(scenes)
        alone = [task.evaluate(row[None]) for row in scenes]
        for part, parts in zip(together, zip(*alone, strict=True), strict=True):
            assert (part == np.concatenate(parts)).all()
        assert np.isfinite(together.reward).all()
        assert not (together.success & ~together.applies).any()
        assert (together.reward[~together.applies] == 0).all()
        given = task.evaluate(scenes, task.members(scenes))
        assert all((a == b).all() for a, b in zip(given, together, strict=True))


def test_members_are_asked_again_only_where_places_choose() -> None:
    assert FindGoalPosition(RED).fixed
    assert FindGoalPosition().fixed
    corner = Product([Continuous("x", 0, 0.5), Discrete("shape", ["square"])])
    assert not MetaAggregated([FindGoalPosition(RED), FindGoalPosition(corner)]).fixed
    assert FindGoalPosition(corner).members(scene((0.1, 0.1, 0), (0.6, 0.1, 0))).tolist() == [[[True] + [False] * 5]]


def test_outcome_is_written_into_new_arrays() -> None:
    task = FindGoalPosition()
    first = task.evaluate(scene((0.5, 0.5, 0.0)))
    task.evaluate(scene((0.9, 0.5, 0.0)))
    assert isinstance(first, Outcome) and first.reward[0] == pytest.approx(2.5) and math.isfinite(first.reward[0])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FindGoalPosition(goal_position=(0.5,)), "goal_position must be two finite numbers"),
        (lambda: FindGoalPosition(weights_dimensions=(1, -1)), "weights_dimensions must not be negative"),
        (lambda: FindGoalPosition(weights_dimensions=(1, np.nan)), "weights_dimensions must be two finite"),
        (lambda: Clustering([RED]), "two clusters or more, got 1"),
        (lambda: MetaAggregated([]), "one task or more"),
        (lambda: MetaAggregated(GOALS, "median"), "unknown reward_aggregator 'median'; there are: sum, max, min, mean"),
        (lambda: MetaAggregated(GOALS, "sum", "some"), "unknown termination_criterion 'some'; there are: all, any"),
    ],
)
def test_what_cannot_be_made_is_refused(make: object, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make()  # type: ignore[operator]


@pytest.mark.parametrize(
    ("make", "wrong"),
    [
        (lambda: FindGoalPosition(goal_position="left"), "goal_position must be two finite numbers, got 'left'"),
        (lambda: FindGoalPosition(goal_position=3), "goal_position must be two finite numbers, got 3"),
        (lambda: FindGoalPosition(weights_dimensions=None), "weights_dimensions must be two finite numbers, got None"),
        (lambda: FindGoalPosition(terminate_distance="near"), "terminate_distance must be a finite number, got 'near'"),
        (lambda: FindGoalPosition(terminate_bonus=[1]), "terminate_bonus must be a finite number, got [1]"),
        (lambda: FindGoalPosition(raw_reward_multiplier=float("nan")), "raw_reward_multiplier must be a finite number"),
        (lambda: MetaAggregated([NoReward()], terminate_bonus="x"), "terminate_bonus must be a finite number, got 'x'"),
    ],
)
def test_numbers_that_are_none_are_refused(make: Callable[[], object], wrong: str) -> None:
    with pytest.raises(UsageError, match=re.escape(wrong)):
        make()
