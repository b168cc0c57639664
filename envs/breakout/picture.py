"""Screens to pictures: cropped, in grey or colour, reduced by area averaging, and redrawn where they changed."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .emulator import HEIGHT, WIDTH

_WORDS = WIDTH // 8
"""Pixels are compared eight at a time."""
_BITS = 16
"""A colour is added up as one number, each channel in so many bits: a column of the screen is at most 210 * 255."""
_FIELD = 2**_BITS - 1
_PRECISION = 40
"""Bits of the fraction by which is multiplied instead of a division."""


def greys(palette: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The luminance of colours, uint8 [256, 3] to [256, 1], with the console's weights (ITU-R BT.601)."""
    weighted = palette.astype(np.float64) @ np.array([0.2989, 0.5870, 0.1140])
    return np.rint(weighted).astype(np.uint8)[:, None]


class Pictures:
    """A picture for each of some screens, kept up to date.

    A pixel of the picture is the mean of the part of the screen that it covers, rounded to the nearest: exact area
    averaging (``INTER_AREA``), in whole numbers.

    Args:
        n: Screens N.
        colours: Of the screens' indices, uint8 [256, C].
        crop: First and last row (exclusive), first and last column (exclusive) of the part of the screen that is seen.
        size: Height and width of a picture, at most those of the part.

    Attributes:
        pictures: uint8 [N, H, W, C], as of the last ``update`` of each.
    """

    def __init__(
        self, n: int, colours: NDArray[np.uint8], crop: tuple[int, int, int, int], size: tuple[int, int]
    ) -> None:
        top, bottom, left, right = crop
        self._box = np.array(crop, dtype=np.int64)
        self._colours = colours.astype(np.int64) @ (1 << _BITS * np.arange(colours.shape[1]))
        self._rows = _shares(top, bottom, size[0])
        self._columns = _shares(left, right, size[1])
        self._whole = (bottom - top) * (right - left)
        self.pictures: NDArray[np.uint8] = np.empty((n, *size, colours.shape[1]), dtype=np.uint8)
        # No screen has this index: at first, all of a picture is drawn.
        self._shown = np.full((n, HEIGHT, _WORDS), 2**64 - 1, dtype=np.uint64)
        self._shown_before = self._shown.copy()

    def update(self, rows: NDArray[np.int64], screens: NDArray[np.uint8], before: NDArray[np.uint8] | None) -> None:
        """Draws what has changed.

        Args:
            rows: The pictures to update, int64 [R].
            screens: uint8 [N, 210, 160].
            before: Screens that are brought in by the larger value of each channel, or None.
        """
        update(rows, *self.arguments(screens, before))

    def arguments(self, screens: NDArray[np.uint8], before: NDArray[np.uint8] | None) -> tuple[Any, ...]:
        """What the compiled ``update`` takes after the rows; the pictures come last."""
        latest = (screens, screens.view(np.uint64), self._shown)
        earlier = latest if before is None else (before, before.view(np.uint64), self._shown_before)
        shares = (*self._rows, *self._columns, self._whole)
        return *latest, *earlier, before is not None, self._box, self._colours, *shares, self.pictures


