"""Metrics that are gaps or ratios in the table of information between codes and factors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.special import ndtr

from .checks import Floats, Ints, as_floats
from .information import (
    InformationTable,
    _information,
    factor_levels,
    information_table,
    informative_blocks,
    mutual_information,
    neighbour_information,
)
from .registry import metric
from .result import MetricResult
from .tables import LONE_BLOCK, Rows, is_lone_block, read_rows

NOTHING_VARIES = "no factor varies in the sample"
DEAD_CODES = ("leave_out", "as_disentanglement_lib")


# ---------------------------------------------------------------------------------------------------------------------
# Functions of matrices


def top_gaps(matrix: Floats) -> Floats:
    """Largest minus second largest entry of each column; the second is 0 where there is one row. [B, K] to [K]."""
    if len(matrix) == 1:
        return np.array(matrix[0], dtype=np.float64)
    ordered = np.sort(matrix, axis=0)
    return np.asarray(ordered[-1] - ordered[-2], dtype=np.float64)


def normalised_by_codes(information: Floats, code_entropy: Floats) -> Floats:
    """Information divided by the entropy of the code, [B, K]; 0 where a code has none."""
    spread = code_entropy[:, None]
    return np.divide(information, spread, out=np.zeros_like(information), where=spread > 0)


def modularity_of_codes(information: Floats) -> Floats:
    """1 - (squared information about all factors but the first) / ((K - 1) x squared information about the first).

    Args:
        information: float64 [B, K], at least two factors.

    Returns:
        float64 [B]; 0 for a code without any information.
    """
    squared = information**2
    largest = squared.max(axis=1)
    rest = squared.sum(axis=1) - largest
    room = largest * (information.shape[1] - 1)
    return np.where(largest > 0, 1 - np.divide(rest, room, out=np.zeros_like(rest), where=room > 0), 0.0)


def disentangled_share(information: Floats, factor_entropy: Floats) -> float:
    """DCIMIG: every factor's best gap among the codes that know most about it, summed, over the summed entropies."""
    best = np.zeros(information.shape[1])
    owner = information.argmax(axis=1)
    np.maximum.at(best, owner, top_gaps(information.T))
    return float(best.sum() / factor_entropy.sum())


def joint_entropy_gaps(information: Floats, factor_entropy: Floats, code_entropy: Floats) -> tuple[Floats, Ints]:
    """JEMMIG in nats of every factor (H(v, z*) - I(v; z*) + I(v; z°)), and its best code; both [K]."""
    # Of codes that know equally much the one that knows least beside, so that the order of codes does not matter.
    leading = information >= information.max(axis=0) - 1e-12
    best = np.where(leading, code_entropy[:, None], np.inf).argmin(axis=0)
    joint = factor_entropy + code_entropy[best] - information.max(axis=0)
    return joint - top_gaps(information), best.astype(np.int64)


def assign_codes(information: Floats, factor_entropy: Floats) -> list[int | None]:
    """The code of each factor: one each, so that the summed shares of the factors' entropies are largest.

    Args:
        information: float64 [B, K].
        factor_entropy: float64 [K]; a factor without entropy gets no code.

    Returns:
        K rows of ``information``; None for factors that are left without.
    """
    found: list[int | None] = [None] * information.shape[1]
    kept = np.flatnonzero(factor_entropy > 0)
    for code, place in zip(*linear_sum_assignment(-information[:, kept] / factor_entropy[kept]), strict=True):
        found[int(kept[place])] = int(code)
    return found


# ---------------------------------------------------------------------------------------------------------------------
# Metrics


