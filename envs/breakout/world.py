"""Breakout as a world of factors: ball, paddle and bricks are set jointly, and drawn by the console itself."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..factors import Factor, FactorSpace, IntArray
from ..registry import UsageError
from ..world import WORLDS, Action, World
from . import ram as memory

if TYPE_CHECKING:
    from .scenes import Painter

PLAYFIELD = (32, 196, 8, 152)
"""Rows 32 to 195 and columns 8 to 151 of the screen: what lies within the walls."""
SCREEN = (0, 210, 0, 160)

Bricks = Literal["rotate", "toggle"]
Renderer = Literal["emulator", "drawn"]

_BALL_X, _BALL_Y, _PADDLE = (8, 151), (94, 185), (8, 145)
"""Where ball and paddle can be without touching anything, in pixels, the end excluded."""


def is_whole(value: Any) -> bool:
    """Whether an option is a whole number."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def check_flag(name: str, value: Any) -> bool:
    """An option that is True or False; UsageError where it is anything else, such as the text "false"."""
    if not isinstance(value, bool | np.bool_):
        raise UsageError(f"{name} must be True or False, got {value!r}")
    return bool(value)


def check_view(crop: Sequence[int] | None, image_size: int | None) -> tuple[tuple[int, int, int, int], tuple[int, int]]:
    """The crop, and the size of the picture, that two options stand for.

    Args:
        crop: First row, last row (exclusive), first column, last column (exclusive); None: the whole screen.
        image_size: Height and width of the picture; None: as large as the crop.

    Raises:
        UsageError: The crop is no part of the screen, or the picture is larger than the crop.
    """
    given = SCREEN if crop is None else tuple(crop) if isinstance(crop, Sequence | np.ndarray) else ()
    if len(given) != 4 or not all(map(is_whole, given)):
        raise UsageError(f"crop must be four whole numbers (top, bottom, left, right), got {crop!r}")
    top, bottom, left, right = (int(line) for line in given)
    if not (0 <= top < bottom <= SCREEN[1] and 0 <= left < right <= SCREEN[3]):
        raise UsageError(f"crop must lie in rows 0 to 210 and columns 0 to 160, got {given}")
    height, width = bottom - top, right - left
    if image_size is None:
        return (top, bottom, left, right), (height, width)
    most = min(height, width)
    if not is_whole(image_size) or not 1 <= image_size <= most:
        raise UsageError(f"image_size must be 1 to {most} (the crop is {height} x {width}) or None, got {image_size!r}")
    return (top, bottom, left, right), (int(image_size), int(image_size))


