"""MIG for factors that depend on each other: DMIG and XMIG."""
# ruff: noqa: D417  (`documented` describes the arguments that metrics share)

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .checks import Floats
from .gap_matrices import assign_codes
from .information import InformationTable, information_table, mutual_information, perfect_table
from .neighbours import neighbour_information
from .registry import metric
from .result import MetricResult
from .shared_arguments import documented
from .tables import LONE_BLOCK, Rows, is_lone_block, read_rows

Gaps = list[float | None]
_TIE = 1e-12


@metric("dmig", family="information", of_codes=True)
@documented
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
        {arrays}
        {bins}
        {estimator}
        {assigned}
        {continuous}

    Returns:
        Value ``dmig``, up to 1. Details: per_factor, assigned, determined_factors (left out because another factor
        determines them), and
        {details}

    Raises:
        {refused}
    """
    rows = read_rows(factors, codes, continuous)
    settings: dict[str, Any] = {"bins": bins, "binning": binning, "neighbours": neighbours}
    table = information_table(rows, blocks=blocks, estimator=estimator, **settings)
    owners = _read_assigned(assigned, table)
    if len(table.kept) == 0:
        return table.missing("dmig")
    if is_lone_block(table.blocks, len(table.kept)):
        return table.missing("dmig", reason=LONE_BLOCK)
    shared = _shared_between_factors(rows, table, neighbours)
    gaps = _gaps_given_factors(table, owners, shared, assigned is not None)
    own = [int(column) if column in table.kept else None for column in range(len(owners))]
    best = _gaps_given_factors(perfect_table(rows, table, settings), own, shared, True)
    determined = [int(column) for column in table.kept if gaps[column] is None]
    return _result("dmig", table, owners, gaps, _mean_of(best), "each factor is determined by another", determined)


@metric("xmig", family="information", of_codes=True)
@documented
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
    that should be free of it, whatever the factors share (Watcharasupat 2021, with DMIG, arXiv 2110.05587). There must
    be more codes than factors.

    Args:
        {arrays}
        {bins}
        {estimator}
        {assigned}
        {continuous}

    Returns:
        Value ``xmig``, up to 1; None where every code belongs to a factor. Details: per_factor, assigned, and
        {details}

    Raises:
        {refused}
    """
    rows = read_rows(factors, codes, continuous)
    settings: dict[str, Any] = {"bins": bins, "binning": binning, "neighbours": neighbours}
    table = information_table(rows, blocks=blocks, estimator=estimator, **settings)
    owners = _read_assigned(assigned, table)
    kept = table.kept
    if len(kept) == 0:
        return table.missing("xmig")
    gaps = _gaps_to_free_codes(table, owners, assigned is not None)
    # Beside a perfect code's own dimensions the free ones know nothing.
    best = np.diagonal(perfect_table(rows, table, settings).information)[kept] / table.factor_entropy[kept]
    reason = "every code belongs to a factor: there is no free one to compare with"
    return _result("xmig", table, owners, gaps, float(best.mean()), reason)


def _result(
    name: str,
    table: InformationTable,
    owners: list[int | None],
    gaps: Gaps,
    ceiling: float | None,
    otherwise: str,
    determined: list[int] | None = None,
) -> MetricResult:
    details = table.details() | {"assigned": owners, "per_factor": gaps}
    if determined is not None:
        details["determined_factors"] = determined
    value = _mean_of(gaps)
    return MetricResult(
        name,
        {name: value},
        details,
        reason=otherwise if value is None else None,
        ceiling={name: ceiling},
        n=len(table.levels),
        predictor=table.estimator,
    )


def _read_assigned(assigned: Sequence[int] | None, table: InformationTable) -> list[int | None]:
    if assigned is None:
        return assign_codes(table.information, np.where(table.varying, table.factor_entropy, 0.0))
    count, factors = len(table.blocks), len(table.varying)
    owned = list(assigned)
    if len(owned) != factors or not all(code in range(count) for code in owned):
        raise ValueError(f"assigned must name one of {count} codes for each of {factors} factors")
    if len(set(owned)) != factors:
        raise ValueError("assigned gives one code to two factors")
    return [int(code) for code in owned]


def _mean_of(values: Gaps) -> float | None:
    found = [value for value in values if value is not None]
    return float(np.mean(found)) if found else None


def _gaps_to_free_codes(table: InformationTable, owners: list[int | None], stated: bool) -> Gaps:
    free = [code for code in range(len(table.blocks)) if code not in owners]
    gaps: Gaps = [None] * len(owners)
    for column in table.kept if free else []:
        known = table.information[:, column]
        owner = owners[column] if stated else None
        first = known.max() if owner is None else known[owner]
        gaps[column] = float((first - known[free].max()) / table.factor_entropy[column])
    return gaps


def _gaps_given_factors(table: InformationTable, owners: list[int | None], shared: Floats, stated: bool) -> Gaps:
    gaps: Gaps = [None] * len(owners)
    for column in table.kept:
        known = table.information[:, column]
        first = owners[column]
        # A factor's own code goes first where it knows as much as the best one.
        if first is None or not (stated or known[first] >= known.max() - _TIE):
            first = int(known.argmax())
        second = float(np.delete(known, first).max(initial=0.0))
        # Of codes that know equally much, one that another factor owns, so that the order of codes does not matter.
        rivals = [
            float(shared[column, factor])
            for factor, code in enumerate(owners)
            if code is not None and code != first and factor != column and known[code] >= second - _TIE
        ]
        room = table.factor_entropy[column] - max(rivals, default=0.0)
        if room > 1e-9 * table.factor_entropy[column]:
            gaps[column] = float((known[first] - second) / room)
    return gaps


def _shared_between_factors(rows: Rows, table: InformationTable, neighbours: int) -> Floats:
    """Information between factors, [K, K], by the table's estimator."""
    if table.estimator == "binned":
        return mutual_information(table.levels, table.levels)
    shared = np.zeros((len(table.varying), len(table.varying)))
    for first in table.kept:
        for second in table.kept:
            category, other = (first, second) if rows.discrete[first] else (second, first)
            shared[first, second] = neighbour_information(
                rows.factors[:, other],
                rows.factors[:, category],
                discrete=bool(rows.discrete[category]),
                neighbours=neighbours,
            )
    return shared
