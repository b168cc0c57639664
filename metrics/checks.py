"""Conversions of metric arguments to arrays, each with a one-line error."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def as_floats(value: Any, name: str, ndim: int | None = None) -> Floats:
    """The argument as a finite float64 array with ``ndim`` axes.

    Raises:
        ValueError: Not numbers, wrong number of axes, nothing in it, or a number that is not finite.
    """
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be an array of numbers: {' '.join(str(error).split())}") from error
    if ndim is not None and array.ndim != ndim:
        raise ValueError(f"{name} must have {ndim} axes, not shape {array.shape}")
    if array.size == 0:
        raise ValueError(f"{name} is empty (shape {array.shape})")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} holds numbers that are not finite")
    return array


def as_codes(value: Any, name: str, count: int, length: int | None = None) -> Ints:
    """The argument as an int64 vector of codes in 0..count-1.

    Raises:
        ValueError: Not a vector, empty, of another length, or a code out of range.
    """
    array = np.asarray(value)
    if array.ndim != 1 or array.size == 0:
        raise ValueError(f"{name} must be a vector of at least one entry, not shape {array.shape}")
    if length is not None and len(array) != length:
        raise ValueError(f"{name} has {len(array)} entries, expected {length}")
    with np.errstate(invalid="ignore"):  # what no integer holds differs from the array below
        codes = array.astype(np.int64)
    if not np.array_equal(codes, array):
        raise ValueError(f"{name} must hold whole numbers")
    if codes.min() < 0 or codes.max() >= count:
        raise ValueError(f"{name} must lie in 0..{count - 1}, got {codes.min()}..{codes.max()}")
    return codes


def as_matrices(value: Any, name: str = "matrices") -> Floats:
    """The argument as float64 square matrices [A, D, D].

    Raises:
        ValueError: Not a stack of square matrices, or not finite.
    """
    array = as_floats(value, name, 3)
    if array.shape[1] != array.shape[2]:
        raise ValueError(f"{name} must be square [A, D, D], not shape {array.shape}")
    return array
