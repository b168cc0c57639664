"""FlatLand's worlds of other shapes: a disc whose hue turns, a rotor, and two discs."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ..factors import Factor, FactorSpace, IntArray
from ..registry import UsageError
from ..world import WORLDS, Action
from .grid import Grid
from .stamps import StampWorld, check_whole

_FINE = 8
"""Soft edges are the mean of so many points a pixel and axis."""


class _Turning(StampWorld):
    """A mover on a torus with a third cyclic factor, which chooses among its stamps."""

    def __init__(self, world: str, grid: Grid, channels: int, third: str, period: int, stride: int) -> None:
        super().__init__(grid.size, channels)
        check_whole(world, {f"{third} period": (period, 3), f"{third} stride": (stride, 1)})
        if 2 * stride >= period:
            raise UsageError(f"{world}: {third} stride must be below half its period {period}, got {stride}")
        self.grid = grid
        places = [Factor(name, grid.period, "cyclic") for name in ("x", "y")]
        self.factors = FactorSpace([*places, Factor(third, int(period), "cyclic")])
        self._angle = 2 * math.pi * stride / period

    def _places(self, rows: IntArray) -> tuple[IntArray, IntArray]:
        return self.grid.tops(rows[:, 1])[:, None], (rows[:, 2] * self.grid.period + rows[:, 0])[:, None]

    def centre(self, factors: IntArray) -> NDArray[np.float64]:
        """Row and column of the disc's centre in pixels, float64 [N, 2].

        Raises:
            UsageError: A row is no state.
        """
        rows = np.atleast_2d(self.factors.check(factors))
        return self.grid.centre(rows[:, 0], rows[:, 1])


@WORLDS.register("flatland-hue")
class FlatLandHue(_Turning):
    """FlatLand with a coloured disc whose hue turns: Z33 x Z33 x Z12 by default.

    Hue ``h`` is the colour ``0.6 + 0.4 cos(2 pi h / hue_period - 2 pi c / 3)`` for red, green and blue (c = 0, 1, 2):
    an exact circle in the space of colours, with the same brightness everywhere. 0 is red, a third of the way round is
    green, two thirds are blue. Codes 0 to 3 are those of FlatLand; 4 turns the hue on by ``hue_stride``, 5 back.

    Args:
        period: Positions per axis.
        stride: Positions per action.
        hue_period: Hues, 3 or more.
        hue_stride: Hues per action, from 1 to below half of them.
        radius: The disc's radius in pixels.
        size: Height and width of the picture in pixels.

    Raises:
        UsageError: An option is out of its range, or the disc's range of positions does not fit into the picture.
    """

    def __init__(
        self,
        *,
        period: int = 33,
        stride: int = 5,
        hue_period: int = 12,
        hue_stride: int = 1,
        radius: int = 15,
        size: int = 64,
    ) -> None:
        grid = Grid("flatland-hue", period, stride, radius, size)
        super().__init__("flatland-hue", grid, 3, "hue", hue_period, hue_stride)
        self.actions = (
            *grid.actions(),
            Action("hue on", 2, int(hue_stride), self._angle, 5),
            Action("hue back", 2, -int(hue_stride), -self._angle, 4),
        )
        self._keep(grid.disc()[None, ..., None] * self.colours[:, None, None], grid.lefts)

    @property
    def colours(self) -> NDArray[np.uint8]:
        """The colour of each hue, uint8 [hue_period, 3]."""
        turns = np.arange(self.factors.sizes[2])[:, None] / self.factors.sizes[2] - np.arange(3) / 3
        return np.round(255 * (0.6 + 0.4 * np.cos(2 * math.pi * turns))).astype(np.uint8)


@WORLDS.register("flatland-rotor")
class FlatLandRotor(_Turning):
    """FlatLand with a disc that turns about itself: Z33 x Z33 x Z33 by default.

    The disc is white but for a dark quarter, which begins at ``2 pi orientation / turn_period``, measured
    counterclockwise from the right, and goes on counterclockwise. Codes 0 to 3 are those of FlatLand; 4 turns the disc
    counterclockwise by ``turn_stride``, 5 clockwise.

    Args:
        period: Positions per axis.
        stride: Positions per action.
        turn_period: Orientations, 3 or more.
        turn_stride: Orientations per action, from 1 to below half of them.
        radius: The disc's radius in pixels.
        size: Height and width of the picture in pixels.
        channels: Channels of the picture, all alike.

    Raises:
        UsageError: An option is out of its range, or the disc's range of positions does not fit into the picture.
    """

    def __init__(
        self,
        *,
        period: int = 33,
        stride: int = 5,
        turn_period: int = 33,
        turn_stride: int = 5,
        radius: int = 15,
        size: int = 64,
        channels: int = 1,
    ) -> None:
        check_whole("flatland-rotor", {"channels": (channels, 1)})
        grid = Grid("flatland-rotor", period, stride, radius, size)
        super().__init__("flatland-rotor", grid, int(channels), "orientation", turn_period, turn_stride)
        self.actions = (
            *grid.actions(),
            Action("turn left", 2, int(turn_stride), self._angle, 5),
            Action("turn right", 2, -int(turn_stride), -self._angle, 4),
        )
        right, up = fine_points(grid.radius)
        places = np.arctan2(up, right)[None] / (2 * math.pi) - np.arange(turn_period)[:, None, None] / turn_period
        dark = places % 1.0 < 0.25
        shares = pixels(np.where(dark, 0.3, 1.0) * (np.hypot(right, up) <= grid.radius))
        self._keep(np.repeat(shares[..., None], int(channels), axis=3), grid.lefts)


@WORLDS.register("flatland-discs")
class FlatLandDiscs(StampWorld):
    """Two discs, each on a torus of its own: a large red one and a small green one, Z9 x Z9 x Z9 x Z9 by default.

    Where they overlap the picture is yellow, so that both are always wholly visible. Places of the two are the same
    pixels. Codes 0 to 3 move the red disc as FlatLand's do, 4 to 7 the green one.

    Args:
        period: Positions per axis.
        stride: Positions per action.
        spacing: Pixels from a position to the next one.
        radius: The red disc's radius in pixels.
        small_radius: The green disc's radius in pixels, below the other.
        size: Height and width of the picture in pixels.

    Raises:
        UsageError: An option is out of its range, or the range of positions does not fit into the picture.
    """

    def __init__(
        self,
        *,
        period: int = 9,
        stride: int = 1,
        spacing: int = 5,
        radius: int = 12,
        small_radius: int = 7,
        size: int = 64,
    ) -> None:
        world = "flatland-discs"
        large = Grid(world, period, stride, radius, size, spacing)
        small = Grid(world, period, stride, small_radius, size, spacing)
        if small.radius >= large.radius:
            raise UsageError(f"{world}: the small radius must be below the radius {radius}, got {small_radius}")
        super().__init__(large.size, 3)
        self.grids = (large, small)
        self.factors = FactorSpace([Factor(name, large.period, "cyclic") for name in ("x1", "y1", "x2", "y2")])
        self.actions = large.actions(0, 1, 0, "red ") + small.actions(2, 3, 4, "green ")
        for channel, grid in enumerate(self.grids):
            stamp = np.zeros((1, 2 * grid.radius, 2 * grid.radius, 3), dtype=np.uint8)
            stamp[0, ..., channel] = 255 * grid.disc()
            self._keep(stamp, grid.lefts)

    def _places(self, rows: IntArray) -> tuple[IntArray, IntArray]:
        tops = np.stack([grid.tops(rows[:, 2 * disc + 1]) for disc, grid in enumerate(self.grids)], axis=1)
        return tops, np.ascontiguousarray(rows[:, ::2])


def fine_points(radius: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Points of a box of ``2 * radius`` pixels, several a pixel: how far right and up of its middle, [F, F] each."""
    line = (np.arange(2 * radius * _FINE) + 0.5) / _FINE - radius
    right, down = np.meshgrid(line, line)
    return right, -down


def pixels(brightness: NDArray[np.float64]) -> NDArray[np.uint8]:
    """The mean brightness (0 to 1) of each pixel's points [S, F, F], as uint8 [S, h, w]."""
    count, side = len(brightness), brightness.shape[1] // _FINE
    means = brightness.reshape(count, side, _FINE, side, _FINE).mean(axis=(2, 4))
    return np.round(255 * means).astype(np.uint8)
