"""Entropy and mutual information between factors and codes: from bins, and from nearest neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.spatial import cKDTree
from scipy.special import digamma
from scipy.stats import chi2

from .checks import Floats, Ints, as_floats
from .discretise import discretise, joint_cells
from .tables import Bools, Rows, read_blocks

ESTIMATORS = ("binned", "knn")


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
    return np.array([[_information(_counts(a, b)) for b in rights] for a in lefts], dtype=np.float64)


def entropy(values: Any) -> Floats:
    """Plug-in entropy in nats of every column of a table of discrete values [N, P]; float64 [P]."""
    table = np.asarray(values)
    shares = [np.unique(column, return_counts=True)[1] / len(table) for column in table.T]
    return np.array([-(share * np.log(share)).sum() for share in shares], dtype=np.float64)


def neighbour_information(codes: Any, factor: Any, *, discrete: bool = True, neighbours: int = 3) -> float:
    """Mutual information in nats between a code of any width and one factor, from nearest neighbours.

    A discrete factor: Ross 2014 (doi 10.1371/journal.pone.0087357), with Euclidean distances. A quantity: the first
    estimator of Kraskov, Stögbauer and Grassberger 2004 (arXiv cond-mat/0305641), with the largest coordinate as the
    distance. Equal points are counted as ties (as in Gao et al. 2017, arXiv 1709.06212) instead of being moved
    apart by noise, so nothing is random.

    Args:
        codes: Floats [N, D] or [N].
        factor: One factor [N].
        discrete: Whether the factor's values are categories. Categories with a single row are left out.
        neighbours: How many neighbours set the distance.

    Returns:
        From 0 (estimates below are cut off).

    Raises:
        ValueError: Shapes do not fit, numbers that are not finite, or ``neighbours`` below 1.
    """
    values = as_floats(codes, "codes")
    values = values[:, None] if values.ndim == 1 else values
    labels = as_floats(factor, "factor", 1)
    if values.ndim != 2 or len(values) != len(labels):
        raise ValueError(f"codes must be [N, D] and factor [N], got shapes {values.shape} and {labels.shape}")
    if neighbours < 1:
        raise ValueError(f"neighbours must be at least 1, not {neighbours}")
    # One scale for the whole code: what is small beside its other dimensions stays small.
    scaled = _unit(values)
    if discrete:
        return _discrete_neighbours(scaled, np.unique(labels, return_inverse=True)[1].reshape(-1), neighbours)
    return _continuous_neighbours(scaled, _unit(labels[:, None]), neighbours)


@dataclass(frozen=True)
class InformationTable:
    """What every block of codes knows about every factor.

    Attributes:
        information: float64 [B, K], nats.
        factor_entropy: float64 [K]: what each factor knows about itself by the same estimator, which is the entropy of
            its levels or bins, or with nearest neighbours close to it.
        code_entropy: float64 [B], joint entropy of each block's bins; None where nothing was binned.
        varying: bool [K], factors that take more than one value in the sample.
        blocks: The dimensions behind each row of ``information``.
        estimator: "binned" or "knn".
        bins: Bins per dimension.
        samples: Rows.
    """

    information: Floats
    factor_entropy: Floats
    code_entropy: Floats | None
    varying: Bools
    blocks: list[list[int]]
    estimator: str
    bins: int
    samples: int

    @property
    def kept(self) -> Ints:
        """Numbers of the factors that vary."""
        return np.flatnonzero(self.varying).astype(np.int64)

    def details(self) -> dict[str, Any]:
        """What a result says about how its information was estimated."""
        told: dict[str, Any] = {
            "mutual_information": self.information,
            "factor_entropy": self.factor_entropy,
            "estimator": self.estimator,
            "samples": self.samples,
            "constant_factors": np.flatnonzero(~self.varying),
        }
        if self.estimator == "binned":
            told["bins"] = self.bins
        if any(len(block) > 1 for block in self.blocks) or len(self.blocks) == 0:
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
    varying = np.ptp(rows.factors, axis=0) > 0
    count = 20 if bins is None else int(bins)
    levels = factor_levels(rows, count, binning)
    if bins is None:
        count = max(20, int(levels.max()) + 1)
    binned = discretise(rows.codes, count, binning)
    spread = entropy(levels)
    spread[~varying] = 0.0
    if chosen == "binned":
        cells = [joint_cells(binned[:, block]) for block in groups]
        columns = list(levels.T)
        information = np.array([[_information(_counts(cell, column)) for column in columns] for cell in cells])
        return InformationTable(
            information, spread, entropy(np.stack(cells, axis=1)), varying, groups, chosen, count, len(rows)
        )
    information = np.zeros((len(groups), rows.factors.shape[1]))
    for column in np.flatnonzero(varying):
        factor, discrete = rows.factors[:, column], bool(rows.discrete[column])
        spread[column] = neighbour_information(factor, factor, discrete=discrete, neighbours=neighbours)
        for row, block in enumerate(groups):
            information[row, column] = neighbour_information(
                rows.codes[:, block], factor, discrete=discrete, neighbours=neighbours
            )
    return InformationTable(information, spread, None, varying, groups, chosen, count, len(rows))


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


def factor_levels(rows: Rows, bins: int = 20, binning: str = "width") -> Ints:
    """Factors as level numbers, int64 [N, K]: distinct values; bins of a quantity."""
    cut = "width" if binning == "exact" else binning
    columns = [
        np.unique(column, return_inverse=True)[1].reshape(-1)
        if discrete
        else discretise(column[:, None], bins, cut)[:, 0]
        for column, discrete in zip(rows.factors.T, rows.discrete, strict=True)
    ]
    return np.stack(columns, axis=1).astype(np.int64)


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


def _information(joint: Floats) -> float:
    """Mutual information of a table of joint counts or probabilities."""
    total = joint.sum()
    product = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
    used = joint > 0
    # On whole counts the ratio is exactly 1 where the two are independent, so that a constant code knows exactly 0.
    logs = np.log(joint[used] * total / product[used])
    return max(0.0, float((joint[used] * logs).sum() / total))


def _unit(values: Floats) -> Floats:
    """Centred columns, all divided by the root of their mean variance."""
    centred = values - values.mean(axis=0)
    spread = float(np.sqrt((centred**2).mean()))
    return centred / spread if spread > 0 else centred


class _Cloud:
    """Points among which neighbours are found; points on a line need no tree."""

    def __init__(self, points: Floats, power: float) -> None:
        self.line = np.sort(points[:, 0]) if points.shape[1] == 1 else None
        self.tree = None if self.line is not None else cKDTree(points)
        self.power = power

    def reach(self, points: Floats, neighbours: int) -> Floats:
        """Distance of each of the cloud's points to its n-th neighbour."""
        if self.line is None:
            assert self.tree is not None
            return np.asarray(self.tree.query(points, k=[neighbours + 1], p=self.power)[0][:, 0], dtype=np.float64)
        edge = np.full(neighbours, np.inf)
        padded = np.concatenate([-edge, self.line, edge])
        size = len(self.line)
        # Of the n + 1 windows of n + 1 successive points that hold a point, the one that reaches least far.
        ranges = [
            np.maximum(
                self.line - padded[left : left + size], padded[left + neighbours : left + neighbours + size] - self.line
            )
            for left in range(neighbours + 1)
        ]
        place = np.searchsorted(self.line, points[:, 0])
        return np.asarray(np.min(ranges, axis=0)[place], dtype=np.float64)

    def within(self, points: Floats, radius: Floats) -> Ints:
        """How many of the cloud's points lie within the radius of each point, itself included."""
        if self.line is None:
            assert self.tree is not None
            found = self.tree.query_ball_point(points, radius, p=self.power, return_length=True)
            return np.asarray(found, dtype=np.int64)
        upper = np.searchsorted(self.line, points[:, 0] + radius, side="right")
        return np.asarray(upper - np.searchsorted(self.line, points[:, 0] - radius, side="left"), dtype=np.int64)


