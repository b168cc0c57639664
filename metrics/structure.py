"""The structure of a group of learnt maps: invariant planes, cyclic factors, inverse pairs, orders."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from .angles import chance_of_rotations, commutator_error, nearest_order, wrap_angle
from .checks import Floats, as_matrices
from .registry import metric
from .result import MetricResult
from .scale import lengths


class CyclicLike(Protocol):
    """What is read of a true cyclic subgroup."""

    @property
    def codes(self) -> Sequence[int]:
        """The codes of its actions."""

    @property
    def order(self) -> int:
        """The order of its elements."""

    @property
    def angle(self) -> float:
        """The angle of its actions in radians; the sign is not used."""


@dataclass(frozen=True)
class CyclicFactor:
    """A cyclic factor that was found in a set of maps."""

    planes: tuple[int, ...]
    """Its planes (more than one when the code holds the factor at several frequencies)."""
    codes: tuple[int, ...]
    """The maps that turn it."""
    order: int
    """The least common multiple of the orders of its maps, in all its planes."""
    angle: float
    """The smallest angle by which one of its maps turns its first plane, in radians, positive."""


@dataclass(frozen=True)
class Decomposition:
    """Simultaneous invariant planes of a set of maps, and the group structure read off them."""

    basis: Floats
    """Orthogonal [D, D]: the columns of the planes one after the other, then the static dimensions."""
    planes: tuple[tuple[int, ...], ...]
    """The columns of ``basis`` that span each turning plane; one column alone is an axis that is only reflected."""
    angles: Floats
    """Signed angle of every map in every plane [A, P], radians; pi for a reflected axis."""
    factors: tuple[CyclicFactor, ...]
    """The cyclic factors, by their smallest map code."""
    inverses: tuple[int | None, ...]
    """For each map the one that undoes it; None for one without, and for maps that do nothing."""
    orders: tuple[tuple[int, int], ...]
    """For each map (k, n): its angle in the plane that it turns most as a fraction of a turn."""
    idle: tuple[int, ...]
    """The maps that turn nothing."""
    mixed: tuple[int, ...]
    """The maps that move more than one factor."""
    static_dims: int
    """How many dimensions no map moves."""
    residual: float
    """Largest Frobenius norm, over maps, of what lies outside the blocks, over sqrt(D)."""
    misfit: float
    """Largest Frobenius norm, over maps, of the difference to exact rotations by ``angles``, over sqrt(D)."""
    commutator: float
    """Largest commutator error."""
    reason: str | None
    """Why the structure should not be trusted; None when the maps commute and fit their planes."""

    @property
    def inverse_pairs(self) -> tuple[tuple[int, int], ...]:
        """Pairs (a, b), a <= b, of maps that undo each other."""
        return tuple((a, b) for a, b in enumerate(self.inverses) if b is not None and a <= b)

    def to_dict(self) -> dict[str, Any]:
        """The structure as plain data for ``MetricResult.details``."""
        return {
            "planes": self.planes,
            "angles": self.angles,
            "factors": [
                {"planes": f.planes, "codes": f.codes, "order": f.order, "angle": f.angle} for f in self.factors
            ],
            "inverse_pairs": self.inverse_pairs,
            "orders": self.orders,
            "idle": self.idle,
            "mixed": self.mixed,
            "static_dims": self.static_dims,
            "residual": self.residual,
            "misfit": self.misfit,
            "commutator": self.commutator,
            "reason": self.reason,
            "basis": self.basis,
        }


def decomposition(
    matrices: Any,
    min_angle: float = 0.05,
    pair_tolerance: float = 0.1,
    max_order: int = 64,
    order_tolerance: float = 0.004,
    trust: float = 0.1,
    tries: int = 16,
    seed: int = 0,
) -> Decomposition:
    """Finds the planes that all maps leave invariant, and reads the group's structure off them.

    Nothing about the structure is assumed but that the maps are about orthogonal and commute. The eigenplanes of a
    random combination of their antisymmetric parts are invariant under all of them; where these parts vanish (no
    rotation, half turns, reflections), the symmetric parts are diagonalised in the same way. Of several random
    combinations the one that leaves least outside the blocks is kept, since a combination can make two planes
    coincide. Planes turned by the same maps in a fixed proportion are one cyclic factor.

    Args:
        matrices: Maps [A, D, D] in coordinates in which they are about orthogonal (whitened codes).
        min_angle: A map that turns a plane by less, in radians, leaves it alone.
        pair_tolerance: Radians by which the angles of a map and its inverse may fail to cancel.
        max_order: The largest order considered.
        order_tolerance: Radians, as in ``nearest_order``.
        trust: Largest commutator error and misfit for which the structure is trusted.
        tries: How many random combinations are tried.
        seed: Seeds them; results differ only in the naming of planes where these are well determined.

    Raises:
        ValueError: Not a stack of square matrices, or ``tries`` below 1.
    """
    maps = as_matrices(matrices)
    if tries < 1:
        raise ValueError(f"tries must be at least 1, not {tries}")
    rng = np.random.default_rng(seed)
    candidates = [_invariant_blocks(maps, rng.standard_normal((2, len(maps))), min_angle) for _ in range(tries)]
    basis, blocks = min(candidates, key=lambda found: _off_block(maps, *found))
    residual = _off_block(maps, basis, blocks)
    turned = basis.T @ maps @ basis
    angles = (
        np.stack([_block_angles(turned, block) for block in blocks], axis=1) if blocks else np.zeros((len(maps), 0))
    )
    moving = [index for index in range(len(blocks)) if (np.abs(angles[:, index]) > min_angle).any()]
    # The turning planes come first, by the smallest map that turns them; what nothing turns is static.
    moving.sort(key=lambda index: int(np.flatnonzero(np.abs(angles[:, index]) > min_angle)[0]))
    used = [column for index in moving for column in blocks[index]]
    static = [column for column in range(len(basis)) if column not in used]
    basis = basis[:, used + static]
    planes, start = [], 0
    for index in moving:
        planes.append(tuple(range(start, start + len(blocks[index]))))
        start += len(blocks[index])
    angles = angles[:, moving]
    commutator = commutator_error(maps)
    misfit = _misfit(basis.T @ maps @ basis, planes, angles)
    inverses = _inverses(angles, min_angle, pair_tolerance)
    shared = _shared_angles(angles, inverses)
    factors = _cyclic_factors(shared, min_angle, max_order, order_tolerance)
    active = np.abs(angles) > min_angle
    moved = [sum(code in factor.codes for factor in factors) for code in range(len(maps))]
    reasons = []
    if commutator > trust:
        reasons.append(f"the maps do not commute (error {commutator:.3g})")
    if misfit > trust:
        reasons.append(f"the maps are not rotations of common planes (misfit {misfit:.3g})")
    return Decomposition(
        basis=basis,
        planes=tuple(planes),
        angles=angles,
        factors=factors,
        inverses=inverses,
        orders=tuple(_main_order(row, max_order, order_tolerance) for row in shared),
        idle=tuple(int(code) for code in np.flatnonzero(~active.any(axis=1))),
        mixed=tuple(code for code, count in enumerate(moved) if count > 1),
        static_dims=len(static),
        residual=residual,
        misfit=misfit,
        commutator=commutator,
        reason="; ".join(reasons) or None,
    )


def compare_decomposition(
    found: Decomposition,
    groups: Mapping[int, CyclicLike],
    mapping: Mapping[int, int] | None = None,
    inverses: Sequence[int | None] | None = None,
    tolerance: float = 0.05,
) -> dict[str, bool]:
    """Whether the discovered structure is the true one, point by point.

    Args:
        found: What ``decomposition`` returned.
        groups: The true cyclic subgroups, by any key, with attributes ``codes``, ``order`` and ``angle``.
        mapping: {true code: learnt code}; the codes are taken to be the same when it is not given.
        inverses: For each true action code the code of its inverse, or None. Not given: the two actions of a
            subgroup with exactly two, of order above 2, are inverse.
        tolerance: Radians by which the angle of a factor may be off.

    Returns:
        ``commute`` (the structure can be trusted), ``factors`` (their number), ``actions`` (which act on the same
        factor), ``planes`` (each factor has one plane), ``inverses``, ``orders``, ``angles``, and ``all`` of these.
    """
    true_codes = [code for group in groups.values() for code in group.codes]
    learnt = {code: code for code in true_codes} if mapping is None else dict(mapping)
    truths = [(frozenset(learnt.get(code, -1) for code in group.codes), group) for group in groups.values()]
    by_codes = {frozenset(factor.codes): factor for factor in found.factors}
    matched = [(by_codes.get(codes), group) for codes, group in truths]
    if inverses is None:
        pairs = [tuple(group.codes) for group in groups.values() if len(group.codes) == 2 and group.order > 2]
        wanted = {code: other for a, b in pairs for code, other in ((a, b), (b, a))}
    else:
        wanted = {code: int(other) for code in true_codes if (other := inverses[code]) is not None}
    answer = {
        "commute": found.reason is None,
        "factors": len(found.factors) == len(groups),
        "actions": set(by_codes) == {codes for codes, _ in truths},
        "planes": bool(found.factors) and all(len(factor.planes) == 1 for factor in found.factors),
        "inverses": all(
            code in learnt and other in learnt and found.inverses[learnt[code]] == learnt[other]
            for code, other in wanted.items()
        ),
        "orders": all(factor is not None and factor.order == group.order for factor, group in matched),
        "angles": all(
            factor is not None and abs(factor.angle - abs(math.remainder(group.angle, 2 * math.pi))) <= tolerance
            for factor, group in matched
        ),
    }
    answer["all"] = all(answer.values())
    return answer


@metric("decomposition", family="symmetry")
def decomposition_report(
    matrices: Any,
    groups: Mapping[int, CyclicLike] | None = None,
    mapping: Mapping[int, int] | None = None,
    inverses: Sequence[int | None] | None = None,
    *,
    seed: int = 0,
    **options: Any,
) -> MetricResult:
    """The group structure found in the learnt maps: planes, cyclic factors, inverse pairs, orders; and whether true.

    Args:
        matrices: Learnt maps [A, D, D], about orthogonal.
        groups: The true cyclic subgroups; None leaves the comparison out.
        mapping: {true code: learnt code}.
        inverses: For each true action code the code of its inverse, or None.
        seed: Seeds the random combinations of ``decomposition``, and the random rotations behind ``chance``.
        **options: Of ``decomposition``.

    Returns:
        Values ``correct`` (1 when every point of the comparison holds), ``factors``, ``planes``, ``static_dims``,
        ``residual``, ``misfit``; the last two are missing, with the reason, where they are beyond float64. Chance:
        random rotations of as many dimensions in place of the maps. Ceiling: 0 of ``residual`` and ``misfit``, and,
        where the true groups are given, 1 of ``correct`` and their number of ``factors`` and ``planes``; how many
        dimensions a perfect code leaves static is its own choice. ``n``: maps. Details: found
        (``Decomposition.to_dict``), comparison.

    Raises:
        ValueError: As ``decomposition``.
    """
    maps = as_matrices(matrices)

    def score(found: Decomposition, comparison: Mapping[str, bool] | None) -> dict[str, float | None]:
        values: dict[str, float | None] = {} if comparison is None else {"correct": float(comparison["all"])}
        errors = {"residual": found.residual, "misfit": found.misfit}
        return values | {
            "factors": float(len(found.factors)),
            "planes": float(len(found.planes)),
            "static_dims": float(found.static_dims),
            **{key: value if math.isfinite(value) else None for key, value in errors.items()},
        }

    def examine(stack: Floats) -> tuple[Decomposition, dict[str, bool] | None]:
        found = decomposition(stack, seed=seed, **options)
        return found, None if groups is None else compare_decomposition(found, groups, mapping, inverses)

    found, comparison = examine(maps)
    details: dict[str, Any] = {"found": found.to_dict()}
    ceiling = {"residual": 0.0, "misfit": 0.0}
    if groups is not None:
        details["comparison"] = comparison
        ceiling |= {"correct": 1.0, "factors": float(len(groups)), "planes": float(len(groups))}
    return MetricResult(
        "decomposition",
        score(found, comparison),
        details,
        reason=found.reason,
        chance=chance_of_rotations(lambda stack: score(*examine(stack)), maps, seed),
        ceiling=dict(ceiling),
        n=len(maps),
    )


def _invariant_blocks(maps: Floats, weights: Floats, min_angle: float) -> tuple[Floats, list[tuple[int, ...]]]:
    """An orthogonal basis and the columns of its blocks (planes, then single axes), for one random combination."""
    dims = maps.shape[1]
    skew = np.einsum("a,aij->ij", weights[0], maps - maps.swapaxes(1, 2)) / 2
    # i * skew is Hermitian: its eigenvectors for eigenvalues +-s are x +- iy, with x, y an orthogonal basis of a
    # plane. The eigenvectors of different planes are orthogonal even where their eigenvalues coincide.
    values, vectors = np.linalg.eigh(1j * skew)
    columns: list[Floats] = []
    blocks: list[tuple[int, ...]] = []
    floor = math.sin(min_angle / 2)
    for index in np.argsort(-values)[: dims // 2]:
        if values[index] <= 1e-12:
            break
        pair = np.stack([vectors[:, index].real, vectors[:, index].imag], axis=1) * math.sqrt(2)
        # Whether a plane turns is judged by the maps, not by the combination, which may cancel or magnify.
        inside = pair.T @ maps @ pair
        if np.max(np.abs(inside[:, 1, 0] - inside[:, 0, 1])) / 2 > floor:
            blocks.append((len(columns), len(columns) + 1))
            columns += [pair[:, 0], pair[:, 1]]
    taken = np.stack(columns, axis=1) if columns else np.zeros((dims, 0))
    # The rest: no antisymmetric part, so each map is symmetric there, +1 or -1 along common axes.
    rest = np.linalg.svd(taken, full_matrices=True)[0][:, len(columns) :] if columns else np.eye(dims)
    if rest.shape[1]:
        inside = rest.T @ maps @ rest
        _, axes = np.linalg.eigh(np.einsum("a,aij->ij", weights[1], inside + inside.swapaxes(1, 2)) / 2)
        rest = rest @ axes
        signs = np.einsum("ij,ajk,ki->ai", rest.T, maps, rest) < 0
        waiting: dict[bytes, int] = {}
        for index in range(rest.shape[1]):
            columns.append(rest[:, index])
            key = signs[:, index].tobytes()
            if not signs[:, index].any():
                continue
            # Two axes reversed by the same maps are a plane that these turn by half; one alone is a reflection.
            if key in waiting:
                blocks[waiting.pop(key)] += (len(columns) - 1,)
            else:
                waiting[key] = len(blocks)
                blocks.append((len(columns) - 1,))
    return np.stack(columns, axis=1), blocks


def _off_block(maps: Floats, basis: Floats, blocks: Sequence[tuple[int, ...]]) -> float:
    """Largest Frobenius norm, over maps, of what lies outside the blocks and the diagonal, over sqrt(D)."""
    inside = np.eye(len(basis))
    for block in blocks:
        inside[np.ix_(block, block)] = 1.0
    outside = (basis.T @ maps @ basis) * (1.0 - inside)
    return float(lengths(outside, axes=(1, 2)).max() / math.sqrt(len(basis)))


def _block_angles(turned: Floats, block: tuple[int, ...]) -> Floats:
    """The angle of every map in one block: of the rotation nearest to it, or 0 and pi for the sign of an axis."""
    if len(block) == 1:
        return np.where(turned[:, block[0], block[0]] < 0, np.pi, 0.0)
    i, j = block
    return np.asarray(np.arctan2(turned[:, j, i] - turned[:, i, j], turned[:, i, i] + turned[:, j, j]))


def _misfit(turned: Floats, planes: Sequence[tuple[int, ...]], angles: Floats) -> float:
    """Largest Frobenius norm, over maps, of the difference to the exact rotations, over sqrt(D)."""
    ideal = np.broadcast_to(np.eye(turned.shape[1]), turned.shape).copy()
    for plane, column in zip(planes, angles.T, strict=True):
        cosine, sine = np.cos(column), np.sin(column)
        ideal[:, plane[0], plane[0]] = cosine
        if len(plane) == 2:
            ideal[:, plane[1], plane[1]] = cosine
            ideal[:, plane[1], plane[0]] = sine
            ideal[:, plane[0], plane[1]] = -sine
    return float(lengths(turned - ideal, axes=(1, 2)).max() / math.sqrt(turned.shape[1]))


def _inverses(angles: Floats, min_angle: float, tolerance: float) -> tuple[int | None, ...]:
    """Pairs maps whose angles cancel in every plane, the best pairs first, each map once."""
    count = len(angles)
    answer: list[int | None] = [None] * count
    if angles.shape[1] == 0:
        return tuple(answer)
    gaps = np.abs(wrap_angle(angles[:, None] + angles[None])).max(axis=2)
    idle = np.asarray(np.max(np.abs(angles), axis=1) <= min_angle)
    pairs = sorted((gaps[a, b], a, b) for a in range(count) for b in range(a, count) if gaps[a, b] <= tolerance)
    for _, a, b in pairs:
        if answer[a] is None and answer[b] is None and not idle[a] and not idle[b]:
            answer[a], answer[b] = b, a
    return tuple(answer)


def _shared_angles(angles: Floats, inverses: Sequence[int | None]) -> Floats:
    """Angles in which a map and its inverse share their estimate: half their difference, which halves the noise."""
    shared = angles.copy()
    for code, other in enumerate(inverses):
        if other is not None and other != code:
            # Half the sum of a pair is its error, small by construction; wrapped so that +-pi cancel.
            shared[code] = wrap_angle(angles[code] - wrap_angle(angles[code] + angles[other]) / 2)
    return shared


def _cyclic_factors(angles: Floats, min_angle: float, max_order: int, tolerance: float) -> tuple[CyclicFactor, ...]:
    """Joins planes that the same maps turn in a fixed proportion, and gives each factor its maps, order and angle."""
    active = np.abs(angles) > min_angle
    groups: list[list[int]] = []
    for plane in range(angles.shape[1]):
        for group in groups:
            first = group[0]
            same = np.array_equal(active[:, first], active[:, plane])
            # With one map, or a map and its inverse, the proportion is fixed; it is not when two planes are turned
            # together by one pair and against each other by another.
            if same and np.linalg.matrix_rank(angles[:, [first, plane]], tol=2 * min_angle) == 1:
                group.append(plane)
                break
        else:
            groups.append([plane])
    factors = []
    for group in groups:
        codes = np.flatnonzero(active[:, group[0]])
        orders = [
            nearest_order(float(angles[code, plane]), max_order, tolerance)[1] for code in codes for plane in group
        ]
        factors.append(
            CyclicFactor(
                planes=tuple(group),
                codes=tuple(int(code) for code in codes),
                order=math.lcm(*orders),
                angle=float(np.abs(angles[codes, group[0]]).min()),
            )
        )
    return tuple(sorted(factors, key=lambda factor: factor.codes))


def _main_order(angles: Floats, max_order: int, tolerance: float) -> tuple[int, int]:
    """The fraction of a turn in the plane that a map turns most; (0, 1) for a map without planes."""
    if len(angles) == 0:
        return 0, 1
    return nearest_order(float(angles[np.argmax(np.abs(angles))]), max_order, tolerance)
