"""Tasks: what many scenes are worth, and which of them are solved.

A task looks at some of the sprites, chosen by filters (distributions of factors). Where no sprite passes a filter
there is nothing to do: the reward is 0, there is no success, and the outcome says so, so that a combination of tasks
can leave it out.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..registry import UsageError
from . import scoring
from .distributions import Distribution
from .sprites import FACTORS, SHAPE


class Outcome(NamedTuple):
    """What a task says of N scenes.

    Attributes:
        reward: float64 [N].
        success: Whether it is solved, bool [N].
        applies: Whether there was anything to do, bool [N]; where not, the reward is 0 and there is no success.
    """

    reward: NDArray[np.float64]
    success: NDArray[np.bool_]
    applies: NDArray[np.bool_]


class Task(ABC):
    """Rewards and success of scenes.

    Attributes:
        filters: The distributions that choose sprites, F; None chooses all.
    """

    filters: tuple[Distribution | None, ...] = ()

    @property
    def fixed(self) -> bool:
        """Whether a sprite that is moved still passes the filters that it passed."""
        return all(chosen is None or not chosen.keys & {"x", "y"} for chosen in self.filters)

    def members(self, factors: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which sprites pass which filter.

        Args:
            factors: Scenes, float64 [N, S, 10] (columns: ``FACTORS``).

        Returns:
            bool [N, F, S]; False for empty slots.
        """
        present = factors[..., SHAPE] != 0
        passed = np.empty((len(factors), len(self.filters), factors.shape[1]), dtype=np.bool_)
        for number, chosen in enumerate(self.filters):
            passed[:, number] = present
            if chosen is not None:
                passed[:, number] &= chosen.contains({key: factors[..., FACTORS.index(key)] for key in chosen.keys})
        return passed

    @abstractmethod
    def evaluate(self, factors: NDArray[np.float64], members: NDArray[np.bool_] | None = None) -> Outcome:
        """Judges scenes.

        Args:
            factors: Scenes, float64 [N, S, 10] (columns: ``FACTORS``).
            members: What ``members`` says of them; None: it is asked.

        Returns:
            Rewards and success.
        """


class NoReward(Task):
    """Nothing to do: the reward is always 0, and there is no success."""

    def evaluate(self, factors: NDArray[np.float64], members: NDArray[np.bool_] | None = None) -> Outcome:
        n = len(factors)
        return Outcome(np.zeros(n), np.zeros(n, dtype=np.bool_), np.ones(n, dtype=np.bool_))


class FindGoalPosition(Task):
    """All sprites that pass a filter are to be brought to one place.

    Each of them is worth ``raw_reward_multiplier * (terminate_distance - distance)``, with
    ``distance = sqrt(w_x (x - goal_x)^2 + w_y (y - goal_y)^2)``, and the reward is their sum. The task is solved when
    none of them is farther away than ``terminate_distance``.

    Args:
        filter_distrib: Which sprites; None: all.
        goal_position: The place, x and y.
        terminate_distance: How near they must come.
        terminate_bonus: Added to the reward when the task is solved.
        weights_dimensions: The weights of x and y in the distance, not negative.
        sparse_reward: Whether the reward is 0 until the task is solved.
        raw_reward_multiplier: What a distance is multiplied by.

    Raises:
        UsageError: The goal or the weights are not two finite numbers, or another number is none.
    """

    def __init__(
        self,
        filter_distrib: Distribution | None = None,
        goal_position: Sequence[float] = (0.5, 0.5),
        terminate_distance: float = 0.05,
        terminate_bonus: float = 0.0,
        weights_dimensions: Sequence[float] = (1.0, 1.0),
        sparse_reward: bool = False,
        raw_reward_multiplier: float = 50.0,
    ) -> None:
        self.goal_position = _pair("goal_position", goal_position)
        self.weights_dimensions = _pair("weights_dimensions", weights_dimensions)
        if (self.weights_dimensions < 0).any():
            raise UsageError(f"weights_dimensions must not be negative, got {self.weights_dimensions.tolist()}")
        self.filters = (filter_distrib,)
        self.terminate_distance = _number("terminate_distance", terminate_distance)
        self.terminate_bonus = _number("terminate_bonus", terminate_bonus)
        self.raw_reward_multiplier = _number("raw_reward_multiplier", raw_reward_multiplier)
        self.sparse_reward = bool(sparse_reward)

    def evaluate(self, factors: NDArray[np.float64], members: NDArray[np.bool_] | None = None) -> Outcome:
        passed = self.members(factors) if members is None else members
        outcome = _blank(len(factors))
        scoring.find_goal(
            factors,
            passed[:, 0],
            self.goal_position,
            self.weights_dimensions,
            self.terminate_distance,
            self.raw_reward_multiplier,
            self.terminate_bonus,
            self.sparse_reward,
            *outcome,
        )
        return outcome


