"""The FlatLand data set: its options, and how it is built."""

from __future__ import annotations

from dataclasses import dataclass

from ..envs.flatland import FlatLand
from .factors import FactorDataset
from .noise import NoiseOptions
from .registry import dataset


@dataclass
class FlatLandOptions:
    """The options of FlatLand."""

    period: int = 33
    """Positions of the disc per axis."""
    stride: int = 5
    """Positions that an action moves the disc by; below half the period."""
    radius: int = 15
    """Radius of the disc in pixels."""
    image_size: int = 64
    """Height and width of the picture in pixels."""
    channels: int = 1
    """Channels of the picture, all alike."""


@dataset("flatland", options=FlatLandOptions)
def flatland(options: FlatLandOptions, noise: NoiseOptions, seed: int) -> FactorDataset:
    """Every state of FlatLand.

    Raises:
        UsageError: An option is out of its range.
    """
    world = FlatLand(
        period=options.period,
        stride=options.stride,
        radius=options.radius,
        size=options.image_size,
        channels=options.channels,
    )
    return FactorDataset(world, noise.make(world.image_shape, seed), seed)
