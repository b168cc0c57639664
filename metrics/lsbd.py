"""D_LSBD: how far the codes are from a linear representation of known symmetries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .checks import Floats, as_floats, as_matrices
from .registry import metric
from .result import MetricResult
from .scale import to_unit

_STARTS, _STEPS = 8, 200  # of the search for the best embedding: random starts beside the fixed ones, steps at most
_CHANCE_DRAWS, _CHANCE_NUMBERS = 20, 200_000  # chance: so many draws, of so many random numbers together


@metric("lsbd", family="symmetry")
def lsbd(
    codes: Any,
    cyclic: Sequence[int] | None = None,
    max_frequency: int | None = 10,
    held_out: Any = None,
    *,
    representations: Mapping[int, Any] | None = None,
    arbitrary_signs: bool = False,
    seed: int = 0,
) -> MetricResult:
    """D_LSBD: dispersion left after the true group action has been undone in the code's best plane. 0 is perfect.

    For each cyclic axis k: the codes minus their mean over axis k, projected on their two principal components, each
    divided by its standard deviation times sqrt(2); every point turned back by (integer frequency) * (its angle along
    axis k); the mean squared distance from the mean of what results; the smallest over frequencies. The score is the
    mean over axes (Tonnaer et al. 2022, arXiv 2011.06070; the definition of their lsbd-vae code).

    **Tori** have cyclic axes only. **Cylinders** have axes without a group too, such as the shape of an object: every
    combination of their values is measured by itself, in a plane of its own, with frequencies in common.

    **A given group** acts along an axis that has ``representations``: rho(g) of every element g, in the order of the
    axis, which holds the codes of the states g x0. (A state to which several elements lead stands at each of them.)
    In place of the plane there are as many principal components as an orbit under rho has dimensions, each divided by
    its standard deviation times the root of their number. In place of the turn there is rho(g)^-1, after the isometry
    from the components to the space of rho that leaves least dispersion, found by an ascent from several starts. The
    basis of rho does not matter, and what it leaves in place is left out, as the mean over the axis is. For a cyclic
    group and the rotations by some frequency this is the value of a cyclic axis at this frequency; for a product of
    groups in one representation it is not the mean over their axes, since all parts share one set of components. A
    code that holds only some of the inequivalent parts of rho counts as dispersed in the others.

    A principal axis has an arbitrary sign, so frequencies f and -f tie and f is reported unsigned, the lowest of
    those that are equally good. A component without variance cannot follow the group: it counts as fully dispersed.

    Args:
        codes: Codes on the whole grid of factor values [n_1, .., n_K, D].
        cyclic: Axes whose factor is cyclic. None: all K but those with a representation.
        max_frequency: Frequencies -max..max are tried. None: all that differ on the axis (half its length).
        held_out: bool [n_1, .., n_K]; adds the value of these states alone, around the point and with the frequency
            that the whole grid gives.
        representations: {axis: rho [n_axis, d, d]}, matrices of a finite group that act on columns.
        arbitrary_signs: On cylinders one signed frequency for all objects, as lsbd-vae has it, although each object's
            plane has the arbitrary orientation of its own principal axes: about half of the objects may count as
            turning backwards, and cost a whole 1 each.
        seed: Seeds the random codes of ``chance`` and the starts of the search.

    Returns:
        Value ``lsbd`` (and ``held_out`` when asked), from 0 to about 1. Chance: the mean over standard normal codes on
        the same grid, which is well below 1 on a small one. Ceiling 0. Details: per_axis, held_out_per_axis,
        frequencies (None for a given group), axes, object_axes, shape.

    Raises:
        ValueError: Not a grid, an axis out of range or too short, a mask that does not fit or is empty, or matrices
            that are no representation of a group.
    """
    grid = as_floats(codes, "codes")
    if grid.ndim < 2:
        raise ValueError(f"codes must be a grid [n_1, .., n_K, D], not shape {grid.shape}")
    count = grid.ndim - 1
    given = {int(axis): matrices for axis, matrices in (representations or {}).items()}
    turning = [axis for axis in range(count) if axis not in given] if cyclic is None else [int(axis) for axis in cyclic]
    for axis in [*turning, *given]:
        if not 0 <= axis < count:
            raise ValueError(f"axis {axis} is not one of the {count} axes of the grid")
    if set(turning) & set(given):
        raise ValueError(f"axis {min(set(turning) & set(given))} is cyclic and has a representation: choose one")
    for axis in turning:
        if grid.shape[axis] < 3:
            raise ValueError(f"cyclic axis {axis} has {grid.shape[axis]} values; an angle needs at least 3")
    if max_frequency is not None and max_frequency < 0:
        raise ValueError(f"max_frequency must not be negative: {max_frequency}")
    mask = None if held_out is None else np.asarray(held_out, dtype=bool)
    if mask is not None and (mask.shape != grid.shape[:-1] or not mask.any()):
        raise ValueError(f"held_out must be a mask of shape {grid.shape[:-1]} with at least one state")
    states = int(np.prod(grid.shape[:-1]))
    groups: dict[int, _Cyclic | _Given] = {
        axis: _Cyclic(grid.shape[axis], grid.shape[axis] // 2 if max_frequency is None else max_frequency)
        for axis in turning
    }
    for axis in sorted(given):
        groups[axis] = _Given.read(given[axis], axis, grid.shape[axis], seed)
    if not groups:
        reason = "no axis is cyclic or has a representation"
        return MetricResult("lsbd", {"lsbd": None}, reason=reason, n=states)
    values, details = _measure(to_unit(grid)[0], groups, mask, arbitrary_signs)
    rng = np.random.default_rng(seed)
    draws = [
        _measure(rng.standard_normal(grid.shape), groups, mask, arbitrary_signs)[0]
        for _ in range(min(_CHANCE_DRAWS, max(1, _CHANCE_NUMBERS // grid.size)))
    ]
    details |= {
        "axes": list(groups),
        "object_axes": [axis for axis in range(count) if axis not in groups],
        "shape": grid.shape,
    }
    return MetricResult(
        "lsbd",
        dict(values),
        details,
        chance={key: float(np.mean([draw[key] for draw in draws])) for key in values},
        ceiling=dict.fromkeys(values, 0.0),
        n=states,
    )


@dataclass(frozen=True)
class _Cyclic:
    """Turns of a plane by an integer frequency times the angle along the axis."""

    size: int
    limit: int
    width: int = 2

    def undone(self, components: Floats, arbitrary_signs: bool) -> tuple[Floats, int]:
        """Squared distances from the mean once the turns are undone [O, n, R], and the unsigned frequency."""
        plane = components[..., 0] + 1j * components[..., 1]
        # mean |v - mean v|^2 = mean |w|^2 - |mean v|^2, and only the second depends on the frequency: one small
        # transform of the mean over the other axes finds the best.
        frequencies = np.arange(self.limit + 1)
        waves = np.exp(-2j * np.pi * np.outer(frequencies, np.arange(self.size)) / self.size)
        profile = plane.mean(axis=2).T / self.size
        power = np.abs(np.stack([waves @ profile, waves.conj() @ profile])) ** 2  # [sign, frequency, object]
        if arbitrary_signs:
            sign, frequency = np.divmod(int(power.mean(axis=2).argmax()), len(frequencies))
            signs = np.full(plane.shape[0], 1 - 2 * sign)
        else:
            # Frequencies alias: within rounding of the best, take the lowest.
            best = power.max(axis=0).mean(axis=1)
            frequency = int(np.flatnonzero(best >= best.max() - 1e-9)[0])
            signs = 1 - 2 * power[:, frequency].argmax(axis=0)
        angles = 2 * np.pi * int(frequency) * np.outer(signs, np.arange(self.size)) / self.size
        turned = plane * np.exp(-1j * angles)[:, :, None]
        return np.abs(turned - turned.mean(axis=(1, 2), keepdims=True)) ** 2, int(frequency)


@dataclass(frozen=True)
class _Given:
    """Orthogonal matrices of a group that move every vector, and how many dimensions an orbit fills."""

    matrices: Floats
    width: int
    starts: Floats

    @classmethod
    def read(cls, value: Any, axis: int, size: int, seed: int) -> _Given:
        """Brings matrices [G, d, d] into an orthogonal basis without what they all leave in place."""
        matrices = as_matrices(value, f"the representation of axis {axis}")
        wrong = f"the representation of axis {axis} is not one of a finite group"
        if len(matrices) != size:
            raise ValueError(f"axis {axis} has {size} values, its representation {len(matrices)} matrices")
        if np.abs(matrices).max() > 1e12:
            raise ValueError(wrong)
        # Where the mean of rho' rho is the inner product, all of a group's matrices are orthogonal.
        squares, vectors = np.linalg.eigh(np.mean(matrices.swapaxes(1, 2) @ matrices, axis=0))
        if squares[0] <= 1e-12 * squares[-1]:
            raise ValueError(wrong)
        root = vectors * np.sqrt(squares)
        matrices = root.T @ matrices @ (vectors / np.sqrt(squares))
        still = matrices.mean(axis=0)
        crooked = np.abs(matrices.swapaxes(1, 2) @ matrices - np.eye(len(still))).max()
        # The mean over a group projects on what it leaves in place.
        if max(crooked, np.abs(still @ still - still).max()) > 1e-6:
            raise ValueError(wrong)
        kept, basis = np.linalg.eigh(np.eye(len(still)) - (still + still.T) / 2)
        basis = basis[:, kept > 0.5]
        if basis.shape[1] == 0:
            raise ValueError(f"the representation of axis {axis} moves nothing")
        matrices = basis.T @ matrices @ basis
        rng = np.random.default_rng(seed)
        orbit = matrices @ rng.standard_normal(basis.shape[1])
        starts = np.vstack([np.eye(basis.shape[1]), rng.standard_normal((_STARTS, basis.shape[1]))])
        return cls(matrices, int(np.linalg.matrix_rank(orbit, tol=1e-6 * np.sqrt(size))), starts)

    def undone(self, components: Floats, arbitrary_signs: bool) -> tuple[Floats, None]:
        """Squared distances from the mean once the group is undone [O, n, R]; frequencies have no meaning."""
        # With the isometry Q, mean |v - mean v|^2 = mean |c|^2 - |mean rho' Q c|^2. Its last term is the square of the
        # largest <m, mean rho' Q c> over unit vectors m: for fixed m the best Q is the nearest isometry to the mean of
        # rho m c', for fixed Q the best m is the mean of rho' Q c, and neither step can lose.
        means = components.mean(axis=2)
        table = np.einsum("gji,ogk->ojki", self.matrices, means) / len(self.matrices)
        points = np.broadcast_to(self.starts, (len(table), *self.starts.shape))
        reached = np.full(points.shape[:2], -1.0)
        for _ in range(_STEPS):
            left, _, right = np.linalg.svd(np.einsum("ojki,osi->osjk", table, points), full_matrices=False)
            isometries = left @ right
            points = np.einsum("ojki,osjk->osi", table, isometries)
            power = np.square(points).sum(axis=2)
            if (power - reached).max() <= 1e-13:
                break
            reached = power
        best = power.argmax(axis=1)
        isometry = isometries[np.arange(len(best)), best]
        turned = np.einsum("gji,ojk,ogrk->ogri", self.matrices, isometry, components, optimize=True)
        return np.square(turned - turned.mean(axis=(1, 2), keepdims=True)).sum(axis=3), None


def _measure(
    grid: Floats, groups: Mapping[int, _Cyclic | _Given], mask: NDArray[np.bool_] | None, arbitrary_signs: bool
) -> tuple[dict[str, float], dict[str, Any]]:
    """The values and details of all axes."""
    parts = [_axis_dispersion(grid, axis, groups, mask, arbitrary_signs) for axis in groups]
    values = {"lsbd": float(np.mean([part[0] for part in parts]))}
    details: dict[str, Any] = {"per_axis": [part[0] for part in parts], "frequencies": [part[2] for part in parts]}
    if mask is not None:
        values["held_out"] = float(np.mean([part[1] for part in parts]))
        details["held_out_per_axis"] = [part[1] for part in parts]
    return values, details


def _axis_dispersion(
    grid: Floats,
    axis: int,
    groups: Mapping[int, _Cyclic | _Given],
    mask: NDArray[np.bool_] | None,
    arbitrary_signs: bool,
) -> tuple[float, float, int | None]:
    """Dispersion over all states, dispersion over the masked ones, and the frequency, for one axis."""
    count = grid.ndim - 1
    apart = [other for other in range(count) if other not in groups]
    order = [*apart, axis, *(other for other in range(count) if other in groups and other != axis)]
    objects, size = int(np.prod([grid.shape[other] for other in apart])), grid.shape[axis]
    # [objects, the axis, the other groups' axes together, D]
    table = grid.transpose(*order, count).reshape(objects, size, -1, grid.shape[-1])
    components, lost = _standard_components(table, groups[axis].width)
    distance, frequency = groups[axis].undone(components, arbitrary_signs)
    distance = distance + lost[:, None, None]
    held = float("nan") if mask is None else float(distance[mask.transpose(order).reshape(distance.shape)].mean())
    return float(distance.mean()), held, frequency


def _standard_components(table: Floats, width: int) -> tuple[Floats, Floats]:
    """The principal components of what changes along the second axis, each with sample variance 1 / width.

    Args:
        table: [O, n, R, D]; each of O by itself.
        width: How many components.

    Returns:
        [O, n, R, width], and of each of O the dispersion that components without variance stand for.
    """
    objects, size, others, _ = table.shape
    count = size * others
    # Below the rounding of the codes before centring there is no variance.
    scale = np.abs(table).max(axis=(1, 2, 3)) * np.sqrt(count)
    flat = (table - table.mean(axis=1, keepdims=True)).reshape(objects, count, -1)
    flat = flat - flat.mean(axis=1, keepdims=True)
    _, singular, directions = np.linalg.svd(flat, full_matrices=False)
    directions, singular = directions[:, :width], singular[:, :width]
    # The sign of a component is arbitrary; here its largest weight is positive.
    largest = np.take_along_axis(directions, np.abs(directions).argmax(axis=2)[:, :, None], axis=2)
    projected = flat @ (directions * np.where(largest < 0, -1.0, 1.0)).swapaxes(1, 2)
    alive = singular > 1e-12 * np.maximum(singular[:, :1], scale[:, None])
    spread = projected.std(axis=1, ddof=1) * np.sqrt(width)
    components = np.zeros((objects, count, width))
    components[:, :, : singular.shape[1]] = (
        projected * np.where(alive, 1.0 / np.where(alive, spread, 1.0), 0.0)[:, None]
    )
    lost = (width - alive.sum(axis=1)) / width * (count - 1) / count
    return components.reshape(objects, size, others, width), lost
