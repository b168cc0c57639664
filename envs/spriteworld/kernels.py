"""The loops of the rasteriser, compiled by numba. ``rasterise`` is their front.

Pictures are uint8 [H, W, C]; corners are in pixels, x to the right and y down; a box is the rows and columns (top,
bottom, left, right) around a sprite; a sprite is x, y, shape, angle and scale as in ``rasterise.GEOMETRY``.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

LEAST = 1e-9
"""Shares of a pixel that are smaller are none."""

ROWS = 32
"""A pixel that several sprites cover in part is sampled in so many rows of 64 points, a word of bits each."""

ALL = np.uint64(0xFFFFFFFFFFFFFFFF)


@njit(cache=True)
def topmost(sprites: Any, points: Any, counts: Any, vertices: Any, sizes: Any, reach: Any, found: Any) -> int:
    """Finds the front-most sprite at each point (-1: none), and returns 0; -1 - n if a sprite of arena n is none."""
    for n in range(len(sprites)):
        found[n] = -1
        for s in range(counts[n] - 1, -1, -1):
            if not _sound(sprites[n, s], len(sizes)):
                return -1 - n
            if _inside(sprites[n, s], points[n, 0], points[n, 1], vertices, sizes, reach):
                found[n] = s
                break
    return 0


@njit(cache=True)
def _sound(sprite: Any, shapes: int) -> bool:
    """Whether a sprite's numbers are finite, and its shape is one that there is."""
    for k in range(5):
        if not math.isfinite(sprite[k]):
            return False
    return 1 <= sprite[2] <= shapes and sprite[2] == math.floor(sprite[2])


@njit(cache=True)
def _inside(sprite: Any, x: float, y: float, vertices: Any, sizes: Any, reach: Any) -> bool:
    """Whether a point lies in a sprite: it is carried into the frame of the shape."""
    shape, scale = int(sprite[2]) - 1, sprite[4]
    right, up = x - sprite[0], y - sprite[1]
    far = reach[shape] * scale
    if not right * right + up * up < far * far:
        return False
    turn = math.radians(sprite[3])
    cosine, sine = math.cos(turn) / scale, math.sin(turn) / scale
    px, py = cosine * right + sine * up, cosine * up - sine * right
    inside = False
    before = sizes[shape] - 1
    for v in range(sizes[shape]):
        x0, y0 = vertices[shape, before, 0], vertices[shape, before, 1]
        x1, y1 = vertices[shape, v, 0], vertices[shape, v, 1]
        if (y0 <= py) != (y1 <= py) and px < x0 + (py - y0) / (y1 - y0) * (x1 - x0):
            inside = not inside
        before = v
    return inside


@njit(cache=True)
def draw(
    images: Any,
    sprites: Any,
    colours: Any,
    counts: Any,
    vertices: Any,
    sizes: Any,
    background: Any,
    drawn: Any,
    drawn_colours: Any,
    drawn_counts: Any,
    boxes: Any,
    corners: Any,
    sums: Any,
    partial: Any,
) -> int:
    """Draws the pictures that have changed, and returns their number; -1 - n if a sprite of picture n is none."""
    changed = 0
    for n in range(len(images)):
        count = counts[n]
        if _same(sprites[n], colours[n], count, drawn[n], drawn_colours[n], drawn_counts[n]):
            continue
        for s in range(count):
            if not _sound(sprites[n, s], len(sizes)):
                return -1 - n
        changed += 1
        if drawn_counts[n] < 0:
            images[n] = background
        for s in range(drawn_counts[n]):
            for r in range(boxes[n, s, 0], boxes[n, s, 1]):
                for c in range(boxes[n, s, 2], boxes[n, s, 3]):
                    for k in range(len(background)):
                        images[n, r, c, k] = background[k]
        for s in range(count):
            _place(sprites[n, s], vertices, sizes, images.shape[1], images.shape[2], corners[s], boxes[n, s])
        meet = _meet(boxes[n], count)
        if meet:
            for s in range(count):
                partial[boxes[n, s, 0] : boxes[n, s, 1], boxes[n, s, 2] : boxes[n, s, 3]] = 0
        for s in range(count):
            top, bottom, left, right = boxes[n, s]
            if top < bottom and left < right:
                size = sizes[int(sprites[n, s, 2]) - 1]
                accumulate(corners[s], size, top, bottom, left, right, sums)
                _blend(images[n], top, bottom, left, right, colours[n, s], sums, partial, meet)
        if meet:
            _resolve(images[n], sprites[n], colours[n], count, sizes, background, corners, boxes[n], partial)
        drawn_counts[n] = count
        for s in range(count):
            for k in range(5):
                drawn[n, s, k] = sprites[n, s, k]
            for k in range(len(background)):
                drawn_colours[n, s, k] = colours[n, s, k]
    return changed