@metric("mig", family="information", of_codes=True)
def mig(
    factors: Any,
    codes: Any,
    factors_test: Any = None,
    codes_test: Any = None,
    *,
    seed: int = 0,
    bins: int | None = 20,
    binning: str = "width",
    blocks: Sequence[Sequence[int]] | None = None,
    estimator: str | None = None,
    neighbours: int = 3,
    normaliser: str = "factor",
    continuous: Sequence[int] | None = None,
) -> MetricResult:
    """Mutual information gap: how far the most informative code of a factor leads the second one.

    For each factor, (largest - second largest mutual information with a code dimension) / entropy of the factor,
    averaged over factors (Chen et al. 2018, arXiv 1802.04942, with the estimator and the 20 bins of
    disentanglement_lib). Factors that do not vary in the sample are left out and listed in the details.

    Args:
        factors: Factors [N, K]. Whole numbers are categories.
        codes: Codes [N, D]. With a single dimension or block the second largest information is 0.
        factors_test: Not read.
        codes_test: Not read.
        seed: Not read.
        bins: Bins per code dimension. None: as many as the factor with the most levels has, at least 20.
        binning: "width", "quantile" or "exact" (``discretise``).
        blocks: Code dimensions that belong together, such as ``[[0, 1], [2, 3]]``; a block is read as one code.
        estimator: "binned" or "knn" (``information_table``). None: "knn" with blocks of several dimensions.
        neighbours: Of "knn".
        normaliser: "factor" divides by the entropy of the factor. "ubisoft_code" divides each information by the
            entropy of its code first, as the code of Carbonneau et al. (arXiv 2012.09276) does; that rewards coarse
            codes.
        continuous: Columns of ``factors`` that are quantities. None: those with numbers that are not whole.

    Returns:
        Value ``mig`` in 0..1, ceiling ``mig`` (the factors themselves as codes: fewer bins than levels lower it).
        Details: per_factor, mutual_information [D, K], factor_entropy, estimator, bins, samples, constant_factors.

    Raises:
        ValueError: Shapes do not fit, numbers that are not finite, or an unknown option.
    """
    if normaliser not in ("factor", "ubisoft_code"):
        raise ValueError(f"normaliser must be 'factor' or 'ubisoft_code', not {normaliser!r}")
    rows = read_rows(factors, codes, continuous)
    settings: dict[str, Any] = {"bins": bins, "binning": binning, "neighbours": neighbours}
    table = information_table(rows, blocks=blocks, estimator=estimator, **settings)
    if normaliser == "ubisoft_code" and table.code_entropy is None:
        raise ValueError("normaliser 'ubisoft_code' needs the entropy of codes, which only estimator 'binned' has")

    def per_factor(source: InformationTable) -> Floats:
        if normaliser == "ubisoft_code" and source.code_entropy is not None:
            return top_gaps(normalised_by_codes(source.information, source.code_entropy)[:, source.kept])
        return top_gaps(source.information[:, source.kept]) / source.factor_entropy[source.kept]

    return _mean_over_factors("mig", rows, table, settings, per_factor)


@metric("mig_sup", family="information", of_codes=True)
def mig_sup(
    factors: Any,
    codes: Any,
    factors_test: Any = None,
    codes_test: Any = None,
    *,
    seed: int = 0,
    bins: int | None = 20,
    binning: str = "width",
    blocks: Sequence[Sequence[int]] | None = None,
    estimator: str | None = None,
    neighbours: int = 3,
    normaliser: str = "factor",
    dead_codes: str = "leave_out",
    continuous: Sequence[int] | None = None,
) -> MetricResult:
    """MIG-sup: how far the factor that a code knows best leads the one that it knows second best.

    For each code, largest - second largest (mutual information with a factor / entropy of the factor), averaged over
    codes (Li et al. 2020, arXiv 2002.10549). It sees codes that mix factors, as ``mig`` sees factors that are spread
    over codes.

    Args:
        factors: Factors [N, K].
        codes: Codes [N, D].
        factors_test: Not read.
        codes_test: Not read.
        seed: Not read.
        bins: As in ``mig``.
        binning: As in ``mig``.
        blocks: As in ``mig``.
        estimator: As in ``mig``.
        neighbours: As in ``mig``.
        normaliser: As in ``mig``.
        dead_codes: As in ``modularity``.
        continuous: As in ``mig``.

    Returns:
        Value ``mig_sup`` in 0..1. Details: per_code, active, and those of ``mig``.

    Raises:
        ValueError: As ``mig``.
    """
    if normaliser not in ("factor", "ubisoft_code"):
        raise ValueError(f"normaliser must be 'factor' or 'ubisoft_code', not {normaliser!r}")
    rows = read_rows(factors, codes, continuous)
    settings: dict[str, Any] = {"bins": bins, "binning": binning, "neighbours": neighbours}
    table = information_table(rows, blocks=blocks, estimator=estimator, **settings)
    if normaliser == "ubisoft_code" and table.code_entropy is None:
        raise ValueError("normaliser 'ubisoft_code' needs the entropy of codes, which only estimator 'binned' has")

    def per_code(source: InformationTable) -> Floats:
        if normaliser == "ubisoft_code" and source.code_entropy is not None:
            return top_gaps(normalised_by_codes(source.information, source.code_entropy)[:, source.kept].T)
        return top_gaps((source.information[:, source.kept] / source.factor_entropy[source.kept]).T)

    return _mean_over_codes("mig_sup", rows, table, settings, per_code, dead_codes)


