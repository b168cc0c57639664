"""The Breakout data set: its options, and how it is built."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..envs.breakout.world import PLAYFIELD, Breakout
from .factors import FactorDataset
from .noise import NoiseOptions
from .registry import dataset


@dataclass
class BreakoutOptions:
    """The options of Breakout."""

    ball_columns: int = 16
    """Places of the ball along x, at most 143."""
    ball_rows: int = 8
    """Places of the ball along y, at most 91."""
    paddle_places: int = 16
    """Places of the paddle, at most 137."""
    paddle_width: int = 16
    """Width of the paddle: 16, or 12 as it is once the ball has reached the ceiling."""
    bricks: Literal["rotate", "toggle"] = "rotate"
    """Rows of bricks with a gap that moves around, or single bricks that are there or not."""
    brick_factors: int = 1
    """Factors of the bricks: groups of rows (0, 1, 2, 3 or 6), or single bricks of the lowest row (0 to 18)."""
    gap: int = 6
    """Columns of bricks that are missing, with rotate."""
    stride: int = 1
    """Places that an action moves its factor by, below half of them; --offset sets it too."""
    image_size: int = 64
    """Height and width of the picture in pixels."""
    playfield: bool = True
    """Only what lies within the walls; else all of the screen."""
    grayscale: bool = False
    """One channel instead of three."""
    renderer: Literal["emulator", "drawn"] = "emulator"
    """The console draws, or the same pixels are put together without it, much faster."""


@dataset("breakout", options=BreakoutOptions, offset="stride")
def breakout(options: BreakoutOptions, noise: NoiseOptions, seed: int) -> FactorDataset:
    """Every state of Breakout's grid of ball, paddle and bricks.

    Raises:
        UsageError: An option is out of its range.
    """
    world = Breakout(
        ball_columns=options.ball_columns,
        ball_rows=options.ball_rows,
        paddle_places=options.paddle_places,
        paddle_width=options.paddle_width,
        bricks=options.bricks,
        brick_factors=options.brick_factors,
        gap=options.gap,
        stride=options.stride,
        image_size=options.image_size,
        crop=PLAYFIELD if options.playfield else None,
        grayscale=options.grayscale,
        renderer=options.renderer,
    )
    return FactorDataset(world, noise.make(world.image_shape, seed), seed)
