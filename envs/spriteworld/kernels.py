"""The loops of the rasteriser, compiled by numba. ``rasterise`` is their front.

Pictures are uint8 [H, W, C]; corners are in pixels, x to the right and y down; a box is the rows and columns (top,
bottom, left, right) around a sprite; a sprite is x, y, shape, angle and scale as in ``rasterise.GEOMETRY``, and what
follows in its row is not read.
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
    """Draws the pictures that have changed, and returns their number; -1 - n if a sprite of picture n is none.

    A pixel is a function of the sprites that cover it, whatever is drawn again around it: of a sprite the same boxes
    and sums are made each time, and parts of them are used.
    """
    changed = 0
    most, (height, width) = sprites.shape[1], images.shape[1:3]
    moved, inside = np.empty(most, dtype=np.int64), np.empty(most, dtype=np.int64)
    patches = np.empty((2 * most, 4), dtype=np.int64)
    crossings, crossed = np.empty((most, ROWS, corners.shape[2])), np.empty((most, ROWS), dtype=np.int64)
    spans, picture = np.zeros((height, 2), dtype=np.int64), np.array([0, height, 0, width])
    for n in range(len(images)):
        count, before = counts[n], drawn_counts[n]
        fresh = before < 0
        before = max(before, 0)
        others = 0
        for s in range(max(count, before)):
            if s < min(count, before) and _same(n, s, sprites, colours, drawn, drawn_colours):
                continue
            if s < count and not _sound(sprites[n, s], len(sizes)):
                return -1 - n
            moved[others] = s
            others += 1
        if not others and not fresh:
            continue
        changed += 1
        # Where few sprites are others the boxes that they had and have are drawn again, else all of the picture.
        whole, filled = fresh or 2 * others > count, 0
        if fresh:
            images[n] = background
        elif whole:
            for s in range(before):
                _wipe(images[n], boxes[n, s], background)
        for place in range(others):
            s = moved[place]
            if s < before and not whole:
                _copy(boxes[n, s], patches[filled])
                filled += 1
            if s < count:
                _place(sprites[n, s], vertices, sizes, height, width, corners[n, s], boxes[n, s])
                for k in range(drawn.shape[2]):
                    drawn[n, s, k] = sprites[n, s, k]
                for k in range(len(background)):
                    drawn_colours[n, s, k] = colours[n, s, k]
                if not whole:
                    if s < before and _overlap(patches[filled - 1], boxes[n, s]):
                        _join(patches[filled - 1], boxes[n, s])
                    else:
                        _copy(boxes[n, s], patches[filled])
                        filled += 1
        drawn_counts[n] = count
        if whole:
            _copy(picture, patches[0])
            filled = 1
        for place in range(filled):
            if not whole:
                _wipe(images[n], patches[place], background)
            _layers(
                images[n],
                sprites[n],
                colours[n],
                count,
                sizes,
                background,
                corners[n],
                boxes[n],
                patches[place],
                sums,
                partial,
                crossings,
                crossed,
                spans,
                inside,
            )
    return changed


@njit(cache=True)
def _same(n: int, s: int, sprites: Any, colours: Any, drawn: Any, drawn_colours: Any) -> bool:
    for k in range(drawn.shape[2]):
        if sprites[n, s, k] != drawn[n, s, k]:
            return False
    for k in range(drawn_colours.shape[2]):  # noqa: SIM110
        if colours[n, s, k] != drawn_colours[n, s, k]:
            return False
    return True


@njit(cache=True)
def _wipe(image: Any, box: Any, background: Any) -> None:
    for r in range(box[0], box[1]):
        for c in range(box[2], box[3]):
            for k in range(len(background)):
                image[r, c, k] = background[k]


@njit(cache=True)
def _overlap(one: Any, other: Any) -> bool:
    """Whether two boxes have a pixel in common."""
    down = min(one[1], other[1]) - max(one[0], other[0])
    return down > 0 and min(one[3], other[3]) > max(one[2], other[2])


@njit(cache=True)
def _copy(box: Any, to: Any) -> None:
    for k in range(4):
        to[k] = box[k]


@njit(cache=True)
def _join(box: Any, other: Any) -> None:
    """Makes the first box hold the other one too."""
    box[0], box[1] = min(box[0], other[0]), max(box[1], other[1])
    box[2], box[3] = min(box[2], other[2]), max(box[3], other[3])


@njit(cache=True)
def _layers(
    image: Any,
    sprites: Any,
    colours: Any,
    count: int,
    sizes: Any,
    background: Any,
    corners: Any,
    boxes: Any,
    patch: Any,
    sums: Any,
    partial: Any,
    crossings: Any,
    crossed: Any,
    spans: Any,
    inside: Any,
) -> None:
    """Lays all sprites, as far as they reach into it, over a patch of a picture that shows the background."""
    meet, found = False, 0
    for s in range(count):
        if min(boxes[s, 1], patch[1]) > max(boxes[s, 0], patch[0]) and min(boxes[s, 3], patch[3]) > max(
            boxes[s, 2], patch[2]
        ):
            for k in range(found):
                o = inside[k]
                down = min(boxes[s, 1], boxes[o, 1]) - max(boxes[s, 0], boxes[o, 0])
                meet |= down > 0 and min(boxes[s, 3], boxes[o, 3]) > max(boxes[s, 2], boxes[o, 2])
            inside[found] = s
            found += 1
    if meet:
        for r in range(patch[0], patch[1]):
            for c in range(patch[2], patch[3]):
                partial[r, c] = 0
    several = False
    for k in range(found):
        s = inside[k]
        size = sizes[int(sprites[s, 2]) - 1]
        accumulate(corners[s], size, boxes[s], patch, sums)
        several |= _blend(image, boxes[s], patch, colours[s], sums, partial, meet, spans)
    if several:
        scratch = partial, crossings, crossed, spans
        _resolve(image, sprites, colours, count, sizes, background, corners, boxes, patch, *scratch)


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
    partial, spans = np.empty((0, 0), dtype=np.uint8), np.empty((0, 2), dtype=np.int64)
    for n in range(len(images)):
        _enclose(corners[n], counts[n], height, width, box)
        if _overlap(box, box):
            accumulate(corners[n], counts[n], box, box, sums)
            _blend(images[n], box, box, colours[n], sums, partial, False, spans)


@njit(cache=True)
def accumulate(corners: Any, count: int, box: Any, patch: Any, sums: Any) -> None:
    """Adds, for each edge of a polygon, the signed area to the right of it; summed along a row that is the coverage.

    Sums are those of the box, as far as its rows lie in the patch. What lies left of the box counts as if it lay on its
    left side, and what lies right of it on the right one.
    """
    top, left, width = box[0], box[2], float(box[3] - box[2])
    first, last = float(max(patch[0] - top, 0)), float(min(patch[1], box[1]) - top)
    x0, y0 = corners[count - 1, 0] - left, corners[count - 1, 1] - top
    for v in range(count):
        x1, y1 = corners[v, 0] - left, corners[v, 1] - top
        if y0 < y1:
            _edge(x0, y0, x1, y1, 1.0, first, last, width, sums)
        elif y1 < y0:
            _edge(x1, y1, x0, y0, -1.0, first, last, width, sums)
        x0, y0 = x1, y1


@njit(cache=True)
def _edge(
    x0: float, y0: float, x1: float, y1: float, sign: float, first: float, last: float, width: float, sums: Any
) -> None:
    """One edge that runs down, cut at the rows (from the first to before the last) and columns of the pixels."""
    start, end = max(y0, first), min(y1, last)
    if start >= end:
        return
    slope = (x1 - x0) / (y1 - y0)
    low, high = min(x0, x1), max(x0, x1)
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
def _blend(image: Any, box: Any, patch: Any, colour: Any, sums: Any, partial: Any, meet: bool, spans: Any) -> bool:
    """Lays a colour over the part of a box that lies in a patch, by the coverage that was accumulated; wipes the sums.

    Where sprites meet, it counts how many cover a pixel in part, and returns whether there are several somewhere;
    ``spans`` are then the columns of each row between which that is.
    """
    several = False
    top, left, end = box[0], box[2], box[3]
    first, last = max(left, patch[2]), min(end, patch[3])
    for r in range(max(top, patch[0]), min(box[1], patch[1])):
        total = 0.0
        for c in range(left, first):
            total += sums[r - top, c - left]
            sums[r - top, c - left] = 0.0
        for c in range(first, last):
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
                if meet:
                    if partial[r, c] == 0:
                        partial[r, c] = 1
                    else:
                        partial[r, c] = 2
                        several = True
                        if spans[r, 1] == 0:
                            spans[r, 0], spans[r, 1] = c, c + 1
                        else:
                            spans[r, 0], spans[r, 1] = min(spans[r, 0], c), max(spans[r, 1], c + 1)
        for c in range(last - left, end - left + 2):
            sums[r - top, c] = 0.0
    return several


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
    patch: Any,
    partial: Any,
    crossings: Any,
    crossed: Any,
    spans: Any,
) -> None:
    """Draws the pixels again, by samples, that several sprites cover in part: their shares do not tell the overlap.

    Only the rows and columns between which there are such are looked at; ``spans`` are wiped.
    """
    points = 64 * ROWS
    free = np.empty(ROWS, dtype=np.uint64)
    totals = np.empty(len(background))
    ends = np.empty((count, 2))
    for r in range(patch[0], patch[1]):
        if spans[r, 1] == 0:
            continue
        for s in range(count):
            if boxes[s, 0] <= r < boxes[s, 1] and boxes[s, 2] < spans[r, 1] and boxes[s, 3] > spans[r, 0]:
                _cross(corners[s], sizes[int(sprites[s, 2]) - 1], r, crossings[s], crossed[s], ends[s])
            else:
                ends[s, 0], ends[s, 1] = math.inf, -math.inf
        for c in range(spans[r, 0], spans[r, 1]):
            if partial[r, c] < 2:
                continue
            free[:] = ALL
            totals[:] = 0.0
            left = points
            for s in range(count - 1, -1, -1):
                if ends[s, 0] < c + 1 and c < ends[s, 1]:
                    seen = 0
                    for row in range(ROWS):
                        hit = _points_inside(crossings[s, row], crossed[s, row], c) & free[row]
                        free[row] ^= hit
                        seen += _ones(hit)
                    left -= seen
                    for k in range(len(background)):
                        totals[k] += seen * float(colours[s, k])
                    if left == 0:
                        break
            for k in range(len(background)):
                image[r, c, k] = int((totals[k] + left * float(background[k])) / points + 0.5)
        spans[r] = 0


@njit(cache=True)
def _cross(corners: Any, count: int, row: int, crossings: Any, crossed: Any, ends: Any) -> None:
    """Where the outline of a polygon crosses the sampled rows of a row of pixels: columns, how many, the outer two."""
    crossed[:] = 0
    ends[0], ends[1] = math.inf, -math.inf
    x0, y0 = corners[count - 1, 0], corners[count - 1, 1]
    for v in range(count):
        x1, y1 = corners[v, 0], corners[v, 1]
        low, high = min(y0, y1), max(y0, y1)
        if high > row and low < row + 1 and low < high:
            # The rows that it may cross, with one to spare at each end for rounding.
            first, last = max(0, int((low - row) * ROWS - 1.5)), min(ROWS, int((high - row) * ROWS + 1.5))
            for number in range(first, last):
                y = row + (number + 0.5) / ROWS
                if (y0 <= y) != (y1 <= y):
                    place = x0 + (y - y0) / (y1 - y0) * (x1 - x0)
                    crossings[number, crossed[number]] = place
                    crossed[number] += 1
                    ends[0], ends[1] = min(ends[0], place), max(ends[1], place)
        x0, y0 = x1, y1


@njit(cache=True)
def _points_inside(crossings: Any, count: int, column: int) -> np.uint64:
    """Which of 64 points along a pixel's row lie in a polygon, as bits."""
    inside = np.uint64(0)
    for k in range(count):
        place = math.ceil((crossings[k] - column) * 64 - 0.5)
        if place <= 0:
            inside ^= ALL
        elif place < 64:
            inside ^= ALL << np.uint64(place)
    return inside


@njit(cache=True)
def _ones(bits: np.uint64) -> int:
    """The number of bits that are set."""
    pairs = bits - ((bits >> np.uint64(1)) & np.uint64(0x5555555555555555))
    fours = (pairs & np.uint64(0x3333333333333333)) + ((pairs >> np.uint64(2)) & np.uint64(0x3333333333333333))
    bytewise = (fours + (fours >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return int((bytewise * np.uint64(0x0101010101010101)) >> np.uint64(56))