class Clustering(Task):
    """Sprites of one kind are to be brought together, apart from those of the other kinds.

    The measure is the inverse of the Davies-Bouldin index (Davies, Bouldin 1979): with ``s_i`` the mean distance of
    cluster ``i``'s sprites from their centre and ``d_ij`` the distance of two centres, ``1 / mean_i max_j (s_i + s_j) /
    d_ij``. The reward is ``(measure - termination_threshold) * reward_range / 2``, and the task is solved when the
    measure reaches the threshold. The measure lies between 0 (two centres in one place) and 100 (which stands for all
    that is better, each cluster in one point included). There is nothing to do with fewer than two clusters, or if
    none of them has two sprites.

    Args:
        cluster_distribs: The clusters: a sprite belongs to the first that contains it; sprites that none contains do
            not count.
        termination_threshold: The measure that solves the task.
        terminate_bonus: Added to the reward when the task is solved.
        sparse_reward: Whether the reward is 0 until the task is solved.
        reward_range: What the measure is multiplied by, times two.

    Raises:
        UsageError: There are fewer than two clusters, or a number is none.
    """

    def __init__(
        self,
        cluster_distribs: Sequence[Distribution],
        termination_threshold: float = 2.5,
        terminate_bonus: float = 0.0,
        sparse_reward: bool = False,
        reward_range: float = 10.0,
    ) -> None:
        if len(cluster_distribs) < 2:
            raise UsageError(f"Clustering needs two clusters or more, got {len(cluster_distribs)}")
        self.filters = tuple(cluster_distribs)
        self.termination_threshold = _number("termination_threshold", termination_threshold)
        self.terminate_bonus = _number("terminate_bonus", terminate_bonus)
        self.reward_range = _number("reward_range", reward_range)
        self.sparse_reward = bool(sparse_reward)

    def evaluate(self, factors: NDArray[np.float64], members: NDArray[np.bool_] | None = None) -> Outcome:
        passed = self.members(factors) if members is None else members
        outcome = _blank(len(factors))
        scoring.cluster(
            factors,
            passed,
            self.termination_threshold,
            self.reward_range / 2,
            self.terminate_bonus,
            self.sparse_reward,
            *outcome,
        )
        return outcome


class MetaAggregated(Task):
    """Several tasks as one. Those that have nothing to do in a scene are left out there.

    Args:
        subtasks: The tasks.
        reward_aggregator: What becomes of their rewards: ``sum``, ``max``, ``min`` or ``mean``.
        termination_criterion: Whether ``all`` of them must be solved, or ``any``.
        terminate_bonus: Added to the reward when the whole is solved.

    Raises:
        UsageError: There is no task, one of the two names is none, or the bonus is no number.
    """

    def __init__(
        self,
        subtasks: Sequence[Task],
        reward_aggregator: str = "sum",
        termination_criterion: str = "all",
        terminate_bonus: float = 0.0,
    ) -> None:
        if not subtasks:
            raise UsageError("MetaAggregated needs one task or more")
        for what, name, known in (
            ("reward_aggregator", reward_aggregator, ("sum", "max", "min", "mean")),
            ("termination_criterion", termination_criterion, ("all", "any")),
        ):
            if name not in known:
                raise UsageError(f"unknown {what} {name!r}; there are: {', '.join(known)}")
        self.subtasks = tuple(subtasks)
        self.filters = tuple(chosen for task in self.subtasks for chosen in task.filters)
        self.reward_aggregator, self.termination_criterion = reward_aggregator, termination_criterion
        self.terminate_bonus = _number("terminate_bonus", terminate_bonus)

    def evaluate(self, factors: NDArray[np.float64], members: NDArray[np.bool_] | None = None) -> Outcome:
        passed = self.members(factors) if members is None else members
        outcomes, first = [], 0
        for task in self.subtasks:
            outcomes.append(task.evaluate(factors, passed[:, first : first + len(task.filters)]))
            first += len(task.filters)
        rewards, successes, applied = (np.array(part) for part in zip(*outcomes, strict=True))
        applies: NDArray[np.bool_] = np.any(applied, axis=0)
        if self.reward_aggregator in ("sum", "mean"):
            reward = rewards.sum(axis=0)  # those that do not apply are 0
            if self.reward_aggregator == "mean":
                reward /= np.maximum(applied.sum(axis=0), 1)
        else:
            # What does not apply is put where it cannot be chosen.
            highest = self.reward_aggregator == "max"
            rewards[~applied] = -np.inf if highest else np.inf
            reward = np.where(applies, rewards.max(axis=0) if highest else rewards.min(axis=0), 0.0)
        solved = (successes | ~applied).all(axis=0) if self.termination_criterion == "all" else successes.any(axis=0)
        success: NDArray[np.bool_] = solved & applies
        return Outcome(reward + self.terminate_bonus * success, success, applies)


def _blank(n: int) -> Outcome:
    """An outcome to be filled in."""
    return Outcome(np.empty(n), np.empty(n, dtype=np.bool_), np.empty(n, dtype=np.bool_))


def _number(name: str, value: Any) -> float:
    """A finite number; UsageError where it is none."""
    if not isinstance(value, int | float | np.number) or isinstance(value, bool) or not np.isfinite(value):
        raise UsageError(f"{name} must be a finite number, got {value!r}")
    return float(value)


def _pair(name: str, values: Any) -> NDArray[np.float64]:
    """Two finite numbers, float64 [2]; UsageError where they are none."""
    try:
        pair = np.array(values, dtype=np.float64)
    except (TypeError, ValueError):
        pair = np.empty(0)
    if pair.shape != (2,) or not np.isfinite(pair).all():
        raise UsageError(f"{name} must be two finite numbers, got {values!r}")
    return pair
