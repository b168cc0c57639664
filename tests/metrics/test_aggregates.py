"""Aggregates of runs against closed forms, published definitions worked by hand, and the law of their intervals."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from equiworld.metrics import aggregates as ag

RNG = np.random.default_rng(3)
SCORES = RNG.normal(0.5, 1.0, (5, 4))


def test_the_aggregates_of_a_table_worked_by_hand() -> None:
    scores = np.array([[0.0, 2.0, 0.5], [1.0, 4.0, 0.5], [2.0, 9.0, 0.8], [3.0, 1.0, 0.6]])
    # Sorted: 0 .5 .5 | .6 .8 1 1 2 2 | 3 4 9, a quarter of twelve left out at either end.
    assert ag.interquartile_mean(scores) == pytest.approx((0.6 + 0.8 + 1 + 1 + 2 + 2) / 6)
    assert ag.mean(scores) == pytest.approx((1.5 + 4.0 + 0.6) / 3)
    assert ag.median(scores) == pytest.approx(1.5)
    # Short of 1: 1, 0, .5, 0, 0, .5, 0, 0, .2, 0, 0, .4.
    assert ag.optimality_gap(scores) == pytest.approx(2.6 / 12)
    assert ag.optimality_gap(scores, 3.0) == pytest.approx(np.maximum(3.0 - scores, 0).mean())


def test_the_interquartile_mean_rounds_what_is_left_out_down() -> None:
    scores = np.arange(10.0)[:, None]
    assert ag.interquartile_mean(scores) == stats.trim_mean(np.arange(10.0), 0.25) == np.arange(2, 8).mean()


def test_a_quarter_of_the_runs_may_be_anything() -> None:
    spoilt = np.arange(8.0)[:, None].copy()
    spoilt[-2:] = 1e9
    assert ag.interquartile_mean(spoilt) == ag.interquartile_mean(np.arange(8.0)[:, None])
    tasks = np.tile([[1.0, 2.0, 3.0]], (4, 1))
    tasks[:, 2] = 1e9
    assert ag.median(tasks) == 2.0


def test_statistics_take_axes_before_their_own() -> None:
    stack = RNG.normal(size=(6, 5, 4))
    for statistic in ag.STATISTICS.values():
        np.testing.assert_allclose(statistic(stack), [statistic(each) for each in stack])
    np.testing.assert_allclose(
        ag.probability_of_improvement(stack, stack[::-1]),
        [ag.probability_of_improvement(a, b) for a, b in zip(stack, stack[::-1], strict=True)],
    )


def test_the_probability_of_improvement_is_the_mann_whitney_statistic() -> None:
    first, second = RNG.integers(0, 5, (7, 3)).astype(float), RNG.integers(0, 5, (4, 3)).astype(float)
    expected = np.mean([stats.mannwhitneyu(first[:, t], second[:, t]).statistic / 28 for t in range(3)])
    assert ag.probability_of_improvement(first, second) == pytest.approx(expected)
    assert ag.probability_of_improvement(second, first) == pytest.approx(1 - expected)
    assert ag.probability_of_improvement(first + 10, first) == 1.0
    assert ag.probability_of_improvement(first, first) == 0.5


def test_the_interval_of_a_mean_is_that_of_theory() -> None:
    # The mean of R normal runs has a standard error of s / sqrt(R), with s of the sample as it is.
    runs = np.random.default_rng(0).normal(0.0, 2.0, 400)
    found = ag.interval(ag.mean, runs, resamples=4000)
    half = 1.96 * runs.std() / math.sqrt(400)
    assert found.value == pytest.approx(runs.mean())
    assert found.low is not None and found.high is not None
    assert found.low == pytest.approx(runs.mean() - half, abs=0.1 * half)
    assert found.high == pytest.approx(runs.mean() + half, abs=0.1 * half)


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(5)
    covered = 0
    for draw in range(200):
        found = ag.interval(ag.mean, rng.normal(1.0, 1.0, 30), confidence=0.9, resamples=400, seed=draw)
        covered += found.low <= 1.0 <= found.high
    assert 0.82 <= covered / 200 <= 0.95


def test_tasks_are_strata() -> None:
    # Tasks differ, runs do not: whatever is drawn again, the mean stays; without strata it would not.
    found = ag.aggregate_scores(np.tile([[0.0, 10.0, 50.0]], (5, 1)))
    for name in ("mean", "median", "iqm"):
        assert found[name].low == found[name].value == found[name].high


def test_runs_of_different_tasks_are_drawn_independently() -> None:
    # In the first task runs are +1 or -1, in the second their opposites: drawn together the mean would always be 0.
    signs = np.array([1.0, -1.0] * 4)
    found = ag.interval(ag.mean, np.stack([signs, -signs], 1))
    assert found.value == 0.0 and found.low is not None and found.low < -0.2 and found.high > 0.2


def test_intervals_are_those_of_the_seed_and_narrow_with_more_runs() -> None:
    first, again, other = (ag.aggregate_scores(SCORES, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first["iqm"].value == other["iqm"].value and first["iqm"].low != other["iqm"].low
    more = ag.interval(ag.interquartile_mean, np.tile(SCORES, (20, 1)))
    assert more.high - more.low < 0.5 * (first["iqm"].high - first["iqm"].low)


def test_many_resamples_at_a_time_are_the_same_as_few(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = ag.interval(ag.mean, SCORES)
    monkeypatch.setattr(ag, "_CHUNK", 100)
    # Numbers are drawn in one order, so that only rounding may differ.
    parts = ag.interval(ag.mean, SCORES)
    assert parts.low == pytest.approx(whole.low) and parts.high == pytest.approx(whole.high)


def test_one_run_has_no_interval() -> None:
    found = ag.aggregate_scores([[0.3, 0.7]])
    assert found["mean"] == ag.Interval(0.5, None, None)
    curve = ag.efficiency_curve([[[1.0, 2.0]]], [10, 20])
    assert curve.value.tolist() == [1.0, 2.0] and curve.low is None and curve.high is None


def test_an_interval_of_two_sets() -> None:
    found = ag.interval(ag.probability_of_improvement, SCORES, SCORES[:3] - 1.0)
    assert found.value == ag.probability_of_improvement(SCORES, SCORES[:3] - 1.0)
    assert found.low < found.value < found.high <= 1.0


def test_profiles() -> None:
    scores = np.array([[0.0, 1.0], [0.2, 3.0], [0.4, 5.0], [0.6, 7.0]])
    runs = ag.performance_profile(scores, [-1.0, 0.2, 0.5, 3.0, 7.0])
    assert runs.value.tolist() == [1.0, 6 / 8, 5 / 8, 2 / 8, 0.0]
    assert (np.diff(runs.value) <= 0).all()
    assert (runs.low <= runs.value).all() and (runs.value <= runs.high).all()
    tasks = ag.performance_profile(scores, [0.0, 0.29, 0.31, 4.0], of="tasks")
    assert tasks.value.tolist() == [1.0, 1.0, 0.5, 0.0]


def test_efficiency_curves() -> None:
    steps, rates = np.array([1.0, 2.0, 5.0]), np.array([[1.0, 4.0], [2.0, 5.0], [3.0, 6.0], [4.0, 7.0]])
    curves = rates[:, :, None] * steps
    found = ag.efficiency_curve(curves, steps)
    np.testing.assert_allclose(found.value, ag.interquartile_mean(rates) * steps)
    # Runs are drawn with their whole curves, so that here the band too is a multiple of itself.
    np.testing.assert_allclose(found.low / steps, found.low[0])
    np.testing.assert_allclose(found.high / steps, found.high[0])
    alone = ag.efficiency_curve(curves[:, 0], steps, ag.mean)
    np.testing.assert_allclose(alone.value, 2.5 * steps)


def test_normalised_scores() -> None:
    assert ag.normalised([[1.7], [30.5]], 1.7, 30.5).tolist() == [[0.0], [1.0]]
    np.testing.assert_allclose(ag.normalised([[1.0, 4.0]], [0.0, 2.0], [2.0, 6.0]), [[0.5, 0.5]])
    assert ag.normalised([5.0, 10.0], 0.0, 10.0).tolist() == [0.5, 1.0]
    assert ag.normalised(np.ones((2, 3, 4)), [0, 0, 0], [1, 2, 4])[0, :, 0].tolist() == [1.0, 0.5, 0.25]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: ag.aggregate_scores([]), "empty"),
        (lambda: ag.aggregate_scores([[np.nan]]), "not finite"),
        (lambda: ag.aggregate_scores(np.zeros((2, 2, 2))), "must be"),
        (lambda: ag.interval(ag.mean), "needs scores"),
        (lambda: ag.interval(ag.mean, [1.0, 2.0], confidence=1.0), "confidence"),
        (lambda: ag.interval(ag.mean, [1.0, 2.0], resamples=0), "resamples"),
        (lambda: ag.interval(ag.probability_of_improvement, np.zeros((2, 2)), np.zeros((2, 3))), "different numbers"),
        (lambda: ag.performance_profile([1.0], [0.0], of="steps"), "'steps'"),
        (lambda: ag.efficiency_curve(np.zeros((2, 3)), [1, 2]), "2 steps"),
        (lambda: ag.efficiency_curve(np.zeros((2, 2)), [2, 1]), "ascend"),
        (lambda: ag.normalised([1.0], 1.0, 1.0), "the same"),
        (lambda: ag.normalised([[1.0, 2.0]], [0.0, 0.0, 0.0], 1.0), "3 scores for 2 tasks"),
    ],
)
def test_what_cannot_be_used_is_refused_in_a_line(call: object, said: str) -> None:
    with pytest.raises(ValueError, match=said) as raised:
        call()  # type: ignore[operator]
    assert "\n" not in str(raised.value)
