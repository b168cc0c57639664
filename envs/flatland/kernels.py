"""The compiled inner loops that draw FlatLand's worlds."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit


@njit(cache=True)
def move_stamps(rows: Any, sheets: Any, old_tops: Any, old_entries: Any, tops: Any, entries: Any) -> None:
    """Moves stamps in the pictures in which one of them stands elsewhere than before.

    Args:
        rows: Pictures, words [N, H, W].
        sheets: For each of M movers the rows of its entries, words [E, h, W].
        old_tops: The top row of each mover as it was drawn, int64 [N, M].
        old_entries: Its entry in the sheet as it was drawn, int64 [N, M].
        tops: The top row now, int64 [N, M].
        entries: The entry now, int64 [N, M].
    """
    movers = tops.shape[1]
    for n in range(len(rows)):
        moved = False
        for m in range(movers):
            moved |= tops[n, m] != old_tops[n, m] or entries[n, m] != old_entries[n, m]
        if not moved:
            continue
        picture = rows[n]
        for m in range(movers):
            picture[old_tops[n, m] : old_tops[n, m] + sheets[m].shape[1]] = 0
        for m in range(movers):
            stamp, top = sheets[m][entries[n, m]], tops[n, m]
            # All is black where the first one goes. (Loops of their own, each of which becomes a plain copy.)
            if m == 0:
                for row in range(stamp.shape[0]):
                    for word in range(picture.shape[1]):
                        picture[top + row, word] = stamp[row, word]
            else:
                for row in range(stamp.shape[0]):
                    for word in range(picture.shape[1]):
                        picture[top + row, word] |= stamp[row, word]


@njit(cache=True)
def move_stamps_before(
    pictures: Any, behind: Any, fresh: Any, sheets: Any, old_starts: Any, old_entries: Any, starts: Any, entries: Any
) -> None:
    """Moves stamps as ``move_stamps`` does, in pictures that have something behind them.

    Args:
        pictures: uint8 [N, H * W * C].
        behind: What is behind the stamps, like the pictures: of the two the brighter numbers are seen.
        fresh: Which pictures are to be drawn as a whole, bool [N].
        sheets: As there, uint8 [E, h * W * C].
        old_starts: The number of a picture at which each mover's rows began as it was drawn, int64 [N, M].
        old_entries: As there.
        starts: The number at which they begin now, int64 [N, M].
        entries: As there.
    """
    movers = starts.shape[1]
    for n in range(len(pictures)):
        moved = fresh[n]
        for m in range(movers):
            moved |= starts[n, m] != old_starts[n, m] or entries[n, m] != old_entries[n, m]
        if not moved:
            continue
        picture, ground = pictures[n], behind[n]
        if fresh[n]:
            _copy(picture, ground)
        else:
            for m in range(movers):
                first, last = old_starts[n, m], old_starts[n, m] + sheets[m].shape[1]
                _copy(picture[first:last], ground[first:last])
        for m in range(movers):
            first, last = starts[n, m], starts[n, m] + sheets[m].shape[1]
            _copy(picture[first:last], sheets[m][entries[n, m]])
            # All stamps are joined before what is behind them is seen.
            for other in range(movers):
                start = starts[n, other]
                low, high = max(first, start), min(last, start + sheets[other].shape[1])
                if other != m and low < high:
                    _join(picture[low:high], sheets[other][entries[n, other], low - start : high - start])
            _lighten(picture[first:last], ground[first:last])


@njit(cache=True)
def _copy(numbers: Any, others: Any) -> None:
    for k in range(len(numbers)):  # many times as fast as a slice that is assigned
        numbers[k] = others[k]


@njit(cache=True)
def _join(numbers: Any, others: Any) -> None:
    for k in range(len(numbers)):
        numbers[k] |= others[k]


@njit(cache=True)
def _lighten(numbers: Any, others: Any) -> None:
    for k in range(len(numbers)):
        numbers[k] = max(numbers[k], others[k])


@njit(cache=True)
def move_discs(pictures: Any, columns: Any, moved: Any, old: Any, centres: Any, radius: float) -> None:
    """Moves discs with soft edges: a pixel is as bright as the share of it that the disc covers, about.

    The edge is nearly straight over a pixel: what it covers falls from 1 to 0 over a pixel's width.

    Args:
        pictures: uint8 [N, H, W * C].
        columns: The column of each number of a row, float32 [W * C].
        moved: Which pictures to draw, bool [N].
        old: Row and column of each centre as it was drawn, float64 [N, 2]; nan where nothing was drawn.
        centres: Row and column of each centre now, float64 [N, 2].
        radius: Of the discs, in pixels.
    """
    reach, bright, half, none = np.float32(radius + 0.5), np.float32(255.0), np.float32(0.5), np.float32(0.0)
    height, wide = pictures.shape[1:]
    channels = np.count_nonzero(columns == 0)
    # As many columns as hold the disc, in whole sixteens: a simple loop over them is faster than one over fewer.
    span = min(wide // channels, 16 * math.ceil((2 * reach + 1) / 16))
    for n in range(len(pictures)):
        if not moved[n]:
            continue
        if not math.isnan(old[n, 0]):
            pictures[n, max(0, math.floor(old[n, 0] - reach)) : math.ceil(old[n, 0] + reach) + 1] = 0
        middle = np.float32(centres[n, 1])
        left = channels * min(max(0, math.ceil(centres[n, 1] - reach)), wide // channels - span)
        right = left + channels * span
        for row in range(max(0, math.ceil(centres[n, 0] - reach)), min(height, math.floor(centres[n, 0] + reach) + 1)):
            up = np.float32(row - centres[n, 0])
            picture, places = pictures[n, row, left:right], columns[left:right]
            for k in range(len(picture)):
                right_of = places[k] - middle
                covered = bright * (reach - np.sqrt(up * up + right_of * right_of))
                picture[k] = np.uint8(np.int32(min(bright, max(none, covered)) + half))
