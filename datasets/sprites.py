"""The sprites data set: its options, and how it is built."""

from __future__ import annotations

from dataclasses import dataclass

from ..envs.sprites import SPRITE_SHAPES, Sprites
from .factors import FactorDataset
from .noise import NoiseOptions
from .registry import dataset


@dataclass
class SpritesOptions:
    """The options of the sprites."""

    shapes: tuple[str, ...] = tuple(SPRITE_SHAPES)
    """Which shapes there are, of square, ellipse and heart."""
    scales: int = 6
    """Values of the scale."""
    orientations: int = 40
    """Values of the orientation."""
    positions: int = 32
    """Values of x and of y each."""
    stride: int = 4
    """Values that an action moves its factor by, at most (n - 1) // 2 of n; --offset sets it too."""
    image_size: int = 64
    """Height and width of the picture in pixels."""
    channels: int = 1
    """Channels of the picture, all alike."""
    antialias: bool = False
    """Grey pixels along the edges; else pixels are black or white."""


@dataset("sprites", options=SpritesOptions, offset="stride")
def sprites(options: SpritesOptions, noise: NoiseOptions, seed: int) -> FactorDataset:
    """Every state of the sprites.

    Raises:
        UsageError: An option is out of its range.
    """
    world = Sprites(
        shapes=options.shapes,
        scales=options.scales,
        orientations=options.orientations,
        positions=options.positions,
        stride=options.stride,
        size=options.image_size,
        channels=options.channels,
        antialias=options.antialias,
    )
    return FactorDataset(world, noise.make(world.image_shape, seed), seed)
