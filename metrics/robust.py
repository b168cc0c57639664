"""MIG of codes that are distributions: RMIG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.special import ndtr

from .checks import Floats, Ints, as_floats
from .gap_matrices import top_gaps
from .information import InformationTable, information_table, perfect_codes, perfect_table
from .registry import metric
from .result import MetricResult
from .scale import to_unit
from .tables import Rows, read_rows

_DEALS = 5  # of the codes to the rows, whose mean is chance


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
    deviations a sample puts all into the bin of its mean, and without an interval too the result is ``mig``.

    Args:
        factors: Factors [N, K]. Whole numbers are categories.
        codes: Posterior means [N, D].
        factors_test: Not read.
        codes_test: Not read.
        seed: Of the chance of codes with deviations or an interval.
        deviations: Standard deviations of the posterior, above 0, in the rows and columns of ``codes`` [N, D].
        bins: Bins per dimension (100 in the paper). None: as many as the factor with the most levels has, at least 20.
        binning: "width", "quantile" or "exact" (``discretise``); "width" with deviations or an interval.
        interval: Range to cut, (-4, 4) in the paper; what lies beyond belongs to the outer bins. None: each
            dimension's range of means, whatever its scale.
        continuous: Columns of ``factors`` that are quantities. None: those with numbers that are not whole.

    Returns:
        Values ``rmig`` (each gap divided by the factor's entropy, 0..1) and ``rmig_nats`` (not divided). Ceiling: the
        factors themselves, of unit variance, in these bins; with deviations, each in the place of the code that is
        sharpest beside its own spread, with its mean, variance and posteriors. Details: per_factor, posterior ("mean"
        or "gaussian"), sharp_ceiling (with deviations: ``rmig`` of the factors without any),
        mutual_information [D, K], factor_entropy, estimator, bins, samples, constant_factors.

    Raises:
        ValueError: Shapes do not fit, numbers that are not finite, deviations that do not fit or are not positive, an
            empty interval, or an unknown option.
    """
    rows = read_rows(factors, codes, continuous)
    widths = _read_deviations(deviations, rows)
    if interval is not None and not (len(interval) == 2 and 0 < float(interval[1]) - float(interval[0]) < np.inf):
        raise ValueError(f"interval must be (low, high) with low < high, not {interval}")
    if binning != "width" and not (widths is None and interval is None):
        raise ValueError("deviations and intervals are cut into bins of equal width: binning must be 'width'")
    settings: dict[str, Any] = {"bins": bins, "binning": binning}
    table = information_table(rows, **settings)
    names = ("rmig", "rmig_nats")
    if len(table.kept) == 0:
        return table.missing("rmig", *names)
    ceiling, chance = _scores(perfect_table(rows, table, settings)), dict[str, float]()
    told: dict[str, Any] = {"posterior": "mean" if widths is None else "gaussian"}
    if widths is not None:
        told["sharp_ceiling"] = ceiling["rmig"]
    if not (widths is None and interval is None):
        table, dealt = _soft_tables(table, rows.codes, widths, interval, seed)
        ceiling = _scores(_perfect_soft_table(table, rows, widths, interval))
        chance = {name: float(np.mean([_scores(one)[name] for one in dealt])) for name in names}
    gaps = top_gaps(table.information[:, table.kept]) / table.factor_entropy[table.kept]
    return MetricResult(
        "rmig",
        dict(_scores(table)),
        table.details() | told | {"per_factor": table.by_factor(gaps)},
        chance=dict(chance),
        ceiling=dict(ceiling),
        n=len(rows),
        predictor="binned",
    )


def _read_deviations(deviations: Any, rows: Rows) -> Floats | None:
    if deviations is None:
        return None
    widths = as_floats(deviations, "deviations", 2)
    if widths.shape != rows.codes.shape or widths.min() <= 0:
        raise ValueError(f"deviations must be positive and of the shape of codes {rows.codes.shape}")
    return widths


def _scores(table: InformationTable) -> dict[str, float]:
    gaps = top_gaps(table.information[:, table.kept])
    return {"rmig": float((gaps / table.factor_entropy[table.kept]).mean()), "rmig_nats": float(gaps.mean())}


def _soft_tables(
    table: InformationTable, codes: Floats, widths: Floats | None, interval: tuple[float, float] | None, seed: int
) -> tuple[InformationTable, list[InformationTable]]:
    """The table with information under the posteriors, and those of posteriors that are dealt to the rows at random."""
    rng = np.random.default_rng((seed, 1))
    orders = [np.arange(len(codes))] + [rng.permutation(len(codes)) for _ in range(_DEALS)]
    found = np.zeros((len(orders), *table.information.shape))
    for dimension, means in enumerate(codes.T):
        mass = _masses(means, None if widths is None else widths[:, dimension], table.bins, interval)
        for number, order in enumerate(orders):
            found[number, dimension] = [_information(mass, labels[order]) for labels in table.levels.T]
    first, *dealt = (replace(table, information=information, code_entropy=None) for information in found)
    return first, dealt


def _perfect_soft_table(
    table: InformationTable, rows: Rows, widths: Floats | None, interval: tuple[float, float] | None
) -> InformationTable:
    """The table that has, for each factor, one code: the factor itself in the place of the sharpest code."""
    centre, spread, exponent, width = 0.0, 1.0, 0, None
    if widths is not None:
        scaled, exponents = to_unit(rows.codes, axis=0)
        spreads = scaled.std(axis=0)
        blurs = np.ldexp(widths, -exponents).mean(axis=0)
        sharpest = int(np.divide(blurs, spreads, out=np.full(len(blurs), np.inf), where=spreads > 0).argmin())
        centre, spread, width = scaled[:, sharpest].mean(), spreads[sharpest], widths[:, sharpest]
        exponent = exponents[0, sharpest]
    perfect = to_unit(perfect_codes(rows), axis=0)[0]
    information = np.zeros((1, len(table.varying)))
    for column in table.kept:
        standard = (perfect[:, column] - perfect[:, column].mean()) / perfect[:, column].std()
        means = np.ldexp(centre + spread * standard, exponent)
        information[0, column] = _information(_masses(means, width, table.bins, interval), table.levels[:, column])
    return replace(table, information=information)


def _masses(means: Floats, widths: Floats | None, bins: int, interval: tuple[float, float] | None) -> Floats:
    """Each row's probability of each bin [N, bins]; what lies beyond the edges belongs to the outer bins."""
    if interval is None:
        means, exponent = to_unit(means)
        low, high = means.min(), means.max()
        with np.errstate(over="ignore"):
            widths = None if widths is None else np.ldexp(widths, -exponent)
        if low == high:  # no range to cut
            return np.ones((len(means), 1))
    else:
        low, high = interval
    inner = np.linspace(low, high, bins + 1)[1:-1]
    if widths is None:
        return np.eye(bins)[np.digitize(means, inner)]
    with np.errstate(over="ignore"):
        below = ndtr((inner - means[:, None]) / np.maximum(widths, np.finfo(np.float64).tiny)[:, None])
    return np.diff(below, axis=1, prepend=0.0, append=1.0)


def _information(mass: Floats, labels: Ints) -> float:
    """Mutual information between bins and levels, where each row spreads over the bins as ``mass`` [N, bins] says."""
    order = np.argsort(labels, kind="stable")
    starts = np.flatnonzero(np.diff(labels[order], prepend=-1))
    joint = np.add.reduceat(mass[order], starts) / len(mass)
    alone = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
    used = joint > 0
    return max(0.0, float((joint[used] * np.log(joint[used] / alone[used])).sum()))
