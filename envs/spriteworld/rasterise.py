"""Pictures of sprites: filled polygons, each pixel by the exact area that they cover of it.

``Canvas`` draws the same pictures again and again, and only those whose sprites have changed::

    canvas = Canvas(num_images, height, width)  # one for each buffer that is drawn into
    canvas.draw(images, sprites, colours, counts)  # into uint8 [N, H, W, C]

``render`` and ``render_polygons`` draw new ones, ``coverage`` tells how much of each pixel one polygon covers,
``topmost`` which sprite lies at a point. Sprites are rows of numbers in the order of ``GEOMETRY``: x, y, shape, angle,
scale.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..registry import UsageError
from . import kernels
from .shapes import TABLE, ShapeTable

GEOMETRY: tuple[str, ...] = ("x", "y", "shape", "angle", "scale")
"""The columns of a sprite: its centre in [0, 1] with y upwards, the code of its shape, degrees counterclockwise, and
the square root of its area."""

# What the compiled loops take: one layout of arrays, so that they are compiled once.
_PLAIN: tuple[Literal["C"], Literal["W"]] = ("C", "W")


class Canvas:
    """Pictures that are drawn again and again.

    A canvas remembers what it drew: a picture whose sprites are as they were is left alone, of the others the boxes
    around the sprites that were there are wiped. So the pictures that it is given must be the same array every time,
    and nobody else may write there (or ``forget`` is called). Of several buffers each needs a canvas of its own.

    Args:
        num_images: Pictures N.
        height: Rows H; row 0 is the top, y = 1.
        width: Columns W. The arena [0, 1] x [0, 1] fills the picture, be it square or not.
        channels: Numbers a pixel C.
        background: The colour behind the sprites, uint8 [C] or one number.
        table: The shapes that sprites can have.

    Raises:
        UsageError: A size is below 1, or the background does not have one number or C.
    """

    def __init__(
        self,
        num_images: int,
        height: int = 64,
        width: int = 64,
        channels: int = 3,
        background: ArrayLike = 0,
        table: ShapeTable = TABLE,
    ) -> None:
        if min(num_images, height, width, channels) < 1:
            raise UsageError(
                "pictures need a number, height, width and channels of 1 or more,"
                f" got {num_images}, {height}, {width} and {channels}"
            )
        ground = np.asarray(background, dtype=np.uint8)
        if ground.shape not in ((), (1,), (channels,)):
            raise UsageError(f"a background has 1 number or {channels}, got {ground.size}")
        self.shape = (num_images, height, width, channels)
        self.background = np.array(np.broadcast_to(ground, (channels,)))
        self._table = table
        # Scratch: what a sprite's edges add to the coverage from a pixel on; how many sprites cover a pixel in part.
        self._sums = np.zeros((height, width + 2))
        self._partial = np.zeros((height, width), dtype=np.uint8)
        self._reserve(1)

    def _reserve(self, sprites: int) -> None:
        n, _, _, channels = self.shape
        self._drawn = np.zeros((n, sprites, len(GEOMETRY)))
        self._drawn_colours = np.zeros((n, sprites, channels), dtype=np.uint8)
        self._boxes = np.zeros((n, sprites, 4), dtype=np.int64)
        self._corners = np.zeros((n, sprites, self._table.vertices.shape[1], 2))
        self._drawn_counts = np.full(n, -1, dtype=np.int64)

    def forget(self) -> None:
        """Has every picture drawn anew the next time, its background included."""
        self._drawn_counts.fill(-1)

    def draw(
        self, images: NDArray[np.uint8], sprites: ArrayLike, colours: ArrayLike, counts: ArrayLike | None = None
    ) -> int:
        """Draws what has changed.

        Args:
            images: uint8 [N, H, W, C], contiguous, the same array as before.
            sprites: The sprites from back to front, float64 [N, S, 5] (columns: ``GEOMETRY``); further columns are
                not read.
            colours: uint8 [N, S, C].
            counts: How many sprites each picture has, int64 [N], at most S; the rows behind are not read. None: S.

        Returns:
            How many pictures were drawn.

        Raises:
            UsageError: The shapes do not belong together, or a sprite is no finite row of numbers with a shape.
        """
        n, _, _, channels = self.shape
        rows, fill = np.require(sprites, np.float64, _PLAIN), np.require(colours, np.uint8, _PLAIN)
        if images.shape != self.shape or images.dtype != np.uint8 or not images.flags.carray:
            raise UsageError(
                f"pictures need to be contiguous, writeable uint8 {list(self.shape)}, got {images.dtype} {images.shape}"
            )
        if (
            rows.ndim != 3
            or len(rows) != n
            or rows.shape[2] < len(GEOMETRY)
            or fill.shape != (*rows.shape[:2], channels)
        ):
            raise UsageError(
                f"sprites [{n}, S, {len(GEOMETRY)}] and colours [{n}, S, {channels}] are accepted,"
                f" got {list(rows.shape)} and {list(fill.shape)}"
            )
        most = rows.shape[1]
        number = _counts(counts, n, most)
        if most > self._drawn.shape[1]:
            self._reserve(most)
        drawn: int = kernels.draw(
            images,
            rows,
            fill,
            number,
            self._table.vertices,
            self._table.counts,
            self.background,
            self._drawn,
            self._drawn_colours,
            self._drawn_counts,
            self._boxes,
            self._corners,
            self._sums,
            self._partial,
        )
        if drawn < 0:
            self.forget()
        _refuse(drawn, self._table)
        return drawn


def render(
    sprites: ArrayLike,
    colours: ArrayLike,
    counts: ArrayLike | None = None,
    *,
    height: int = 64,
    width: int = 64,
    background: ArrayLike = 0,
    table: ShapeTable = TABLE,
) -> NDArray[np.uint8]:
    """New pictures of sprites.

    Args:
        sprites: From back to front, float64 [N, S, 5] (columns: ``GEOMETRY``).
        colours: uint8 [N, S, C].
        counts: How many sprites each picture has, int64 [N]; None: S.
        height: Rows H; row 0 is the top, y = 1.
        width: Columns W.
        background: The colour behind the sprites, uint8 [C] or one number.
        table: The shapes that sprites can have.

    Returns:
        uint8 [N, H, W, C].

    Raises:
        UsageError: As in ``Canvas.draw``.
    """
    rows, fill = np.asarray(sprites, dtype=np.float64), np.asarray(colours, dtype=np.uint8)
    if rows.ndim != 3 or fill.ndim != 3:
        raise UsageError(f"sprites [N, S, 5] and colours [N, S, C] are accepted, got {rows.shape} and {fill.shape}")
    images = np.zeros((len(rows), height, width, fill.shape[2]), dtype=np.uint8)
    if len(rows):
        canvas = Canvas(len(rows), height, width, fill.shape[2], background, table)
        canvas._reserve(max(1, rows.shape[1]))
        if canvas.background.any():
            images[:] = canvas.background
        canvas._drawn_counts.fill(0)  # there is nothing to be wiped
        canvas.draw(images, rows, fill, counts)
    return images


def render_polygons(
    vertices: ArrayLike,
    counts: ArrayLike,
    colours: ArrayLike,
    *,
    height: int = 64,
    width: int = 64,
    background: ArrayLike = 0,
) -> NDArray[np.uint8]:
    """New pictures of one polygon each, which may be of any form.

    Args:
        vertices: The corners of simple polygons in the arena [0, 1] x [0, 1], y upwards, in order, float64 [N, V, 2].
        counts: How many corners each has, int64 [N]; the rows behind are not read.
        colours: uint8 [N, C].
        height: Rows H; row 0 is the top.
        width: Columns W.
        background: The colour behind the polygons, uint8 [C] or one number.

    Returns:
        uint8 [N, H, W, C].

    Raises:
        UsageError: The shapes do not belong together, or a number is not finite.
    """
    points, fill = np.asarray(vertices, dtype=np.float64), np.require(colours, np.uint8, _PLAIN)
    if points.ndim != 3 or points.shape[2] != 2 or fill.ndim != 2 or len(fill) != len(points):
        raise UsageError(f"polygons [N, V, 2] and colours [N, C] are accepted, got {points.shape} and {fill.shape}")
    if not np.isfinite(points).all():
        raise UsageError("the corners of a polygon must be finite numbers")
    corners = points * [width, -height] + [0, height]
    images = np.empty((len(points), height, width, fill.shape[1]), dtype=np.uint8)
    images[:] = np.asarray(background, dtype=np.uint8)
    kernels.fill(images, corners, _counts(counts, *points.shape[:2]), fill, np.zeros((height, width + 2)))
    return images


def coverage(vertices: ArrayLike, height: int = 64, width: int = 64) -> NDArray[np.float64]:
    """How much of each pixel a polygon covers.

    Args:
        vertices: The corners of a simple polygon in order, [V, 2], in the arena [0, 1] x [0, 1], y upwards; it
            may reach over the arena's edge.
        height: Rows.
        width: Columns.

    Returns:
        Shares in [0, 1], float64 [height, width], exact but for rounding; row 0 is the top.
    """
    corners = np.asarray(vertices, dtype=np.float64) * [width, -height] + [0, height]
    sums = np.zeros((height, width + 2))
    picture = np.array([0, height, 0, width])
    kernels.accumulate(corners, len(corners), picture, picture, sums)
    shares: NDArray[np.float64] = np.clip(np.abs(np.cumsum(sums, axis=1)[:, :-2]), 0, 1)
    return shares


def topmost(
    sprites: ArrayLike, points: ArrayLike, counts: ArrayLike | None = None, table: ShapeTable = TABLE
) -> NDArray[np.int64]:
    """The front-most sprite that contains a point.

    Args:
        sprites: From back to front, float64 [N, S, 5] (columns: ``GEOMETRY``); further columns are not read.
        points: One in each of the N arenas, float64 [N, 2].
        counts: How many sprites each arena has, int64 [N]; None: S.
        table: The shapes that sprites can have.

    Returns:
        Its place among the sprites, -1 where there is none; int64 [N].

    Raises:
        UsageError: The shapes do not belong together, or a sprite is no finite row of numbers with a shape.
    """
    rows, places = np.require(sprites, np.float64, _PLAIN), np.require(points, np.float64, _PLAIN)
    if rows.ndim != 3 or rows.shape[2] < len(GEOMETRY) or places.shape != (len(rows), 2):
        raise UsageError(
            f"sprites [N, S, {len(GEOMETRY)}] and points [N, 2] are accepted, got {rows.shape} and {places.shape}"
        )
    number = _counts(counts, len(rows), rows.shape[1])
    found = np.empty(len(rows), dtype=np.int64)
    _refuse(kernels.topmost(rows, places, number, *table, found), table)
    return found


def _counts(counts: ArrayLike | None, n: int, most: int) -> NDArray[np.int64]:
    number = np.full(n, most, dtype=np.int64) if counts is None else np.require(counts, np.int64, _PLAIN)
    if number.shape != (n,) or (number > most).any() or (number < 0).any():
        raise UsageError(f"there are 0 to {most} sprites in each of {n} pictures, got counts {number.tolist()}")
    return number


def _refuse(answer: int, table: ShapeTable) -> None:
    if answer < 0:
        raise UsageError(
            f"a sprite needs finite numbers and a shape from 1 to {len(table.counts)}: one of row {-answer - 1} has not"
        )
