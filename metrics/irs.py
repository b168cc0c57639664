"""Interventional robustness: how little a code moves when all factors but its own change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .checks import Floats, Ints
from .discretise import discretise
from .registry import metric
from .result import MetricResult
from .scale import to_unit
from .tables import read_rows


@metric("irs", family="information", of_codes=True)
def irs(
    factors: Any,
    codes: Any,
    factors_test: Any = None,
    codes_test: Any = None,
    *,
    seed: int = 0,
    quantile: float = 0.99,
    bins: int | None = 20,
    continuous: Sequence[int] | None = None,
) -> MetricResult:
    """Interventional robustness score: how little a code moves when all factors but its own change.

    For each code and factor, the quantile of |z - mean of z at the factor's value| at each value, averaged over values
    and divided by the largest deviation of the code from its mean; 1 minus that, of each code's best factor, averaged
    over codes with their largest deviations as weights (Suter et al. 2019, arXiv 1811.00007; quantile and bins as in
    disentanglement_lib). The grouping assumes factors that are independent in the sample.

    Args:
        factors: Factors [N, K].
        codes: Codes [N, D].
        factors_test: Not read.
        codes_test: Not read.
        seed: Not read.
        quantile: Of the deviations, above 0 up to 1; 1 is the largest, as in the paper.
        bins: Equal-width bins that each factor is cut into. None: values as they are; a quantity is cut into 20.
        continuous: Columns of ``factors`` that are quantities. None: those with numbers that are not whole.

    Returns:
        Value ``irs``, 1 at best; 0 where every code is constant, and below 0 where codes stray further from a value's
        mean than from their own. Details: irs_matrix [D, K] (0 for constant codes),
        per_code, parents (the best factor of each code), max_deviations, active, constant_factors (left out).

    Raises:
        ValueError: Shapes do not fit, numbers that are not finite, or a quantile or bins out of range.
    """
    if not 0 < quantile <= 1:
        raise ValueError(f"quantile must be above 0 and at most 1, not {quantile}")
    rows = read_rows(factors, codes, continuous)
    varying = np.ptp(rows.factors, axis=0) > 0
    details: dict[str, Any] = {"constant_factors": np.flatnonzero(~varying), "quantile": quantile, "bins": bins}
    if not varying.any():
        return MetricResult("irs", {"irs": None}, details, reason="no factor varies in the sample", n=len(rows))
    groups = [
        _groups(column, bins if discrete else bins or 20)
        for column, discrete in zip(rows.factors.T, rows.discrete, strict=True)
    ]
    # Each code in a scale of its own; only as weights are deviations of different codes compared.
    scaled, exponents = to_unit(rows.codes, axis=0)
    reach = np.abs(scaled - scaled.mean(axis=0)).max(axis=0)
    # The mean of equal numbers may differ from them by rounding.
    active = rows.codes.max(axis=0) > rows.codes.min(axis=0)
    matrix = np.zeros((rows.codes.shape[1], rows.factors.shape[1]))
    for column in np.flatnonzero(varying):
        matrix[active, column] = 1 - mean_deviation(scaled[:, active], groups[column], quantile) / reach[active]
    # A column of zeros, of a constant factor, must not beat a factor that scores below 0.
    known = np.where(varying, matrix, -np.inf)
    per_code = np.where(active, known.max(axis=1), 0.0)
    value = 0.0
    if active.any():
        weights = np.ldexp(reach, exponents[0] - exponents[0][active].max())
        value = float(np.average(per_code[active], weights=weights[active]))
    details |= {
        "irs_matrix": matrix,
        "per_code": per_code,
        "parents": [int(best) if moves else None for best, moves in zip(known.argmax(axis=1), active, strict=True)],
        "max_deviations": np.where(active, np.ldexp(reach, exponents[0]), 0.0),
        "active": active,
    }
    return MetricResult("irs", {"irs": value}, details, n=len(rows))


def mean_deviation(codes: Floats, groups: Ints, quantile: float) -> Floats:
    """Quantile of the distance from the group's mean, averaged over groups; codes [N, D], groups [N], result [D]."""
    order = np.argsort(groups, kind="stable")
    parts = np.split(codes[order], np.flatnonzero(np.diff(groups[order])) + 1)
    reach = [np.quantile(np.abs(part - part.mean(axis=0)), quantile, axis=0) for part in parts]
    return np.asarray(np.mean(reach, axis=0), dtype=np.float64)


def _groups(column: Floats, bins: int | None) -> Ints:
    if bins is None:
        return np.unique(column, return_inverse=True)[1].reshape(-1).astype(np.int64)
    return np.asarray(discretise(column[:, None], bins)[:, 0])
