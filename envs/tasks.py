"""Rewards and goals on factors: pure functions of arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from .factors import FactorSpace
from .registry import UsageError, nearest

if TYPE_CHECKING:
    from .world import World

Reward = Literal["sparse", "dense", "potential"]
Floats = NDArray[np.float64]


def factor_distances(space: FactorSpace, first: NDArray[Any], second: NDArray[Any]) -> Floats:
    """How far two states are apart, factor by factor.

    Args:
        space: The factors.
        first: [N, K].
        second: [N, K].

    Returns:
        float64 [N, K], in values of the factor: around the circle for cyclic (and circular) factors, the difference
        for ordinal and continuous ones, 0 or 1 for categorical ones.
    """
    apart: Floats = np.abs(np.subtract(first, second, dtype=np.float64))
    around, _ = space.extents
    # Around a circle there are two ways; where there is none, the other way is infinitely long.
    apart = np.minimum(apart, around - apart)
    categorical = [factor.kind == "categorical" for factor in space.factors]
    return np.where(categorical, apart > 0, apart) if any(categorical) else apart


def distance(
    space: FactorSpace, first: NDArray[Any], second: NDArray[Any], columns: Sequence[int] | None = None
) -> Floats:
    """How far two states are apart: the mean over factors of their distance as a share of the largest there is.

    On a torus this is the mean of the angles between the two places over pi.

    Args:
        space: The factors.
        first: [N, K].
        second: [N, K].
        columns: The factors that count. None: all.

    Returns:
        float64 [N], from 0 (equal) to 1.
    """
    apart, largest = factor_distances(space, first, second), space.extents[1]
    counted = range(len(space)) if columns is None else columns
    total = np.zeros(len(apart))
    for column in counted:
        total += apart[:, column] / largest[column]
    return total / len(counted)


@dataclass(frozen=True)
class GoalTask:
    """Bring the factors to those of a goal; an episode ends when they are there.

    Attributes:
        reward: ``sparse``: 1 on arrival, 0 before. ``dense``: minus the ``distance`` to the goal that is left.
            ``potential``: as ``sparse``, plus ``discount * potential(after) - potential(before)`` with minus the
            distance as potential, which does not change what is optimal (Ng, Harada and Russell 1999).
        tolerance: A state is there when every factor that counts is at most so many values away.
        factors: Names of the factors that count. None: all.
        discount: Of the potential, in (0, 1].
        shown: ``image``: the goal's picture at a third of its brightness behind that of the state, pixel by pixel the
            brighter of the two. ``observation``: observations are ``{"image": ..., "goal": ...}``. ``hidden``: only in
            ``info["goal"]``.

    Raises:
        UsageError: A value that cannot be used.
    """

    reward: Reward = "sparse"
    tolerance: float = 0.0
    factors: tuple[str, ...] | None = None
    discount: float = 1.0
    shown: Literal["image", "observation", "hidden"] = "image"

    def __post_init__(self) -> None:
        for name, value, known in (
            ("reward", self.reward, get_args(Reward)),
            ("shown", self.shown, ("image", "observation", "hidden")),
        ):
            if value not in known:
                hint = nearest(str(value), list(known))
                raise UsageError(f"goal: there is no {name} {value!r}{hint}; there are: {', '.join(known)}")
        if not isinstance(self.tolerance, int | float | np.number) or not self.tolerance >= 0:
            raise UsageError(f"goal: the tolerance must be a number, 0 or more, got {self.tolerance!r}")
        if not isinstance(self.discount, int | float | np.number) or not 0 < self.discount <= 1:
            raise UsageError(f"goal: the discount must be a number above 0 and at most 1, got {self.discount!r}")
        if self.factors is not None and (not self.factors or isinstance(self.factors, str)):
            raise UsageError(f"goal: the factors that count must be one name or more, got {self.factors!r}")

    def columns(self, space: FactorSpace) -> list[int]:
        """The columns of the factors that count.

        Raises:
            UsageError: There is no factor of that name.
        """
        names = space.names if self.factors is None else self.factors
        for name in names:
            if name not in space.names:
                raise UsageError(f"goal: there is no factor {name!r}; there are: {', '.join(space.names)}")
        return [space.names.index(name) for name in names]

    def reached(self, space: FactorSpace, factors: NDArray[Any], goals: NDArray[Any]) -> NDArray[np.bool_]:
        """Whether states [N, K] are at their goals [N, K], bool [N]."""
        apart = factor_distances(space, factors, goals)
        counted = apart if self.factors is None else apart[:, self.columns(space)]
        return np.asarray((counted <= self.tolerance).all(axis=1))

    def rewards(
        self, space: FactorSpace, before: NDArray[Any], after: NDArray[Any], goals: NDArray[Any]
    ) -> tuple[Floats, NDArray[np.bool_]]:
        """What transitions earn.

        Args:
            space: The factors.
            before: States before the actions [N, K].
            after: States after them [N, K].
            goals: [N, K].

        Returns:
            Rewards float64 [N], and whether the goal has been reached, bool [N].
        """
        reached = self.reached(space, after, goals)
        if self.reward == "sparse":
            return reached.astype(np.float64), reached
        columns = self.columns(space)
        left = distance(space, after, goals, columns)
        if self.reward == "dense":
            return -left, reached
        # The potential of the end is that of no state: 0, so that the sum over an episode does not depend on the way.
        ahead = np.where(reached, 0.0, self.discount * -left)
        return reached + ahead + distance(space, before, goals, columns), reached


def shortest_steps(world: World, task: GoalTask, starts: NDArray[Any], goals: NDArray[Any]) -> NDArray[np.int64]:
    """How many actions a goal is away, exactly: the fewest after which the task says that it is reached.

    Read off the world itself: from all states in which a goal is reached its distance spreads over those from which an
    action leads there.

    Args:
        world: A world of discrete factors and discrete actions.
        task: Says when a goal is reached.
        starts: States [N, K].
        goals: [N, K].

    Returns:
        int64 [N]; -1 where no actions lead there.

    Raises:
        UsageError: Factors or actions of the world cannot be counted, or rows are no states.
    """
    space = world.factors
    if not space.discrete or not world.actions:
        raise UsageError("shortest paths need discrete factors and discrete actions")
    begin = space.to_index(np.atleast_2d(starts))
    rows, which = np.unique(space.check(np.atleast_2d(goals)), axis=0, return_inverse=True)
    grid = space.grid()
    after = [space.to_index(world.act(grid, np.full(len(grid), code))) for code in range(len(world.actions))]
    found = np.full(len(begin), -1, dtype=np.int64)
    for number, goal in enumerate(rows):
        asked = np.flatnonzero(which.reshape(-1) == number)
        there = task.reached(space, grid, np.broadcast_to(goal, grid.shape))
        steps, known = 0, np.zeros(len(grid), dtype=bool)
        while (there & ~known).any() and (found[asked] < 0).any():
            found[asked[there[begin[asked]] & (found[asked] < 0)]] = steps
            known = there
            there = known | np.logical_or.reduce([known[move] for move in after])
            steps += 1
    return found
