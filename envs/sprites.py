"""Sprites: one white shape, its size, turn and place, and actions that turn each of these like a wheel."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .factors import Factor, FactorSpace, IntArray
from .registry import UsageError, nearest
from .spriteworld.shapes import FloatArray, ellipse, heart, regular, shape_table
from .world import WORLDS, Action, World

SPRITE_SHAPES: dict[str, FloatArray] = {"square": regular(4, 45), "ellipse": ellipse(1.6), "heart": heart()}
"""The shapes of the grid, all of one area."""

WIDTH = 0.33
"""The side of the square at its largest, as a share of the picture's: no shape then reaches over the picture's edge."""


@WORLDS.register("sprites")
class Sprites(World):
    """Every combination of shape, scale, orientation and place of one sprite.

    By default the factors and sizes of dSprites (Matthey et al. 2017): 3 shapes, 6 scales from 0.5 to 1, 40
    orientations, 32 x 32 places; 737,280 states, drawn when they are asked for. The shapes are drawn here, so the
    pictures are not those of that file. Unlike there, the last orientation is not the first one again.

    All factors but the shape are cyclic: an action moves one of them by ``stride`` values around its circle. With
    the stride 4 these are the four symmetries of Painter et al. 2020 (arXiv 2006.05746). A factor of n values moves
    by at most ``(n - 1) // 2``, so that forwards and backwards differ (6 scales by 2), and one of fewer than three
    values has no actions.

    | code  | action        | effect in the picture                      | inverse |
    |-------|---------------|--------------------------------------------|---------|
    | 0, 1  | scale +, -    | grows, shrinks                             | 1, 0    |
    | 2, 3  | orientation +, - | turns counterclockwise, clockwise       | 3, 2    |
    | 4, 5  | x +, -        | moves right, left                          | 5, 4    |
    | 6, 7  | y +, -        | moves up, down                             | 7, 6    |

    At the end of a circle the sprite jumps back to the other end: from the largest to the smallest, from one side to
    the other. It is never cut.

    Args:
        shapes: Which shapes there are, of "square", "ellipse" and "heart". Only the heart looks different in each
            orientation: the square looks the same after a quarter of a turn, and the ellipse after half of one.
        scales: Values of the scale, from half the size to the full one.
        orientations: Values of the orientation, a full turn in equal steps.
        positions: Values of x and of y each, over the middle half of the picture.
        stride: By how many values an action moves its factor.
        size: Height and width of the picture in pixels.
        channels: Channels of the picture, all alike.
        antialias: Whether a pixel is as bright as it is covered; without it, it is white if at least half of it is.

    Raises:
        UsageError: An option is out of its range, or a shape is unknown or named twice.

    Example:
        >>> world = Sprites(shapes=["heart"], positions=8)
        >>> world.factors.size
        15360
        >>> world.act([[0, 5, 39, 0, 7]], [2]).tolist()
        [[0, 5, 3, 0, 7]]
    """

    def __init__(
        self,
        *,
        shapes: Sequence[str] = tuple(SPRITE_SHAPES),
        scales: int = 6,
        orientations: int = 40,
        positions: int = 32,
        stride: int = 4,
        size: int = 64,
        channels: int = 1,
        antialias: bool = False,
    ) -> None:
        for name, value in (
            ("scales", scales),
            ("orientations", orientations),
            ("positions", positions),
            ("stride", stride),
            ("image size", size),
            ("channels", channels),
        ):
            if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < 1:
                raise UsageError(f"sprites: {name} must be a whole number, 1 or more, got {value!r}")
        known = list(SPRITE_SHAPES)
        some = isinstance(shapes, Sequence | np.ndarray) and not isinstance(shapes, str) and len(shapes) > 0
        for shape in shapes if some else ():
            if shape not in known:
                raise UsageError(
                    f"sprites: unknown shape {shape!r}{nearest(str(shape), known)}; there are: {', '.join(known)}"
                )
        if not some or len(set(shapes)) < len(shapes):
            raise UsageError(f"sprites: one shape or more of {', '.join(known)} is accepted, each once, got {shapes!r}")
        self.shapes = tuple(shapes)
        self.antialias = bool(antialias)
        self.image_shape = (int(size), int(size), int(channels))
        self.factors = sprite_factors((len(self.shapes), scales, orientations, positions, positions))
        self.actions = wheel_actions(self.factors, int(stride))
        self._table = shape_table([SPRITE_SHAPES[shape] for shape in self.shapes])

    def render(self, factors: IntArray) -> NDArray[np.uint8]:
        """Pictures of states, 0 (black) to 255 (white).

        Args:
            factors: shape, scale, orientation, x and y, int64 [N, 5].

        Returns:
            uint8 [N, H, W, C].

        Raises:
            UsageError: A row is no state.
        """
        from .spriteworld.rasterise import render  # brings numba, which a world that is only acted in does not need

        height, width, channels = self.image_shape
        sprites = self.geometry(factors)
        white = np.full((len(sprites), 1, channels), 255, dtype=np.uint8)
        images = render(sprites[:, None], white, height=height, width=width, table=self._table)
        if not self.antialias:
            np.multiply(images >= 128, np.uint8(255), out=images)
        return images

    def geometry(self, factors: IntArray) -> NDArray[np.float64]:
        """What the states are in the arena [0, 1] x [0, 1].

        Args:
            factors: int64 [N, 5].

        Returns:
            x, y, the shape's place among ``shapes`` from 1 on, the angle in degrees counterclockwise and the side of
            a square of the same area; float64 [N, 5].

        Raises:
            UsageError: A row is no state.
        """
        shape, scale, orientation, x, y = np.atleast_2d(self.factors.check(factors)).T
        _, scales, orientations, positions, _ = (int(size) for size in self.factors.sizes)
        sizes = np.linspace(0.5, 1, scales) if scales > 1 else np.ones(1)
        places = 0.25 + 0.5 * (np.arange(positions) + 0.5) / positions
        columns = [places[x], places[y], shape + 1, orientation * (360 / orientations), WIDTH * sizes[scale]]
        return np.stack(columns, axis=1).astype(np.float64)

    def centre(self, factors: IntArray) -> NDArray[np.float64]:
        """Where the sprite's centre of mass is: row and column in pixels (whole at a pixel's middle), float64 [N, 2].

        Raises:
            UsageError: A row is no state.
        """
        sprites = self.geometry(factors)
        height, width, _ = self.image_shape
        return np.stack([(1 - sprites[:, 1]) * height, sprites[:, 0] * width], axis=1) - 0.5


def sprite_factors(sizes: Sequence[int]) -> FactorSpace:
    """Shape, scale, orientation, x and y, of these sizes: the factors of a sprite in the order of dSprites."""
    names = ("shape", "scale", "orientation", "x", "y")
    return FactorSpace(
        [
            Factor(name, int(size), "cyclic" if name != "shape" else "categorical")
            for name, size in zip(names, sizes, strict=True)
        ]
    )


def wheel_actions(factors: FactorSpace, stride: int) -> tuple[Action, ...]:
    """Forwards and backwards along each cyclic factor of three values or more.

    Args:
        factors: The factors.
        stride: Values that an action moves by; less where that would be half the circle or more.
    """
    actions: list[Action] = []
    for column, factor in enumerate(factors.factors):
        if factor.kind != "cyclic" or factor.size is None or factor.size < 3:
            continue
        amount = min(stride, (factor.size - 1) // 2)
        angle = 2 * math.pi * amount / factor.size
        code = len(actions)
        actions.append(Action(f"{factor.name} +", column, amount, angle, code + 1))
        actions.append(Action(f"{factor.name} -", column, -amount, -angle, code))
    return tuple(actions)