@metric("modularity", family="information", of_codes=True)
def modularity(
    factors: Any,
    codes: Any,
    factors_test: Any = None,
    codes_test: Any = None,
    *,
    seed: int = 0,
    bins: int | None = 20,
    binning: str = "width",
    blocks: Sequence[Sequence[int]] | None = None,
    estimator: str | None = None,
    neighbours: int = 3,
    dead_codes: str = "leave_out",
    continuous: Sequence[int] | None = None,
) -> MetricResult:
    """Modularity: whether each code knows one factor only.

    For each code, 1 - (squared information about the other factors) / ((K - 1) x squared information about the factor
    that it knows best), averaged over the codes that know anything (Ridgeway and Mozer 2018, arXiv 1802.05312).

    Args:
        factors: Factors [N, K]; at least two must vary.
        codes: Codes [N, D].
        factors_test: Not read.
        codes_test: Not read.
        seed: Not read.
        bins: As in ``mig``.
        binning: As in ``mig``.
        blocks: As in ``mig``.
        estimator: As in ``mig``.
        neighbours: As in ``mig``.
        dead_codes: "leave_out" averages over the codes that depend on some factor by a test without scale
            (``informative_blocks``), and gives 0 where none does. "as_disentanglement_lib" averages over all: sampling
            noise then counts as information, so that a dead code scores about what noise does, and 0 only when
            its information is exactly 0.
        continuous: As in ``mig``.

    Returns:
        Value ``modularity`` in 0..1. Details: per_code, active, and those of ``mig``.

    Raises:
        ValueError: As ``mig``.
    """
    rows = read_rows(factors, codes, continuous)
    settings: dict[str, Any] = {"bins": bins, "binning": binning, "neighbours": neighbours}
    table = information_table(rows, blocks=blocks, estimator=estimator, **settings)
    if len(table.kept) == 1:
        reason = "modularity compares factors, and only one varies in the sample"
        return MetricResult("modularity", {"modularity": None}, table.details(), reason=reason, n=len(rows))

    def per_code(source: InformationTable) -> Floats:
        return modularity_of_codes(source.information[:, source.kept])

    return _mean_over_codes("modularity", rows, table, settings, per_code, dead_codes)


