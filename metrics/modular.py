"""Whether each code knows one factor only: MIG-sup, modularity, and DCIMIG."""
# ruff: noqa: D417  (`documented` describes the arguments that metrics share)

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .checks import Floats
from .gap_matrices import disentangled_share, modularity_of_codes, top_gaps
from .gaps import check_normaliser, normalised
from .information import InformationTable, information_table, informative_blocks, perfect_table
from .registry import metric
from .result import MetricResult
from .shared_arguments import documented
from .tables import Rows, read_rows

DEAD_CODES = ("leave_out", "as_disentanglement_lib")


@metric("mig_sup", family="information", of_codes=True)
@documented
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
        {arrays}
        {bins}
        {estimator}
        {normaliser}
        {dead_codes}
        {continuous}

    Returns:
        Value ``mig_sup`` in 0..1. Details: per_code, active, and
        {details}

    Raises:
        {refused}
    """
    rows = read_rows(factors, codes, continuous)
    settings: dict[str, Any] = {"bins": bins, "binning": binning, "neighbours": neighbours}
    table = information_table(rows, blocks=blocks, estimator=estimator, **settings)
    check_normaliser(normaliser, table)

    def per_code(source: InformationTable) -> Floats:
        return top_gaps(normalised(source, normaliser).T)

    return _mean_over_codes("mig_sup", rows, table, settings, per_code, dead_codes)


@metric("modularity", family="information", of_codes=True)
@documented
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
    that it knows best), averaged over the codes that know anything (Ridgeway and Mozer 2018, arXiv 1802.05312). At
    least two factors must vary.

    Args:
        {arrays}
        {bins}
        {estimator}
        {dead_codes}
        {continuous}

    Returns:
        Value ``modularity`` in 0..1. Details: per_code, active, and
        {details}

    Raises:
        {refused}
    """
    rows = read_rows(factors, codes, continuous)
    settings: dict[str, Any] = {"bins": bins, "binning": binning, "neighbours": neighbours}
    table = information_table(rows, blocks=blocks, estimator=estimator, **settings)

    def per_code(source: InformationTable) -> Floats:
        return modularity_of_codes(source.information[:, source.kept])

    if len(table.kept) == 1:
        return table.missing("modularity", reason="modularity compares factors, and only one varies in the sample")
    return _mean_over_codes("modularity", rows, table, settings, per_code, dead_codes)


@metric("dcimig", family="information", of_codes=True)
@documented
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
    Kiseleva and de Rijke 2019, arXiv 1910.05587; with 10 bins in the code of Carbonneau et al., arXiv 2012.09276).

    Args:
        {arrays}
        {bins}
        {estimator}
        {continuous}

    Returns:
        Value ``dcimig`` in 0..1. Details:
        {details}

    Raises:
        {refused}
    """
    rows = read_rows(factors, codes, continuous)
    settings: dict[str, Any] = {"bins": bins, "binning": binning, "neighbours": neighbours}
    table = information_table(rows, blocks=blocks, estimator=estimator, **settings)
    if len(table.kept) == 0:
        return table.missing("dcimig")
    value, best = (
        disentangled_share(source.information[:, source.kept], source.factor_entropy[source.kept])
        for source in (table, perfect_table(rows, table, settings))
    )
    return MetricResult(
        "dcimig", {"dcimig": value}, table.details(), ceiling={"dcimig": best}, n=len(rows), predictor=table.estimator
    )


def _mean_over_codes(
    name: str,
    rows: Rows,
    table: InformationTable,
    settings: dict[str, Any],
    per_code: Callable[[InformationTable], Floats],
    dead_codes: str,
) -> MetricResult:
    if dead_codes not in DEAD_CODES:
        raise ValueError(f"dead_codes must be one of {', '.join(DEAD_CODES)}, not {dead_codes!r}")
    if len(table.kept) == 0:
        return table.missing(name)
    found, best = per_code(table), per_code(perfect_table(rows, table, settings))
    active = np.ones(len(found), dtype=bool)
    if dead_codes == "leave_out":
        active = informative_blocks(rows, table.blocks)
        # A factor that is left out is a dead code of the perfect representation.
        best = best[table.kept]
    return MetricResult(
        name,
        {name: float(found[active].mean()) if active.any() else 0.0},
        table.details() | {"per_code": found, "active": active},
        ceiling={name: float(best.mean())},
        n=len(rows),
        predictor=table.estimator,
    )
