"""Rollouts as data sets of torch: frames, transitions and sequences, for loaders with any number of workers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch.utils.data import Dataset

from ...envs.factors import whole
from .reader import Rollouts, Source, each_array


class _Items(Dataset[dict[str, Any]], ABC):
    """Items that begin at some rows. An index gives an item, a list of indices a batch of them."""

    def __init__(self, rollouts: Rollouts | Source, rows: ArrayLike | None, length: int) -> None:
        self.rollouts = rollouts if isinstance(rollouts, Rollouts) else Rollouts(rollouts)
        self.rows = self.rollouts.starts(length) if rows is None else whole(rows, "rows").reshape(-1)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int | Sequence[int] | NDArray[np.int64]) -> dict[str, Any]:
        """One item as a dictionary of arrays, or a batch of items as one of arrays [N, ...].

        Raises:
            IndexError: There is no such item.
        """
        if isinstance(index, int | np.integer):
            batch = self._batch(self.rows[[index]])
            return {name: each_array(part, lambda values: values[0]) for name, part in batch.items()}
        return self._batch(self.rows[np.asarray(index, dtype=np.int64)])

    def __getitems__(self, indices: list[int]) -> list[dict[str, Any]]:
        """Items that a loader asks for together: they are read together, and are views of what was read."""
        batch = self[indices]

        def item(place: int) -> dict[str, Any]:
            return {name: each_array(part, lambda values: values[place]) for name, part in batch.items()}

        return [item(place) for place in range(len(indices))]

    @abstractmethod
    def _batch(self, rows: NDArray[np.int64]) -> dict[str, Any]:
        """Items that begin at ``rows``, as arrays [N, ...]."""


class Frames(_Items):
    """Single rows: ``observation``, and ``factors`` where there are any.

    Args:
        rollouts: The recordings, or where they lie.
        rows: Which rows; None for all.

    Example:
        ``DataLoader(Frames("rollouts.h5"), batch_size=64, shuffle=True, num_workers=2)``; or, without the copy that
        putting a batch together takes, ``DataLoader(frames, sampler=BatchSampler(RandomSampler(frames), 64, False),
        batch_size=None)``.
    """

    def __init__(self, rollouts: Rollouts | Source, rows: ArrayLike | None = None) -> None:
        super().__init__(rollouts, rows, 1)

    def _batch(self, rows: NDArray[np.int64]) -> dict[str, Any]:
        found = {"observation": self.rollouts.observations(rows)}
        if "factors" in self.rollouts.columns:
            found["factors"] = self.rollouts.read("factors", rows)
        return found


class Transitions(_Items):
    """Steps, as ``Rollouts.transitions`` gives them.

    Args:
        rollouts: The recordings, or where they lie.
        rows: Rows before the steps; None for all.
    """

    def __init__(self, rollouts: Rollouts | Source, rows: ArrayLike | None = None) -> None:
        super().__init__(rollouts, rows, 2)

    def _batch(self, rows: NDArray[np.int64]) -> dict[str, Any]:
        return self.rollouts.transitions(rows)


class Sequences(_Items):
    """Sequences of rows within an episode, as ``Rollouts.sequences`` gives them.

    Args:
        rollouts: The recordings, or where they lie.
        length: Rows in a sequence.
        starts: Rows that they begin at; None for all that there can be.
        columns: What to read of them; None for everything.

    Raises:
        UsageError: The length is below 1.
    """

    def __init__(
        self,
        rollouts: Rollouts | Source,
        length: int,
        starts: ArrayLike | None = None,
        columns: Sequence[str] | None = None,
    ) -> None:
        super().__init__(rollouts, starts, length)
        self.length, self.columns = length, columns

    def _batch(self, rows: NDArray[np.int64]) -> dict[str, Any]:
        return self.rollouts.sequences(rows, self.length, self.columns)