@njit(cache=True)
def _same(sprites: Any, colours: Any, count: int, drawn: Any, drawn_colours: Any, drawn_count: int) -> bool:
    if count != drawn_count:
        return False
    for s in range(count):
        for k in range(5):
            if sprites[s, k] != drawn[s, k]:
                return False
        for k in range(colours.shape[1]):
            if colours[s, k] != drawn_colours[s, k]:
                return False
    return True


@njit(cache=True)
def _place(sprite: Any, vertices: Any, sizes: Any, height: int, width: int, corners: Any, box: Any) -> None:
    """Where a sprite's corners lie, and the box around them."""
    shape = int(sprite[2]) - 1
    turn = math.radians(sprite[3])
    cosine, sine = math.cos(turn) * sprite[4], math.sin(turn) * sprite[4]
    for v in range(sizes[shape]):
        px, py = vertices[shape, v, 0], vertices[shape, v, 1]
        corners[v, 0] = (sprite[0] + cosine * px - sine * py) * width
        corners[v, 1] = (1.0 - (sprite[1] + sine * px + cosine * py)) * height
    _enclose(corners, sizes[shape], height, width, box)


@njit(cache=True)
def _enclose(corners: Any, count: int, height: int, width: int, box: Any) -> None:
    """The box around the part of a polygon that lies in the picture."""
    x_low, x_high, y_low, y_high = math.inf, -math.inf, math.inf, -math.inf
    for v in range(count):
        x, y = corners[v, 0], corners[v, 1]
        x_low, x_high = min(x_low, x), max(x_high, x)
        y_low, y_high = min(y_low, y), max(y_high, y)
    box[0] = math.floor(min(max(y_low, 0.0), height))
    box[1] = math.ceil(min(max(y_high, 0.0), height))
    box[2] = math.floor(min(max(x_low, 0.0), width))
    box[3] = math.ceil(min(max(x_high, 0.0), width))


@njit(cache=True)
def fill(images: Any, corners: Any, counts: Any, colours: Any, sums: Any) -> None:
    """Fills one polygon in each picture."""
    height, width = images.shape[1:3]
    box: Any = np.empty(4, dtype=np.int64)
    partial = np.empty((0, 0), dtype=np.uint8)
    for n in range(len(images)):
        _enclose(corners[n], counts[n], height, width, box)
        top, bottom, left, right = box[0], box[1], box[2], box[3]
        if top < bottom and left < right:
            accumulate(corners[n], counts[n], top, bottom, left, right, sums)
            _blend(images[n], top, bottom, left, right, colours[n], sums, partial, False)


@njit(cache=True)
def _meet(boxes: Any, count: int) -> bool:
    """Whether two boxes have a pixel in common."""
    for i in range(count):
        for j in range(i):
            down = min(boxes[i, 1], boxes[j, 1]) - max(boxes[i, 0], boxes[j, 0])
            if down > 0 and min(boxes[i, 3], boxes[j, 3]) > max(boxes[i, 2], boxes[j, 2]):
                return True
    return False


@njit(cache=True)
def accumulate(corners: Any, count: int, top: int, bottom: int, left: int, right: int, sums: Any) -> None:
    """Adds, for each edge of a polygon, the signed area to the right of it; summed along a row that is the coverage.

    What lies left of the box counts as if it lay on its left side, and what lies right of it on the right one.
    """
    x0, y0 = corners[count - 1, 0] - left, corners[count - 1, 1] - top
    height, width = float(bottom - top), float(right - left)
    for v in range(count):
        x1, y1 = corners[v, 0] - left, corners[v, 1] - top
        if y0 < y1:
            _edge(x0, y0, x1, y1, 1.0, height, width, sums)
        elif y1 < y0:
            _edge(x1, y1, x0, y0, -1.0, height, width, sums)
        x0, y0 = x1, y1


