"""The shapes of sprites: polygons of unit area, and where they lie in the arena."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..registry import UsageError, nearest

FloatArray = NDArray[np.float64]


def area(vertices: ArrayLike) -> float:
    """The area of a simple polygon [V, 2], positive where the vertices go around counterclockwise."""
    x, y = np.asarray(vertices, dtype=np.float64).T
    return float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2


def centroid(vertices: ArrayLike) -> FloatArray:
    """The centre of mass of a simple polygon [V, 2], float64 [2]."""
    start = np.asarray(vertices, dtype=np.float64)
    end = np.roll(start, -1, axis=0)
    crossed = start[:, 0] * end[:, 1] - end[:, 0] * start[:, 1]
    middle: FloatArray = (start + end).T @ crossed / (3 * crossed.sum())
    return middle


def unit(vertices: ArrayLike) -> FloatArray:
    """The polygon [V, 2] scaled about the origin to unit area, counterclockwise and read-only."""
    points = np.array(vertices, dtype=np.float64)
    signed = area(points)
    if signed < 0:
        points = points[::-1]
    points = points / math.sqrt(abs(signed))
    points.setflags(write=False)
    return points


def _on_circle(radius: float, degrees: ArrayLike) -> FloatArray:
    angle = np.deg2rad(np.asarray(degrees, dtype=np.float64))
    return radius * np.stack([np.cos(angle), np.sin(angle)], axis=-1)


def regular(sides: int, first: float = 0.0) -> FloatArray:
    """A regular polygon of unit area, its first corner at ``first`` degrees from the x axis; float64 [sides, 2]."""
    return unit(_on_circle(1.0, first + np.arange(sides) * 360 / sides))


def star(points: int, first: float = 0.0, height: float = 1.0) -> FloatArray:
    """A star of unit area.

    Args:
        points: How many points it has.
        first: Where the first inner corner lies, in degrees from the x axis; a point lies halfway to the next one.
        height: How much farther out than the inner corners the points lie, as a share of the inner radius.

    Returns:
        float64 [2 * points, 2].
    """
    turn = 360 / points
    inner = _on_circle(1.0, first + np.arange(points) * turn)
    outer = _on_circle(1.0 + height, first + (np.arange(points) + 0.5) * turn)
    return unit(np.stack([inner, outer], axis=1).reshape(-1, 2))


def spokes(count: int, first: float = 0.0, height: float = 1.0) -> FloatArray:
    """A regular polygon with a rectangle on each of its sides, of unit area in all (whatever the height).

    Args:
        count: How many spokes it has.
        first: Where the first inner corner lies, in degrees from the x axis; a spoke lies halfway to the next one.
        height: How long the rectangles are, as a share of the radius of the inner corners.

    Returns:
        float64 [3 * count, 2].
    """
    turn = 360 / count
    inner = _on_circle(1.0, first + np.arange(count) * turn)
    outwards = _on_circle(height, first + (np.arange(count) + 0.5) * turn)
    corners = [inner, inner + outwards, np.roll(inner, -1, axis=0) + outwards]
    return unit(np.stack(corners, axis=1).reshape(-1, 2))


def ellipse(ratio: float, corners: int = 60) -> FloatArray:
    """An ellipse of unit area whose long axis, along x, is ``ratio`` times the short one; float64 [corners, 2]."""
    return unit(_on_circle(1.0, np.arange(corners) * 360 / corners) * [ratio, 1])


def heart(corners: int = 60) -> FloatArray:
    """A heart of unit area on its tip, its centre of mass at the origin; float64 [corners, 2]."""
    turn = 2 * np.pi * np.arange(corners) / corners
    across = 16 * np.sin(turn) ** 3
    up = 13 * np.cos(turn) - 5 * np.cos(2 * turn) - 2 * np.cos(3 * turn) - np.cos(4 * turn)
    outline = np.stack([-across, up], axis=1)  # counterclockwise
    return unit(outline - centroid(outline))


SHAPES: Mapping[str, FloatArray] = MappingProxyType(
    {
        "triangle": regular(3, 90),
        "square": regular(4, 45),
        "pentagon": regular(5, 90),
        "hexagon": regular(6),
        "octagon": regular(8),
        "circle": regular(30),
        "star_4": star(4, 45),
        "star_5": star(5, 198),
        "star_6": star(6),
        "spoke_4": spokes(4, 45),
        "spoke_5": spokes(5, 198),
        "spoke_6": spokes(6),
        "spoke_3": spokes(3, 30),
    }
)
"""Spriteworld's shapes (Watters et al. 2019, arXiv 1905.09275) at angle 0: polygons of unit area about the origin.

