"""How dependent the code dimensions are on each other, told without any factors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .checks import Floats, Ints, as_floats
from .discretise import discretise
from .information import mutual_information
from .registry import metric
from .result import MetricResult
from .scale import to_unit


def gaussian_total_correlation(covariance: Any) -> float | None:
    """Total correlation in nats of a Gaussian: half of (sum of log variances - log determinant of the covariance).

    Dimensions without variance depend on nothing and are left out.

    Args:
        covariance: Symmetric [D, D].

    Returns:
        A number from 0; None where it is infinite, because dimensions depend linearly on each other.

    Raises:
        ValueError: Not a square matrix of finite numbers.
    """
    matrix = _as_covariance(covariance)
    kept = np.diag(matrix) > 0
    if not kept.any():
        return 0.0
    spread = np.sqrt(np.diag(matrix)[kept])
    # Of the correlations, so that the scale of a dimension cannot pass for dependence.
    values = np.linalg.eigvalsh(matrix[np.ix_(kept, kept)] / np.outer(spread, spread))
    if values[0] <= len(values) * 1e-14:
        return None
    return max(0.0, float(-0.5 * np.log(values).sum()))


def gaussian_wasserstein_correlation(covariance: Any) -> float:
    """Squared 2-Wasserstein distance between a Gaussian and the product of its marginals.

    2 tr C - 2 tr (D^1/2 C D^1/2)^1/2, with D the diagonal of the covariance C (Xiao and Wang 2019, arXiv 1902.00568).

    Args:
        covariance: Symmetric [D, D].

    Returns:
        A number from 0, in the squared units of the codes; infinite where float64 cannot hold it.

    Raises:
        ValueError: Not a square matrix of finite numbers.
    """
    matrix, exponent = to_unit(_as_covariance(covariance))
    scale = np.sqrt(np.diag(matrix))
    values = np.linalg.eigvalsh(matrix * np.outer(scale, scale))
    distance = max(0.0, float(2 * np.trace(matrix) - 2 * np.sqrt(np.maximum(values, 0.0)).sum()))
    with np.errstate(over="ignore"):
        return float(np.ldexp(distance, exponent))


@metric("unsupervised", family="unsupervised", of_codes=True)
def unsupervised(
    factors: Any,
    codes: Any,
    factors_test: Any = None,
    codes_test: Any = None,
    *,
    seed: int = 0,
    bins: int = 20,
    continuous: Sequence[int] | None = None,
) -> MetricResult:
    """Unsupervised scores: Gaussian total correlation, Wasserstein correlation, mutual information between codes.

    As estimated in disentanglement_lib (Locatello et al. 2019, arXiv 1811.12359).

    Args:
        factors: Unused; may be None.
        codes: Codes [N, D].
        factors_test: Unused.
        codes_test: Unused: nothing is fitted.
        seed: Seeds the orders of rows behind ``ceiling``.
        bins: Equal-width bins per code dimension for the mutual information.
        continuous: Unused: no factor is read.

    Returns:
        Values ``total_correlation`` (nats; None where infinite), ``wasserstein`` (None where float64 cannot hold the
        square of the codes' size), ``wasserstein_norm`` (divided by the sum of variances), ``mutual_information``
        (mean over pairs of dimensions, nats). Ceiling: every dimension's values dealt out to the rows by themselves,
        which leaves them independent; 0 but for what so few rows show by accident. There is no chance (its entries are
        None): without factors a code that knows nothing is told by none of these, and may score anything. Details:
        covariance [D, D], mutual_information [D, D], constant_dims, bins.

    Raises:
        ValueError: Codes are not [N, D] with at least two rows, or not finite.
    """
    values = as_floats(codes, "codes", 2)
    if len(values) < 2:
        raise ValueError("a covariance takes at least two rows")
    bucket = discretise(values, bins)
    found, reasons, details = _measure(values, bucket)
    rng = np.random.default_rng(seed)
    orders = np.argsort(rng.random(values.shape), axis=0)
    dealt = np.take_along_axis(values, orders, axis=0), np.take_along_axis(bucket, orders, axis=0)
    return MetricResult(
        "unsupervised",
        found,
        details | {"bins": bins},
        "; ".join(reasons) or None,
        chance=dict.fromkeys(found),
        ceiling=_measure(*dealt)[0],
        n=len(values),
    )


def _measure(values: Floats, bucket: Ints) -> tuple[dict[str, float | None], list[str], dict[str, Any]]:
    """Values, why some are missing, and details of codes [N, D] and their bin numbers [N, D]."""
    width = values.shape[1]
    still = values.max(axis=0) == values.min(axis=0)
    scaled, exponent = to_unit(values)
    covariance = _covariance(scaled, still)
    information = mutual_information(bucket, bucket)
    total = float(np.trace(covariance))
    distance = gaussian_wasserstein_correlation(covariance)
    # Of each dimension in a scale of its own, so that a small one beside a large one does not vanish.
    correlation = gaussian_total_correlation(_covariance(to_unit(values, axis=0)[0], still))
    with np.errstate(over="ignore", under="ignore"):
        in_units, unscaled = float(np.ldexp(distance, 2 * exponent)), np.ldexp(covariance, 2 * exponent)
    held = np.isfinite(in_units) and (in_units > 0 or distance == 0)
    found: dict[str, float | None] = {
        "total_correlation": correlation,
        "wasserstein": in_units if held else None,
        "wasserstein_norm": distance / total if total > 0 else None,
        "mutual_information": None,
    }
    reasons = []
    if correlation is None:
        reasons.append("the total correlation is infinite: code dimensions depend linearly on each other")
    if not held:
        reasons.append(f"the codes are too {'large' if exponent > 0 else 'small'} for the square of their size")
    if total <= 0:
        reasons.append("no code dimension varies, so there is no variance to divide by")
    if width > 1:
        apart = ~np.eye(width, dtype=bool)
        found["mutual_information"] = float(information[apart].mean())
    else:
        reasons.append("a single code dimension has no pairs")
    details = {"covariance": unscaled, "mutual_information": information, "constant_dims": np.flatnonzero(still)}
    return found, reasons, details


def _covariance(values: Floats, still: Any) -> Floats:
    """Covariance [D, D] of the columns, of which ``still`` do not vary."""
    covariance = np.atleast_2d(np.cov(values, rowvar=False))
    # The mean of equal numbers can be off by a rounding error, which would leave a trace of variance.
    covariance[still, :] = covariance[:, still] = 0.0
    return covariance


def _as_covariance(value: Any) -> Floats:
    matrix = as_floats(value, "covariance", 2)
    if matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"covariance must be square, not shape {matrix.shape}")
    return matrix