@metric("dmig", family="information", of_codes=True)
def dmig(
    factors: Any,
    codes: Any,
    factors_test: Any = None,
    codes_test: Any = None,
    *,
    seed: int = 0,
    bins: int | None = 20,
    binning: str = "width",
    blocks: Sequence[Sequence[int]] | None = None,
    estimator: str | None = None,
    neighbours: int = 3,
    assigned: Sequence[int] | None = None,
    continuous: Sequence[int] | None = None,
) -> MetricResult:
    """Dependency-aware mutual information gap: MIG for factors that depend on each other.

    The gap is divided by what it can be: where the second code belongs to another factor, by the entropy of the factor
    given that one (Watcharasupat and Lerch 2021, arXiv 2110.05587).

    Args:
        factors: Factors [N, K].
        codes: Codes [N, D].
        factors_test: Not read.
        codes_test: Not read.
        seed: Not read.
        bins: As in ``mig``.
        binning: As in ``mig``.
        blocks: As in ``mig``.
        estimator: As in ``mig``.
        neighbours: As in ``mig``.
        assigned: The code, or block, that belongs to each factor, as a model with regularised dimensions states it;
            gaps are then taken from these and may be negative. None: gaps are taken from the code that knows most, and
            each factor owns one code, such that the owned ones know most (``assign_codes``).
        continuous: As in ``mig``.

    Returns:
        Value ``dmig``, up to 1. Details: per_factor, assigned, determined_factors (left out because another factor
        determines them), and those of ``mig``.

    Raises:
        ValueError: As ``mig``, or ``assigned`` does not fit.
    """
    return _dependency("dmig", factors, codes, continuous, bins, binning, blocks, estimator, neighbours, assigned)


@metric("xmig", family="information", of_codes=True)
def xmig(
    factors: Any,
    codes: Any,
    factors_test: Any = None,
    codes_test: Any = None,
    *,
    seed: int = 0,
    bins: int | None = 20,
    binning: str = "width",
    blocks: Sequence[Sequence[int]] | None = None,
    estimator: str | None = None,
    neighbours: int = 3,
    assigned: Sequence[int] | None = None,
    continuous: Sequence[int] | None = None,
) -> MetricResult:
    """Dependency-blind mutual information gap: the gap to the codes that belong to no factor.

    MIG with the second code taken from those that are assigned to no factor: how much of a factor leaks into dimensions
    that should be free of it, whatever the factors share (Watcharasupat 2021, with DMIG, arXiv 2110.05587).

    Args:
        factors: Factors [N, K].
        codes: Codes [N, D], more than factors.
        factors_test: Not read.
        codes_test: Not read.
        seed: Not read.
        bins: As in ``mig``.
        binning: As in ``mig``.
        blocks: As in ``mig``.
        estimator: As in ``mig``.
        neighbours: As in ``mig``.
        assigned: As in ``dmig``.
        continuous: As in ``mig``.

    Returns:
        Value ``xmig``, up to 1; None where every code belongs to a factor. Details: per_factor, assigned, and those of
        ``mig``.

    Raises:
        ValueError: As ``mig``, or ``assigned`` does not fit.
    """
    return _dependency("xmig", factors, codes, continuous, bins, binning, blocks, estimator, neighbours, assigned)


@metric("rmig", family="information", of_codes=True)
def rmig(
    factors: Any,
    codes: Any,
    factors_test: Any = None,
    codes_test: Any = None,
    *,
    seed: int = 0,
    deviations: Any = None,
    bins: int | None = 20,
    binning: str = "width",
    interval: tuple[float, float] | None = None,
    continuous: Sequence[int] | None = None,
) -> MetricResult:
    """Robust mutual information gap: MIG of codes that are distributions.

    The information between a factor and z under q(z, v) = mean over samples of q(z | x) p(v | x), with z cut into bins:
    each sample puts the mass of its Gaussian posterior into the bins (Do and Tran 2020, arXiv 1908.09961). Without
    deviations a sample puts all into the bin of its mean, and the result is ``mig``.

    Args:
        factors: Factors [N, K].
        codes: Posterior means [N, D].
        factors_test: Not read.
        codes_test: Not read.
        seed: Not read.
        deviations: Standard deviations of the posterior [N, D], above 0.
        bins: Bins per dimension (100 in the paper).
        binning: As in ``mig``, of means without deviations; distributions are cut into equal widths.
        interval: Range to cut, (-4, 4) in the paper; what lies beyond belongs to the outer bins. None: each
            dimension's range of means, whatever its scale.
        continuous: As in ``mig``.

    Returns:
        Values ``rmig`` (each gap divided by the factor's entropy, 0..1) and ``rmig_nats`` (not divided). Details:
        per_factor and those of ``mig``.

    Raises:
        ValueError: As ``mig``; deviations that do not fit or are not positive; an empty interval.
    """
    rows = read_rows(factors, codes, continuous)
    if interval is not None and not interval[0] < interval[1]:
        raise ValueError(f"interval must be (low, high) with low < high, not {interval}")
    ceiling = _soft_table(Rows(rows.factors, _perfect(rows), rows.discrete), None, bins, binning, None)
    spread = None
    if deviations is not None:
        spread = as_floats(deviations, "deviations", 2)
        if spread.shape != rows.codes.shape or spread.min() <= 0:
            raise ValueError(f"deviations must be positive and of the shape of codes {rows.codes.shape}")
        if binning != "width":
            raise ValueError("distributions are cut into bins of equal width: binning must be 'width'")
    table = _soft_table(rows, spread, bins, binning, interval)
    details = table.details()
    details["posterior"] = "mean" if spread is None else "gaussian"
    if len(table.kept) == 0:
        return _missing("rmig", details, len(rows), "rmig_nats")

    def values(source: InformationTable) -> dict[str, float | None]:
        gaps = top_gaps(source.information[:, source.kept])
        return {"rmig": float((gaps / source.factor_entropy[source.kept]).mean()), "rmig_nats": float(gaps.mean())}

    gaps = top_gaps(table.information[:, table.kept]) / table.factor_entropy[table.kept]
    details["per_factor"] = _spread_out(gaps, table)
    return MetricResult("rmig", values(table), details, ceiling=values(ceiling), n=len(rows), predictor="binned")


