"""Sprites as arrays: the ten factors of each, their checks, and the colours that they mean.

The sprites of a scene are rows of numbers [S, 10] in the order of ``FACTORS``, from back to front. A slot without a
sprite is a row of zeros (no shape has the code 0) behind those with one, so that an array says how many there are.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..registry import UsageError, nearest
from .colours import colour_map
from .shapes import SHAPE_NAMES, shape_code

FACTORS: tuple[str, ...] = ("x", "y", "shape", "angle", "scale", "c0", "c1", "c2", "x_vel", "y_vel")
"""The factors of a sprite (Watters et al. 2019, arXiv 1905.09275): its centre in the arena [0, 1] x [0, 1] with y
upwards, the code of its shape, the angle in degrees counterclockwise, the scale (the square root of its area), three
numbers for the colour (what they mean is the configuration's matter), and how far it moves at each step."""

DEFAULTS: tuple[float, ...] = (0.5, 0.5, float(shape_code("square")), 0.0, 0.1, 0.0, 0.0, 0.0, 0.0, 0.0)
"""What a sprite has that is told nothing else."""

LARGEST = 2
"""The largest scale of a sprite: more than the arena."""

X, Y, SHAPE, ANGLE, SCALE, C0, C1, C2, X_VEL, Y_VEL = range(len(FACTORS))


def factor_value(key: str, value: float | str) -> float:
    """A value of a factor as a number: a shape may be given by name.

    Raises:
        UsageError: There is no such factor or shape, or the value is no finite number.
    """
    if key not in FACTORS:
        raise UsageError(
            f"a sprite has no factor {key!r}{nearest(str(key), list(FACTORS))}; it has: {', '.join(FACTORS)}"
        )
    if key == "shape" and isinstance(value, str):
        return float(shape_code(value))
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = np.nan
    if not np.isfinite(number):
        raise UsageError(f"{key} must be a finite number, got {value!r}")
    return number


def sprite(**factors: float | str) -> NDArray[np.float64]:
    """One sprite, float64 [10]; what is not given is as in ``DEFAULTS``.

    Raises:
        UsageError: There is no such factor or shape, or a value is no finite number.

    Example:
        >>> sprite(x=0.2, shape="circle")[:3]
        array([0.2, 0.5, 6. ])
    """
    row = np.array(DEFAULTS)
    for key, value in factors.items():
        number = factor_value(key, value)
        row[FACTORS.index(key)] = number
    return row


def factor_names(slots: int) -> tuple[str, ...]:
    """The names of the numbers of ``slots`` sprites in a row: ``sprite0.x``, ``sprite0.y`` and so on."""
    return tuple(f"sprite{slot}.{name}" for slot in range(slots) for name in FACTORS)


def count(factors: NDArray[np.float64]) -> NDArray[np.int64]:
    """How many sprites there are, int64 [...], of factors [..., S, 10]."""
    return np.count_nonzero(factors[..., SHAPE], axis=-1)


def check(factors: ArrayLike, slots: int, *, within: bool = True, color_space: str = "hsv") -> NDArray[np.float64]:
    """Sprites that are fit to be a state.

    Args:
        factors: [..., S, 10], or [..., S * 10]; fewer slots than ``slots`` are filled up with empty ones.
        slots: How many there are at most.
        within: Whether the centres must lie in the arena.
        color_space: What the numbers of a colour mean.

    Returns:
        A new array, float64 [..., slots, 10].

    Raises:
        UsageError: The shape does not fit, or a sprite is none; it says which one and why.
    """
    try:
        values = np.array(factors, dtype=np.float64)
    except (TypeError, ValueError):
        raise UsageError("the factors of sprites are numbers, shapes by their codes") from None
    wide = len(FACTORS)
    flat = values.ndim < 2 or values.shape[-1] != wide or values.shape[-2] > slots  # of one slot, rows are scenes
    if values.ndim and values.shape[-1] == slots * wide and flat:
        values = values.reshape(*values.shape[:-1], slots, wide)
    if values.ndim < 2 or values.shape[-1] != wide or values.shape[-2] > slots:
        raise UsageError(
            f"the factors of {slots} sprites are [..., {slots}, {wide}] or [..., {slots * wide}],"
            f" got {list(values.shape)}"
        )
    rows = np.zeros((*values.shape[:-2], slots, wide))
    rows[..., : values.shape[-2], :] = values
    shape, scale, centre, colour = rows[..., SHAPE], rows[..., SCALE], rows[..., :2], rows[..., C0 : C2 + 1]
    present = shape != 0
    top = 1.0 if color_space == "hsv" else 256.0
    for fine, what in (
        (np.isfinite(rows).all(axis=-1), "all its numbers must be finite"),
        (
            (shape >= 0) & (shape <= len(SHAPE_NAMES)) & (shape == np.floor(shape)),
            f"its shape must be 1 ({SHAPE_NAMES[0]}) to {len(SHAPE_NAMES)} ({SHAPE_NAMES[-1]}), or 0 for no sprite",
        ),
        (present | (rows == 0).all(axis=-1), "without a shape there is no sprite, and all its numbers must be 0"),
        (
            ~present | ((scale > 0) & (scale <= LARGEST)),
            f"its scale must be above 0, to {LARGEST}",
        ),
        (np.abs(rows[..., ANGLE]) <= 360, "its angle must be from -360 to 360"),
        ((np.abs(rows[..., X_VEL:]) <= 1).all(axis=-1), "its velocities must be from -1 to 1"),
        (
            ((colour >= 0) & (colour <= top)).all(axis=-1),
            f"its colour must be three numbers from 0 to {top:g}",
        ),
        (~present | (not within) | ((centre >= 0) & (centre <= 1)).all(axis=-1), "its centre must lie in [0, 1]"),
    ):
        if not fine.all():
            raise UsageError(f"sprite {int(np.argwhere(~fine)[0][-1])} is none: {what}")
    if (present[..., 1:] & ~present[..., :-1]).any():
        raise UsageError("slots are filled from the first on: an empty one stands before a sprite")
    return rows


def colours(factors: NDArray[np.float64], color_space: str) -> NDArray[np.uint8]:
    """The colours of sprites.

    Args:
        factors: [..., 10].
        color_space: ``hsv`` (numbers from 0 to 1) or ``rgb`` (numbers from 0 to 256, whose whole part is taken).

    Returns:
        Red, green and blue, uint8 [..., 3].

    Raises:
        UsageError: There is no such colour space, or a number is not in its range.
    """
    numbers = factors[..., C0 : C2 + 1]
    return colour_map(color_space)(np.minimum(numbers, 255.0) if color_space == "rgb" else numbers)
