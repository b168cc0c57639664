"""What the scores of several runs on several tasks come to, with intervals: aggregates, profiles, curves.

The definitions are those of Agarwal et al. 2021 (arXiv 2108.13264): few runs are summed up by statistics that few of
them can shift, and never without an interval. Scores are ``[R, T]``, R runs of each of T tasks (``[R]``: one task),
normalised, so that tasks can be averaged. Every statistic reduces the last two axes, and takes any before them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy import stats

from .checks import Floats, as_floats

Statistic = Callable[..., Any]
_CHUNK = 2_000_000  # numbers that are resampled at a time


def mean(scores: Any) -> Any:
    """The mean over tasks of the mean over runs.

    Args:
        scores: [..., R, T].

    Returns:
        [...].
    """
    return np.asarray(scores, dtype=np.float64).mean(axis=(-2, -1))


def median(scores: Any) -> Any:
    """The median over tasks of the mean over runs; half of the tasks may fail and leave it as it is.

    Args:
        scores: [..., R, T].

    Returns:
        [...].
    """
    return np.median(np.asarray(scores, dtype=np.float64).mean(axis=-2), axis=-1)


def interquartile_mean(scores: Any) -> Any:
    """The mean of the middle half of all runs of all tasks.

    A quarter of the scores, rounded down, is left out at either end.

    Args:
        scores: [..., R, T].

    Returns:
        [...].
    """
    array = np.asarray(scores, dtype=np.float64)
    return stats.trim_mean(array.reshape(*array.shape[:-2], -1), 0.25, axis=-1)


def optimality_gap(scores: Any, target: float = 1.0) -> Any:
    """By how much runs fall short of a target on average; what is above it does not make up for what is below.

    Args:
        scores: [..., R, T].
        target: The score that is wanted.

    Returns:
        [...], 0 or more.
    """
    return target - mean(np.minimum(np.asarray(scores, dtype=np.float64), target))


def probability_of_improvement(first: Any, second: Any) -> Any:
    """How probable it is that a run of the first beats one of the second, on a task drawn at random.

    The mean over tasks of the share of pairs of runs in which the first is better, equal ones counted half (the
    Mann-Whitney statistic over the number of pairs).

    Args:
        first: [..., R, T].
        second: [..., Q, T]; the number of runs may differ.

    Returns:
        [...], from 0 to 1.
    """
    ours, theirs = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    ours, theirs = ours[..., :, None, :], theirs[..., None, :, :]
    return ((ours > theirs) + 0.5 * (ours == theirs)).mean(axis=(-3, -2, -1))


STATISTICS: Mapping[str, Statistic] = {
    "iqm": interquartile_mean,
    "median": median,
    "mean": mean,
    "optimality_gap": optimality_gap,
}
"""What ``aggregate_scores`` gives."""


@dataclass(frozen=True)
class Interval:
    """A statistic of the runs that there are, and where it would lie with others.

    Attributes:
        value: Of all runs as they are.
        low: The lower end of the interval; None where no task has more than one run.
        high: Its upper end.
    """

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Band:
    """A statistic at several places, each with its interval.

    Attributes:
        places: Thresholds or numbers of steps, [S].
        value: [S].
        low: [S]; None where no task has more than one run.
        high: [S].
    """

    places: Floats
    value: Floats
    low: Floats | None
    high: Floats | None


def interval(
    statistic: Statistic, *scores: Any, confidence: float = 0.95, resamples: int = 2000, seed: int = 0
) -> Interval:
    """A statistic with its stratified bootstrap interval.

    Runs are drawn again with replacement, for each task by itself (tasks are the strata), and for each set of scores
    by itself; the interval lies between percentiles of what the statistic then is.

    Args:
        statistic: Of one or several sets of scores; it reduces the last two axes, as those above do.
        *scores: Each [R, T] or [R].
        confidence: The interval's share of the resamples, above 0 and below 1.
        resamples: How often runs are drawn again.
        seed: Seeds the draws.

    Raises:
        ValueError: Scores are no finite numbers of that shape, tasks differ in number, or an option is out of range.
    """
    sets = [_as_scores(each) for each in scores]
    _check_tasks(sets)
    band = _bootstrap(lambda *drawn: np.asarray(statistic(*drawn))[..., None], sets, confidence, resamples, seed)
    value, low, high = band
    return Interval(float(value[0]), None if low is None else float(low[0]), None if high is None else float(high[0]))


def aggregate_scores(
    scores: Any, *, target: float = 1.0, confidence: float = 0.95, resamples: int = 2000, seed: int = 0
) -> dict[str, Interval]:
    """Interquartile mean, median, mean and optimality gap, each with its interval, from the same resamples.

    Args:
        scores: [R, T] or [R].
        target: Of the optimality gap.
        confidence: As in ``interval``.
        resamples: As in ``interval``.
        seed: As in ``interval``.

    Returns:
        By the names of ``STATISTICS``.

    Raises:
        ValueError: As ``interval``.
    """
    options: dict[str, Any] = {"confidence": confidence, "resamples": resamples, "seed": seed}
    found = {}
    for name, statistic in STATISTICS.items():
        given = (lambda drawn: optimality_gap(drawn, target)) if name == "optimality_gap" else statistic
        found[name] = interval(given, scores, **options)
    return found


def performance_profile(
    scores: Any,
    thresholds: Any,
    of: Literal["runs", "tasks"] = "runs",
    *,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Band:
    """The share of runs, or of tasks, whose score is above each threshold.

    Args:
        scores: [R, T] or [R].
        thresholds: [S].
        of: ``runs``: of all runs of all tasks. ``tasks``: of the mean scores of tasks, which hides how runs differ.
        confidence: As in ``interval``.
        resamples: As in ``interval``.
        seed: As in ``interval``.

    Raises:
        ValueError: As ``interval``; or ``of`` is neither.
    """
    levels = as_floats(thresholds, "thresholds", 1)
    if of not in ("runs", "tasks"):
        raise ValueError(f"a profile is of 'runs' or of 'tasks', not of {of!r}")

    def shares(drawn: Floats) -> Floats:
        compared = drawn if of == "runs" else drawn.mean(axis=-2, keepdims=True)
        return np.stack([(compared > level).mean(axis=(-2, -1)) for level in levels], axis=-1)

    return Band(levels, *_bootstrap(shares, [_as_scores(scores)], confidence, resamples, seed))


def efficiency_curve(
    scores: Any,
    steps: Any,
    statistic: Statistic = interquartile_mean,
    *,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Band:
    """A statistic after each number of steps: the sample-efficiency curve.

    A run that is drawn again is drawn with its whole curve.

    Args:
        scores: [R, T, S], or [R, S] of one task.
        steps: Numbers of steps, [S], ascending.
        statistic: Reduces the last two axes, as those above do.
        confidence: As in ``interval``.
        resamples: As in ``interval``.
        seed: As in ``interval``.

    Raises:
        ValueError: As ``interval``; or steps do not fit or do not ascend.
    """
    places, array = as_floats(steps, "steps", 1), as_floats(scores, "scores")
    array = array[:, None] if array.ndim == 2 else array
    if array.ndim != 3 or array.shape[2] != len(places):
        raise ValueError(f"scores must be [R, T, {len(places)}] for {len(places)} steps, not shape {array.shape}")
    if (np.diff(places) <= 0).any():
        raise ValueError("steps must ascend")

    def curve(drawn: Floats) -> Floats:
        return np.stack([statistic(drawn[..., place]) for place in range(len(places))], axis=-1)

    return Band(places, *_bootstrap(curve, [array], confidence, resamples, seed))


def normalised(scores: Any, random: Any, reference: Any) -> Floats:
    """Scores between two that are known: 0 is that of random play, 1 that of the reference (of a human, say).

    Args:
        scores: [R, T], or any shape whose second axis is that of tasks.
        random: [T], or one number.
        reference: [T], or one number.

    Returns:
        float64, of the shape of the scores.

    Raises:
        ValueError: Not finite, of another number of tasks, or the two known scores are the same.
    """
    array = as_floats(scores, "scores")
    shape = (1, -1, *[1] * (array.ndim - 2)) if array.ndim > 1 else (-1,)
    low, high = (
        as_floats(value, name).reshape(shape) for value, name in ((random, "random"), (reference, "reference"))
    )
    tasks = array.shape[1] if array.ndim > 1 else 1
    for name, value in (("random", low), ("reference", high)):
        if value.size not in (1, tasks):
            raise ValueError(f"{name} has {value.size} scores for {tasks} tasks")
    if (low == high).any():
        raise ValueError("the scores of random play and of the reference are the same: nothing lies between them")
    return np.asarray((array - low) / (high - low))


def _as_scores(scores: Any) -> Floats:
    array = as_floats(scores, "scores")
    array = array[:, None] if array.ndim == 1 else array
    if array.ndim != 2:
        raise ValueError(f"scores must be [R, T] (runs, tasks) or [R], not shape {array.shape}")
    return array


def _check_tasks(sets: Sequence[Floats]) -> None:
    if not sets:
        raise ValueError("an interval needs scores")
    if len({each.shape[1] for each in sets}) > 1:
        raise ValueError(f"the sets are of different numbers of tasks: {[each.shape[1] for each in sets]}")


def _bootstrap(
    statistic: Statistic, sets: Sequence[Floats], confidence: float, resamples: int, seed: int
) -> tuple[Floats, Floats | None, Floats | None]:
    """The statistic [S] of sets of scores [R, T, ...], and the ends of its intervals [S]."""
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be above 0 and below 1, got {confidence}")
    if resamples < 1:
        raise ValueError(f"resamples must be 1 or more, got {resamples}")
    value = np.asarray(statistic(*sets), dtype=np.float64)
    if all(len(each) < 2 for each in sets):
        return value, None, None
    rng = np.random.default_rng(seed)
    at_once = max(1, _CHUNK // max(each.size for each in sets))
    drawn = []
    for begin in range(0, resamples, at_once):
        count = min(at_once, resamples - begin)
        drawn.append(statistic(*(_drawn_again(each, count, rng) for each in sets)))
    tail = (1 - confidence) / 2
    low, high = np.quantile(np.concatenate(drawn), [tail, 1 - tail], axis=0)
    return value, low, high


def _drawn_again(scores: Floats, count: int, rng: np.random.Generator) -> Floats:
    """Runs drawn with replacement, each task by itself: [count, R, T, ...] of [R, T, ...]."""
    runs, tasks = scores.shape[:2]
    return np.asarray(scores[rng.integers(0, runs, (count, runs, tasks)), np.arange(tasks)])
