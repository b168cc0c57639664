"""Metrics from the mutual information between factors and codes."""

from __future__ import annotations

from typing import Any

import numpy as np

from .checks import Floats, Ints, as_floats
from .registry import metric
from .result import MetricResult


def discretise(codes: Any, bins: int) -> Ints:
    """Bins each code dimension into equal-width bins between its smallest and largest value.

    The edges are those of ``numpy.histogram``; as in disentanglement_lib the largest value belongs to the last bin.

    Args:
        codes: Floats [N, D].
        bins: How many bins, at least 1.

    Returns:
        Bin numbers, int64 [N, D].

    Raises:
        ValueError: ``bins`` is below 1, or the codes are not finite [N, D].
    """
    if bins < 1:
        raise ValueError(f"bins must be at least 1, not {bins}")
    values = as_floats(codes, "codes", 2)
    columns = [np.digitize(column, np.histogram_bin_edges(column, bins)[:-1]) - 1 for column in values.T]
    return np.stack(columns, axis=1).astype(np.int64)


def mutual_information(first: Any, second: Any) -> Floats:
    """Plug-in mutual information in nats between every column of one table and every column of the other.

    Args:
        first: Discrete values [N, P] of any kind that sorts.
        second: Discrete values [N, Q].

    Returns:
        float64 [P, Q].

    Raises:
        ValueError: The tables differ in their number of rows, or are not two-dimensional.
    """
    left, right = np.asarray(first), np.asarray(second)
    if left.ndim != 2 or right.ndim != 2 or len(left) != len(right) or len(left) == 0:
        raise ValueError(f"expected two tables with equally many rows, got shapes {left.shape} and {right.shape}")
    lefts = [np.unique(column, return_inverse=True)[1].reshape(-1) for column in left.T]
    rights = [np.unique(column, return_inverse=True)[1].reshape(-1) for column in right.T]
    return np.array([[_information(a, b) for b in rights] for a in lefts], dtype=np.float64)


def entropy(values: Any) -> Floats:
    """Plug-in entropy in nats of every column of a table of discrete values [N, P]; float64 [P]."""
    table = np.asarray(values)
    shares = [np.unique(column, return_counts=True)[1] / len(table) for column in table.T]
    return np.array([-(share * np.log(share)).sum() for share in shares], dtype=np.float64)


@metric("mig", family="information")
def mig(factors: Any, codes: Any, bins: int | None = 20) -> MetricResult:
    """Mutual information gap: how far the most informative code of a factor leads the second one.

    For each factor, (largest - second largest mutual information with a code dimension) / entropy of the factor,
    averaged over factors (Chen et al. 2018, arXiv 1802.04942, with the estimator and the 20 bins of
    disentanglement_lib). Factors that do not vary in the sample are left out and listed in the details.

    Args:
        factors: Discrete factors [N, K].
        codes: Codes [N, D]. With a single dimension the second largest information is 0.
        bins: Equal-width bins per code dimension. None: as many as the factor with the most levels has, at least 20.

    Returns:
        Value ``mig`` in 0..1, ceiling ``mig`` (the factors themselves as codes: fewer bins than levels lower it).
        Details: per_factor, mutual_information [D, K], factor_entropy, bins, samples, constant_factors.

    Raises:
        ValueError: Shapes do not fit, or codes are not finite.
    """
    table = np.asarray(factors)
    values = as_floats(codes, "codes", 2)
    if table.ndim != 2 or len(table) != len(values) or table.shape[1] == 0:
        raise ValueError(f"factors must be [N, K] with N of the codes, got {table.shape} and {values.shape}")
    levels = np.stack([np.unique(column, return_inverse=True)[1].reshape(-1) for column in table.T], axis=1)
    count = max(20, int(levels.max()) + 1) if bins is None else int(bins)
    spread = entropy(levels)
    information = mutual_information(discretise(values, count), levels)
    kept = np.flatnonzero(spread > 0)
    details: dict[str, Any] = {
        "mutual_information": information,
        "factor_entropy": spread,
        "bins": count,
        "samples": len(values),
        "constant_factors": np.flatnonzero(spread <= 0),
    }
    if len(kept) == 0:
        return MetricResult("mig", {"mig": None}, details, reason="no factor varies in the sample")
    gaps = _gaps(information[:, kept]) / spread[kept]
    attainable = mutual_information(discretise(levels.astype(np.float64), count), levels)
    ceiling = np.mean(_gaps(attainable[:, kept]) / spread[kept])
    per_factor: list[float | None] = [None] * table.shape[1]
    for column, gap in zip(kept, gaps, strict=True):
        per_factor[column] = float(gap)
    details["per_factor"] = per_factor
    return MetricResult("mig", {"mig": float(gaps.mean())}, details, ceiling={"mig": float(ceiling)})


def _gaps(information: Floats) -> Floats:
    """Largest minus second largest entry of each column."""
    padded = np.vstack([information, np.zeros((1, information.shape[1]))]) if len(information) == 1 else information
    ordered = np.sort(padded, axis=0)
    return ordered[-1] - ordered[-2]


def _information(first: Ints, second: Ints) -> float:
    """Mutual information of two vectors of indices."""
    width = int(second.max()) + 1
    joint = np.bincount(first * width + second, minlength=(int(first.max()) + 1) * width).reshape(-1, width)
    joint = joint / joint.sum()
    product = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
    used = joint > 0
    # Rounding can leave a tiny negative number where the two are independent.
    return max(0.0, float((joint[used] * np.log(joint[used] / product[used])).sum()))