The first twelve stand in Spriteworld's own order. ``spoke_3`` comes from the sprites of Reizinger et al. 2022 (arXiv
2206.02416).
"""

SHAPE_NAMES: tuple[str, ...] = tuple(SHAPES)
"""The names of the shapes in the order of their codes: the code of ``SHAPE_NAMES[i]`` is ``i + 1``."""


def shape_code(name: str) -> int:
    """The number of a shape, 1 (triangle) to 13 (spoke_3).

    Raises:
        UsageError: There is no such shape.
    """
    if name not in SHAPES:
        known = list(SHAPE_NAMES)
        raise UsageError(f"unknown shape {name!r}{nearest(name, known)}; there are: {', '.join(known)}")
    return SHAPE_NAMES.index(name) + 1


class ShapeTable(NamedTuple):
    """Polygons of unit area as arrays, which is what the rasteriser draws from.

    Attributes:
        vertices: float64 [S, V, 2]; row ``i`` holds the shape of code ``i + 1``, filled up with zeros.
        counts: How many vertices each has, int64 [S].
        reach: How far its farthest vertex lies from the origin, float64 [S].
    """

    vertices: FloatArray
    counts: NDArray[np.int64]
    reach: FloatArray


def shape_table(polygons: Sequence[ArrayLike]) -> ShapeTable:
    """Polygons of unit area about the origin, each [V, 2], as a table; the first gets code 1."""
    arrays = [np.asarray(polygon, dtype=np.float64) for polygon in polygons]
    counts = np.array([len(polygon) for polygon in arrays], dtype=np.int64)
    vertices = np.zeros((len(arrays), counts.max(), 2))
    for row, polygon in zip(vertices, arrays, strict=True):
        row[: len(polygon)] = polygon
    table = ShapeTable(vertices, counts, np.hypot(vertices[..., 0], vertices[..., 1]).max(axis=1))
    for array in table:
        array.setflags(write=False)
    return table


TABLE: ShapeTable = shape_table(list(SHAPES.values()))
"""The shapes of ``SHAPES`` by their codes."""


def polygon(shape: str, x: float, y: float, angle: float = 0.0, scale: float = 1.0) -> FloatArray:
    """The outline of a sprite in the arena [0, 1] x [0, 1], y upwards.

    Args:
        shape: A name in ``SHAPES``.
        x: Where its centre is.
        y: Likewise.
        angle: Degrees that it is turned by, counterclockwise.
        scale: The square root of its area.

    Returns:
        Counterclockwise corners, float64 [V, 2].

    Raises:
        UsageError: There is no such shape.
    """
    code = shape_code(shape)
    return polygons([code], [x], [y], [angle], [scale])[0][: TABLE.counts[code - 1]]


def polygons(
    codes: ArrayLike, x: ArrayLike, y: ArrayLike, angle: ArrayLike, scale: ArrayLike, table: ShapeTable = TABLE
) -> FloatArray:
    """The outlines of many sprites; the arguments of ``polygon`` broadcast against each other.

    Args:
        codes: Shapes by their codes, whole numbers [N].
        x: [N].
        y: [N].
        angle: Degrees, [N].
        scale: [N].
        table: The shapes that there are.

    Returns:
        float64 [N, V, 2]; of row ``i`` the first ``table.counts[codes[i] - 1]`` are corners, the rest its centre.

    Raises:
        UsageError: A code is none of the table.
    """
    shape = np.asarray(codes)
    if shape.size and not ((shape >= 1) & (shape <= len(table.counts)) & (shape == np.floor(shape))).all():
        raise UsageError(f"shapes have the codes 1 to {len(table.counts)}, got {np.unique(shape).tolist()}")
    turn = np.deg2rad(np.asarray(angle, dtype=np.float64))
    along, across = np.asarray(scale) * np.cos(turn), np.asarray(scale) * np.sin(turn)
    corners = table.vertices[shape.astype(np.int64) - 1]
    right = np.asarray(x)[..., None] + along[..., None] * corners[..., 0] - across[..., None] * corners[..., 1]
    up = np.asarray(y)[..., None] + across[..., None] * corners[..., 0] + along[..., None] * corners[..., 1]
    return np.stack([right, up], axis=-1)


def contains(vertices: ArrayLike, points: ArrayLike) -> NDArray[np.bool_]:
    """Whether points lie in a simple polygon, convex or not.

    A point on an edge belongs to one of the two sides, so that polygons which share an edge share no point.

    Args:
        vertices: Corners in order, [V, 2].
        points: [..., 2].

    Returns:
        bool [...].
    """
    start = np.asarray(vertices, dtype=np.float64)
    place = np.asarray(points, dtype=np.float64)
    x, y = place[..., 0, None], place[..., 1, None]
    end = np.roll(start, -1, axis=0)
    crosses = (start[:, 1] <= y) != (end[:, 1] <= y)
    with np.errstate(divide="ignore", invalid="ignore"):
        meets = start[:, 0] + (y - start[:, 1]) / (end[:, 1] - start[:, 1]) * (end[:, 0] - start[:, 0])
    inside: NDArray[np.bool_] = (crosses & (x < meets)).sum(axis=-1) % 2 == 1
    return inside
