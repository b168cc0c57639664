"""Bringing numbers of any size into the range in which squares neither overflow nor vanish."""

from __future__ import annotations

from typing import Any

import numpy as np

from .checks import Floats


def to_unit(values: Floats, axis: int | tuple[int, ...] | None = None) -> tuple[Floats, Any]:
    """Divides by the power of two next above the largest magnitude: no digit is lost.

    Args:
        values: Finite floats.
        axis: Along which the largest is taken, each slice by itself. None: of all.

    Returns:
        The values, within -1..1, and the exponents (of ``axis`` kept): ``np.ldexp`` with them undoes it.
    """
    exponents = np.frexp(np.abs(values).max(axis=axis, keepdims=axis is not None))[1]
    return np.ldexp(values, -exponents), exponents


def lengths(values: Floats, axes: int | tuple[int, ...] = -1) -> Floats:
    """Euclidean (Frobenius) norms along ``axes`` without overflow on the way.

    Infinite where they are, and where an entry is infinite or the difference of two infinities.
    """
    peaks = np.abs(values).max(axis=axes, keepdims=True)
    finite = np.isfinite(peaks)
    parts = np.divide(values, peaks, out=np.zeros_like(values), where=finite & (peaks > 0))
    with np.errstate(over="ignore"):
        found = np.where(finite, peaks, 0.0) * np.sqrt(np.square(parts).sum(axis=axes, keepdims=True))
    return np.asarray(np.squeeze(np.where(finite, found, np.inf), axis=axes))
