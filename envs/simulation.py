"""What an environment runs: many copies of one world that step together, each with its own source of randomness."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from .factors import FactorSpace
from .registry import UsageError

BUFFERS = 2
"""Observations alternate between so many buffers: one stays as it is until the step after the next."""


class Simulation(ABC):
    """``num_envs`` copies of a world, stepped and drawn as arrays.

    The scalar environment is a simulation of one copy, and the vector environment one of many, so that both are the
    same by construction. A copy draws its random numbers from its own generator alone, in an order that does not
    depend on the other copies.

    Attributes:
        num_envs: Copies N.
        observation_space: Of one copy: a ``Box``, as a rule uint8 [H, W, C], or a ``Dict`` of such.
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
            0 and False for copies that did not move. New arrays at every call.

        Raises:
            UsageError: An action of a copy that moves is none of the space; then no copy has moved.
        """

    @abstractmethod
    def draw(self, out: Any, buffer: int) -> None:
        """Draws what is observed of all copies into ``out``.

        Args:
            out: One of the ``BUFFERS`` arrays [N, ...] that observations alternate between (a dict of them if the
                observation space is a ``Dict``), zeros at first. Nobody else writes into it: what was drawn there
                before may be relied upon, and only what has changed needs to be drawn.
            buffer: Which one it is, from 0 up. A buffer may be drawn several times in a row, or never.
        """

    @abstractmethod
    def factors(self) -> NDArray[Any]:
        """Factors of all copies, int64 or float64 [N, K], as a new array."""

    def columns(self) -> FactorSpace:
        """What the columns of ``factors`` are: their kinds and ranges.

        Those of the world behind it, unless overridden.

        Raises:
            UsageError: It is not known.
        """
        if self.world is None or self.world.factors.names != self.factor_names:
            raise UsageError(f"the ranges of the factors of {type(self).__name__} are not known")
        space: FactorSpace = self.world.factors
        return space

    def info(self) -> dict[str, NDArray[Any]]:
        """What else is told of every copy at every reset and step, by name, each [N, ...]: the same names always."""
        return {}

    def frame(self, row: int, observation: Any) -> NDArray[np.uint8]:
        """The picture of a copy for people, uint8 [H, W, 3]; the image of the observation unless overridden.

        Args:
            row: The copy.
            observation: What is observed of it.

        Raises:
            UsageError: The observation holds no image.
        """
        parts = observation.values() if isinstance(observation, Mapping) else (observation,)
        for part in map(np.asarray, parts):
            if part.dtype == np.uint8 and part.ndim == 3 and part.shape[2] in (1, 3):
                return np.repeat(part, 3, axis=2) if part.shape[2] == 1 else part.copy()
        raise UsageError("there is no image in the observation that could be rendered")

    @abstractmethod
    def get_state(self, row: int) -> dict[str, Any]:
        """All that ``set_state`` needs to go on bit by bit from here, as plain arrays, numbers, bytes and text.

        The copy's generator is not part of it: the environment, which made it, saves and restores it.
        """

    @abstractmethod
    def set_state(self, row: int, state: Mapping[str, Any]) -> None:
        """Puts a copy into a state that ``get_state`` gave, here or in another simulation made alike.

        The copy has been reset before, and keeps the generator that it was given then.
        """

    def close(self) -> None:  # noqa: B027
        """Lets go of what is held. May be called twice."""


def check_copies(num_envs: Any) -> int:
    """The number of copies, refused (UsageError) where it is no whole number of 1 or more."""
    if not isinstance(num_envs, int | np.integer) or isinstance(num_envs, bool) or num_envs < 1:
        raise UsageError(f"the number of environments must be a whole number, 1 or more, got {num_envs!r}")
    return int(num_envs)


def discrete_actions(
    actions: Any, space: spaces.Discrete, num_envs: int, rows: NDArray[np.int64] | None = None
) -> NDArray[np.int64]:
    """A batch of actions of a ``Discrete`` space, checked.

    Args:
        actions: Whole numbers [N].
        space: The space of one action.
        num_envs: Copies N.
        rows: The copies that move, whose actions alone are looked at. None: all.

    Returns:
        int64 [N]; 0 in place of an action that is not looked at and none of the space.

    Raises:
        UsageError: The shape or the type is wrong, or an action is none of the space.
    """
    given = _as_array(actions)
    if given.shape != (num_envs,) or given.dtype.kind not in "iu":
        what = f"{given[0]}" if given.shape == (1,) == (num_envs,) else f"{given.dtype} {list(given.shape)}"
        raise UsageError(f"actions must be whole numbers [{num_envs}], one for each copy, got {what}")
    codes = given.astype(np.int64, copy=False) - int(space.start)
    # Unsigned, a negative number is a large one: a single comparison finds both.
    wrong = codes.view(np.uint64) >= int(space.n)
    if wrong.any():
        looked_at = wrong if rows is None else wrong[rows]
        if looked_at.any():
            first = given[wrong][0] if rows is None else given[rows][looked_at][0]
            last = int(space.start) + int(space.n) - 1
            raise UsageError(f"there is no action {first}; actions are {int(space.start)} to {last}")
        codes = np.where(wrong, 0, codes)
    return codes


def box_actions(
    actions: Any, space: spaces.Box, num_envs: int, rows: NDArray[np.int64] | None = None
) -> NDArray[np.float64]:
    """A batch of actions of a ``Box`` space, checked; numbers outside its bounds are brought back to them.

    Args:
        actions: Numbers [N, ...].
        space: The space of one action.
        num_envs: Copies N.
        rows: The copies that move, whose actions alone are looked at. None: all.

    Returns:
        float64 [N, ...]; 0 in place of a number that is not looked at and not finite.

    Raises:
        UsageError: The shape or the type is wrong, or a number is not finite.
    """
    given = _as_array(actions)
    if given.shape != (num_envs, *space.shape) or given.dtype.kind not in "iuf":
        wanted = [num_envs, *space.shape]
        raise UsageError(f"actions must be numbers {wanted}, got {given.dtype} {list(given.shape)}")
    numbers = given.astype(np.float64)
    strange = ~np.isfinite(numbers)
    if strange.any():
        if (strange if rows is None else strange[rows]).any():
            raise UsageError("actions must be finite numbers, got nan or infinity")
        numbers[strange] = 0.0
    clipped: NDArray[np.float64] = np.clip(numbers, space.low, space.high)
    return clipped


def _as_array(actions: Any) -> NDArray[Any]:
    try:
        return np.asarray(actions)
    except ValueError as error:
        raise UsageError("actions must be one array, got rows of different shapes") from error
