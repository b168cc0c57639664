"""What metrics of a representation read: rows of factors and codes, to fit on and to test on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import index
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .checks import Floats, Ints, as_floats
from .discretise import discretise

Bools = NDArray[np.bool_]

TEST_SHARE = 1 / 3
"""Of the rows, set apart for the test where no test rows are given."""
NOTHING_VARIES = "no factor varies in the sample"
LONE_BLOCK = "a single block holds every code: there is no second one to compare it with"
_WHOLE_BELOW = 2.0**53  # from there on floats hold whole numbers only, so being whole says nothing


@dataclass(frozen=True)
class Rows:
    """Factors and codes, row by row.

    Attributes:
        factors: float64 [N, K]; whole numbers where ``discrete``.
        codes: float64 [N, D].
        discrete: bool [K], which factors are categories rather than quantities.
    """

    factors: Floats
    codes: Floats
    discrete: Bools

    def __len__(self) -> int:
        return len(self.codes)

    def labels(self, column: int) -> Ints:
        """A discrete factor's values, int64 [N]."""
        return self.factors[:, column].astype(np.int64)

    @property
    def varying(self) -> Bools:
        """Which factors take more than one value, [K]."""
        return np.asarray(self.factors.max(axis=0) > self.factors.min(axis=0))

    def levels(self, bins: int = 20, binning: str = "width") -> Ints:
        """All factors as level numbers 0.., int64 [N, K]: distinct values, and of a quantity its bins.

        A quantity is cut into bins of equal count where ``binning`` is "quantile", else of equal width.
        """
        cut = "quantile" if binning == "quantile" else "width"
        columns = []
        for column, discrete in zip(self.factors.T, self.discrete, strict=True):
            values = column if discrete else discretise(column[:, None], bins, cut)[:, 0]
            columns.append(np.unique(values, return_inverse=True)[1].reshape(-1))
        return np.stack(columns, axis=1).astype(np.int64)

    def take(self, rows: Any) -> Rows:
        """Some of the rows: indices, a slice or a mask."""
        return Rows(self.factors[rows], self.codes[rows], self.discrete)


def read_rows(
    factors: Any, codes: Any, continuous: Sequence[int] | Sequence[bool] | Bools | None = None, name: str = ""
) -> Rows:
    """Checks factors and codes and brings them to one form.

    Args:
        factors: Numbers [N, K].
        codes: Floats [N, D].
        continuous: Columns of ``factors`` that are quantities, or a mask of them [K]. None: those that hold a number
            that is not whole, or from 2**53 on.
        name: Put before the arrays' names in errors.

    Raises:
        ValueError: Shapes do not fit, nothing there, numbers that are not finite, or a column that does not exist.
    """
    table, values = as_floats(factors, f"{name}factors", 2), as_floats(codes, f"{name}codes", 2)
    if len(table) != len(values):
        raise ValueError(f"{name}factors and {name}codes differ in rows: {table.shape} and {values.shape}")
    whole = ((table == np.round(table)) & (np.abs(table) < _WHOLE_BELOW)).all(axis=0)
    if continuous is None:
        return Rows(table, values, whole)
    discrete = np.ones(table.shape[1], dtype=bool)
    for column in _columns(continuous, table.shape[1]):
        if column not in range(table.shape[1]):
            raise ValueError(f"there is no factor {column} among {table.shape[1]}")
        discrete[column] = False
    if not whole[discrete].all():
        raise ValueError(
            f"{name}factors {np.flatnonzero(discrete & ~whole).tolist()} are not whole numbers: name them continuous"
        )
    return Rows(table, values, discrete)


def _columns(chosen: Any, count: int) -> list[Any]:
    """Columns as they are, or those that a mask chooses."""
    try:
        listed = list(chosen)
    except TypeError as error:
        raise ValueError(f"continuous must be a list of columns or a mask of them, not {chosen!r}") from error
    masks = [isinstance(each, bool | np.bool_) for each in listed]
    if not any(masks):
        return listed
    if not all(masks) or len(listed) != count:
        raise ValueError(f"continuous as a mask must hold True or False for each of the {count} factors")
    return [column for column, kept in enumerate(listed) if kept]


def read_split(
    factors: Any,
    codes: Any,
    factors_test: Any = None,
    codes_test: Any = None,
    *,
    seed: int,
    continuous: Sequence[int] | None = None,
) -> tuple[Rows, Rows]:
    """Rows to fit on and rows to test on; without test rows a third of the others, at random, is set apart for it.

    Raises:
        ValueError: One of the test arrays without the other, too few rows, or what ``read_rows`` refuses.
    """
    if (factors_test is None) != (codes_test is None):
        raise ValueError("factors_test and codes_test go together: one of them is missing")
    rows = read_rows(factors, codes, continuous)
    if factors_test is None:
        order = np.random.default_rng(seed).permutation(len(rows))
        cut = round(len(rows) * TEST_SHARE)
        if cut < 1:
            raise ValueError("a single row cannot be divided: give more rows, or factors_test and codes_test")
        return rows.take(order[cut:]), rows.take(order[:cut])
    quantities = np.flatnonzero(~rows.discrete).tolist()
    test = read_rows(factors_test, codes_test, quantities, "test ")
    if test.factors.shape[1] != rows.factors.shape[1] or test.codes.shape[1] != rows.codes.shape[1]:
        raise ValueError(
            f"train and test differ in columns: factors {rows.factors.shape[1]} and {test.factors.shape[1]}, "
            f"codes {rows.codes.shape[1]} and {test.codes.shape[1]}"
        )
    return rows, test


def is_lone_block(blocks: Sequence[Sequence[int]], factors: int) -> bool:
    """Whether one block of several dimensions is all there is for several factors: a gap to the next means nothing."""
    return len(blocks) == 1 and len(blocks[0]) > 1 and factors > 1


def read_blocks(blocks: Sequence[Sequence[int]] | None, dimensions: int) -> list[list[int]]:
    """Blocks of code dimensions; each dimension by itself when none are given.

    A dimension in no block is left out of the metric.

    Raises:
        ValueError: Not lists of whole numbers, an empty block, a dimension that does not exist, or one in two blocks.
    """
    if blocks is None:
        return [[dimension] for dimension in range(dimensions)]
    try:
        found = [[index(dimension) for dimension in block] for block in blocks]
    except TypeError as error:
        raise ValueError("blocks must be lists of code dimensions, such as [[0, 1], [2]]") from error
    flat = [dimension for block in found for dimension in block]
    if not found or not all(found):
        raise ValueError("blocks must be lists of at least one code dimension each")
    if len(set(flat)) != len(flat):
        raise ValueError("a code dimension is in more than one block")
    for dimension in flat:
        if not 0 <= dimension < dimensions:
            raise ValueError(f"blocks name dimension {dimension}, but codes have 0..{dimensions - 1}")
    return found
