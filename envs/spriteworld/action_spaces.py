"""What an agent can do: point at a sprite and push it, drag it, or walk around and carry it.

An action space turns actions into motions and moves the sprites of many scenes. Numbers in the arena are those of the
sprites: [0, 1] from left to right and from bottom to top.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from ..registry import UsageError
from ..simulation import box_actions
from .rasterise import topmost

Floats = NDArray[np.float64]

DIRECTIONS = np.array([[0.0, 1.0], [-1.0, 0.0], [0.0, -1.0], [1.0, 0.0]])
"""Where the second part of an ``Embodied`` action leads: up, left, down, right."""


@dataclass(frozen=True)
class ActionSpace(ABC):
    """What an agent can do in a scene.

    Args:
        motion_cost: What a motion costs, by its length.
        noise_scale: The standard deviation of normal noise, in the arena's units.

    Raises:
        UsageError: A number is negative or not finite.
    """

    motion_cost: float = 0.0
    noise_scale: float = 0.0

    def __post_init__(self) -> None:
        for name in ("motion_cost", "noise_scale"):
            if not _finite(getattr(self, name)) or getattr(self, name) < 0:
                raise UsageError(f"{name} must be a number, 0 or more, got {getattr(self, name)!r}")

    @property
    @abstractmethod
    def space(self) -> spaces.Space[Any]:
        """The actions, as Gymnasium describes them."""

    @abstractmethod
    def check(self, actions: Any, num_envs: int, rows: NDArray[np.int64] | None = None) -> NDArray[Any]:
        """Actions as an array that ``step`` takes.

        Args:
            actions: One for each scene, [N, ...].
            num_envs: Scenes N.
            rows: Which of them are looked at, int64 [R]. None: all.

        Raises:
            UsageError: The shape is another, or one of the actions is none of the space.
        """

    @abstractmethod
    def step(
        self,
        factors: Floats,
        counts: NDArray[np.int64],
        actions: NDArray[Any],
        rows: NDArray[np.int64],
        rngs: Sequence[np.random.Generator],
        keep_in_frame: bool,
    ) -> Floats:
        """Carries out one action in each of some scenes.

        Args:
            factors: Scenes, float64 [N, S, 10]; the sprites that move are moved in this array.
            counts: How many sprites each scene has, int64 [N].
            actions: What ``check`` gave, [N, ...].
            rows: The scenes, int64 [R].
            rngs: A source of randomness for each of these, [R].
            keep_in_frame: Whether a centre stops at the edge of the arena.

        Returns:
            Rewards (the costs, negative), float64 [R].
        """


@dataclass(frozen=True)
class _Pointer(ActionSpace):
    """What ``SelectMove`` and ``DragAndDrop`` have in common: four numbers, of which the first two choose a sprite.

    Args:
        motion_cost: What a motion costs, by its length; whether or not a sprite is moved.
        noise_scale: The standard deviation of normal noise, in the arena's units. What leaves the arena is put back to
            its edge.
        scale: What the motion is multiplied by.
        noise_on: Where the noise is added: to ``all`` four numbers, or to the two of the ``motion``.
        symmetric: Whether actions are given in [-1, 1], which learners prefer, and mapped to the arena by
            ``(a + 1) / 2``; otherwise in [0, 1].
    """

    scale: float = 1.0
    noise_on: str = "all"
    symmetric: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if not _finite(self.scale):
            raise UsageError(f"scale must be a finite number, got {self.scale!r}")
        if self.noise_on not in ("all", "motion"):
            raise UsageError(f"unknown noise_on {self.noise_on!r}; there are: all, motion")

    @cached_property
    def space(self) -> spaces.Box:
        """Box of four numbers: where to point, and the motion."""
        return spaces.Box(-1.0 if self.symmetric else 0.0, 1.0, (4,), np.float32)

    def check(self, actions: Any, num_envs: int, rows: NDArray[np.int64] | None = None) -> Floats:
        return box_actions(actions, self.space, num_envs, rows)

    def step(
        self,
        factors: Floats,
        counts: NDArray[np.int64],
        actions: NDArray[Any],
        rows: NDArray[np.int64],
        rngs: Sequence[np.random.Generator],
        keep_in_frame: bool,
    ) -> Floats:
        points = actions[rows]
        if self.symmetric:
            points = (points + 1.0) / 2.0
        if self.noise_scale:
            first = 0 if self.noise_on == "all" else 2
            for point, rng in zip(points, rngs, strict=True):
                point[first:] += rng.normal(0.0, self.noise_scale, 4 - first)
            points = np.clip(points, 0.0, 1.0)
        motion = self._motion(points)
        chosen = topmost(_some(factors, rows), points[:, :2], counts[rows])
        hit = np.flatnonzero(chosen >= 0)
        _move(factors, rows[hit], chosen[hit], motion[hit], keep_in_frame)
        return -self.motion_cost * np.hypot(motion[:, 0], motion[:, 1])

    @abstractmethod
    def _motion(self, points: Floats) -> Floats:
        """The motions [R, 2] that four numbers in [0, 1] mean."""


@dataclass(frozen=True)
class SelectMove(_Pointer):
    """Points at a place and gives a motion: the top-most sprite there moves by ``(a[2:] - 0.5) * scale``.

    Here ``a`` is the action in the arena's units, [0, 1]. The arguments are those of both pointing action spaces.

    Args:
        motion_cost: What a motion costs, by its length; whether or not a sprite is moved.
        noise_scale: The standard deviation of normal noise, in the arena's units. What leaves the arena is put back to
            its edge.
        scale: What the motion is multiplied by.
        noise_on: Where the noise is added: to ``all`` four numbers, or to the two of the ``motion``.
        symmetric: Whether actions are given in [-1, 1], which learners prefer, and mapped to the arena by
            ``(a + 1) / 2``; otherwise in [0, 1].
    """

    def _motion(self, points: Floats) -> Floats:
        return (points[:, 2:] - 0.5) * self.scale


@dataclass(frozen=True)
class DragAndDrop(_Pointer):
    """Points at two places: the top-most sprite at the first moves by ``(a[2:] - a[:2]) * scale`` towards the second.

    Here ``a`` is the action in the arena's units, [0, 1]. The arguments are those of ``SelectMove``.
    """

    def _motion(self, points: Floats) -> Floats:
        return (points[:, 2:] - points[:, :2]) * self.scale


@dataclass(frozen=True)
class Embodied(ActionSpace):
    """Walks: the front-most sprite is the agent's body, which moves one step up, left, down or right.

    An action is two numbers: whether to carry (0, 1), and where to (``DIRECTIONS``). Who carries takes the top-most
    other sprite that contains the body's centre along.

    Args:
        motion_cost: What a step costs, by its length.
        noise_scale: The standard deviation of normal noise that is added to the two components of the motion.
        step_size: The length of a step.
    """

    step_size: float = 0.05

    def __post_init__(self) -> None:
        super().__post_init__()
        if not _finite(self.step_size) or self.step_size < 0:
            raise UsageError(f"step_size must be a number, 0 or more, got {self.step_size!r}")

    @cached_property
    def space(self) -> spaces.MultiDiscrete:
        """Whether to carry, and where to."""
        return spaces.MultiDiscrete([2, len(DIRECTIONS)])

    def check(self, actions: Any, num_envs: int, rows: NDArray[np.int64] | None = None) -> NDArray[np.int64]:
        given = np.asarray(actions)
        if given.shape != (num_envs, 2) or given.dtype.kind not in "iu":
            raise UsageError(f"actions must be whole numbers [{num_envs}, 2], got {given.dtype} {list(given.shape)}")
        wrong: NDArray[np.bool_] = np.any((given < 0) | (given >= self.space.nvec), axis=1)
        looked_at = wrong if rows is None else wrong[rows]
        if looked_at.any():
            first = (given if rows is None else given[rows])[looked_at][0].tolist()
            raise UsageError(f"there is no action {first}; actions are [0 or 1, 0 to {len(DIRECTIONS) - 1}]")
        return np.where(wrong[:, None], 0, given).astype(np.int64)

    def step(
        self,
        factors: Floats,
        counts: NDArray[np.int64],
        actions: NDArray[Any],
        rows: NDArray[np.int64],
        rngs: Sequence[np.random.Generator],
        keep_in_frame: bool,
    ) -> Floats:
        motion = self.step_size * DIRECTIONS[actions[rows, 1]]
        if self.noise_scale:
            for row, rng in zip(motion, rngs, strict=True):
                row += rng.normal(0.0, self.noise_scale, 2)
        body = counts[rows] - 1
        centre = factors[rows, body, :2]
        carried = topmost(_some(factors, rows), centre, np.maximum(body, 0))
        lifted = np.flatnonzero((carried >= 0) & (actions[rows, 0] == 1))
        _move(factors, rows[lifted], carried[lifted], motion[lifted], keep_in_frame)
        there = np.flatnonzero(body >= 0)
        _move(factors, rows[there], body[there], motion[there], keep_in_frame)
        return np.full(len(rows), -self.motion_cost * self.step_size)


def _finite(value: Any) -> bool:
    """Whether it is a finite number."""
    return isinstance(value, int | float | np.number) and not isinstance(value, bool) and bool(np.isfinite(value))


def _some(factors: Floats, rows: NDArray[np.int64]) -> Floats:
    """Some scenes; no copy where they are all of them."""
    return factors if np.array_equal(rows, np.arange(len(factors))) else factors[rows]


def _move(factors: Floats, rows: NDArray[np.int64], slots: NDArray[np.int64], motion: Floats, keep: bool) -> None:
    """Moves one sprite in each of some scenes."""
    if len(rows):
        moved = factors[rows, slots, :2] + motion
        factors[rows, slots, :2] = np.clip(moved, 0.0, 1.0) if keep else moved
