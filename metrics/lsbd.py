"""D_LSBD: how far the codes are from a linear representation of known cyclic symmetries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .checks import Floats, as_floats
from .registry import metric
from .result import MetricResult


@metric("lsbd", family="symmetry")
def lsbd(
    codes: Any, cyclic: Sequence[int] | None = None, max_frequency: int | None = 10, held_out: Any = None
) -> MetricResult:
    """D_LSBD: dispersion left after the true group action has been undone in the code's best plane. 0 is perfect.

    For each cyclic axis k: the codes minus their mean over axis k, projected on their two principal components, each
    divided by its standard deviation times sqrt(2); every point turned back by (integer frequency) * (its angle along
    axis k); the mean squared distance from the mean of what results; the smallest over frequencies. The score is the
    mean over axes (Tonnaer et al. 2022, arXiv 2011.06070; the definition of their lsbd-vae code).

    A principal axis has an arbitrary sign, so frequencies f and -f tie and f is reported unsigned, the lowest of
    those that are equally good. A component without variance cannot follow the group: it counts as fully dispersed.

    Args:
        codes: Codes on the whole grid of factor values [n_1, .., n_K, D].
        cyclic: Axes whose factor is cyclic. None: all K.
        max_frequency: Frequencies -max..max are tried. None: all that differ on the axis (half its length).
        held_out: bool [n_1, .., n_K]; adds the value of these states alone, around the point and with the frequency
            that the whole grid gives.

    Returns:
        Value ``lsbd`` (and ``held_out`` when asked), from 0 to about 1; chance about 1. Details: per_axis,
        held_out_per_axis, frequencies, axes, shape.

    Raises:
        ValueError: Not a grid, an axis out of range or too short, or a mask that does not fit or is empty.
    """
    grid = as_floats(codes, "codes")
    if grid.ndim < 2:
        raise ValueError(f"codes must be a grid [n_1, .., n_K, D], not shape {grid.shape}")
    axes = list(range(grid.ndim - 1)) if cyclic is None else [int(axis) for axis in cyclic]
    for axis in axes:
        if not 0 <= axis < grid.ndim - 1:
            raise ValueError(f"cyclic axis {axis} is not one of the {grid.ndim - 1} axes of the grid")
        if grid.shape[axis] < 3:
            raise ValueError(f"cyclic axis {axis} has {grid.shape[axis]} values; an angle needs at least 3")
    if max_frequency is not None and max_frequency < 0:
        raise ValueError(f"max_frequency must not be negative: {max_frequency}")
    mask = None if held_out is None else np.asarray(held_out, dtype=bool)
    if mask is not None and (mask.shape != grid.shape[:-1] or not mask.any()):
        raise ValueError(f"held_out must be a mask of shape {grid.shape[:-1]} with at least one state")
    if not axes:
        missing: dict[str, float | None] = {"lsbd": None}
        return MetricResult("lsbd", missing, reason="no cyclic axis")
    parts = [_axis_dispersion(grid, axis, max_frequency, mask) for axis in axes]
    values: dict[str, float | None] = {"lsbd": float(np.mean([part[0] for part in parts]))}
    details: dict[str, Any] = {
        "per_axis": [part[0] for part in parts],
        "frequencies": [part[2] for part in parts],
        "axes": axes,
        "shape": grid.shape,
    }
    if mask is not None:
        values["held_out"] = float(np.mean([part[1] for part in parts]))
        details["held_out_per_axis"] = [part[1] for part in parts]
    return MetricResult("lsbd", values, details, chance=dict.fromkeys(values, 1.0), ceiling=dict.fromkeys(values, 0.0))


def _axis_dispersion(
    grid: Floats, axis: int, max_frequency: int | None, mask: NDArray[np.bool_] | None
) -> tuple[float, float, int]:
    """Dispersion over all states, dispersion over the masked ones, and the frequency, for one axis."""
    plane, lost = _standard_plane(grid - grid.mean(axis=axis, keepdims=True), float(np.abs(grid).max()))
    size = grid.shape[axis]
    shape = [1] * plane.ndim
    shape[axis] = size
    steps = np.arange(size)
    limit = size // 2 if max_frequency is None else max_frequency
    candidates = np.array(sorted(range(-limit, limit + 1), key=lambda f: (abs(f), -f)))
    # mean |v - mean v|^2 = mean |w|^2 - |mean v|^2, and only the second depends on the frequency: one small
    # transform of the mean over the other axes finds the best.
    profile = plane.mean(axis=tuple(other for other in range(plane.ndim) if other != axis))
    power = np.abs(np.exp(-2j * np.pi * np.outer(candidates, steps) / size) @ profile / size) ** 2
    # Frequencies alias and tie in sign: within rounding of the best, take the lowest.
    frequency = int(candidates[np.flatnonzero(power >= power.max() - 1e-9)[0]])
    turned = plane * np.exp(-2j * np.pi * frequency * steps / size).reshape(shape)
    distance = np.abs(turned - turned.mean()) ** 2
    held = float(distance[mask].mean()) + lost if mask is not None else float("nan")
    return float(distance.mean()) + lost, held, abs(frequency)


def _standard_plane(grid: Floats, scale: float) -> tuple[NDArray[np.complex128], float]:
    """The first two principal components as complex numbers on the grid, each with sample variance 1/2.

    ``scale`` is the size of the codes before centring, below whose rounding there is no variance. The second return
    value is the dispersion that components without variance stand for.
    """
    flat = grid.reshape(-1, grid.shape[-1])
    flat = flat - flat.mean(axis=0)
    count = len(flat)
    _, singular, directions = np.linalg.svd(flat, full_matrices=False)
    components = np.zeros((count, 2))
    smallest = 1e-12 * max(float(singular[0]), scale * np.sqrt(count))
    lost = 0.0
    for index in range(2):
        if index < len(singular) and singular[index] > smallest:
            column = flat @ directions[index]
            components[:, index] = column / (column.std(ddof=1) * np.sqrt(2.0))
        else:
            lost += 0.5 * (count - 1) / count
    plane = components[:, 0] + 1j * components[:, 1]
    return plane.reshape(grid.shape[:-1]), lost
