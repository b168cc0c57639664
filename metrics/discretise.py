"""Cutting numbers into bins: equal widths, equal counts, or every distinct value by itself."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.stats import rankdata
from sklearn.preprocessing import minmax_scale

from .checks import Floats, Ints, as_floats

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
    if binning not in BINNINGS:
        raise ValueError(f"binning must be one of {', '.join(BINNINGS)}, not {binning!r}")
    if bins < 1:
        raise ValueError(f"bins must be at least 1, not {bins}")
    values = as_floats(codes, "codes", 2)
    if binning == "width":
        columns = [_equal_widths(column, bins) for column in values.T]
    elif binning == "quantile":
        columns = [_equal_counts(column, bins) for column in values.T]
    elif binning == "width_ubisoft":
        columns = [np.digitize(column, np.linspace(0, 1, bins + 1)[:-1]) - 1 for column in minmax_scale(values).T]
    else:
        columns = [np.unique(column, return_inverse=True)[1].reshape(-1) for column in values.T]
    return np.stack(columns, axis=1).astype(np.int64)


def joint_cells(columns: Ints) -> Ints:
    """Numbers the distinct rows of a table of bin numbers [N, D] from 0; int64 [N]."""
    cells = np.zeros(len(columns), dtype=np.int64)
    for column in columns.T:
        # Compacting after each column keeps the product below N times the number of bins.
        cells = np.unique(cells * (int(column.max()) + 1) + column, return_inverse=True)[1].reshape(-1)
    return cells.astype(np.int64)


def _equal_widths(column: Floats, bins: int) -> Any:
    return np.digitize(column, np.histogram_bin_edges(column, bins)[:-1]) - 1


def _equal_counts(column: Floats, bins: int) -> Any:
    # The mid-rank of equal values decides, so that only the order of the values counts.
    return np.floor((rankdata(column) - 0.5) * bins / len(column)).astype(np.int64)
