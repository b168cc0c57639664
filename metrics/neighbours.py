"""Mutual information from nearest neighbours: of a code of any width, with a category or with a quantity."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.spatial import cKDTree
from scipy.special import digamma

from .checks import Floats, Ints, as_floats
from .scale import to_unit

_LEAF = 64  # points in a leaf of the trees: fastest for counting within a distance, from two dimensions to five


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
    if (values == values[0]).all():
        return 0.0
    # One scale for the whole code: what is small beside its other dimensions stays small.
    scaled = _unit(values)
    if discrete:
        return _discrete_neighbours(scaled, np.unique(labels, return_inverse=True)[1].reshape(-1), neighbours)
    return _continuous_neighbours(scaled, _unit(labels[:, None]), neighbours)


def _unit(values: Floats) -> Floats:
    """Centred columns, all divided by the root of their mean variance."""
    scaled = to_unit(values)[0]
    centred = scaled - scaled.mean(axis=0)
    spread = float(np.sqrt((centred**2).mean()))
    return centred / spread if spread > 0 else centred


class _Cloud:
    """Points among which neighbours are found; points on a line need no tree."""

    def __init__(self, points: Floats, power: float) -> None:
        self.line = np.sort(points[:, 0]) if points.shape[1] == 1 else None
        self.tree = None if self.line is not None else cKDTree(points, leafsize=_LEAF)
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
