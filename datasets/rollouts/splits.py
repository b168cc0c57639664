"""Splits of recorded episodes into training, validation and test, without the frames that occur in both."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...envs.registry import UsageError
from ..randomness import numpy_generator
from ..splits import split_states
from .reader import Rollouts

IntArray = NDArray[np.int64]

_SPLIT = 8  # keeps these draws apart from others with the same seed


@dataclass(frozen=True)
class EpisodeSplit:
    """Three disjoint sets of episodes, and the rows of each that may be shown.

    Attributes:
        train: Episodes, sorted, int64.
        validation: Likewise.
        test: Likewise.
        train_rows: Rows of the training episodes, int64.
        validation_rows: Rows of the validation episodes whose frame occurs in no training episode.
        test_rows: Rows of the test episodes whose frame occurs in no training or validation episode.
    """

    train: IntArray
    validation: IntArray
    test: IntArray
    train_rows: IntArray
    validation_rows: IntArray
    test_rows: IntArray


def frame_numbers(
    rollouts: Rollouts,
    columns: Sequence[str] | None = None,
    shown: Callable[[NDArray[Any]], NDArray[Any]] | None = None,
) -> IntArray:
    """A number for each row, the same for rows that hold the same; in the order of their first occurrence.

    Rows are compared by the first 128 bits of the SHA-256 of their content, so that frames need not be in memory.

    Args:
        rollouts: The recordings; they are read once from beginning to end.
        columns: What is compared; None for the observations.
        shown: What is made of the rows of each column before; None: nothing.

    Returns:
        int64 [rows]: 0 to the number of different rows - 1.
    """
    names = (
        [name for name in rollouts.columns if name.partition("/")[0] == "observation"] if columns is None else columns
    )
    known: dict[bytes, int] = {}
    numbers = np.empty(len(rollouts), dtype=np.int64)
    step = max(1, 2**24 // sum(max(1, rollouts.columns[name].row_bytes) for name in names))
    for start in range(0, len(rollouts), step):
        rows = np.arange(start, min(start + step, len(rollouts)))
        read = [rollouts.read(name, rows) for name in names]
        parts = [
            np.ascontiguousarray(each if shown is None else shown(each)).reshape(len(rows), -1).view(np.uint8)
            for each in read
        ]
        for place, row in enumerate(zip(*parts, strict=True)):
            digest = hashlib.sha256(row[0])
            for part in row[1:]:
                digest.update(part)
            numbers[start + place] = known.setdefault(digest.digest()[:16], len(known))
    return numbers


def split_episodes(rollouts: Rollouts, validation: float = 0.1, test: float = 0.1, seed: int = 0) -> EpisodeSplit:
    """Splits recordings by episode at random, and takes out of each part what an earlier one has.

    Frames repeat: 30 % of the frames of a game of Breakout that is held out are frames of other games too, pixel by
    pixel, and a model that knows them by heart would be praised for it.

    Args:
        rollouts: The recordings.
        validation: The share of the episodes, in (0, 1); their number is rounded.
        test: Likewise.
        seed: The same seed gives the same split.

    Raises:
        UsageError: A share is not in (0, 1), or a part has no episode or no frame of its own.
    """
    try:
        parts = split_states(rollouts.episodes, validation, test, int(numpy_generator(seed, _SPLIT).integers(2**31)))
    except UsageError as error:
        raise UsageError(str(error).replace("state", "episode")) from error
    numbers = frame_numbers(rollouts)
    taken = np.zeros(numbers.max() + 1, dtype=bool)
    rows = []
    for name, episodes in (("training", parts.train), ("validation", parts.validation), ("test", parts.test)):
        own = rollouts.rows_of(episodes)
        fresh = own[~taken[numbers[own]]]
        if not len(fresh):
            raise UsageError(f"every frame of the {name} episodes occurs in an earlier part of the split as well")
        rows.append(fresh)
        taken[numbers[own]] = True
    return EpisodeSplit(parts.train, parts.validation, parts.test, *rows)