def _shares(first: int, last: int, size: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """How lines ``first`` to ``last`` are shared out among ``size`` lines.

    Returns:
        For every new line the first old one and the number of them, int64 [size], and how much of each it takes, in
        parts of an old line, int64 [size, most].
    """
    length = last - first
    # In parts of 1 / size of an old line: old line i is [i size, (i + 1) size), new line j is [j length, ...).
    begin = np.arange(size) * length
    end = begin + length
    start = begin // size
    count = (end - 1) // size + 1 - start
    old = start[:, None] + np.arange(count.max())
    share = np.minimum(end[:, None], (old + 1) * size) - np.maximum(begin[:, None], old * size)
    return first + start, count, np.maximum(share, 0)


@njit(cache=True)
def update(
    rows: Any,
    screens: Any,
    words: Any,
    shown: Any,
    before: Any,
    words_before: Any,
    shown_before: Any,
    pooled: bool,
    box: Any,
    colours: Any,
    row_start: Any,
    row_count: Any,
    row_share: Any,
    column_start: Any,
    column_count: Any,
    column_share: Any,
    whole: int,
    pictures: Any,
) -> None:
    """Compiled ``Pictures.update``."""
    top, bottom, left, right = box[0], box[1], box[2], box[3]
    height, width, channels = pictures.shape[1:]
    low = np.empty(HEIGHT, np.int64)
    high = np.empty(HEIGHT, np.int64)
    line = np.empty(WIDTH, np.int64)
    # A quotient below 2**8 of a number below 2**24 by one below 2**16 is exact to the last bit at this precision.
    inverse = (1 << _PRECISION) // whole + 1
    for copy in rows:
        for y in range(top, bottom):
            begin, end = _changed(words, shown, copy, y, WIDTH, 0)
            if pooled:
                begin, end = _changed(words_before, shown_before, copy, y, begin, end)
            low[y], high[y] = max(begin, left), min(end, right)
        for i in range(height):
            begin, end = WIDTH, 0
            for y in range(row_start[i], row_start[i] + row_count[i]):
                begin, end = min(begin, low[y]), max(end, high[y])
            if begin >= end:
                continue
            first = (begin - left) * width // (right - left)
            last = ((end - left) * width - 1) // (right - left)
            begin, end = column_start[first], column_start[last] + column_count[last]
            line[begin:end] = 0
            share, last_line = 0, row_start[i] + row_count[i] - 1
            for y in range(row_start[i], last_line + 1):
                share += row_share[i, y - row_start[i]]
                # Lines that are alike are added up at once: a brick is six of them.
                if y < last_line and _alike(words, copy, y) and not (pooled and not _alike(words_before, copy, y)):
                    continue
                if pooled:
                    for x in range(begin, end):
                        line[x] += share * _brighter(colours[screens[copy, y, x]], colours[before[copy, y, x]])
                else:
                    for x in range(begin, end):
                        line[x] += share * colours[screens[copy, y, x]]
                share = 0
            for j in range(first, last + 1):
                red, green, blue = whole // 2, whole // 2, whole // 2
                for b in range(column_count[j]):
                    value, part = line[column_start[j] + b], column_share[j, b]
                    red += part * (value & _FIELD)
                    if channels > 1:
                        green += part * (value >> _BITS & _FIELD)
                        blue += part * (value >> 2 * _BITS)
                pictures[copy, i, j, 0] = red * inverse >> _PRECISION
                if channels > 1:
                    pictures[copy, i, j, 1] = green * inverse >> _PRECISION
                    pictures[copy, i, j, 2] = blue * inverse >> _PRECISION


@njit(cache=True)
def _changed(words: Any, shown: Any, copy: int, y: int, low: int, high: int) -> tuple[int, int]:
    """Widens [low, high) to the words in which a line differs from what is shown, and notes it as shown."""
    differ = np.uint64(0)
    for word in range(_WORDS):
        differ |= words[copy, y, word] ^ shown[copy, y, word]
    if not differ:
        return low, high
    for word in range(_WORDS):
        if words[copy, y, word] != shown[copy, y, word]:
            low, high = min(low, 8 * word), max(high, 8 * word + 8)
            shown[copy, y, word] = words[copy, y, word]
    return low, high


@njit(cache=True)
def _alike(words: Any, copy: int, y: int) -> bool:
    """Whether a line and the next one are the same."""
    differ = np.uint64(0)
    for word in range(_WORDS):
        differ |= words[copy, y, word] ^ words[copy, y + 1, word]
    return not differ


@njit(cache=True)
def _brighter(one: int, other: int) -> int:
    """The larger value in each field."""
    best = 0
    for shift in (0, _BITS, 2 * _BITS):
        best |= max(one >> shift & _FIELD, other >> shift & _FIELD) << shift
    return best
