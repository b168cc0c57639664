"""FlatLand with continuous places and actions: SO(2) on each axis."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import ArrayLike, NDArray

from ..factors import Factor, FactorSpace
from ..registry import UsageError
from ..world import WORLDS, World
from .stamps import check_whole


@WORLDS.register("flatland-continuous")
class FlatLandContinuous(World):
    """A disc on a torus, anywhere on it, moved by any amount: SO(2) x SO(2).

    The disc's edges are soft, so that its place can be read off the picture to a fraction of a pixel. As in FlatLand
    it is always wholly visible, and carried to the other side at an edge. An action is two numbers in [-1, 1], for
    x and y: they move the disc by so many strides.

    Args:
        period: Circumference of each axis in pixels, above 0.
        stride: Pixels that an action of 1 moves the disc by, above 0 and below half the period.
        radius: The disc's radius in pixels, above 0.
        size: Height and width of the picture in pixels; at least ``period + 2 * radius``.
        channels: Channels of the picture, all alike.

    Raises:
        UsageError: An option is out of its range, or the disc's range of places does not fit into the picture.
    """

    def __init__(
        self, *, period: float = 33.0, stride: float = 5.0, radius: float = 15.0, size: int = 64, channels: int = 1
    ) -> None:
        world = "flatland-continuous"
        check_whole(world, {"image size": (size, 1), "channels": (channels, 1)})
        for name, value in (("period", period), ("stride", stride), ("radius", radius)):
            if not isinstance(value, int | float | np.number) or isinstance(value, bool) or not 0 < value < math.inf:
                raise UsageError(f"{world}: {name} must be a number above 0, got {value!r}")
        if 2 * stride >= period:
            raise UsageError(f"{world}: stride must be below half the period {period}, got {stride}")
        if size < period + 2 * radius:
            raise UsageError(
                f"{world}: radius {radius} and period {period} need a picture of {period + 2 * radius} pixels or more,"
                f" got {size}"
            )
        self.period, self.stride, self.radius = float(period), float(stride), float(radius)
        self.image_shape = (int(size), int(size), int(channels))
        self.factors = FactorSpace(
            [Factor(name, None, "continuous", 0.0, self.period, circular=True) for name in ("x", "y")]
        )
        self.actions = ()

    @property
    def action_space(self) -> spaces.Space[Any]:
        return spaces.Box(-1.0, 1.0, (2,), np.float32)

    def act(self, factors: NDArray[Any], actions: NDArray[Any]) -> NDArray[Any]:
        """The states after one action each; a pure function.

        Args:
            factors: float64 [N, 2].
            actions: Numbers in [-1, 1], float [N, 2].

        Returns:
            float64 [N, 2].

        Raises:
            UsageError: A row is no state, a number is out of its range, or the shapes do not belong together.
        """
        rows, moves = self.factors.check(factors), self._check_actions(actions)
        if rows.shape != moves.shape:
            raise UsageError(f"{list(rows.shape)} factors and {list(moves.shape)} actions do not belong together")
        moved = (rows + self.stride * moves) % self.period
        # The remainder of a tiny negative number is rounded up to the period itself, which is 0.
        after: NDArray[np.float64] = np.where(moved < self.period, moved, 0.0)
        return after

    def angles(self, actions: ArrayLike) -> NDArray[np.float64]:
        """The rotation on each axis that an action stands for, in radians, signed.

        Args:
            actions: Numbers in [-1, 1], [N, 2].

        Returns:
            float64 [N, 2].

        Raises:
            UsageError: A number is out of its range.
        """
        return 2 * math.pi * self.stride / self.period * self._check_actions(actions)

    def _check_actions(self, actions: ArrayLike) -> NDArray[np.float64]:
        moves = np.asarray(actions, dtype=np.float64)
        if not (np.abs(moves) <= 1).all():
            raise UsageError("flatland-continuous: actions are numbers from -1 to 1, one for x and one for y")
        return moves

    def centre(self, factors: NDArray[Any]) -> NDArray[np.float64]:
        """Where the disc's centre is.

        Args:
            factors: x and y, float64 [N, 2].

        Returns:
            Row and column in pixels, float64 [N, 2]; the middle of the first pixel is 0.

        Raises:
            UsageError: A row is no state.
        """
        rows = np.atleast_2d(self.factors.check(factors))
        first = (self.image_shape[0] - self.period) / 2 - 0.5
        return np.stack([first + (self.period - rows[:, 1]), first + rows[:, 0]], axis=1)

    def render(self, factors: NDArray[Any]) -> NDArray[np.uint8]:
        """Pictures of states.

        Args:
            factors: float64 [N, 2].

        Returns:
            uint8 [N, H, W, C]; a pixel is as bright as the share of it that the disc covers, about.

        Raises:
            UsageError: A row is no state.
        """
        places = self.centre(factors)
        images = np.zeros((len(places), *self.image_shape), dtype=np.uint8)
        self._move_discs(images, np.full_like(places, np.nan), places, np.ones(len(places), dtype=bool))
        return images

    def redraw(self, images: NDArray[np.uint8], shown: NDArray[Any], factors: NDArray[Any]) -> None:
        moved = (shown != factors).any(axis=1)
        self._move_discs(images, self.centre(shown), self.centre(factors), moved)

    def _move_discs(
        self, images: NDArray[np.uint8], old: NDArray[np.float64], new: NDArray[np.float64], moved: NDArray[np.bool_]
    ) -> None:
        from .kernels import move_discs

        height, width, channels = self.image_shape
        pictures = images.reshape(len(images), height, width * channels)
        columns = np.repeat(np.arange(width, dtype=np.float32), channels)
        move_discs(pictures, columns, moved, old, new, self.radius)
