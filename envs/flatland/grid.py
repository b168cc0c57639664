"""Where a disc can stand: a square grid of places in the picture, and the actions that carry it over them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..factors import IntArray
from ..registry import UsageError
from ..world import Action
from .stamps import check_whole


class Grid:
    """``period`` places an axis for a disc, ``spacing`` pixels apart, in the middle of a square picture.

    Args:
        world: The world's name, for messages.
        period: Places per axis, 3 or more.
        stride: Places per action, from 1 to below half the period (a longer one is a shorter one backwards).
        radius: The disc's radius in pixels; its box is ``2 * radius`` wide.
        size: Height and width of the picture in pixels.
        spacing: Pixels from a place to the next one.

    Attributes:
        lefts: The left column of the disc's box at each place, int64 [period].

    Raises:
        UsageError: A number is out of its range, or the places do not fit into the picture.
    """

    def __init__(self, world: str, period: Any, stride: Any, radius: Any, size: Any, spacing: Any = 1) -> None:
        numbers = {"period": (period, 3), "stride": (stride, 1), "radius": (radius, 1), "image size": (size, 1)}
        check_whole(world, {**numbers, "spacing": (spacing, 1)})
        if 2 * stride >= period:
            raise UsageError(f"{world}: stride must be below half the period {period}, got {stride}")
        needed = 2 * radius + spacing * (period - 1)
        if size < needed:
            raise UsageError(
                f"{world}: a disc of radius {radius} with {period} positions needs a picture of {needed} pixels"
                f" or more, got {size}"
            )
        self.period, self.stride, self.radius = int(period), int(stride), int(radius)
        self.size, self.spacing = int(size), int(spacing)
        self.margin = (self.size - needed) // 2
        self.lefts = self.margin + self.spacing * np.arange(self.period)

    @property
    def angle(self) -> float:
        """The rotation that an action stands for, in radians."""
        return 2 * math.pi * self.stride / self.period

    def tops(self, y: IntArray) -> IntArray:
        """The top row of the disc's box; it falls as y grows."""
        rows: IntArray = self.margin + self.spacing * (self.period - 1 - y)
        return rows

    def actions(self, x: int = 0, y: int = 1, first: int = 0, which: str = "") -> tuple[Action, ...]:
        """Down, left, up and right.

        Args:
            x: The column of the factor along the rows.
            y: The column of the other one.
            first: The code of the first of the four.
            which: Goes before their names.
        """
        return (
            Action(f"{which}down", y, -self.stride, -self.angle, first + 2),
            Action(f"{which}left", x, -self.stride, -self.angle, first + 3),
            Action(f"{which}up", y, self.stride, self.angle, first),
            Action(f"{which}right", x, self.stride, self.angle, first + 1),
        )

    def disc(self) -> NDArray[np.bool_]:
        """The disc in its box, bool [2 * radius, 2 * radius]."""
        distance = np.arange(2 * self.radius) - (self.radius - 0.5)
        # A quarter of a pixel less than the radius gives the very pixels of the original's drawing at radius 15.
        inside: NDArray[np.bool_] = distance[:, None] ** 2 + distance**2 <= (self.radius - 0.25) ** 2
        return inside

    def centre(self, x: IntArray, y: IntArray) -> NDArray[np.float64]:
        """Row and column of the disc's centre, float64 [N, 2]; between two pixels, as its box has an even width."""
        corner = np.stack([self.tops(y), self.lefts[x]], axis=1).astype(np.float64)
        return corner + (self.radius - 0.5)