@metric("jemmig", family="information", of_codes=True)
def jemmig(
    factors: Any,
    codes: Any,
    factors_test: Any = None,
    codes_test: Any = None,
    *,
    seed: int = 0,
    bins: int | None = 20,
    binning: str = "width",
    blocks: Sequence[Sequence[int]] | None = None,
    continuous: Sequence[int] | None = None,
) -> MetricResult:
    """Joint entropy minus mutual information gap: MIG that also wants the best code to know nothing else.

    For each factor H(v, z*) - I(v; z*) + I(v; z°), z* and z° the best and the second best code, in nats and from 0
    (perfect) upwards; and 1 - that / (H(v) + log bins), which is 1 for a perfect code (Do and Tran 2020, arXiv
    1908.09961; the normalised form as in Carbonneau et al. 2020, arXiv 2012.09276, with 10 bins there).

    Args:
        factors: Factors [N, K].
        codes: Codes [N, D].
        factors_test: Not read.
        codes_test: Not read.
        seed: Not read.
        bins: As in ``mig``.
        binning: As in ``mig``.
        blocks: As in ``mig``; cut into joint bins, since a joint entropy is needed.
        continuous: As in ``mig``.

    Returns:
        Values ``jemmig`` (normalised, up to 1, higher is better) and ``jemmig_nats`` (from 0, lower is better).
        Details: per_factor (normalised) and those of ``mig``.

    Raises:
        ValueError: As ``mig``.
    """
    rows = read_rows(factors, codes, continuous)
    settings: dict[str, Any] = {"bins": bins, "binning": binning, "estimator": "binned"}
    table = information_table(rows, blocks=blocks, **settings)
    details = table.details()
    if len(table.kept) == 0:
        return _missing("jemmig", details, len(rows), "jemmig_nats")

    def parts(source: InformationTable, values: Floats) -> tuple[Floats, Floats]:
        assert source.code_entropy is not None
        kept = source.kept
        raw, best = joint_entropy_gaps(source.information[:, kept], source.factor_entropy[kept], source.code_entropy)
        room = np.zeros(len(source.blocks))
        for number, block in enumerate(source.blocks):
            room[number] = (
                sum(np.log(len(np.unique(values[:, dimension]))) for dimension in block)
                if binning == "exact"
                else len(block) * np.log(source.bins)
            )
        return raw, 1 - raw / (source.factor_entropy[kept] + room[best])

    raw, score = parts(table, rows.codes)
    perfect = _perfect(rows)
    best_raw, best_score = parts(information_table(Rows(rows.factors, perfect, rows.discrete), **settings), perfect)
    details["per_factor"] = _spread_out(score, table)
    return MetricResult(
        "jemmig",
        {"jemmig": float(score.mean()), "jemmig_nats": float(raw.mean())},
        details,
        ceiling={"jemmig": float(best_score.mean()), "jemmig_nats": float(best_raw.mean())},
        n=len(rows),
        predictor="binned",
    )


