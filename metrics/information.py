"""Entropy and mutual information between factors and codes, and the table of what every code knows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import chi2

from .checks import Floats, Ints
from .discretise import check_bins, discretise, joint_cells
from .neighbours import neighbour_information
from .result import MetricResult
from .scale import to_unit
from .tables import NOTHING_VARIES, Bools, Rows, read_blocks

ESTIMATORS = ("binned", "knn")
FEW_ROWS = "the rows or bins are too few to estimate any factor's entropy"


def mutual_information(first: Any, second: Any) -> Floats:
    """Plug-in mutual information in nats between every column of one table and every column of the other.

    Args:
        first: Discrete values [N, P] of any kind that sorts.
        second: Discrete values [N, Q].

    Returns:
        float64 [P, Q], from 0 to the smaller entropy.

    Raises:
        ValueError: The tables differ in their number of rows, or are not two-dimensional.
    """
    left, right = np.asarray(first), np.asarray(second)
    if left.ndim != 2 or right.ndim != 2 or len(left) != len(right) or len(left) == 0:
        raise ValueError(f"expected two tables with equally many rows, got shapes {left.shape} and {right.shape}")
    lefts = [np.unique(column, return_inverse=True)[1].reshape(-1) for column in left.T]
    rights = [np.unique(column, return_inverse=True)[1].reshape(-1) for column in right.T]
    return np.array([[_shared(a, b) for b in rights] for a in lefts], dtype=np.float64)


def entropy(values: Any) -> Floats:
    """Plug-in entropy in nats of every column of a table of discrete values [N, P]; float64 [P]."""
    table = np.asarray(values)
    shares = [np.unique(column, return_counts=True)[1] / len(table) for column in table.T]
    return np.array([0.0 - (share * np.log(share)).sum() for share in shares], dtype=np.float64)


@dataclass(frozen=True)
class InformationTable:
    """What every block of codes knows about every factor.

    Attributes:
        information: float64 [B, K], nats.
        factor_entropy: float64 [K]: what each factor knows about itself by the same estimator, which is the entropy of
            its levels or bins, or with nearest neighbours close to it.
        code_entropy: float64 [B], joint entropy of each block's bins; None where nothing was binned.
        levels: int64 [N, K], factors as numbers of levels or bins.
        varying: bool [K], factors that take more than one value in the sample.
        blocks: The dimensions behind each row of ``information``.
        estimator: "binned" or "knn".
        bins: Bins per dimension.
    """

    information: Floats
    factor_entropy: Floats
    code_entropy: Floats | None
    levels: Ints
    varying: Bools
    blocks: list[list[int]]
    estimator: str
    bins: int

    @property
    def kept(self) -> Ints:
        """Numbers of the factors that there is something to know about."""
        return np.flatnonzero(self.varying & (self.factor_entropy > 0)).astype(np.int64)

    def by_factor(self, values: Floats) -> list[float | None]:
        """Values of the kept factors in the places of all; None for the others."""
        places: list[float | None] = [None] * len(self.varying)
        for column, value in zip(self.kept, values, strict=True):
            places[column] = float(value)
        return places

    def missing(self, name: str, *values: str, reason: str | None = None) -> MetricResult:
        """The result of a metric without its values: for the reason given, or because no factor is kept."""
        if reason is None:
            reason = FEW_ROWS if self.varying.any() else NOTHING_VARIES
        none: dict[str, float | None] = dict.fromkeys(values or (name,))
        return MetricResult(name, none, self.details(), reason, n=len(self.levels), predictor=self.estimator)

    def details(self) -> dict[str, Any]:
        """What a result says about how its information was estimated."""
        told: dict[str, Any] = {
            "mutual_information": self.information,
            "factor_entropy": self.factor_entropy,
            "estimator": self.estimator,
            "samples": len(self.levels),
            "constant_factors": np.flatnonzero(~self.varying),
        }
        if self.estimator == "binned":
            told["bins"] = self.bins
        if any(len(block) > 1 for block in self.blocks):
            told["blocks"] = self.blocks
        return told


def information_table(
    rows: Rows,
    *,
    bins: int | None = 20,
    binning: str = "width",
    blocks: Sequence[Sequence[int]] | None = None,
    estimator: str | None = None,
    neighbours: int = 3,
) -> InformationTable:
    """Estimates the information between every block of codes and every factor.

    Args:
        rows: Factors [N, K] and codes [N, D].
        bins: Bins per code dimension, and of a factor that is a quantity. None: as many as the factor with the most
            levels has, at least 20.
        binning: As ``discretise`` takes it. A quantity is cut into equal widths where codes are "exact".
        blocks: Dimensions that belong together. None: each by itself.
        estimator: "binned" (plug-in, joint bins of a block) or "knn". None: "knn" when a block has several dimensions,
            because the plug-in estimate from joint bins is far too large there, else "binned".
        neighbours: Of "knn".

    Raises:
        ValueError: Unknown names, fewer than one bin, or blocks that do not fit the codes.
    """
    groups = read_blocks(blocks, rows.codes.shape[1])
    chosen = resolve_estimator(estimator, groups)
    count = 20 if bins is None else int(bins)
    check_bins(count, binning)
    levels = rows.levels(count, binning)
    if bins is None:
        count = max(20, int(levels.max()) + 1)
    if chosen == "binned":
        binned = discretise(rows.codes, count, binning)
        cells = np.stack([joint_cells(binned[:, block]) for block in groups], axis=1)
        known, spread = mutual_information(cells, levels), entropy(levels)
        return InformationTable(known, spread, entropy(cells), levels, rows.varying, groups, chosen, count)
    known, spread = np.zeros((len(groups), levels.shape[1])), np.zeros(levels.shape[1])
    for column in np.flatnonzero(rows.varying):
        factor = rows.factors[:, column]
        how: dict[str, Any] = {"discrete": bool(rows.discrete[column]), "neighbours": neighbours}
        spread[column] = neighbour_information(factor, factor, **how)
        known[:, column] = [neighbour_information(rows.codes[:, block], factor, **how) for block in groups]
    return InformationTable(known, spread, None, levels, rows.varying, groups, chosen, count)


def perfect_codes(rows: Rows) -> Floats:
    """The factors themselves as codes [N, K]: the level numbers of a category, the values of a quantity."""
    return np.where(rows.discrete, rows.levels().astype(np.float64), rows.factors)


def perfect_circles(rows: Rows) -> Floats:
    """The factors themselves as points on circles, [N, 2K]: cosine and sine of each, as cyclic groups hold them."""
    columns = []
    for factor in rows.factors.T:
        unit = to_unit(factor)[0]
        low, width = unit.min(), np.ptp(unit)
        # The ends of the circle stay as far apart as two neighbouring levels.
        count = len(np.unique(unit))
        angles = 2 * np.pi * (unit - low) / (width or 1.0) * (count - 1) / count
        columns += [np.cos(angles), np.sin(angles)]
    return np.stack(columns, axis=1)


def perfect_table(rows: Rows, table: InformationTable, settings: dict[str, Any]) -> InformationTable:
    """The table that the factors themselves would have as codes, by the estimator of ``table``."""
    perfect = Rows(rows.factors, perfect_codes(rows), rows.discrete)
    return information_table(perfect, **(settings | {"estimator": table.estimator}))


def resolve_estimator(estimator: str | None, blocks: Sequence[Sequence[int]]) -> str:
    """The estimator to use: the named one, or the default for these blocks.

    Raises:
        ValueError: The name is unknown.
    """
    if estimator is None:
        return "knn" if any(len(block) > 1 for block in blocks) else "binned"
    if estimator not in ESTIMATORS:
        raise ValueError(f"estimator must be one of {', '.join(ESTIMATORS)}, not {estimator!r}")
    return estimator


def informative_blocks(rows: Rows, blocks: Sequence[Sequence[int]], level: float = 1e-2) -> Bools:
    """Which blocks depend on some factor: Pearson's chi-square test on bins of equal count.

    No scale enters, unlike a threshold on a code's range or deviation, and no seed. A block passes when the test on
    one of its dimensions, or on all jointly where the rows allow that, rejects independence of some factor.

    Args:
        rows: Factors and codes.
        blocks: Lists of code dimensions.
        level: Probability that a block is passed although all of them are independent of all factors (Bonferroni).

    Returns:
        bool [B].
    """
    tests = max(1, rows.factors.shape[1] * sum(len(block) for block in blocks))
    found = np.zeros(len(blocks), dtype=bool)
    for column, discrete in zip(rows.factors.T, rows.discrete, strict=True):
        labels = np.unique(column, return_inverse=True)[1].reshape(-1)
        if not discrete:
            labels = discretise(column[:, None], 5, "quantile")[:, 0]
        # At most ten cells, and five rows expected in each, as the test wants them.
        cells = min(10, max(2, len(rows) // (5 * (int(labels.max()) + 1))))
        narrow = discretise(rows.codes, cells, "quantile")
        for number, block in enumerate(blocks):
            tables = [narrow[:, dimension] for dimension in block]
            width = int(cells ** (1 / len(block)) + 1e-9)
            if len(block) > 1 and width >= 2:
                tables.append(joint_cells(discretise(rows.codes[:, list(block)], width, "quantile")))
            found[number] |= any(_depends(table, labels, level / tests) for table in tables)
    return found


def _depends(cells: Ints, labels: Ints, level: float) -> bool:
    joint = _counts(cells, labels)
    joint = joint[joint.sum(axis=1) > 0][:, joint.sum(axis=0) > 0]
    freedom = (joint.shape[0] - 1) * (joint.shape[1] - 1)
    if freedom == 0:
        return False
    expected = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True) / joint.sum()
    return bool(((joint - expected) ** 2 / expected).sum() > chi2.isf(level, freedom))


def _counts(first: Ints, second: Ints) -> Floats:
    """Joint counts of two vectors of indices."""
    width = int(second.max()) + 1
    size = int(first.max()) + 1
    return np.bincount(first * width + second, minlength=size * width).reshape(size, width).astype(np.float64)


def _shared(first: Ints, second: Ints) -> float:
    """Mutual information of two vectors of indices, from the pairs that occur."""
    width = int(second.max()) + 1
    pairs, joint = np.unique(first * width + second, return_counts=True)
    alone = np.bincount(first)[pairs // width] * np.bincount(second)[pairs % width]
    # On whole counts the ratio is exactly 1 where the two are independent, so that a constant code knows exactly 0.
    return max(0.0, float((joint * np.log(joint * len(first) / alone)).sum() / len(first)))
