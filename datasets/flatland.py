"""The data sets of FlatLand's worlds: their options, and how they are built."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

from ..envs.flatland import (
    FlatLand,
    FlatLandContinuous,
    FlatLandDihedral,
    FlatLandDiscs,
    FlatLandHue,
    FlatLandPermuted,
    FlatLandRotor,
    FlatLandWalls,
)
from ..envs.world import World
from .factors import FactorDataset
from .noise import NoiseOptions
from .registry import dataset
from .sampled import SampledDataset


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


@dataclass
class FlatLandPermutedOptions(FlatLandOptions):
    """The options of FlatLand in a scrambled order."""

    order_seed: int = 0
    """Draws the order of the positions on each axis."""


@dataclass
class FlatLandHueOptions:
    """The options of FlatLand with a hue."""

    period: int = 33
    """Positions of the disc per axis."""
    stride: int = 5
    """Positions that an action moves the disc by; below half the period."""
    hue_period: int = 12
    """Hues of the disc."""
    hue_stride: int = 1
    """Hues that an action turns it by; below half of them."""
    radius: int = 15
    """Radius of the disc in pixels."""
    image_size: int = 64
    """Height and width of the picture in pixels."""


@dataclass
class FlatLandRotorOptions(FlatLandOptions):
    """The options of FlatLand with a rotor."""

    turn_period: int = 33
    """Orientations of the disc."""
    turn_stride: int = 5
    """Orientations that an action turns it by; below half of them."""


@dataclass
class FlatLandDiscsOptions:
    """The options of FlatLand with two discs."""

    period: int = 9
    """Positions of each disc per axis."""
    stride: int = 1
    """Positions that an action moves a disc by; below half the period."""
    spacing: int = 5
    """Pixels from a position to the next one."""
    radius: int = 12
    """Radius of the red disc in pixels."""
    small_radius: int = 7
    """Radius of the green disc in pixels."""
    image_size: int = 64
    """Height and width of the picture in pixels."""


@dataclass
class FlatLandDihedralOptions:
    """The options of FlatLand with a letter that is turned and mirrored."""

    period: int = 36
    """Orientations of the letter."""
    stride: int = 5
    """Orientations that an action turns it by; below half the period."""
    radius: int = 32
    """Half the side of the letter's box in pixels."""
    image_size: int = 64
    """Height and width of the picture in pixels."""
    channels: int = 1
    """Channels of the picture, all alike."""


@dataclass
class FlatLandContinuousOptions:
    """The options of continuous FlatLand."""

    items: int = 10_000
    """States, drawn once and uniformly."""
    period: float = 33.0
    """Circumference of each axis in pixels."""
    stride: float = 5.0
    """Pixels that an action of 1 moves the disc by; below half the period."""
    radius: float = 15.0
    """Radius of the disc in pixels."""
    image_size: int = 64
    """Height and width of the picture in pixels."""
    channels: int = 1
    """Channels of the picture, all alike."""


@dataset("flatland-continuous", options=FlatLandContinuousOptions)
def flatland_continuous(options: FlatLandContinuousOptions, noise: NoiseOptions, seed: int) -> SampledDataset:
    """States of continuous FlatLand, drawn once: they cannot be counted.

    Raises:
        UsageError: An option is out of its range.
    """
    world = FlatLandContinuous(
        period=options.period,
        stride=options.stride,
        radius=options.radius,
        size=options.image_size,
        channels=options.channels,
    )
    made = noise.make(world.image_shape, seed)
    return SampledDataset(world, world.factors.sample, options.items, made, seed)


def _register(name: str, world: Callable[..., World], options: type[Any]) -> None:
    """Registers every state of a world as a data set; an option is the world's of the same name."""

    def build(chosen: Any, noise: NoiseOptions, seed: int) -> FactorDataset:
        values = {field.name: getattr(chosen, field.name) for field in fields(chosen)}
        made = world(size=values.pop("image_size"), **values)
        return FactorDataset(made, noise.make(made.image_shape, seed), seed)

    dataset(name, options=options)(build)


_register("flatland", FlatLand, FlatLandOptions)
_register("flatland-permuted", FlatLandPermuted, FlatLandPermutedOptions)
_register("flatland-walls", FlatLandWalls, FlatLandOptions)
_register("flatland-hue", FlatLandHue, FlatLandHueOptions)
_register("flatland-rotor", FlatLandRotor, FlatLandRotorOptions)
_register("flatland-discs", FlatLandDiscs, FlatLandDiscsOptions)
_register("flatland-dihedral", FlatLandDihedral, FlatLandDihedralOptions)
