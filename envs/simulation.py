"""What an environment runs: many copies of one world that step together, each with its own source of randomness."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

BUFFERS = 2
"""Observations alternate between so many buffers: one stays as it is until the step after the next."""


class Simulation(ABC):
    """``num_envs`` copies of a world, stepped and drawn as arrays.

    The scalar environment is a simulation of one copy, and the vector environment one of many, so that both are the
    same by construction. A copy draws its random numbers from its own generator alone, in an order that does not
    depend on the other copies.

    Attributes:
        num_envs: Copies N.
        observation_space: Of one copy: uint8 [H, W, C], or a ``Dict`` of arrays.
        action_space: Of one copy.
        factor_names: Of the columns of ``factors``.
        world: The pure world behind it, where there is one.
    """

    num_envs: int
    observation_space: spaces.Space[Any]
    action_space: spaces.Space[Any]
    factor_names: tuple[str, ...]
    world: Any = None

    @abstractmethod
    def reset(self, rows: NDArray[np.int64], rngs: Sequence[np.random.Generator], options: Mapping[str, Any]) -> None:
        """Begins an episode in some copies, and leaves the others alone.

        Args:
            rows: The copies, int64 [R].
            rngs: A generator for each of these copies [R]; the copy keeps it for its steps.
            options: What ``reset(options=)`` was given; ``{"factors": ...}`` [K] or [R, K] sets the state.

        Raises:
            UsageError: An unknown option, or factors that are no state.
        """

    @abstractmethod
    def step(
        self, actions: Any, rows: NDArray[np.int64] | None = None
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Moves some copies by one action each.

        Args:
            actions: A batch of actions for all N copies; those of copies that do not move are not read.
            rows: The copies that move, int64 [R]. None: all.

        Returns:
            Rewards, float64 [N], and whether each has come to an end of its own (a time limit is none), bool [N];
            0 and False for copies that did not move.

        Raises:
            UsageError: An action of a copy that moves is none of the space.
        """

    @abstractmethod
    def draw(self, out: NDArray[np.uint8], buffer: int) -> None:
        """Draws the current state of all copies into ``out`` [N, H, W, C].

        Args:
            out: One of the ``BUFFERS`` arrays that observations alternate between. Nobody else writes into it: what
                was drawn there before may be relied upon, and only what has changed needs to be drawn.
            buffer: Which one it is.
        """

    @abstractmethod
    def factors(self) -> NDArray[Any]:
        """Factors of all copies, int64 or float64 [N, K], as a new array."""

    def info(self) -> dict[str, NDArray[Any]]:
        """What else is told of every copy at every reset and step, by name, each [N, ...]: the same names always."""
        return {}

    @abstractmethod
    def get_state(self, row: int) -> dict[str, Any]:
        """All that ``set_state`` needs to go on bit by bit from here, as plain arrays, numbers, bytes and text."""

    @abstractmethod
    def set_state(self, row: int, state: Mapping[str, Any]) -> None:
        """Puts a copy into a state that ``get_state`` gave, its source of randomness included."""

    def close(self) -> None:
        """Lets go of what is held. May be called twice."""
