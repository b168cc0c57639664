"""Worlds of stamps on a black ground: small pictures that stand at places which the factors name."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..factors import IntArray
from ..registry import UsageError
from ..world import World

# Rows are copied in words as long as the width of a picture allows.
_WORDS = (np.uint64, np.uint32, np.uint16, np.uint8)


class StampWorld(World):
    """A world whose pictures are stamps on black; where several overlap, their bits are joined.

    For every stamp and every column at which it can stand, its rows across the whole picture are kept ready, so that
    drawing it is copying rows. A subclass calls ``_keep`` for each of its M movers and says in ``_places`` where they
    stand.
    """

    def __init__(self, size: int, channels: int) -> None:
        self.image_shape = (size, size, channels)
        self._sheets: list[NDArray[np.uint8]] = []

    def _keep(self, stamps: NDArray[np.uint8], lefts: IntArray) -> None:
        """Adds a mover.

        Args:
            stamps: Its pictures, uint8 [S, h, w, C].
            lefts: The left columns at which it can stand, int64 [P].
        """
        count, height, width, channels = stamps.shape
        sheet = np.zeros((count, len(lefts), height, self.image_shape[1], channels), dtype=np.uint8)
        for place, left in enumerate(lefts.tolist()):
            sheet[:, place, :, left : left + width] = stamps
        self._sheets.append(sheet.reshape(count * len(lefts), height, -1))

    @abstractmethod
    def _places(self, rows: IntArray) -> tuple[IntArray, IntArray]:
        """Where the movers stand.

        Args:
            rows: States, int64 [N, K], which are not checked again.

        Returns:
            The top row of each mover, int64 [N, M], and its entry in the sheet: ``stamp * P + place``, int64 [N, M].
        """

    def render(self, factors: IntArray) -> NDArray[np.uint8]:
        """Pictures of states.

        Args:
            factors: int64 [N, K].

        Returns:
            uint8 [N, H, W, C].

        Raises:
            UsageError: A row is no state.
        """
        rows = np.atleast_2d(self.factors.check(factors))
        tops, entries = self._places(rows)
        height, width, channels = self.image_shape
        images = np.zeros((len(rows), height, width * channels), dtype=np.uint8)
        every = np.arange(len(rows))[:, None]
        for mover, sheet in enumerate(self._sheets):
            covered = tops[:, mover, None] + np.arange(sheet.shape[1])
            stamps = sheet[entries[:, mover]]
            images[every, covered] = images[every, covered] | stamps if mover else stamps
        return images.reshape(len(rows), height, width, channels)

    def redraw(self, images: NDArray[np.uint8], shown: NDArray[Any], factors: NDArray[Any]) -> None:
        from .kernels import move_stamps

        height, width, channels = self.image_shape
        word = next(word for word in _WORDS if width * channels % np.dtype(word).itemsize == 0)
        rows = images.reshape(len(images), height, width * channels).view(word)
        sheets = tuple(sheet.view(word) for sheet in self._sheets)
        move_stamps(rows, sheets, *self._places(shown), *self._places(factors))

    def redraw_before(
        self,
        images: NDArray[np.uint8],
        behind: NDArray[np.uint8],
        fresh: NDArray[np.bool_],
        shown: NDArray[Any],
        factors: NDArray[Any],
    ) -> None:
        from .kernels import move_stamps_before

        pictures, ground = images.reshape(len(images), -1), behind.reshape(len(images), -1)
        sheets, line = tuple(sheet.reshape(len(sheet), -1) for sheet in self._sheets), images[0, 0].size
        (old_tops, old_entries), (tops, entries) = self._places(shown), self._places(factors)
        move_stamps_before(pictures, ground, fresh, sheets, line * old_tops, old_entries, line * tops, entries)


def check_whole(world: str, least: dict[str, tuple[Any, int]]) -> None:
    """Refuses options (by name: the value, and the least that is accepted) that are no whole numbers of that size."""
    for name, (value, lowest) in least.items():
        if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < lowest:
            raise UsageError(f"{world}: {name} must be a whole number, {lowest} or more, got {value!r}")
