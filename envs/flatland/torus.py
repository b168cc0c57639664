"""FlatLand: a white disc that four actions carry over a torus; over a scrambled one; and between walls."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..factors import Factor, FactorSpace, IntArray
from ..world import WORLDS
from .grid import Grid
from .stamps import StampWorld, check_whole


@WORLDS.register("flatland")
class FlatLand(StampWorld):
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
        check_whole("flatland", {"channels": (channels, 1)})
        self.grid = Grid("flatland", period, stride, radius, size)
        super().__init__(self.grid.size, int(channels))
        self.period, self.stride, self.radius = self.grid.period, self.grid.stride, self.grid.radius
        self.factors = FactorSpace([Factor("x", self.period, "cyclic"), Factor("y", self.period, "cyclic")])
        self.actions = self.grid.actions()
        disc = self.grid.disc().astype(np.uint8) * 255
        self._keep(np.repeat(disc[None, ..., None], int(channels), axis=3), self.grid.lefts)

    def centre(self, factors: IntArray) -> NDArray[np.float64]:
        """Where the disc's centre is.

        Args:
            factors: x and y, int64 [N, 2].

        Returns:
            Row and column in pixels, float64 [N, 2]; between two pixels, as the disc is an even number wide.

        Raises:
            UsageError: A row is no state.
        """
        return self.grid.centre(*self._positions(np.atleast_2d(self.factors.check(factors))))

    def _positions(self, rows: IntArray) -> tuple[IntArray, IntArray]:
        """Places from the left and from the bottom, int64 [N] each."""
        return rows[:, 0], rows[:, 1]

    def _places(self, rows: IntArray) -> tuple[IntArray, IntArray]:
        x, y = self._positions(rows)
        return self.grid.tops(y)[:, None], x[:, None]


@WORLDS.register("flatland-permuted")
class FlatLandPermuted(FlatLand):
    """FlatLand with its places in a scrambled order: the same pictures, the same group, but no neighbours in sight.

    A factor is the place on its circle, and an action moves it along the circle by ``stride``. Where that place is in
    the picture is drawn at random for each axis: ``order[0][x]`` from the left and ``order[1][y]`` from the bottom. So
    an action carries the disc anywhere along its axis, and its true angle is that on the circle.

    Args:
        period: As in ``FlatLand``.
        stride: As in ``FlatLand``.
        radius: As in ``FlatLand``.
        size: As in ``FlatLand``.
        channels: As in ``FlatLand``.
        order_seed: Draws the two orders.

    Attributes:
        order: Two permutations, int64 [2, period].

    Raises:
        UsageError: An option is out of its range, or the disc's range of positions does not fit into the picture.
    """

    def __init__(
        self,
        *,
        period: int = 33,
        stride: int = 5,
        radius: int = 15,
        size: int = 64,
        channels: int = 1,
        order_seed: int = 0,
    ) -> None:
        super().__init__(period=period, stride=stride, radius=radius, size=size, channels=channels)
        check_whole("flatland-permuted", {"order seed": (order_seed, 0)})
        rng = np.random.default_rng(int(order_seed))
        self.order = np.stack([rng.permutation(self.period) for _ in range(2)])
        names = ("y back", "x back", "y on", "x on")  # no direction in the picture
        self.actions = tuple(replace(action, name=name) for action, name in zip(self.actions, names, strict=True))

    def _positions(self, rows: IntArray) -> tuple[IntArray, IntArray]:
        return self.order[0][rows[:, 0]], self.order[1][rows[:, 1]]


@WORLDS.register("flatland-walls")
class FlatLandWalls(FlatLand):
    """FlatLand between walls: at an edge the disc stops. Its actions cannot always be undone, so they make no group.

    The contrast to the torus: pictures, places and actions are the same but for the edges. Both factors are ordinal,
    no action has an angle, and none has an inverse.

    Args:
        period: Places per axis, 3 or more.
        stride: Places per action, from 1 to below half of them.
        radius: As in ``FlatLand``.
        size: As in ``FlatLand``.
        channels: As in ``FlatLand``.

    Raises:
        UsageError: An option is out of its range, or the disc's range of positions does not fit into the picture.
    """

    def __init__(
        self, *, period: int = 33, stride: int = 5, radius: int = 15, size: int = 64, channels: int = 1
    ) -> None:
        super().__init__(period=period, stride=stride, radius=radius, size=size, channels=channels)
        self.factors = FactorSpace([Factor("x", self.period, "ordinal"), Factor("y", self.period, "ordinal")])
        self.actions = tuple(replace(action, angle=0.0, inverse=None) for action in self.actions)