@metric("dcimig", family="information", of_codes=True)
def dcimig(
    factors: Any,
    codes: Any,
    factors_test: Any = None,
    codes_test: Any = None,
    *,
    seed: int = 0,
    bins: int | None = 20,
    binning: str = "width",
    blocks: Sequence[Sequence[int]] | None = None,
    estimator: str | None = None,
    neighbours: int = 3,
    continuous: Sequence[int] | None = None,
) -> MetricResult:
    """DCIMIG (3CharM): the share of the factors' entropy that lies in codes of their own.

    Each code has the gap between the factor that it knows best and the second one; each factor takes the largest gap
    among the codes that know it best; their sum is divided by the sum of the factors' entropies (Sepliarskaia,
    Kiseleva and de Rijke 2019, arXiv 1910.05587).

    Args:
        factors: Factors [N, K].
        codes: Codes [N, D].
        factors_test: Not read.
        codes_test: Not read.
        seed: Not read.
        bins: As in ``mig`` (10 in the code of Carbonneau et al., arXiv 2012.09276).
        binning: As in ``mig``.
        blocks: As in ``mig``.
        estimator: As in ``mig``.
        neighbours: As in ``mig``.
        continuous: As in ``mig``.

    Returns:
        Value ``dcimig`` in 0..1. Details: those of ``mig`` but per_factor.

    Raises:
        ValueError: As ``mig``.
    """
    rows = read_rows(factors, codes, continuous)
    settings: dict[str, Any] = {"bins": bins, "binning": binning, "neighbours": neighbours}
    table = information_table(rows, blocks=blocks, estimator=estimator, **settings)
    if len(table.kept) == 0:
        return _missing("dcimig", table.details(), len(rows))
    ceiling = _perfect_table(rows, table, settings)
    value, best = (
        disentangled_share(source.information[:, source.kept], source.factor_entropy[source.kept])
        for source in (table, ceiling)
    )
    return MetricResult(
        "dcimig", {"dcimig": value}, table.details(), ceiling={"dcimig": best}, n=len(rows), predictor=table.estimator
    )


# ---------------------------------------------------------------------------------------------------------------------
# What the metrics share


def _perfect(rows: Rows) -> Floats:
    """The factors themselves as a code: level numbers of a discrete one, values of a quantity."""
    return np.where(rows.discrete, factor_levels(rows).astype(np.float64), rows.factors)


def _perfect_table(rows: Rows, table: InformationTable, settings: dict[str, Any]) -> InformationTable:
    perfect = Rows(rows.factors, _perfect(rows), rows.discrete)
    return information_table(perfect, estimator=table.estimator, **settings)


def _spread_out(values: Floats, table: InformationTable) -> list[float | None]:
    """Values of the varying factors in the places of all; None for the others."""
    places: list[float | None] = [None] * len(table.varying)
    for column, value in zip(table.kept, values, strict=True):
        places[column] = float(value)
    return places


def _missing(name: str, details: dict[str, Any], samples: int, *others: str) -> MetricResult:
    return MetricResult(name, dict.fromkeys((name, *others)), details, reason=NOTHING_VARIES, n=samples)


def _mean_over_factors(name: str, rows: Rows, table: InformationTable, settings: Any, per_factor: Any) -> MetricResult:
    details = table.details()
    if len(table.kept) == 0:
        return _missing(name, details, len(rows))
    if is_lone_block(table.blocks, len(table.kept)):
        return MetricResult(name, {name: None}, details, reason=LONE_BLOCK, n=len(rows), predictor=table.estimator)
    found = per_factor(table)
    ceiling = float(per_factor(_perfect_table(rows, table, settings)).mean())
    details["per_factor"] = _spread_out(found, table)
    return MetricResult(
        name, {name: float(found.mean())}, details, ceiling={name: ceiling}, n=len(rows), predictor=table.estimator
    )


