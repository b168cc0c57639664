"""Cutting numbers into bins: equal widths, equal counts, or every distinct value by itself."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.stats import rankdata
from sklearn.preprocessing import minmax_scale

from .checks import Floats, Ints, as_floats
from .scale import to_unit

BINNINGS = ("width", "quantile", "exact", "width_ubisoft")


def discretise(codes: Any, bins: int = 20, binning: str = "width") -> Ints:
    """Replaces every column of a table by bin numbers.

    Args:
        codes: Floats [N, D].
        bins: How many bins, at least 1; "exact" does not read it.
        binning: "width": bins of equal width between a column's smallest and largest value, with the edges of
            ``numpy.histogram``; as in disentanglement_lib the largest value belongs to the last bin. "quantile": bins
            of equal count, equal values together, so that monotone maps of a column change nothing. "exact": every
            distinct value is a bin. "width_ubisoft": equal widths of the column scaled to 0..1 first, as in the code of
            Carbonneau et al. (arXiv 2012.09276); values on an edge may fall on its other side.

    Returns:
        Bin numbers from 0, int64 [N, D].

    Raises:
        ValueError: ``bins`` is below 1, ``binning`` is unknown, or the codes are not finite [N, D].
    """
    check_bins(bins, binning)
    values = as_floats(codes, "codes", 2)
    if binning == "width":
        columns = [equal_widths(column, bins) for column in values.T]
    elif binning == "quantile":
        columns = [_equal_counts(column, bins) for column in values.T]
    elif binning == "width_ubisoft":
        scaled = minmax_scale(to_unit(values, axis=0)[0])
        columns = [np.digitize(column, np.linspace(0, 1, bins + 1)[:-1]) - 1 for column in scaled.T]
    else:
        columns = [np.unique(column, return_inverse=True)[1].reshape(-1) for column in values.T]
    return np.stack(columns, axis=1).astype(np.int64)


def check_bins(bins: int, binning: str) -> None:
    """Refuses what ``discretise`` cannot do.

    Raises:
        ValueError: ``bins`` is below 1 or ``binning`` is unknown.
    """
    if binning not in BINNINGS:
        raise ValueError(f"binning must be one of {', '.join(BINNINGS)}, not {binning!r}")
    if bins < 1:
        raise ValueError(f"bins must be at least 1, not {bins}")


def equal_widths(column: Floats, bins: int, held: Floats | None = None) -> Ints:
    """Bin numbers of a column [N] in bins of equal width between its smallest and its largest value.

    Args:
        column: Finite numbers [N] of any size; all in one bin where they are equal.
        bins: How many, at least 1.
        held: Other numbers [M] to put into the bins of ``column``; what lies beyond belongs to the outer ones.

    Returns:
        int64 [N], or [N + M] with ``held``.
    """
    scaled, exponent = to_unit(column)
    low, high = scaled.min(), scaled.max()
    with np.errstate(over="ignore"):
        values = scaled if held is None else np.concatenate([scaled, np.ldexp(held, -exponent)])
    # The edges of numpy.histogram, to the last digit.
    edges = np.linspace(low, high, bins + 1)
    if high > low and not (np.diff(edges) > 0).all():
        # Values a few units of the last digit apart: edges fit between their differences only.
        values, edges = values - low, np.linspace(0, high - low, bins + 1)
    return np.digitize(values, edges[1:-1]).astype(np.int64)


def joint_cells(columns: Ints) -> Ints:
    """Numbers the distinct rows of a table of bin numbers [N, D] from 0; int64 [N]."""
    cells = np.zeros(len(columns), dtype=np.int64)
    for column in columns.T:
        # Compacting after each column keeps the product below N times the number of bins.
        cells = np.unique(cells * (int(column.max()) + 1) + column, return_inverse=True)[1].reshape(-1)
    return cells.astype(np.int64)


def _equal_counts(column: Floats, bins: int) -> Any:
    # The mid-rank of equal values decides, so that only the order of the values counts.
    return np.floor((rankdata(column) - 0.5) * bins / len(column)).astype(np.int64)
