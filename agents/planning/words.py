"""Words in commuting actions: which turns of which planes they make, and the shortest word for each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from ...metrics.angles import nearest_order, order_error, wrap_angle

Floats = NDArray[np.float64]
Complex = NDArray[np.complex128]
Ints = NDArray[np.int64]

_SNAP = 0.004  # radians: an angle so near a fraction of a full turn is that fraction
_EXACT = 1e-5  # radians: so near it is that one, though a simpler one is near too, as from order 41 on
_STILL = 0.02  # radians: an action that turns a plane by less leaves it alone
_BINS = 4096  # of a full turn; turns in one bin are the same, and no fraction up to this order lies between two bins


@dataclass(frozen=True)
class Spectrum:
    """Coordinates in which each of some commuting maps multiplies by numbers of modulus 1.

    Attributes:
        basis: Its columns are the common eigenvectors, [D, D].
        inverse: What takes codes to coordinates, [D, D].
        angles: By what each map turns each coordinate, in radians, [A, D].
        turned: The coordinates that some map turns, one of each conjugate pair, [P].
    """

    basis: Complex
    inverse: Complex
    angles: Floats
    turned: Ints


def spectrum(matrices: Floats, max_order: int = 64, slack: float = 0.05) -> Spectrum | None:
    """The common coordinates of maps that commute and keep lengths, in whatever basis.

    They are the eigenvectors of a combination of all maps: two coordinates in which it agrees are two in which each of
    the maps does. Angles nearer than .004 rad to a fraction of a turn, of an order up to ``max_order``, are taken for
    that fraction.

    Args:
        matrices: [A, D, D].
        max_order: The largest order that an angle is taken for.
        slack: How far the maps may be from what is asked: their commutators (Frobenius norm over that of the product),
            what is left off the diagonal, and their eigenvalues from modulus 1.

    Returns:
        None where the maps do not commute, or do not turn but stretch, or shear.
    """
    count, dims = matrices.shape[:2]
    products = np.einsum("aij,bjk->abik", matrices, matrices)
    apart = np.linalg.norm(products - products.swapaxes(0, 1), axis=(2, 3))
    if (apart > slack * np.linalg.norm(products, axis=(2, 3))).any():
        return None
    weights = 1.0 + np.random.default_rng(0).random(count)
    combined, basis = np.linalg.eig(np.einsum("a,aij->ij", weights, matrices))
    if np.linalg.cond(basis) > 1e4:
        return None
    inverse = np.linalg.inv(basis)
    inside = inverse @ matrices @ basis
    values = np.diagonal(inside, axis1=1, axis2=2)
    off = inside - np.einsum("ai,ij->aij", values, np.eye(dims))
    if (np.abs(off) > slack).any() or (np.abs(np.abs(values) - 1.0) > slack).any():
        return None
    angles = np.array([[_snapped(angle, max_order) for angle in row] for row in np.angle(values)])
    moving = (np.abs(angles) > _STILL).any(0)
    angles[:, ~moving] = 0.0
    # Of a conjugate pair one says all. What is real stands alone: it turns by half or not at all.
    turned = np.flatnonzero(moving & (combined.imag > -1e-9))
    return Spectrum(basis.astype(np.complex128), inverse.astype(np.complex128), angles, turned)


def _snapped(angle: float, max_order: int) -> float:
    for slack in (_EXACT, _SNAP):
        fraction = nearest_order(angle, max_order, slack)
        if order_error(angle, fraction) <= slack:
            return 2 * math.pi * fraction[0] / fraction[1]
    return float(angle)


@dataclass(frozen=True)
class Words:
    """Everything that some actions make of the planes that they turn, and the shortest word for it.

    Attributes:
        actions: Which actions, [M].
        planes: Which coordinates, [P].
        angles: By what each action turns each of them, [M, P].
        phases: By what each element turns them, [G, P]; the first element turns nothing.
        counts: How often each action stands in the shortest word of each element, [G, M].
        closed: Whether these are all elements, so that they make a finite group.
    """

    actions: Ints
    planes: Ints
    angles: Floats
    phases: Floats
    counts: Ints
    closed: bool

    @property
    def lengths(self) -> Ints:
        """How long the words are, [G]."""
        return np.asarray(self.counts.sum(1), dtype=np.int64)

    @property
    def halfway(self) -> Floats:
        """Half the way between two neighbours among the turns of each plane, [P]; 0 where there are too many to say."""
        if not self.closed:
            return np.zeros(len(self.planes))
        return np.array([math.pi / len(np.unique(column)) for column in _bins(self.phases).T])

    @property
    def half_step(self) -> Floats:
        """Half the smallest angle by which an action turns each plane, [P]."""
        sizes = np.abs(wrap_angle(self.angles))
        return np.where(sizes > _STILL, sizes, np.inf).min(0) / 2


def independent_words(found: Spectrum, max_length: int, max_elements: int) -> list[Words]:
    """The words of actions, apart for actions that have no plane in common: those never get in each other's way.

    Args:
        found: The coordinates of the actions.
        max_length: The longest word that is looked at where an angle has no order up to this; elsewhere the words
            come to an end by themselves.
        max_elements: The most elements of each.
    """
    turns = np.abs(found.angles[:, found.turned]) > _STILL
    active = np.flatnonzero(turns.any(1))
    if not len(active):
        return []
    shared = turns[active].astype(np.int64) @ turns[active].T.astype(np.int64)
    number, labels = connected_components(shared, directed=False)
    groups = []
    for label in range(number):
        actions = active[labels == label]
        planes = found.turned[turns[actions].any(0)]
        angles = found.angles[np.ix_(actions, planes)]
        ends = all(order_error(angle, nearest_order(angle, max_length, 1e-9)) <= 1e-9 for angle in angles.flat)
        groups.append(_enumerate(actions, planes, angles, max_elements if ends else max_length, max_elements))
    return groups


def _enumerate(actions: Ints, planes: Ints, angles: Floats, max_length: int, max_elements: int) -> Words:
    """Words by their length, the shortest first; of those that come to the same the first is kept."""
    phases, counts = [np.zeros(len(planes))], [np.zeros(len(actions), dtype=np.int64)]
    seen = {_bins(phases[0]).tobytes()}
    begin, closed = 0, False
    for _ in range(max_length):
        end = len(phases)
        ahead = np.stack(phases[begin:end])[:, None] + angles
        keys = _bins(ahead)
        for row, column in np.ndindex(keys.shape[:2]):
            key = keys[row, column].tobytes()
            if key not in seen and len(phases) < max_elements:
                seen.add(key)
                phases.append(ahead[row, column])
                counts.append(counts[begin + row] + (np.arange(len(actions)) == column))
        if len(phases) == end:
            closed = end < max_elements
            break
        begin = end
    return Words(actions, planes, angles, np.stack(phases), np.stack(counts), closed)


def _bins(phases: Floats) -> Ints:
    return np.rint(phases / (2 * math.pi) * _BINS).astype(np.int64) % _BINS


@dataclass(frozen=True)
class Chosen:
    """The words for B wanted turns.

    Attributes:
        counts: How often each action is done, [B, M].
        near: Whether that is near enough, bool [B].
    """

    counts: Ints
    near: NDArray[np.bool_]


def shortest(
    words: Words,
    wanted: Floats,
    tolerance: Floats,
    faint: NDArray[np.bool_],
    within: Floats,
    moving: NDArray[np.bool_],
) -> Chosen:
    """The shortest word for each wanted turn: of all that come near enough, and of the shortest of these the nearest.

    Args:
        words: The words.
        wanted: The turn of each plane, [B, P].
        tolerance: How near is near enough, in radians, [P].
        faint: Planes that do not count, [B, P].
        within: Share of the tolerance that holds, [B].
        moving: Where to do nothing is no answer, bool [B].
    """
    chosen, near = np.zeros(len(wanted), dtype=np.int64), np.zeros(len(wanted), dtype=bool)
    lengths = words.lengths
    chunk = max(1, 4_000_000 // words.phases.size)
    for begin in range(0, len(wanted), chunk):
        part = slice(begin, begin + chunk)
        gaps = np.abs(wrap_angle(words.phases - wanted[part, None])) / tolerance
        largest = np.where(faint[part, None], 0.0, gaps).max(2)
        enough = largest <= within[part, None]
        # Whatever is near enough goes before whatever is not; there length counts first, here the distance alone.
        cost = np.where(enough, lengths + 0.5 * largest / within[part, None], 1e9 + 1e6 * largest)
        cost[moving[part], 0] = np.inf
        best = cost.argmin(1)
        chosen[part], near[part] = best, np.take_along_axis(enough, best[:, None], 1)[:, 0]
    return Chosen(words.counts[chosen], near)


def spelled(counts: Ints, codes: Sequence[int]) -> list[Ints]:
    """Counts ``[B, A]`` of actions as words: each action as often as it counts, in the order of ``codes``."""
    letters = np.asarray(codes, dtype=np.int64)
    return [np.repeat(letters, row) for row in counts]
