"""FlatLand: a white disc that four actions carry over a torus."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from .factors import Factor, FactorSpace, IntArray
from .registry import UsageError
from .world import WORLDS, Action, World


@WORLDS.register("flatland")
class FlatLand(World):
    """A disc on an exact torus, always wholly visible: at an edge it is carried to the other side.

    By default the set that symmetry-based representation learning was first tried on (Caselles-Dupré et al. 2019,
    arXiv 1904.00243): positions Z33 x Z33, steps of 5, so that an action is a rotation by ``2 pi 5 / 33``, and a disc
    of 688 pixels in a picture of 64 x 64.

    | code | action | effect in the picture | inverse |
    |------|--------|-----------------------|---------|
    | 0    | y - stride | the disc moves down  | 2 |
    | 1    | x - stride | the disc moves left  | 3 |
    | 2    | y + stride | the disc moves up    | 0 |
    | 3    | x + stride | the disc moves right | 1 |

    Args:
        period: Positions per axis, 3 or more.
        stride: Positions per action, from 1 to below half the period (a longer one is a shorter one backwards).
        radius: The disc's radius in pixels; its box is ``2 * radius`` wide.
        size: Height and width of the picture in pixels.
        channels: Channels of the picture, all alike.

    Raises:
        UsageError: An option is out of its range, or the disc's range of positions does not fit into the picture.
    """

    def __init__(
        self, *, period: int = 33, stride: int = 5, radius: int = 15, size: int = 64, channels: int = 1
    ) -> None:
        for name, value, least in (
            ("period", period, 3),
            ("stride", stride, 1),
            ("radius", radius, 1),
            ("image size", size, 1),
            ("channels", channels, 1),
        ):
            if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < least:
                raise UsageError(f"flatland: {name} must be a whole number, {least} or more, got {value!r}")
        if 2 * stride >= period:
            raise UsageError(f"flatland: stride must be below half the period {period}, got {stride}")
        needed = 2 * radius + period - 1
        if size < needed:
            raise UsageError(
                f"flatland: a disc of radius {radius} with {period} positions needs a picture of {needed} pixels"
                f" or more, got {size}"
            )
        self.period, self.stride, self.radius = int(period), int(stride), int(radius)
        self.margin = (int(size) - needed) // 2
        self.image_shape = (int(size), int(size), int(channels))
        self.factors = FactorSpace([Factor("x", self.period, "cyclic"), Factor("y", self.period, "cyclic")])
        angle = 2 * math.pi * self.stride / self.period
        self.actions = (
            Action("down", 1, -self.stride, -angle, 2),
            Action("left", 0, -self.stride, -angle, 3),
            Action("up", 1, self.stride, angle, 0),
            Action("right", 0, self.stride, angle, 1),
        )
        # A quarter of a pixel less than the radius gives the very pixels of the original's drawing at radius 15.
        distance = np.arange(2 * self.radius) - (self.radius - 0.5)
        self._rows, self._columns = np.nonzero(distance[:, None] ** 2 + distance**2 <= (self.radius - 0.25) ** 2)

    def render(self, factors: IntArray) -> NDArray[np.uint8]:
        """Pictures of states, 0 (black) and 255 (white).

        Args:
            factors: x and y, int64 [N, 2].

        Returns:
            uint8 [N, H, W, C].

        Raises:
            UsageError: A row is no state.
        """
        top, left = self._corner(factors)
        height, width, channels = self.image_shape
        images = np.zeros((len(top), height, width, channels), dtype=np.uint8)
        images[np.arange(len(top))[:, None], top[:, None] + self._rows, left[:, None] + self._columns] = 255
        return images

    def centre(self, factors: IntArray) -> NDArray[np.float64]:
        """Where the disc's centre is.

        Args:
            factors: x and y, int64 [N, 2].

        Returns:
            Row and column in pixels, float64 [N, 2]; between two pixels, as the disc is an even number wide.

        Raises:
            UsageError: A row is no state.
        """
        corner = np.stack(self._corner(factors), axis=1).astype(np.float64)
        return corner + (self.radius - 0.5)

    def _corner(self, factors: IntArray) -> tuple[IntArray, IntArray]:
        """The top row and the left column of the disc's box, int64 [N] each. The row falls as y grows."""
        rows = np.atleast_2d(self.factors.check(factors))
        return self.margin + (self.period - 1 - rows[:, 1]), self.margin + rows[:, 0]
