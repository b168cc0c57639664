"""Colour maps: from a sprite's three colour factors to red, green and blue."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..registry import UsageError, nearest

ColourMap = Callable[[ArrayLike], NDArray[np.uint8]]


def hsv_to_unit_rgb(colours: ArrayLike) -> NDArray[np.float64]:
    """Hue, saturation and value to red, green and blue, all in [0, 1]; the very numbers of ``colorsys.hsv_to_rgb``.

    Args:
        colours: [..., 3]; the hue wraps at 1.

    Returns:
        float64 [..., 3].
    """
    hue, saturation, value = np.moveaxis(np.asarray(colours, dtype=np.float64), -1, 0)
    sector = np.trunc(hue * 6)
    part = hue * 6 - sector
    low = value * (1 - saturation)
    falling = value * (1 - saturation * part)
    rising = value * (1 - saturation * (1 - part))
    number = sector.astype(np.int64) % 6
    red = np.choose(number, [value, falling, low, low, rising, value])
    green = np.choose(number, [rising, value, value, falling, low, low])
    blue = np.choose(number, [low, low, rising, value, value, falling])
    rgb = np.stack([red, green, blue], axis=-1)
    return np.where(np.asarray(saturation)[..., None] == 0, np.asarray(value)[..., None], rgb)


def hsv(colours: ArrayLike) -> NDArray[np.uint8]:
    """Hue, saturation and value in [0, 1] to bytes.

    A byte is the whole part of 255 times the number, as Spriteworld has it, so that its colours are met exactly.

    Args:
        colours: [..., 3].

    Returns:
        Red, green and blue, uint8 [..., 3].

    Raises:
        UsageError: There are not three numbers a colour, or one is not in [0, 1].
    """
    _check(colours, 1)
    return (hsv_to_unit_rgb(colours) * 255).astype(np.uint8)


def rgb(colours: ArrayLike) -> NDArray[np.uint8]:
    """Red, green and blue in [0, 255] to bytes, fractions cut off.

    Args:
        colours: [..., 3].

    Returns:
        uint8 [..., 3].

    Raises:
        UsageError: There are not three numbers a colour, or one is not in [0, 255].
    """
    _check(colours, 255)
    return np.asarray(colours).astype(np.uint8)


COLOUR_MAPS: Mapping[str, ColourMap] = MappingProxyType({"hsv": hsv, "rgb": rgb})
"""What the colour factors of sprites can mean, by name."""


def colour_map(name: str) -> ColourMap:
    """The colour map of that name.

    Raises:
        UsageError: There is none.
    """
    if name not in COLOUR_MAPS:
        known = sorted(COLOUR_MAPS)
        raise UsageError(f"unknown colour map {name!r}{nearest(name, known)}; there are: {', '.join(known)}")
    return COLOUR_MAPS[name]


def _check(colours: ArrayLike, highest: int) -> None:
    numbers = np.asarray(colours)
    if numbers.ndim == 0 or numbers.shape[-1] != 3:
        raise UsageError(f"colours need the shape [..., 3], got {list(numbers.shape)}")
    if not ((numbers >= 0) & (numbers <= highest)).all():
        raise UsageError(f"the numbers of a colour are 0 to {highest}, got {numbers.min()} to {numbers.max()}")
