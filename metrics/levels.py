"""Factors as level numbers that mean the same in the rows to fit on and in the rows to test on."""

from __future__ import annotations

import numpy as np

from .checks import Ints
from .discretise import check_bins, equal_widths
from .tables import Rows


def shared_levels(train: Rows, test: Rows, bins: int = 20) -> tuple[Ints, Ints]:
    """Both parts' factors as level numbers 0.., a number standing for the same value in either part.

    Args:
        train: Rows to fit on.
        test: Rows to test on, with the same columns.
        bins: Equal-width bins, between the smallest and the largest value of the training part, of a quantity.

    Returns:
        int64 [N, K] and [M, K].

    Raises:
        ValueError: ``bins`` is below 1.
    """
    check_bins(bins, "width")
    columns = []
    for column, discrete in enumerate(train.discrete):
        first, second = train.factors[:, column], test.factors[:, column]
        values = np.concatenate([first, second]) if discrete else equal_widths(first, bins, second)
        columns.append(np.unique(values, return_inverse=True)[1].reshape(-1))
    levels = np.stack(columns, axis=1).astype(np.int64)
    return levels[: len(train)], levels[len(train) :]


def constant_columns(rows: Rows) -> list[int]:
    """The factors that take a single value in these rows."""
    return [int(column) for column in np.flatnonzero(~rows.varying)]