@WORLDS.register("breakout")
class Breakout(World):
    """Ball and paddle on grids of places that wrap around, and bricks that turn or are toggled.

    The factors are ``ball_x``, ``ball_y`` (downwards), ``paddle_x``, and those of the bricks. The ball is always
    between the bricks and the paddle, at rest. Any other state of the game is drawn by ``render_scene``.

    Args:
        ball_columns: Places of the ball along x, 1 to 143.
        ball_rows: Places of the ball along y, 1 to 91.
        paddle_places: Places of the paddle, 1 to 137.
        paddle_width: 16, or 12 as it is once the ball has reached the ceiling.
        bricks: ``rotate``: rows of bricks with a gap that moves around; ``toggle``: single bricks, there or not.
        brick_factors: The number of such factors. With ``rotate``, 0, 1, 2, 3 or 6, among which the six rows are shared
            out; with ``toggle``, 0 to 18, one brick of the lowest row each.
        gap: Columns of bricks that are missing, 1 to 17, with ``rotate``.
        stride: Places that an action moves by; below half the places.
        image_size: Height and width of the picture, by area averaging; None: as large as the crop.
        crop: First row, last row (exclusive), first column, last column (exclusive) of the part of the screen that is
            seen; None: all of it (210 x 160).
        grayscale: One channel instead of three.
        renderer: ``emulator``: the console draws; ``drawn``: the same pixels, put together without it, much faster.

    Raises:
        UsageError: An option is out of its range.
    """

    def __init__(
        self,
        *,
        ball_columns: int = 16,
        ball_rows: int = 8,
        paddle_places: int = 16,
        paddle_width: int = 16,
        bricks: Bricks = "rotate",
        brick_factors: int = 1,
        gap: int = 6,
        stride: int = 1,
        image_size: int | None = 64,
        crop: Sequence[int] | None = PLAYFIELD,
        grayscale: bool = False,
        renderer: Renderer = "emulator",
    ) -> None:
        if bricks not in get_args(Bricks):
            raise UsageError(f"bricks must be one of {', '.join(get_args(Bricks))}, got {bricks!r}")
        if renderer not in get_args(Renderer):
            raise UsageError(f"renderer must be one of {', '.join(get_args(Renderer))}, got {renderer!r}")
        if not is_whole(paddle_width) or paddle_width not in memory.PADDLE_WIDTHS:
            raise UsageError(f"paddle_width must be 12 or 16, got {paddle_width!r}")
        if not is_whole(gap) or not 1 <= gap < memory.BRICK_COLUMNS:
            raise UsageError(f"gap must be 1 to {memory.BRICK_COLUMNS - 1} columns, got {gap!r}")
        counts = (0, 1, 2, 3, 6) if bricks == "rotate" else range(memory.BRICK_COLUMNS + 1)
        if not is_whole(brick_factors) or brick_factors not in counts:
            raise UsageError(f"brick_factors must be one of {', '.join(map(str, counts))}, got {brick_factors!r}")
        self._crop, size = check_view(crop, image_size)
        self._paddle_width, self._bricks, self._brick_factors, self._gap = paddle_width, bricks, brick_factors, gap
        self._grayscale, self._renderer = check_flag("grayscale", grayscale), renderer
        self.image_shape = (*size, 1 if grayscale else 3)
        self._places = {
            "ball_x": _grid("ball_columns", ball_columns, _BALL_X),
            "ball_y": _grid("ball_rows", ball_rows, _BALL_Y),
            "paddle_x": _grid("paddle_places", paddle_places, _PADDLE),
        }
        factors = [Factor(name, len(places), "cyclic") for name, places in self._places.items()]
        if bricks == "rotate":
            names = ["bricks"] if brick_factors == 1 else [f"bricks_{number}" for number in range(brick_factors)]
            factors += [Factor(name, memory.BRICK_COLUMNS, "cyclic") for name in names]
        else:
            self._toggled = [number * memory.BRICK_COLUMNS // brick_factors for number in range(brick_factors)]
            lowest = memory.BRICK_ROWS - 1
            factors += [Factor(f"brick_{lowest}_{column}", 2, "cyclic") for column in self._toggled]
        self.factors = FactorSpace(factors)
        self.actions = _actions(self.factors, stride)

    def scene(self, factors: IntArray) -> NDArray[np.float64]:
        """The game's own factors in states of this world.

        Args:
            factors: int64 [N, K].

        Returns:
            float64 [N, 116], as in ``breakout.FACTOR_NAMES``.

        Raises:
            UsageError: A row is no state of this world.
        """
        rows = np.atleast_2d(self.factors.check(factors))
        scene = np.zeros((len(rows), len(memory.FACTOR_NAMES)))
        for column, (name, places) in enumerate(self._places.items()):
            scene[:, memory.FACTOR_NAMES.index(name)] = places[rows[:, column]]
        scene[:, memory.PADDLE_WIDTH] = self._paddle_width
        scene[:, memory.LIVES] = memory.RANGES["lives"][1]
        standing = np.ones((len(rows), memory.BRICK_ROWS, memory.BRICK_COLUMNS))
        own = rows[:, len(self._places) :]
        if self._bricks == "toggle":
            standing[:, -1, self._toggled] = own
        elif self._brick_factors:
            from_gap = (np.arange(memory.BRICK_COLUMNS) - own[..., None]) % memory.BRICK_COLUMNS
            standing = np.repeat(from_gap >= self._gap, memory.BRICK_ROWS // self._brick_factors, axis=1)
        scene[:, memory.BRICK] = standing.reshape(len(rows), memory.BRICKS)
        return scene

    def render(self, factors: IntArray) -> NDArray[np.uint8]:
        return self._draw(self.scene(factors))

    def render_scene(self, factors: ArrayLike) -> NDArray[np.uint8]:
        """Pictures of any state of the game: ball, paddle, bricks, lives and score set jointly.

        Args:
            factors: Numbers [N, 116], as in ``breakout.FACTOR_NAMES`` (what ``info["factors"]`` holds). Velocities are
                not to be seen.

        Returns:
            uint8 [N, H, W, C].

        Raises:
            UsageError: A row cannot be set.
        """
        return self._draw(memory.check_factors(factors))

    def _draw(self, scene: NDArray[np.float64]) -> NDArray[np.uint8]:
        return self._painter.draw(scene, through_emulator=self._renderer == "emulator")

    @cached_property
    def _painter(self) -> Painter:
        # Imported here: worlds are listed without an emulator or a compiler.
        from .scenes import Painter

        return Painter(self._crop, self.image_shape[:2], self._grayscale)

    def __getstate__(self) -> dict[str, Any]:
        # A console is not copied: another process makes its own.
        return {name: value for name, value in vars(self).items() if name != "_painter"}


def _grid(option: str, count: int, span: tuple[int, int]) -> IntArray:
    """``count`` places in the middle of a span of pixels, at equal distances."""
    length = span[1] - span[0]
    if not is_whole(count) or not 1 <= count <= length:
        raise UsageError(f"{option} must be a whole number from 1 to {length}, got {count!r}")
    step = length // count
    places: IntArray = span[0] + (length - 1 - step * (count - 1)) // 2 + step * np.arange(count)
    return places


def _actions(space: FactorSpace, stride: int) -> tuple[Action, ...]:
    """Two actions for every factor, back and forth; one that is its own inverse for a factor of two values."""
    words = {
        "ball_x": ("ball left", "ball right"),
        "ball_y": ("ball up", "ball down"),
        "paddle_x": ("paddle left", "paddle right"),
    }
    actions: list[Action] = []
    for column, factor in enumerate(space.factors):
        size, code = int(factor.size or 1), len(actions)
        if size == 2:
            actions.append(Action(f"toggle {factor.name}", column, 1, math.pi, code))
        elif size > 2:
            if not is_whole(stride) or not 1 <= stride < size / 2:
                raise UsageError(
                    f"stride must be 1 to below half of the {size} places of {factor.name}, got {stride!r}"
                )
            back, forth = words.get(factor.name, (f"{factor.name} left", f"{factor.name} right"))
            angle = 2 * math.pi * stride / size
            actions.append(Action(back, column, -stride, -angle, code + 1))
            actions.append(Action(forth, column, stride, angle, code))
    return tuple(actions)
