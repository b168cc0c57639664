"""Drawing batches of codes from a table in which each observation was encoded once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from .checks import Floats, Ints
from .tables import Rows, read_rows

CHUNK = 2**21
"""Numbers gathered at a time."""


class Factored(Protocol):
    """What is read of a data set: the generative-factor API."""

    def __len__(self) -> int:
        """How many states there are."""
        ...

    def generative_factors(self, index: Any) -> Any:
        """Factor values of states, int ``[N, K]``."""
        ...

    def images(self, index: Any) -> Any:
        """Their images, ``[N, ...]``."""
        ...


def encode(representation: Callable[[Any], Any], dataset: Factored, states: Ints, batch: int = 256) -> Floats:
    """Codes of states ``[N, D]``, batch by batch; a state that occurs several times is encoded once.

    Args:
        representation: Gives codes ``[n, D]`` (an array or a tensor) for a batch of the data set's images.
        dataset: Has the images.
        states: Numbers of states, int64 ``[N]``.
        batch: Images that are encoded at a time.

    Raises:
        ValueError: ``batch`` is below 1, or a batch gets another number of codes than it has images.
    """
    if batch < 1:
        raise ValueError(f"batch must be at least 1, not {batch}")
    distinct, place = np.unique(states, return_inverse=True)
    pieces = []
    for start in range(0, len(distinct), batch):
        part = distinct[start : start + batch]
        codes = representation(dataset.images(part))
        # Tensors need to be taken off their graph and device first.
        codes = codes.detach().cpu() if hasattr(codes, "detach") else codes
        pieces.append(np.asarray(codes, dtype=np.float64))
        if pieces[-1].ndim != 2 or len(pieces[-1]) != len(part):
            raise ValueError(f"the representation gave codes of shape {pieces[-1].shape} for {len(part)} images")
    return np.concatenate(pieces)[place.reshape(-1)]


@dataclass(frozen=True)
class Partition:
    """Rows in groups, ready to draw from.

    Attributes:
        order: Row numbers, group by group, int64 [N].
        start: Where each group begins in ``order``, int64 [G].
        size: Rows of each group, int64 [G].
        group: The group of each row, int64 [N].
    """

    order: Ints
    start: Ints
    size: Ints
    group: Ints

    @classmethod
    def of(cls, keys: Ints) -> Partition:
        """Groups the rows with equal keys, int64 [N]."""
        group, size = np.unique(keys, return_inverse=True, return_counts=True)[1:]
        group = group.reshape(-1).astype(np.int64)
        order = np.argsort(group, kind="stable").astype(np.int64)
        return cls(order, (np.cumsum(size) - size).astype(np.int64), size.astype(np.int64), group)

    @cached_property
    def place(self) -> Ints:
        """Each row's position within its group, int64 [N]."""
        place = np.empty_like(self.order)
        place[self.order] = np.arange(len(self.order)) - np.repeat(self.start, self.size)
        return place

    def members(self, groups: Ints, uniform: Floats) -> Ints:
        """A row of each of the groups, chosen by numbers in [0, 1) of the same shape."""
        size = self.size[groups]
        return self.order[self.start[groups] + np.minimum((uniform * size).astype(np.int64), size - 1)]

    def partners(self, rows: Ints, uniform: Floats) -> Ints:
        """For each row another row of its group; the row itself where it is alone."""
        group = self.group[rows]
        size = self.size[group]
        step = 1 + np.minimum((uniform * (size - 1)).astype(np.int64), np.maximum(size - 2, 0))
        return self.order[self.start[group] + (self.place[rows] + step) % size]

    def batches(self, groups: Ints, batch: int, rng: np.random.Generator) -> Ints:
        """Different rows of each of the groups, int64 [P, batch]; where a group has fewer, each as often as the others.

        Batches of one group take turns with its rows before any comes again.
        """
        rows = np.empty((len(groups), batch), dtype=np.int64)
        for group in np.unique(groups):
            asked = np.flatnonzero(groups == group)
            members = self.order[self.start[group] : self.start[group] + self.size[group]]
            copies, rest = divmod(batch, len(members))
            rows[asked, : batch - rest] = np.tile(members, copies)
            if rest:
                turns = len(members) // rest  # batches that one pass through the members fills
                passes = rng.permuted(np.tile(members, (-(-len(asked) // turns), 1)), axis=1)
                rows[asked, batch - rest :] = passes[:, : turns * rest].reshape(-1, rest)[: len(asked)]
        return rows


Groups = tuple[Partition, Ints]
"""Groups of rows, and the rows of those groups that may be drawn."""


@dataclass(frozen=True)
class CodeTable:
    """Codes of observations, each encoded once, with the factors that they show.

    Attributes:
        levels: Level numbers of the factors, int64 [N, K].
        codes: float64 [N, D].
        whole: Whether every combination of levels is there exactly once. Draws from such a table are those of the
            published procedures, which sample factors and encode what they show, at a fraction of the encodings.
    """

    levels: Ints
    codes: Floats
    whole: bool = field(default=False)

    @classmethod
    def encode(
        cls,
        representation: Callable[[Any], Any],
        dataset: Factored,
        states: Any = None,
        batch: int = 256,
        bins: int = 10,
    ) -> CodeTable:
        """Encodes states of a data set, each once.

        Args:
            representation: Gives codes ``[n, D]`` (an array or a tensor) for a batch of the data set's images.
            dataset: States with factors and images.
            states: Numbers of states, int ``[N]``; the table has one row for each. None: all.
            batch: Images that are encoded at a time.
            bins: Equal-width bins of a factor that is a quantity.

        Raises:
            ValueError: No states, a batch below 1, or codes that are not finite ``[n, D]``.
        """
        chosen = np.arange(len(dataset)) if states is None else np.asarray(states, dtype=np.int64)
        if len(chosen) == 0:
            raise ValueError("there are no states to encode")
        codes = encode(representation, dataset, chosen, batch)
        return cls.of_rows(read_rows(dataset.generative_factors(chosen), codes), bins)

    @classmethod
    def of_rows(cls, rows: Rows, bins: int = 10) -> CodeTable:
        """A table of rows as they come; ``bins`` equal-width bins stand for a quantity."""
        levels = rows.levels(bins)
        sizes = levels.max(axis=0) + 1
        whole = bool(rows.discrete.all()) and float(np.prod(sizes.astype(np.float64))) == len(levels)
        if whole:
            cells = np.ravel_multi_index(tuple(levels.T), tuple(sizes))
            whole = len(np.unique(cells)) == len(levels)
        return cls(levels, rows.codes, whole)

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def varying(self) -> list[int]:
        """The factors with at least two levels."""
        return [int(column) for column in np.flatnonzero(np.ptp(self.levels, axis=0) > 0)]

    def sharing(self, column: int) -> Groups:
        """Rows grouped by the value of one factor; groups of at least two rows may be drawn."""
        partition = Partition.of(self.levels[:, column])
        return partition, np.flatnonzero(partition.size[partition.group] > 1).astype(np.int64)

    def sharing_others(self, column: int, bins: int | None = None, still: bool = False) -> Groups:
        """Rows grouped by the values of all other factors; groups in which this one varies may be drawn.

        Args:
            column: The factor that is let vary.
            bins: Equal-width bins of every factor's levels. None: each level by itself.
            still: Lets groups of two and more rows be drawn in which this factor does not vary either.
        """
        levels = self.levels
        if bins is not None:
            top = np.maximum(levels.max(axis=0), 1)
            # A level below the number of bins stays by itself: there is nothing to merge.
            levels = np.where(top < bins, levels, np.minimum(levels * bins // top, bins - 1))
        keys = np.zeros(len(levels), dtype=np.int64)
        for other in range(levels.shape[1]):
            if other != column:
                keys = np.unique(keys * (int(levels[:, other].max()) + 1) + levels[:, other], return_inverse=True)[1]
                keys = keys.reshape(-1)
        partition = Partition.of(keys)
        if still:
            usable = partition.size > 1
        else:
            # Sorted by group and then by level, a group varies where its ends differ.
            own = levels[:, column]
            ordered = own[np.lexsort((own, partition.group))]
            usable = ordered[partition.start] != ordered[partition.start + partition.size - 1]
        return partition, np.flatnonzero(usable[partition.group]).astype(np.int64)


def pair_differences(table: CodeTable, columns: Ints, batch: int, rng: np.random.Generator) -> Floats:
    """Mean absolute difference of codes over pairs of rows that share one factor's value.

    Args:
        table: Codes to draw from.
        columns: The factor that is shared in each batch, int64 [P].
        batch: Pairs a batch.
        rng: Draws the pairs.

    Returns:
        float64 [P, D]; infinite where a difference of codes is.
    """
    points = np.empty((len(columns), table.codes.shape[1]))
    for column in np.unique(columns):
        partition, usable = table.sharing(int(column))
        if table.whole:
            # There a row may meet itself, as two published draws of all factors may agree.
            usable = np.arange(len(table))
        for part in _chunks(np.flatnonzero(columns == column), batch * points.shape[1]):
            first = usable[rng.integers(len(usable), size=(len(part), batch))]
            uniform = rng.random(first.shape)
            if table.whole:
                second = partition.members(partition.group[first], uniform)
            else:
                second = partition.partners(first, uniform)
            with np.errstate(over="ignore"):
                points[part] = np.abs(table.codes[first] - table.codes[second]).mean(axis=1)
    return points


def group_variances(
    table: CodeTable, columns: Ints, batch: int, rng: np.random.Generator, groups: Callable[[int], Groups]
) -> Floats:
    """Variances of codes in batches drawn from one group of rows each.

    From a whole table rows are drawn independently, as published. The rows of a batch from any other table differ as
    far as its group suffices: a batch of different rows is a sample of what the rows were sampled from, whereas one
    that meets rows twice varies more from batch to batch.

    Args:
        table: Codes to draw from.
        columns: The factor of each batch, int64 [P].
        batch: Rows a batch.
        rng: Draws groups, by the number of their rows, and rows.
        groups: The groups that belong to a factor, and the rows of those that may be drawn.

    Returns:
        float64 [P, D], unbiased variances.
    """
    found = np.empty((len(columns), table.codes.shape[1]))
    for column in np.unique(columns):
        partition, usable = groups(int(column))
        for part in _chunks(np.flatnonzero(columns == column), batch * found.shape[1]):
            chosen = partition.group[usable[rng.integers(len(usable), size=len(part))]]
            if table.whole:
                rows = partition.members(np.repeat(chosen[:, None], batch, axis=1), rng.random((len(part), batch)))
            else:
                rows = partition.batches(chosen, batch, rng)
            found[part] = table.codes[rows].var(axis=1, ddof=1)
    return found


def _chunks(indices: Ints, width: int) -> Iterator[Ints]:
    """The indices in parts for which ``width`` numbers each can be gathered at once."""
    step = max(1, CHUNK // max(1, width))
    for begin in range(0, len(indices), step):
        yield indices[begin : begin + step]
