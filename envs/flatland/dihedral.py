"""A shape that can be turned and mirrored: the smallest world whose actions do not commute."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ..factors import Factor, FactorSpace, IntArray
from ..registry import UsageError
from ..world import WORLDS, Action
from .shapes import fine_points, pixels
from .stamps import StampWorld, check_whole

# The letter F as three bars: left, right, bottom and top of each, as shares of the radius. Nothing but doing nothing
# leaves it as it is.
_LETTER = ((-0.5, -0.2, -0.8, 0.8), (-0.5, 0.6, 0.5, 0.8), (-0.5, 0.35, -0.1, 0.2))


@WORLDS.register("flatland-dihedral")
class FlatLandDihedral(StampWorld):
    """A letter F in the middle of the picture, which is turned and mirrored: the dihedral group of 72 elements.

    A state is what has been done to the letter: mirrored ``mirror`` times (0 or 1) left to right, and then turned
    counterclockwise by ``2 pi orientation / period``. Actions act on the picture:

    | code | action | orientation, mirror | inverse |
    |------|--------|---------------------|---------|
    | 0    | turn left: the picture is turned counterclockwise | orientation + stride | 1 |
    | 1    | turn right: clockwise | orientation - stride | 0 |
    | 2    | reflect: the picture is mirrored left to right | -orientation, 1 - mirror | 2 |

    They do not commute: reflecting and then turning left is turning right and then reflecting. There is one state for
    each element of the group; ``matrices`` are its plainest faithful representation.

    Args:
        period: Orientations, 3 or more.
        stride: Orientations per turn, from 1 to below half of them.
        radius: Half the side of the letter's box, in pixels; the letter stays inside its circle.
        size: Height and width of the picture in pixels; the box must fit.
        channels: Channels of the picture, all alike.

    Attributes:
        matrices: What each action does to points of the plane (right, up), float64 [3, 2, 2].

    Raises:
        UsageError: An option is out of its range, or the box does not fit into the picture.
    """

    commutes = False

    def __init__(
        self, *, period: int = 36, stride: int = 5, radius: int = 32, size: int = 64, channels: int = 1
    ) -> None:
        world = "flatland-dihedral"
        numbers = {"period": (period, 3), "stride": (stride, 1), "radius": (radius, 1), "image size": (size, 1)}
        check_whole(world, {**numbers, "channels": (channels, 1)})
        if 2 * stride >= period:
            raise UsageError(f"{world}: stride must be below half the period {period}, got {stride}")
        if size < 2 * radius:
            raise UsageError(f"{world}: radius {radius} needs a picture of {2 * radius} pixels or more, got {size}")
        super().__init__(int(size), int(channels))
        self.period, self.stride = int(period), int(stride)
        self.factors = FactorSpace([Factor("orientation", self.period, "cyclic"), Factor("mirror", 2, "categorical")])
        angle = 2 * math.pi * self.stride / self.period
        self.actions = (
            Action("turn left", 0, self.stride, angle, 1),
            Action("turn right", 0, -self.stride, -angle, 0),
            Action("reflect", 1, 1, 0.0, 2),
        )
        cos, sin = math.cos(angle), math.sin(angle)
        self.matrices = np.array([[[cos, -sin], [sin, cos]], [[cos, sin], [-sin, cos]], [[-1.0, 0.0], [0.0, 1.0]]])
        self._margin = (int(size) - 2 * int(radius)) // 2
        self._keep(
            np.repeat(self._letters(int(radius))[..., None], int(channels), axis=3),
            np.array([self._margin], dtype=np.int64),
        )

    def _letters(self, radius: int) -> NDArray[np.uint8]:
        """The letter in every state, in the order of the states, uint8 [2 * period, h, w]."""
        right, up = fine_points(radius)
        turned = np.empty((self.period, 2 * radius, 2 * radius), dtype=np.uint8)
        for orientation in range(self.period):
            angle = 2 * math.pi * orientation / self.period
            # Which point of the upright letter is seen at each point of the picture.
            own_right = (right * math.cos(angle) + up * math.sin(angle)) / radius
            own_up = (up * math.cos(angle) - right * math.sin(angle)) / radius
            inside = np.zeros(right.shape, dtype=bool)
            for left, end, bottom, top in _LETTER:
                inside |= (own_right >= left) & (own_right <= end) & (own_up >= bottom) & (own_up <= top)
            turned[orientation] = pixels(inside[None].astype(np.float64))[0]
        # Mirrored first and then turned is turned the other way and then mirrored.
        mirrored = turned[-np.arange(self.period) % self.period][:, :, ::-1]
        return np.stack([turned, mirrored], axis=1).reshape(2 * self.period, 2 * radius, 2 * radius)

    def _move(self, rows: IntArray, codes: IntArray) -> IntArray:
        reflect = codes == 2
        step = np.array([self.stride, -self.stride, 0])[codes]
        orientation = (np.where(reflect, -rows[..., 0], rows[..., 0]) + step) % self.period
        return np.stack([orientation, np.where(reflect, 1 - rows[..., 1], rows[..., 1])], axis=-1)

    def _places(self, rows: IntArray) -> tuple[IntArray, IntArray]:
        return np.full((len(rows), 1), self._margin, dtype=np.int64), (2 * rows[:, 0] + rows[:, 1])[:, None]
