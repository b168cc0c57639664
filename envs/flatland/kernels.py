"""The compiled inner loops that draw FlatLand's worlds."""

from __future__ import annotations

import math
from typing import Any

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
def move_discs(images: Any, moved: Any, old_rows: Any, old_columns: Any, rows: Any, columns: Any, radius: Any) -> None:
    """Moves discs with soft edges: a pixel is as bright as the share of it that the disc covers, about.

    Args:
        images: uint8 [N, H, W, C].
        moved: Which pictures to draw, bool [N].
        old_rows: The row of each centre as it was drawn, float64 [N]; nan where nothing was drawn.
        old_columns: The column.
        rows: The row of each centre now, float64 [N].
        columns: The column.
        radius: Of the discs, in pixels.
    """
    reach = radius + 0.5
    height, width, channels = images.shape[1:]
    for n in range(len(images)):
        if not moved[n]:
            continue
        image = images[n]
        if not math.isnan(old_rows[n]):
            top, left = max(0, math.floor(old_rows[n] - reach)), max(0, math.floor(old_columns[n] - reach))
            bottom, right = math.ceil(old_rows[n] + reach) + 1, math.ceil(old_columns[n] + reach) + 1
            image[top:bottom, left:right] = 0
        for row in range(max(0, math.ceil(rows[n] - reach)), min(height, math.floor(rows[n] + reach) + 1)):
            squared = (row - rows[n]) ** 2
            outer = math.sqrt(reach**2 - squared)
            first, last = max(0, math.ceil(columns[n] - outer)), min(width, math.floor(columns[n] + outer) + 1)
            # From ``full`` to ``end`` pixels are covered wholly; there may be none.
            full = end = first
            if radius > 0.5 and squared <= (radius - 0.5) ** 2:
                inner = math.sqrt((radius - 0.5) ** 2 - squared)
                full = max(first, math.ceil(columns[n] - inner))
                end = max(full, min(last, math.floor(columns[n] + inner) + 1))
                image[row, full:end] = 255
            for start, stop in ((first, full), (end, last)):
                for column in range(start, stop):
                    # The edge is nearly straight over a pixel: what it covers falls from 1 to 0 over a pixel's width.
                    covered = reach - math.sqrt(squared + (column - columns[n]) ** 2)
                    value = int(255.0 * min(1.0, max(0.0, covered)) + 0.5)
                    for channel in range(channels):
                        image[row, column, channel] = value