def _mean_over_codes(
    name: str, rows: Rows, table: InformationTable, settings: Any, per_code: Any, dead_codes: str
) -> MetricResult:
    if dead_codes not in DEAD_CODES:
        raise ValueError(f"dead_codes must be one of {', '.join(DEAD_CODES)}, not {dead_codes!r}")
    details = table.details()
    if len(table.kept) == 0:
        return _missing(name, details, len(rows))
    found = per_code(table)
    active = np.ones(len(found), dtype=bool) if dead_codes != "leave_out" else informative_blocks(rows, table.blocks)
    details |= {"per_code": found, "active": active}
    value = float(found[active].mean()) if active.any() else 0.0
    ceiling = per_code(_perfect_table(rows, table, settings))
    # A constant factor is a dead code of the perfect representation.
    best = ceiling[table.varying] if dead_codes == "leave_out" else ceiling
    return MetricResult(
        name, {name: value}, details, ceiling={name: float(best.mean())}, n=len(rows), predictor=table.estimator
    )


def _dependency(
    name: str,
    factors: Any,
    codes: Any,
    continuous: Sequence[int] | None,
    bins: int | None,
    binning: str,
    blocks: Sequence[Sequence[int]] | None,
    estimator: str | None,
    neighbours: int,
    assigned: Sequence[int] | None,
) -> MetricResult:
    """DMIG and XMIG, which differ in the rival code and in what a gap is divided by."""
    rows = read_rows(factors, codes, continuous)
    settings: dict[str, Any] = {"bins": bins, "binning": binning, "neighbours": neighbours}
    table = information_table(rows, blocks=blocks, estimator=estimator, **settings)
    details = table.details()
    owners = _read_assigned(assigned, table)
    details["assigned"] = owners
    if len(table.kept) == 0:
        return _missing(name, details, len(rows))
    if name == "xmig":
        gaps = _gaps_to_free_codes(table, owners, assigned is not None)
        ceiling_table = _perfect_table(rows, table, settings)
        # Beside a perfect code's own dimensions the free ones know nothing.
        best = np.diagonal(ceiling_table.information)[table.kept] / table.factor_entropy[table.kept]
        ceiling: dict[str, float | None] = {name: float(best.mean())}
    else:
        shared = _shared_between_factors(rows, table, settings)
        gaps = _gaps_given_factors(table, owners, shared, assigned is not None)
        perfect = _perfect_table(rows, table, settings)
        own = [int(column) if varies else None for column, varies in enumerate(table.varying)]
        ceiling = {name: _mean_of(_gaps_given_factors(perfect, own, shared, True))}
        details["determined_factors"] = [column for column in table.kept if gaps[column] is None]
    details["per_factor"] = gaps
    value = _mean_of(gaps)
    reason = None
    if value is None:
        reason = (
            "every code belongs to a factor: there is no free one to compare with"
            if name == "xmig"
            else "each factor is determined by another"
        )
    return MetricResult(
        name, {name: value}, details, reason=reason, ceiling=ceiling, n=len(rows), predictor=table.estimator
    )


def _read_assigned(assigned: Sequence[int] | None, table: InformationTable) -> list[int | None]:
    if assigned is None:
        return assign_codes(table.information, np.where(table.varying, table.factor_entropy, 0.0))
    count = len(table.blocks)
    if len(assigned) != len(table.varying) or not all(0 <= code < count for code in assigned):
        raise ValueError(f"assigned must name one of {count} codes for each of {len(table.varying)} factors")
    if len(set(assigned)) != len(assigned):
        raise ValueError("assigned gives one code to two factors")
    return [int(code) for code in assigned]


def _mean_of(values: Sequence[float | None]) -> float | None:
    found = [value for value in values if value is not None]
    return float(np.mean(found)) if found else None


