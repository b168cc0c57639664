"""How much of each factor leaks into code dimensions other than its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .checks import Floats, as_floats
from .discretise import discretise
from .information import mutual_information
from .registry import metric
from .result import MetricResult
from .tables import read_rows


def leakage_from_information(information: Any) -> dict[str, float | None]:
    """Factor leakage of a matrix of mutual information.

    Each factor's information with the code dimensions is sorted, largest first. With m[r] the r-th largest, averaged
    over factors, n[r] the same after dividing each factor's by its largest, and t[i] the mean of n[i], n[i+1], ...:

    Args:
        information: [D, K], not negative.

    Returns:
        ``leakage``: mean of n[1..]. ``mean``: mean of m[1..]. ``auc``: mean of t[0..]. ``nm_auc``: mean of t[1..].
        Factors that no dimension knows anything of are left out of all but ``mean``; None where nothing is left.

    Raises:
        ValueError: Not a matrix of finite numbers.
    """
    matrix = -np.sort(-as_floats(information, "information", 2), axis=0)
    known = matrix[:, matrix[0] > 0]
    alone = len(matrix) < 2
    tails: Floats | None = None
    if known.shape[1]:
        curve = (known / known[0]).mean(axis=1)
        tails = np.cumsum(curve[::-1])[::-1] / np.arange(len(curve), 0, -1)
    return {
        "leakage": None if alone or tails is None else float(tails[1]),
        "mean": None if alone else float(matrix[1:].mean()),
        "auc": None if tails is None else float(tails.mean()),
        "nm_auc": None if alone or tails is None else float(tails[1:].mean()),
    }


@metric("factor_leakage", family="information", of_codes=True)
def factor_leakage(
    factors: Any,
    codes: Any,
    factors_test: Any = None,
    codes_test: Any = None,
    *,
    seed: int = 0,
    bins: int = 20,
    binning: str = "width",
    continuous: Sequence[int] | None = None,
) -> MetricResult:
    """Factor leakage: what code dimensions other than the most informative one know of each factor.

    Painter, Hare and Prügel-Bennett 2020 (arXiv 2008.07922), with equal-width bins as their code has them.

    Args:
        factors: Factors [N, K]; a quantity is cut into ``bins`` equal-width bins, as the codes are.
        codes: Codes [N, D].
        factors_test: Unused: nothing is fitted.
        codes_test: Unused.
        seed: Unused: nothing is drawn.
        bins: Bins per code dimension, and equal-width bins per quantity.
        binning: How codes are cut: "width", "quantile" or "exact" (``discretise``).
        continuous: Columns of ``factors`` that are quantities. None: those with numbers that are not whole.

    Returns:
        Values ``leakage``, ``mean`` (in nats), ``auc``, ``nm_auc`` of ``leakage_from_information``; 0 is best but for
        ``auc``, which counts each factor's own dimension too. Factors that do not vary are left out.
        Details: mutual_information [D, K], bins, constant_factors.

    Raises:
        ValueError: Shapes do not fit, numbers are not finite, or an unknown binning.
    """
    rows = read_rows(factors, codes, continuous)
    levels = rows.levels(bins)
    information = mutual_information(discretise(rows.codes, bins, binning), levels)
    kept = np.flatnonzero(levels.max(axis=0) > 0)
    details = {
        "mutual_information": information,
        "bins": bins,
        "binning": binning,
        "constant_factors": np.flatnonzero(levels.max(axis=0) == 0),
    }
    if len(kept) == 0:
        nothing: dict[str, float | None] = dict.fromkeys(("leakage", "mean", "auc", "nm_auc"))
        return MetricResult("factor_leakage", nothing, details, "no factor varies in the sample", n=len(rows))
    values = leakage_from_information(information[:, kept])
    reason = None
    if None in values.values():
        single = rows.codes.shape[1] < 2
        reason = "a single code dimension" if single else "no code dimension knows anything of a factor"
    return MetricResult("factor_leakage", values, details, reason, n=len(rows))