@njit(cache=True)
def _edge(x0: float, y0: float, x1: float, y1: float, sign: float, height: float, width: float, sums: Any) -> None:
    """One edge that runs down, cut at the rows and columns of the pixels."""
    slope = (x1 - x0) / (y1 - y0)
    low, high = min(x0, x1), max(x0, x1)
    start, end = max(y0, 0.0), min(y1, height)
    row = int(start)
    while start < end:
        stop = min(end, row + 1.0)
        xa = min(max(x0 + (start - y0) * slope, low), high)
        xb = min(max(x0 + (stop - y0) * slope, low), high)
        xl, xr = min(xa, xb), max(xa, xb)
        tall = sign * (stop - start)
        if xr <= 0.0:
            sums[row, 0] += tall
        elif xl < width:
            # Parts of a slanted piece that lie outside stand upright at the sides of the box.
            each = tall / (xr - xl) if xr > xl else 0.0
            if xl < 0.0:
                sums[row, 0] -= each * xl
                xl = 0.0
            inner = min(xr, width)
            column = int(xl)
            if inner <= column + 1.0:
                part = each * (inner - xl) if xr > xl else tall
                right = part * (0.5 * (xl + inner) - column)
                sums[row, column] += part - right
                sums[row, column + 1] += right
            else:
                while xl < inner:
                    to = min(inner, column + 1.0)
                    part = each * (to - xl)
                    right = part * (0.5 * (xl + to) - column)
                    sums[row, column] += part - right
                    sums[row, column + 1] += right
                    xl = to
                    column += 1
        start = stop
        row += 1


@njit(cache=True)
def _blend(
    image: Any, top: int, bottom: int, left: int, right: int, colour: Any, sums: Any, partial: Any, meet: bool
) -> None:
    """Lays a colour over the box of a picture by the coverage that was accumulated, and wipes the sums."""
    for r in range(top, bottom):
        total = 0.0
        for c in range(left, right):
            total += sums[r - top, c - left]
            sums[r - top, c - left] = 0.0
            share = abs(total)
            if share < LEAST:
                continue
            if share > 1.0 - LEAST:
                for k in range(len(colour)):
                    image[r, c, k] = colour[k]
                if meet:
                    partial[r, c] = 0
            else:
                for k in range(len(colour)):
                    image[r, c, k] = int(image[r, c, k] * (1.0 - share) + colour[k] * share + 0.5)
                if meet and partial[r, c] < 2:
                    partial[r, c] += 1
        sums[r - top, right - left] = 0.0
        sums[r - top, right - left + 1] = 0.0


@njit(cache=True)
def _resolve(
    image: Any,
    sprites: Any,
    colours: Any,
    count: int,
    sizes: Any,
    background: Any,
    corners: Any,
    boxes: Any,
    partial: Any,
) -> None:
    """Draws the pixels again, by samples, that several sprites cover in part: their shares do not tell the overlap."""
    channels = len(background)
    sums = np.empty(channels)
    for first in range(count):
        for r in range(boxes[first, 0], boxes[first, 1]):
            for c in range(boxes[first, 2], boxes[first, 3]):
                if partial[r, c] < 2:
                    continue
                partial[r, c] = 0
                sums[:] = 0.0
                left = 64 * ROWS
                for row in range(ROWS):
                    y = r + (row + 0.5) / ROWS
                    free = ALL
                    for s in range(count - 1, -1, -1):
                        if boxes[s, 0] <= r < boxes[s, 1] and boxes[s, 2] <= c < boxes[s, 3]:
                            hit = _points_inside(corners[s], sizes[int(sprites[s, 2]) - 1], c, y) & free
                            free ^= hit
                            seen = _ones(hit)
                            left -= seen
                            for k in range(channels):
                                sums[k] += seen * float(colours[s, k])
                for k in range(channels):
                    image[r, c, k] = int((sums[k] + left * float(background[k])) / (64 * ROWS) + 0.5)


@njit(cache=True)
def _points_inside(corners: Any, count: int, column: int, y: float) -> np.uint64:
    """Which of 64 points along a pixel's row lie in a polygon, as bits."""
    inside = np.uint64(0)
    x0, y0 = corners[count - 1, 0], corners[count - 1, 1]
    for v in range(count):
        x1, y1 = corners[v, 0], corners[v, 1]
        if (y0 <= y) != (y1 <= y):
            place = math.ceil((x0 + (y - y0) / (y1 - y0) * (x1 - x0) - column) * 64 - 0.5)
            if place <= 0:
                inside ^= ALL
            elif place < 64:
                inside ^= ALL << np.uint64(place)
        x0, y0 = x1, y1
    return inside


@njit(cache=True)
def _ones(bits: np.uint64) -> int:
    """The number of bits that are set."""
    pairs = bits - ((bits >> np.uint64(1)) & np.uint64(0x5555555555555555))
    fours = (pairs & np.uint64(0x3333333333333333)) + ((pairs >> np.uint64(2)) & np.uint64(0x3333333333333333))
    bytewise = (fours + (fours >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return int((bytewise * np.uint64(0x0101010101010101)) >> np.uint64(56))