def _gaps_to_free_codes(table: InformationTable, owners: Sequence[int | None], stated: bool) -> list[float | None]:
    free = [code for code in range(len(table.blocks)) if code not in owners]
    gaps: list[float | None] = [None] * len(owners)
    for column in table.kept if free else []:
        known = table.information[:, column]
        owner = owners[column] if stated else None
        first = known.max() if owner is None else known[owner]
        gaps[column] = float((first - known[free].max()) / table.factor_entropy[column])
    return gaps


def _gaps_given_factors(
    table: InformationTable, owners: Sequence[int | None], shared: Floats, stated: bool
) -> list[float | None]:
    gaps: list[float | None] = [None] * len(owners)
    for column in table.kept:
        known = table.information[:, column]
        owner = owners[column]
        # A factor's own code goes first where it knows as much as the best one.
        if owner is None or not (stated or known[owner] >= known.max() - 1e-12):
            owner = int(known.argmax())
        first = owner
        rest = [code for code in range(len(known)) if code != first]
        second = rest[int(known[rest].argmax())] if rest else None
        room = float(table.factor_entropy[column])
        if second is not None and second in owners and owners.index(second) != column:
            room -= float(shared[column, owners.index(second)])
        if room > 1e-9 * table.factor_entropy[column]:
            gaps[column] = float((known[first] - (0.0 if second is None else known[second])) / room)
    return gaps


def _shared_between_factors(rows: Rows, table: InformationTable, settings: dict[str, Any]) -> Floats:
    """Information between factors, [K, K], by the table's estimator."""
    if table.estimator == "binned":
        levels = factor_levels(rows, table.bins, settings["binning"])
        return mutual_information(levels, levels)
    shared = np.zeros((len(table.varying), len(table.varying)))
    for first in table.kept:
        for second in table.kept:
            category, other = (first, second) if rows.discrete[first] else (second, first)
            shared[first, second] = neighbour_information(
                rows.factors[:, other],
                rows.factors[:, category],
                discrete=bool(rows.discrete[category]),
                neighbours=settings["neighbours"],
            )
    return shared


def _soft_table(
    rows: Rows, deviations: Floats | None, bins: int | None, binning: str, interval: tuple[float, float] | None
) -> InformationTable:
    """The table under Gaussian posteriors, or under their means alone."""
    if deviations is None:
        if interval is None or binning != "width":
            return information_table(rows, bins=bins, binning=binning, estimator="binned")
        deviations = np.zeros_like(rows.codes)
    plain = information_table(Rows(rows.factors, rows.codes, rows.discrete), bins=bins, estimator="binned")
    levels = factor_levels(rows, plain.bins)
    information = np.zeros_like(plain.information)
    spread = np.zeros(len(plain.blocks))
    for dimension, (means, widths) in enumerate(zip(rows.codes.T, deviations.T, strict=True)):
        edges = (
            np.histogram_bin_edges(means, plain.bins) if interval is None else np.linspace(*interval, plain.bins + 1)
        )
        mass = _masses(means, widths, edges)
        share = mass.mean(axis=0)
        spread[dimension] = -(share[share > 0] * np.log(share[share > 0])).sum()
        for column, labels in enumerate(levels.T):
            information[dimension, column] = _information(mass.T @ np.eye(int(labels.max()) + 1)[labels])
    return InformationTable(
        information, plain.factor_entropy, spread, plain.varying, plain.blocks, "binned", plain.bins, len(rows)
    )


def _masses(means: Floats, deviations: Floats, edges: Floats) -> Floats:
    """Each row's probability of each bin, [N, bins]; what lies beyond the edges belongs to the outer bins."""
    inner = edges[1:-1]
    if not deviations.any():
        return np.eye(len(edges) - 1)[np.digitize(means, inner)]
    below = ndtr((inner - means[:, None]) / deviations[:, None])
    ends = np.zeros((len(means), 1)), np.ones((len(means), 1))
    return np.diff(np.hstack([ends[0], below, ends[1]]), axis=1)
