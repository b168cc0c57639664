"""Gaps between the best and the second best code of a factor: MIG and JEMMIG."""
# ruff: noqa: D417  (`documented` describes the arguments that metrics share)

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .checks import Floats
from .gap_matrices import joint_entropy_gaps, normalised_by_codes, top_gaps
from .information import InformationTable, information_table, perfect_circles, perfect_codes, perfect_table
from .registry import metric
from .result import MetricResult
from .shared_arguments import documented
from .tables import LONE_BLOCK, Rows, is_lone_block, read_rows

NORMALISERS = ("factor", "ubisoft_code")


@metric("mig", family="information", of_codes=True)
@documented
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
    disentanglement_lib). With a single code the second largest is 0. Factors that do not vary in the sample are left
    out and listed in the details.

    Args:
        {arrays}
        {bins}
        {estimator}
        {normaliser}
        {continuous}

    Returns:
        Value ``mig`` in 0..1, ceiling ``mig`` (the factors themselves as codes: fewer bins than levels lower it).
        Details: per_factor, and
        {details}

    Raises:
        {refused}
    """
    rows = read_rows(factors, codes, continuous)
    settings: dict[str, Any] = {"bins": bins, "binning": binning, "neighbours": neighbours}
    table = information_table(rows, blocks=blocks, estimator=estimator, **settings)
    check_normaliser(normaliser, table)
    if len(table.kept) == 0:
        return table.missing("mig")
    if is_lone_block(table.blocks, len(table.kept)):
        return table.missing("mig", reason=LONE_BLOCK)
    found, best = (top_gaps(normalised(source, normaliser)) for source in (table, perfect_table(rows, table, settings)))
    return MetricResult(
        "mig",
        {"mig": float(found.mean())},
        table.details() | {"per_factor": table.by_factor(found)},
        ceiling={"mig": float(best.mean())},
        n=len(rows),
        predictor=table.estimator,
    )


@metric("jemmig", family="information", of_codes=True)
@documented
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
        {arrays}
        {bins}
        blocks: Code dimensions that belong together; cut into joint bins, since a joint entropy is needed.
        {continuous}

    Returns:
        Values ``jemmig`` (normalised, up to 1, higher is better) and ``jemmig_nats`` (from 0, lower is better).
        Ceiling: the factors themselves; with blocks of several dimensions each on a line or on a circle, whichever is
        better, and in a block as large as the largest.
        Details: per_factor (normalised), and
        {details}

    Raises:
        {refused}
    """
    rows = read_rows(factors, codes, continuous)
    settings: dict[str, Any] = {"bins": bins, "binning": binning, "estimator": "binned"}
    table = information_table(rows, blocks=blocks, **settings)
    names = ("jemmig", "jemmig_nats")
    if len(table.kept) == 0:
        return table.missing("jemmig", *names)
    if is_lone_block(table.blocks, len(table.kept)):
        return table.missing("jemmig", *names, reason=LONE_BLOCK)

    def room_of(source: InformationTable, values: Floats) -> Floats:
        """The logarithm of the number of cells of every block."""
        cells = [len(np.unique(column)) if binning == "exact" else source.bins for column in values.T]
        return np.array([sum(np.log(cells[dimension]) for dimension in block) for block in source.blocks])

    def parts(source: InformationTable, values: Floats) -> tuple[Floats, Floats]:
        """JEMMIG of every kept factor, normalised and in nats."""
        assert source.code_entropy is not None
        kept = source.kept
        nats, best = joint_entropy_gaps(source.information[:, kept], source.factor_entropy[kept], source.code_entropy)
        return 1 - nats / (source.factor_entropy[kept] + room_of(source, values)[best]), nats

    found = parts(table, rows.codes)
    best = parts(perfect_table(rows, table, settings), perfect_codes(rows))
    if any(len(block) > 1 for block in table.blocks):
        # In blocks a factor may lie on a circle too, whose joint bins hold more levels, and there is more room.
        circles = perfect_circles(rows)
        pairs = [[2 * column, 2 * column + 1] for column in range(rows.factors.shape[1])]
        round_table = information_table(Rows(rows.factors, circles, rows.discrete), blocks=pairs, **settings)
        nats = np.minimum(best[1], parts(round_table, circles)[1])
        best = 1 - nats / (table.factor_entropy[table.kept] + room_of(table, rows.codes).max()), nats
    values, ceiling = (
        {name: float(part.mean()) for name, part in zip(names, pair, strict=True)} for pair in (found, best)
    )
    return MetricResult(
        "jemmig",
        dict(values),
        table.details() | {"per_factor": table.by_factor(found[0])},
        ceiling=dict(ceiling),
        n=len(rows),
        predictor="binned",
    )


def check_normaliser(normaliser: str, table: InformationTable) -> None:
    """Refuses what ``normalised`` cannot do.

    Raises:
        ValueError: The name is unknown, or the table has no entropy of codes to divide by.
    """
    if normaliser not in NORMALISERS:
        raise ValueError(f"normaliser must be one of {', '.join(NORMALISERS)}, not {normaliser!r}")
    if normaliser == "ubisoft_code" and table.code_entropy is None:
        raise ValueError("normaliser 'ubisoft_code' needs the entropy of codes, which only estimator 'binned' has")


def normalised(table: InformationTable, normaliser: str) -> Floats:
    """Information about the kept factors over the entropy of the factor, or of the code, [B, kept]."""
    information = table.information[:, table.kept]
    if normaliser == "ubisoft_code" and table.code_entropy is not None:
        return normalised_by_codes(information, table.code_entropy)
    return np.asarray(information / table.factor_entropy[table.kept])
