"""What planners give, and what they take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class Plan:
    """What to do in each of B problems.

    Attributes:
        actions: For each problem the actions in their order, [T, ...] with a length T of its own: codes int64 [T], or
            whatever the planner's actions are. None at all where nothing is left to do.
        found: Whether the actions lead to the goal, as far as the planner's tolerance goes, bool [B]. Where they do
            not, they lead as near to it as was found.
        distance: How far the code that they lead to is from the goal's, float64 [B]; NaN where there is no goal.
    """

    actions: list[NDArray[Any]]
    found: NDArray[np.bool_]
    distance: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.actions)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """The number of actions of each, int64 [B]."""
        return np.array([len(actions) for actions in self.actions], dtype=np.int64)


class Planner(Protocol):
    """Finds actions that lead from codes to goals."""

    def plan(
        self,
        latents: Tensor,
        goals: Tensor,
        *,
        within: NDArray[np.float64] | float = 1.0,
        previous: Sequence[NDArray[Any]] | None = None,
    ) -> Plan:
        """Plans from each code to its goal.

        Args:
            latents: Where the worlds stand, [B, L].
            goals: Codes to reach, [B, L].
            within: How much of the planner's tolerance counts as there, for all or for each, [B]. Who was told to do
                nothing and found that the goal is not reached asks again with less; with 0 for a plan to do something.
            previous: For each problem what an earlier plan still holds; a planner may begin with it.
        """
        ...
