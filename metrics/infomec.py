"""InfoMEC: modularity, explicitness and compactness in terms of information."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_selection import mutual_info_classif, mutual_info_regression
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import log_loss
from sklearn.preprocessing import StandardScaler

from .checks import Floats
from .information import entropy, informative_blocks, mutual_information
from .neighbours import neighbour_information
from .registry import metric
from .result import MetricResult
from .scale import to_unit
from .tables import NOTHING_VARIES, Bools, Rows, read_rows

PRUNINGS = ("informative", "range_latent_quantization", "iqr_tripod", "none")


@metric("infomec", family="information", of_codes=True)
def infomec(
    factors: Any,
    codes: Any,
    factors_test: Any = None,
    codes_test: Any = None,
    *,
    seed: int = 0,
    prune: str = "informative",
    quantised: bool = False,
    neighbours: int = 10,
    ties: str = "exact",
    continuous: Sequence[int] | None = None,
) -> MetricResult:
    """InfoMEC: modularity, explicitness and compactness in terms of information.

    From the information between codes and factors divided by the factor's entropy: InfoM is the mean over active codes
    of (largest entry / sum of entries), InfoC the same over factors, both rescaled so that even shares give 0. InfoE is
    the mean over factors of the share of the factor's uncertainty that a linear model of all codes removes (Hsu et al.
    2023, arXiv 2305.18378; quantities as in its successor, Hsu et al. 2024, arXiv 2404.10282).

    Args:
        factors: Factors [N, K].
        codes: Codes [N, D].
        factors_test: Not read.
        codes_test: Not read.
        seed: Of the noise, where there is any.
        prune: Which codes count as active for InfoM and InfoC. "informative": those that depend on some factor by a
            test without scale (``informative_blocks``). "range_latent_quantization": those with more than 1/20 of the
            largest range. "iqr_tripod": those with more than 1/10 of the largest interquartile range. Both are what
            the published codes do; they depend on the scale of codes and keep noise of full scale. "none": all that
            are not constant.
        quantised: Whether the values of codes are categories: plug-in information, and a linear model of indicators.
        neighbours: Of the nearest-neighbour information of other codes.
        ties: "exact" counts equal points as ties. "noise_sklearn" moves them apart by tiny noise, as the published
            codes do through scikit-learn: where codes take few values the scores then differ from seed to seed.
        continuous: Columns of ``factors`` that are quantities: nearest-neighbour information on both sides, and R2 for
            InfoE. None: those with numbers that are not whole.

    Returns:
        Values ``infom``, ``infoe``, ``infoc``, each 0..1 but for rounding. Without an active code infom and infoc
        are 0. Details: nmi [K, D], active, constant_factors (left out of all three), per_factor_infoe.

    Raises:
        ValueError: Shapes do not fit, numbers that are not finite, or an unknown way to prune.
    """
    if prune not in PRUNINGS:
        raise ValueError(f"prune must be one of {', '.join(PRUNINGS)}, not {prune!r}")
    if ties not in ("exact", "noise_sklearn"):
        raise ValueError(f"ties must be 'exact' or 'noise_sklearn', not {ties!r}")
    rows = read_rows(factors, codes, continuous)
    varying = np.ptp(rows.factors, axis=0) > 0
    kept = np.flatnonzero(varying)
    details: dict[str, Any] = {"constant_factors": np.flatnonzero(~varying), "prune": prune}
    predictor = "plug-in, indicators" if quantised else f"{neighbours} neighbours, linear"
    if len(kept) == 0:
        missing: dict[str, float | None] = dict.fromkeys(("infom", "infoe", "infoc"))
        return MetricResult("infomec", missing, details, reason=NOTHING_VARIES, n=len(rows), predictor=predictor)
    some = Rows(rows.factors[:, kept], rows.codes, rows.discrete[kept])
    noise = np.random.RandomState(seed) if ties == "noise_sklearn" else None
    nmi = normalised_information(some, quantised, neighbours, noise)
    active = active_codes(some, prune)
    explained = explained_uncertainty(some, quantised)
    full = np.zeros((len(varying), rows.codes.shape[1]))
    full[kept] = nmi
    per_factor: list[float | None] = [None] * len(varying)
    for column, value in zip(kept, explained, strict=True):
        per_factor[column] = float(value)
    details |= {"nmi": full, "active": active, "per_factor_infoe": per_factor}
    values: dict[str, float | None] = {
        "infom": concentration(nmi[:, active].T),
        "infoe": float(explained.mean()),
        "infoc": concentration(nmi[:, active]),
    }
    return MetricResult("infomec", values, details, n=len(rows), predictor=predictor)


def concentration(matrix: Floats) -> float:
    """Mean over rows of the largest entry's share of the row, rescaled: 0 for even shares, 1 for a single entry.

    Args:
        matrix: Entries from 0, [A, B].

    Returns:
        0 for a matrix without rows or columns; a row of zeros counts as even, and a single column as concentrated.
    """
    if matrix.size == 0:
        return 0.0
    total = matrix.sum(axis=1)
    width = matrix.shape[1]
    share = np.divide(matrix.max(axis=1), total, out=np.full(len(total), 1 / width), where=total > 0)
    if width == 1:
        return float((total > 0).mean())
    return float((share.mean() - 1 / width) / (1 - 1 / width))


def normalised_information(
    rows: Rows, quantised: bool, neighbours: int, noise: np.random.RandomState | None = None
) -> Floats:
    """Information between factors and codes over the factor's entropy, [K, D]; factors must vary.

    With ``noise`` scikit-learn's estimators draw from it, code by code and factor by factor.
    """
    information = np.zeros((rows.factors.shape[1], rows.codes.shape[1]))
    spread = np.zeros(len(information))
    for column, (factor, discrete) in enumerate(zip(rows.factors.T, rows.discrete.tolist(), strict=True)):
        for dimension, code in enumerate(rows.codes.T):
            if quantised and discrete:
                known = float(mutual_information(factor[:, None], code[:, None])[0, 0])
            elif quantised:
                known = neighbour_information(factor, code, neighbours=neighbours)
            else:
                known = _neighbours(code, factor, discrete, neighbours, noise)
            information[column, dimension] = known
        # As published: the plain entropy of a category, what a quantity knows about itself by the same estimate.
        spread[column] = (
            entropy(factor[:, None])[0] if discrete else _neighbours(factor, factor, discrete, neighbours, noise)
        )
    # Of a factor in a handful of rows not even its own neighbours know anything.
    return np.divide(information, spread[:, None], out=np.zeros_like(information), where=spread[:, None] > 0)


def _neighbours(
    code: Floats, factor: Floats, discrete: bool, neighbours: int, noise: np.random.RandomState | None
) -> float:
    if noise is None:
        return neighbour_information(code, factor, discrete=discrete, neighbours=neighbours)
    inputs = StandardScaler().fit_transform(to_unit(code)[0][:, None])
    target = factor.astype(np.int64) if discrete else StandardScaler().fit_transform(to_unit(factor)[0][:, None])[:, 0]
    estimate = mutual_info_classif if discrete else mutual_info_regression
    return float(estimate(inputs, target, discrete_features=False, n_neighbors=neighbours, random_state=noise)[0])


def active_codes(rows: Rows, prune: str) -> Bools:
    """Which codes count, bool [D]; ``prune`` as in ``infomec``."""
    ranges = np.ptp(rows.codes, axis=0)
    if prune == "informative":
        return informative_blocks(rows, [[dimension] for dimension in range(len(ranges))])
    if prune == "iqr_tripod":
        low, high = np.quantile(rows.codes, [0.25, 0.75], axis=0)
        return np.asarray(high - low > (high - low).max() / 10)
    return np.asarray(ranges > (ranges.max() / 20 if prune == "range_latent_quantization" else 0.0))


def explained_uncertainty(rows: Rows, quantised: bool) -> Floats:
    """Share of each factor's uncertainty that a linear model of all codes removes, on its own rows, [K].

    Categories: 1 - cross-entropy of a logistic regression without penalty, stopped after 100 steps as published, over
    the logarithm of the number of classes, which is what the same model of nothing reaches with balanced classes.
    Quantities: R2.
    """
    inputs = _indicators(rows.codes) if quantised else _standardised(rows.codes)
    found = np.zeros(rows.factors.shape[1])
    for column, (factor, discrete) in enumerate(zip(rows.factors.T, rows.discrete, strict=True)):
        if not discrete:
            unit = to_unit(factor)[0]
            found[column] = max(0.0, float(LinearRegression().fit(inputs, unit).score(inputs, unit)))
            continue
        labels = factor.astype(np.int64)
        model = LogisticRegression(C=np.inf, class_weight="balanced", max_iter=100)
        with warnings.catch_warnings():
            # Separable classes have no finite optimum: the number of steps is part of the definition.
            warnings.simplefilter("ignore", ConvergenceWarning)
            warnings.filterwarnings("ignore", message="The number of unique classes")
            model.fit(inputs, labels)
        found[column] = 1 - float(log_loss(labels, model.predict_proba(inputs))) / np.log(len(model.classes_))
    return found


def _standardised(codes: Floats) -> Floats:
    varying = np.ptp(codes, axis=0) > 0
    if not varying.any():
        return np.zeros((len(codes), 1))
    used = to_unit(codes[:, varying], axis=0)[0]
    return np.asarray((used - used.mean(axis=0)) / used.std(axis=0), dtype=np.float64)


def _indicators(codes: Floats) -> Floats:
    columns = [(column[:, None] == np.unique(column)).astype(np.float64) for column in codes.T]
    return np.hstack(columns)
