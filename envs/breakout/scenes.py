"""Pictures of given factors: by the console, or put together from what it draws, pixel by pixel the same."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from . import ram as memory
from .emulator import HEIGHT, WIDTH, Console
from .picture import Pictures, greys

_BACKGROUND_PADDLE = 80
"""Where the paddle is in the picture from which the background is taken, in pixels."""
_RED, _GREY = 70, 6
"""Colours of the ball below the bricks, and above them."""
_BRICKS_TOP, _BRICKS_BOTTOM, _BRICK_HEIGHT, _BRICK_WIDTH = 57, 93, 6, 8
_LEFT_WALL, _RIGHT_WALL = 8, 152
_PADDLE_TOP, _PADDLE_BOTTOM = 189, 193
_DIGITS = ((36, 48), (52, 64), (68, 80), (100, 112))
"""Columns of the drawn digits: hundreds, tens, ones, lives."""
_SCORE_BOTTOM = 17
_CHUNK = 16
# The compiler takes numbers from the names of a module, not from those of another.
_BALL_X, _BALL_Y, _PADDLE_X, _PADDLE_WIDTH = memory.BALL_X, memory.BALL_Y, memory.PADDLE_X, memory.PADDLE_WIDTH
_FIRST_BRICK, _BRICK_COLUMNS, _LIVES, _SCORE = memory.BRICK.start, memory.BRICK_COLUMNS, memory.LIVES, memory.SCORE


class Painter:
    """Draws factors.

    Args:
        crop: First row, last row (exclusive), first column, last column (exclusive) of what is seen of the screen.
        size: Height and width of a picture.
        grayscale: One channel instead of three.
    """

    def __init__(self, crop: tuple[int, int, int, int], size: tuple[int, int], grayscale: bool) -> None:
        self._ram = np.zeros(128, dtype=np.uint8)
        self._screen = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
        self._console = Console(self._ram, self._screen)
        palette = self._console.palette()
        self._view = Pictures(_CHUNK, greys(palette) if grayscale else palette, crop, size)
        self._screens = np.zeros((_CHUNK, HEIGHT, WIDTH), dtype=np.uint8)
        self._touched = True

    def draw(self, scenes: NDArray[np.float64], through_emulator: bool) -> NDArray[np.uint8]:
        """Pictures, uint8 [N, H, W, C], of factors, float64 [N, 116], that ``ram.check_factors`` accepts."""
        out = np.empty((len(scenes), *self._view.pictures.shape[1:]), dtype=np.uint8)
        fill = self._emulate(scenes) if through_emulator else self._compose(scenes)
        for first in range(0, len(scenes), _CHUNK):
            part = slice(first, min(first + _CHUNK, len(scenes)))
            fill(part)
            count = part.stop - first
            self._view.update(np.arange(count), self._screens, None)
            out[part] = self._view.pictures[:count]
        return out

    def _compose(self, scenes: NDArray[np.float64]) -> Callable[[slice], None]:
        whole = scenes.astype(np.int64)
        return lambda part: compose(whole[part], self._screens, *self._parts)

    def _emulate(self, scenes: NDArray[np.float64]) -> Callable[[slice], None]:
        settled = self._console.settled
        memories = memory.encode(scenes, settled.ram)
        # A ball that touches something is noted by the console's hardware, and acted upon in the next frame. That is
        # the only thing that its memory does not hold of a frame: all else is written anew for each.
        free = _touches_nothing(scenes).tolist()

        def fill(part: slice) -> None:
            for screen, wanted, unharmed in zip(self._screens, memories[part], free[part], strict=False):
                if self._touched:
                    self._console.restore(settled)
                # Until it is known how this frame ended.
                self._touched = True
                self._console.draw(wanted, screen)
                self._touched = not unharmed

        return fill

    def screens(self, scenes: NDArray[np.float64]) -> NDArray[np.uint8]:
        """The console's screens of factors, uint8 [N, 210, 160], as indices of colours."""
        fill = self._emulate(scenes)
        found = np.empty((len(scenes), HEIGHT, WIDTH), dtype=np.uint8)
        for number in range(len(scenes)):
            fill(slice(number, number + 1))
            found[number] = self._screens[0]
        return found

    @cached_property
    def _parts(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
        """What pictures are put together from.

        Returns:
            The screen without ball, paddle, bricks and digits [210, 160]; the digits' lines, for each digit [10, 17,
            160]; the colour of bricks in each row [6]; and the colour of a ball in each line [210].
        """
        scenes = np.zeros((10, len(memory.FACTOR_NAMES)))
        scenes[:, [memory.BALL_X, memory.BALL_Y]] = memory.NO_BALL
        scenes[:, memory.PADDLE_X], scenes[:, memory.PADDLE_WIDTH] = _BACKGROUND_PADDLE, 16
        digits = np.arange(10)
        scenes[:, memory.LIVES] = np.clip(digits, *memory.RANGES["lives"])
        scenes[:, memory.SCORE] = 111 * digits
        wall = scenes[:1].copy()
        wall[:, memory.BRICK] = 1
        shown = self.screens(np.concatenate([scenes, wall]))
        background = shown[0].copy()
        background[_PADDLE_TOP:_PADDLE_BOTTOM, _BACKGROUND_PADDLE : _BACKGROUND_PADDLE + 16] = 0
        bricks = shown[-1, _BRICKS_TOP:_BRICKS_BOTTOM:_BRICK_HEIGHT, _LEFT_WALL].copy()
        ball = np.full(HEIGHT, _GREY, dtype=np.uint8)
        ball[_BRICKS_TOP:_BRICKS_BOTTOM] = np.repeat(bricks, _BRICK_HEIGHT)
        ball[_BRICKS_BOTTOM:] = _RED
        return background, shown[:10, :_SCORE_BOTTOM].copy(), bricks, ball


def _touches_nothing(scenes: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether the ball is out of play, or well between bricks, walls and paddle, bool [N]."""
    x, y = scenes[:, memory.BALL_X], scenes[:, memory.BALL_Y]
    between = (x >= _LEFT_WALL) & (x <= _RIGHT_WALL - 2) & (y >= _BRICKS_BOTTOM + 1) & (y <= _PADDLE_TOP - 4)
    return (y == memory.NO_BALL) | between


@njit(cache=True)
def compose(scenes: Any, screens: Any, background: Any, digits: Any, bricks: Any, ball: Any) -> None:
    """The screens that the console draws of factors, int64 [N, 116], without it, in the first of ``screens``."""
    for number in range(len(scenes)):
        _compose(scenes[number], screens[number], background, digits, bricks, ball)


@njit(cache=True)
def _compose(scene: Any, screen: Any, background: Any, digits: Any, bricks: Any, ball: Any) -> None:
    """A screen, as the console draws it."""
    # Lines one after the other: assigning whole arrays is slower by far.
    to, of = screen.reshape(-1), background.reshape(-1)
    for pixel in range(len(to)):
        to[pixel] = of[pixel]
    score = scene[_SCORE]
    for place, digit in enumerate((score // 100, score // 10 % 10, score % 10, scene[_LIVES])):
        first, last = _DIGITS[place]
        screen[:_SCORE_BOTTOM, first:last] = digits[digit, :, first:last]
    for row in range(len(bricks)):
        top = _BRICKS_TOP + _BRICK_HEIGHT * row
        for column in range(_BRICK_COLUMNS):
            colour = bricks[row] if scene[_FIRST_BRICK + _BRICK_COLUMNS * row + column] else 0
            left = _LEFT_WALL + _BRICK_WIDTH * column
            for y in range(top, top + _BRICK_HEIGHT):
                for x in range(left, left + _BRICK_WIDTH):
                    screen[y, x] = colour
    paddle = scene[_PADDLE_X]
    screen[_PADDLE_TOP:_PADDLE_BOTTOM, paddle : min(paddle + scene[_PADDLE_WIDTH], WIDTH)] = _RED
    x, y = scene[_BALL_X], scene[_BALL_Y]
    if y < 0:
        return
    # The ball is drawn by three loops of the console's program: above the end of the bricks it begins a line earlier,
    # where it crosses that end it is a line longer, and below the paddle the last loop does not always get to it.
    top, bottom = max(y - (y <= _BRICKS_BOTTOM), 32), min(y + 4 - (y < _BRICKS_BOTTOM - 3), 195)
    for line in range(top, bottom):
        for column in range(max(x, _LEFT_WALL), min(x + 2, _RIGHT_WALL)):
            screen[line, column] = ball[line]
    if 192 <= y <= 195:
        for column in range(max(x, _LEFT_WALL), min(x + 2, 56 if y % 2 else 46)):
            screen[195, column] = _RED