def _slack(radius: Floats, points: Floats) -> Floats:
    """Distances closer than this are equal: beyond it lies what rounding cannot move."""
    return np.maximum(1e-10 * radius, 8 * np.finfo(np.float64).eps * np.abs(points).max())


def _discrete_neighbours(points: Floats, labels: Ints, neighbours: int) -> float:
    sizes = np.bincount(labels)
    kept = sizes[labels] > 1
    points, labels = points[kept], labels[kept]
    if len(points) == 0:
        return 0.0
    everyone = _Cloud(points, 2.0)
    total = 0.0
    for label in np.unique(labels):
        own = points[labels == label]
        cloud, count = _Cloud(own, 2.0), min(neighbours, len(own) - 1)
        radius = cloud.reach(own, count)
        slack = _slack(radius, points)
        inside, around = cloud.within(own, radius + slack), everyone.within(own, radius + slack)
        # A cell of equal points counts whole, its own point included.
        gain = digamma(inside) - digamma(around)
        apart = np.flatnonzero(radius > slack)
        if len(apart):
            reached = _reached(
                count,
                (cloud.within(own[apart], (radius - slack)[apart]), inside[apart]),
                (everyone.within(own[apart], (radius - slack)[apart]), around[apart]),
            )
            gain[apart] = digamma(count) - digamma(reached)
        total += float(gain.sum()) - len(own) * float(digamma(len(own)))
    return max(0.0, total / len(points) + float(digamma(len(points))))


def _reached(count: int, own: tuple[Ints, Ints], everyone: tuple[Ints, Ints]) -> Floats:
    """Expected number of others within the n-th neighbour's distance, were ties at that distance broken at random.

    Args:
        count: The neighbour, of the point's own class.
        own: Points of the class nearer than that distance, and up to it; the point itself included.
        everyone: The same of all points.
    """
    nearer, upto = own
    taken = count - (nearer - 1)
    tied = upto - nearer
    foreign = everyone[1] - everyone[0] - tied
    return np.asarray(everyone[0] - 1 + taken + foreign * taken / (tied + 1), dtype=np.float64)


def _continuous_neighbours(points: Floats, factor: Floats, neighbours: int) -> float:
    if len(points) < 2:
        return 0.0
    count = min(neighbours, len(points) - 1)
    both = np.hstack([points, factor])
    joint = _Cloud(both, np.inf)
    radius = joint.reach(both, count)
    slack = _slack(radius, both)
    tied = radius <= slack
    # Strictly inside where the radius is real; equal points where it is nothing but rounding.
    inner = np.where(tied, slack, radius - slack)
    near = np.full(len(points), count)
    if tied.any():
        near[tied] = joint.within(both[tied], inner[tied])
    beside = _Cloud(points, np.inf).within(points, inner)
    along = _Cloud(factor, np.inf).within(factor, inner)
    gain = digamma(near) - digamma(beside) - digamma(along)
    return max(0.0, float(gain.mean()) + float(digamma(len(points))))
