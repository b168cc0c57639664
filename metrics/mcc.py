"""Mean correlation coefficient between factors and the codes matched to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.stats import rankdata

from .checks import Floats
from .registry import metric
from .result import MetricResult
from .scale import to_unit
from .tables import read_rows


@metric("mcc", family="information", of_codes=True)
def mcc(
    factors: Any,
    codes: Any,
    factors_test: Any = None,
    codes_test: Any = None,
    *,
    seed: int = 0,
    continuous: Sequence[int] | None = None,
) -> MetricResult:
    """Mean correlation coefficient of factors and codes, matched one to one.

    Absolute correlations between all codes and factors, the one-to-one match with the largest sum (Hungarian method),
    and its mean over factors (as in Khemakhem et al. 2020, arXiv 1907.04809, on posterior means).

    Args:
        factors: Factors [N, K], read as numbers.
        codes: Codes [N, D]. With fewer codes than factors, the factors left over count as 0.
        factors_test: Not read.
        codes_test: Not read.
        seed: Not read.
        continuous: Taken for the sake of one signature; the correlation is the same.

    Returns:
        Values ``mcc`` (Pearson's) and ``mcc_spearman`` (rank correlation, with a match of its own), 0..1. Details:
        pearson and spearman [D, K], match and match_spearman (the code of each factor, None without one), per_factor,
        constant_factors (left out).

    Raises:
        ValueError: Shapes do not fit, or numbers that are not finite.
    """
    rows = read_rows(factors, codes, continuous)
    varying = np.ptp(rows.factors, axis=0) > 0
    details: dict[str, Any] = {"constant_factors": np.flatnonzero(~varying)}
    if not varying.any():
        reason = "no factor varies in the sample"
        missing: dict[str, float | None] = {"mcc": None, "mcc_spearman": None}
        return MetricResult("mcc", missing, details, reason=reason, n=len(rows))
    pearson = absolute_correlations(rows.codes, rows.factors)
    spearman = absolute_correlations(rankdata(rows.codes, axis=0), rankdata(rows.factors, axis=0))
    values: dict[str, float | None] = {}
    for name, suffix, matrix in (("mcc", "", pearson), ("mcc_spearman", "_spearman", spearman)):
        per_factor, match = matched(matrix, varying)
        values[name] = float(per_factor[varying].mean())
        details["match" + suffix] = match
        if not suffix:
            details["per_factor"] = [
                float(value) if kept else None for value, kept in zip(per_factor, varying, strict=True)
            ]
    details |= {"pearson": pearson, "spearman": spearman}
    return MetricResult("mcc", values, details, n=len(rows))


def absolute_correlations(first: Any, second: Any) -> Floats:
    """Absolute Pearson correlations between the columns of two tables, [P, Q] in 0..1; 0 for constant columns."""
    left, right = _directions(first), _directions(second)
    return np.minimum(np.abs(left.T @ right), 1.0)


def matched(matrix: Floats, factors: Any) -> tuple[Floats, list[int | None]]:
    """The one-to-one match of rows (codes) to columns (factors) with the largest sum.

    Args:
        matrix: float64 [D, K].
        factors: bool [K], columns to match.

    Returns:
        Each column's entry [K], 0 without a match, and the row that it was matched to.
    """
    columns = np.flatnonzero(factors)
    values = np.zeros(matrix.shape[1])
    match: list[int | None] = [None] * matrix.shape[1]
    for row, place in zip(*linear_sum_assignment(-matrix[:, columns]), strict=True):
        values[columns[place]] = matrix[row, columns[place]]
        match[columns[place]] = int(row)
    return values, match


def _directions(table: Any) -> Floats:
    """Centred columns of length 1; zeros where a column is constant."""
    values = to_unit(np.asarray(table, dtype=np.float64), axis=0)[0]
    constant = values.max(axis=0) == values.min(axis=0)
    centred = values - values.mean(axis=0)
    # What varies little about a large mean is small now.
    centred = centred / np.where(constant, 1.0, np.abs(centred).max(axis=0))
    length = np.where(constant, 1.0, np.sqrt((centred**2).sum(axis=0)))
    return np.where(constant, 0.0, centred / length)
