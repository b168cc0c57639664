"""Breakout's factors in the console's 128 bytes of memory: exact, both ways, for many copies at once.

What lies where was compared with the pictures of tens of thousands of frames; see ``docs/worlds/breakout.md``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..registry import UsageError

BRICK_ROWS, BRICK_COLUMNS = 6, 18
BRICKS = BRICK_ROWS * BRICK_COLUMNS

FACTOR_NAMES: tuple[str, ...] = (
    "ball_x",
    "ball_y",
    "ball_vx",
    "ball_vy",
    "paddle_x",
    "paddle_width",
    *(f"brick_{row}_{column}" for row in range(BRICK_ROWS) for column in range(BRICK_COLUMNS)),
    "lives",
    "score",
)
"""The columns of factors. Bricks are counted from the top row and the left column."""

BALL_X, BALL_Y, BALL_VX, BALL_VY, PADDLE_X, PADDLE_WIDTH = range(6)
BRICK = slice(6, 6 + BRICKS)
LIVES, SCORE = 6 + BRICKS, 7 + BRICKS
NO_BALL = -1.0
"""Place of a ball that is not in play, in both coordinates; it has no velocity then."""

RANGES: dict[str, tuple[int, int]] = {
    "ball_x": (6, 152),
    "ball_y": (32, 216),
    "paddle_x": (8, 144),
    "lives": (1, 5),
    "score": (0, 999),
}
"""What can be set. A ball below 216 is lost within the frame, and a game without lives is over: these are only read."""

BELOW, BELOW_X = 197, (-40, 190)
"""A ball that has passed the paddle, at y from here on, leaves the walls behind and is not to be seen."""

PADDLE_WIDTHS = (12, 16)

EXTENTS: dict[str, tuple[float, float]] = {
    "ball_x": BELOW_X,
    "ball_y": (NO_BALL, 224),
    "ball_vx": (-8, 8),
    "ball_vy": (-8, 8),
    "paddle_x": (8, 144),
    "paddle_width": PADDLE_WIDTHS,
    "score": (0, 864),
}
"""Between what numbers the factors lie that are no counts, in pixels and pixels a frame."""

# Addresses.
_BALL_X, _BALL_X_PART, _BALL_Y, _BALL_Y_PART = 99, 100, 101, 102
_BALL_VY, _BALL_VX = (103, 104), (105, 106)  # high byte, low byte
_PADDLE, _PADDLE_READING = 72, 70
_SMALL, _SMALL_SHAPE, _SMALL_HALF = 97, 55, 108
LIVES_ADDRESS = 57
_HUNDREDS, _TENS_ONES = 76, 77
_DIGITS = (80, 82, 84, 86)  # where the drawn digits begin in the table of shapes: hundreds, tens, ones, lives
_LEFT, _ABOVE, PADDLE_LEFT = 49, 9, 47
_NO_SPEED = [_BALL_X_PART, _BALL_Y_PART, *_BALL_VY, *_BALL_VX]


def _brick_bits() -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """For every brick, row by row: its byte, and the two bits of it that are set while it stands."""
    # Playfield registers hold their pixels in alternating orders. By column: sixth of the memory, first of two bits.
    places = [(5, 6)]
    places += [(4, shift) for shift in (6, 4, 2, 0)]
    places += [(3, shift) for shift in (0, 2, 4, 6)]
    places += [(2, shift) for shift in (4, 6)]
    places += [(1, shift) for shift in (6, 4, 2, 0)]
    places += [(0, shift) for shift in (0, 2, 4)]
    sixth, shift = np.array(places).T
    row = np.arange(BRICK_ROWS)[:, None]
    address = (BRICK_ROWS - 1 - row) + 6 * sixth
    return address.reshape(-1), np.broadcast_to(3 << shift, address.shape).reshape(-1).astype(np.uint8)


BRICK_ADDRESS, BRICK_MASK = _brick_bits()
"""Of each brick, row by row, [108]."""
_BRICK_BYTES = 36
_OTHER_BITS = np.full(_BRICK_BYTES, 255, dtype=np.uint8)
np.bitwise_and.at(_OTHER_BITS, BRICK_ADDRESS, ~BRICK_MASK)
# What each brick adds to each byte: bricks of one byte differ in their bits, so that a sum sets them.
_BITS_OF_BRICKS = np.zeros((BRICKS, _BRICK_BYTES))
_BITS_OF_BRICKS[np.arange(BRICKS), BRICK_ADDRESS] = BRICK_MASK


def _meanings() -> tuple[NDArray[Any], ...]:
    """Every factor as a sum of what two bytes say of it: their addresses [116], and what each value says [116, 256]."""
    value = np.arange(256.0)
    signed = np.where(value < 128, value, value - 256)
    names = len(FACTOR_NAMES)
    address = np.zeros((2, names), dtype=np.int64)
    says = np.zeros((2, names, 256))

    def enter(factor: int, high: int, meaning: NDArray[Any], low: int = 0, rest: Any = 0.0) -> None:
        address[:, factor] = high, low
        says[0, factor], says[1, factor] = meaning, rest

    enter(BALL_X, _BALL_X, value - _LEFT)
    enter(BALL_Y, _BALL_Y, value + _ABOVE)
    enter(BALL_VX, _BALL_VX[0], 0.0 - signed, _BALL_VX[1], 0.0 - value / 256)
    enter(BALL_VY, _BALL_VY[0], signed, _BALL_VY[1], value / 256)
    enter(PADDLE_X, _PADDLE, value - PADDLE_LEFT)
    enter(PADDLE_WIDTH, _SMALL, np.where(value < 128, *reversed(PADDLE_WIDTHS)))
    for brick, (place, mask) in enumerate(zip(BRICK_ADDRESS, BRICK_MASK, strict=True)):
        enter(BRICK.start + brick, place, (np.arange(256) & mask) != 0)
    enter(LIVES, LIVES_ADDRESS, value)
    enter(SCORE, _HUNDREDS, 100 * (value % 16), _TENS_ONES, 10 * (value // 16) + value % 16)
    return *address, *says


_HIGH_ADDRESS, _LOW_ADDRESS, _HIGH, _LOW = _meanings()
_AT = 256 * np.arange(len(FACTOR_NAMES))


def decode(ram: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Factors in memory.

    Args:
        ram: uint8 [N, 128].

    Returns:
        float64 [N, 116], columns as in ``FACTOR_NAMES``: the ball's upper left pixel and its velocity in pixels a frame
        (y grows downwards; ``NO_BALL``, ``NO_BALL``, 0, 0 when none is in play), the paddle's left pixel and its
        width, 1 for every brick that stands, lives, and score.
    """
    factors: NDArray[np.float64] = _HIGH.take(_AT + ram[:, _HIGH_ADDRESS])
    factors += _LOW.take(_AT + ram[:, _LOW_ADDRESS])
    factors[ram[:, _BALL_Y] == 0, :4] = NO_BALL, NO_BALL, 0.0, 0.0
    return factors


def encode(factors: NDArray[np.float64], ram: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Memory that holds given factors.

    Velocities are left out (see ``encode_velocity``): the console moves the ball before it draws it, so a ball is
    placed at rest, drawn, and then given its velocity.

    Args:
        factors: float64 [N, 116], as ``check_factors`` accepts them.
        ram: The rest of the memory, uint8 [N, 128] or [128].

    Returns:
        uint8 [N, 128].
    """
    memory = np.array(np.broadcast_to(ram, (len(factors), 128)))
    whole = factors.astype(np.int64)
    in_play = whole[:, BALL_Y] >= 0
    memory[:, _BALL_X] = np.where(in_play, whole[:, BALL_X] + _LEFT, 0)
    memory[:, _BALL_Y] = np.where(in_play, whole[:, BALL_Y] - _ABOVE, 0)
    memory[:, _NO_SPEED] = 0
    paddle = whole[:, PADDLE_X] + PADDLE_LEFT
    memory[:, _PADDLE] = paddle
    # What was read from the paddle's dial in the frame before, and is about to be smoothed: an even number of lines.
    memory[:, _PADDLE_READING] = 235 - (paddle | 1)
    small = whole[:, PADDLE_WIDTH] == min(PADDLE_WIDTHS)
    memory[:, _SMALL] = (memory[:, _SMALL] & 127) | (small << 7)
    memory[:, _SMALL_SHAPE] = np.where(small, 0b11100000, 0b11110000)
    memory[:, _SMALL_HALF] = np.where(small, 6, 8)
    memory[:, :_BRICK_BYTES] &= _OTHER_BITS
    memory[:, :_BRICK_BYTES] |= (factors[:, BRICK] @ _BITS_OF_BRICKS).astype(np.uint8)
    lives, score = whole[:, LIVES], whole[:, SCORE]
    hundreds, tens, ones = score // 100, score // 10 % 10, score % 10
    memory[:, LIVES_ADDRESS] = lives
    memory[:, _HUNDREDS] = hundreds
    memory[:, _TENS_ONES] = 16 * tens + ones
    for address, digit in zip(_DIGITS, (hundreds, tens, ones, lives), strict=True):
        memory[:, address] = 5 * digit
    return memory


def encode_velocity(factors: NDArray[np.float64], ram: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """``ram``, uint8 [N, 128], with the ball's velocity in it, as a new array."""
    memory = ram.copy()
    for column, sign, (high, low) in ((BALL_VX, -256, _BALL_VX), (BALL_VY, 256, _BALL_VY)):
        word = (sign * factors[:, column]).astype(np.int64) & 0xFFFF
        memory[:, high], memory[:, low] = word >> 8, word & 255
    return memory


def check_factors(factors: ArrayLike) -> NDArray[np.float64]:
    """Factors as float64 [N, 116], refused where they describe no state that can be set.

    Args:
        factors: Numbers [N, 116] or [116].

    Raises:
        UsageError: The shape is wrong, or a value cannot be set.
    """
    try:
        rows = np.atleast_2d(np.asarray(factors, dtype=np.float64))
    except (TypeError, ValueError) as error:
        raise UsageError(f"factors need numbers [N, {len(FACTOR_NAMES)}]: {error}") from error
    if rows.ndim != 2 or rows.shape[1] != len(FACTOR_NAMES):
        raise UsageError(f"Breakout's factors need the shape [N, {len(FACTOR_NAMES)}], got {list(np.shape(factors))}")
    without = rows[:, BALL_Y] == NO_BALL
    for name, (low, high) in RANGES.items():
        values = rows[:, FACTOR_NAMES.index(name)]
        fine = (values >= low) & (values <= high) & (values == np.floor(values))
        also = ""
        if name == "ball_x":
            passed = rows[:, BALL_Y] >= BELOW
            fine |= passed & (values >= BELOW_X[0]) & (values <= BELOW_X[1]) & (values == np.floor(values))
            also = f", {BELOW_X[0]} to {BELOW_X[1]} for a ball_y from {BELOW} on"
        if name in ("ball_x", "ball_y"):
            fine = np.where(without, values == NO_BALL, fine)
            also += f" (both {NO_BALL:.0f}: no ball in play)"
        _refuse(name, values, fine, f"whole numbers {low} to {high}{also}")
    for column in (BALL_VX, BALL_VY):
        values = rows[:, column]
        fine = np.where(without, values == 0, (np.abs(values) <= 8) & (values * 256 == np.floor(values * 256)))
        _refuse(FACTOR_NAMES[column], values, fine, "-8 to 8 pixels a frame in steps of 1/256, and 0 without a ball")
    widths = rows[:, PADDLE_WIDTH]
    _refuse("paddle_width", widths, np.isin(widths, PADDLE_WIDTHS), " or ".join(map(str, PADDLE_WIDTHS)))
    bricks = rows[:, BRICK]
    _refuse("a brick", bricks, np.isin(bricks, (0, 1)), "0 or 1")
    return rows


def _refuse(name: str, values: NDArray[np.float64], fine: NDArray[np.bool_], accepted: str) -> None:
    if not fine.all():
        raise UsageError(f"{name} cannot be set to {values[~fine].flat[0]:g}; accepted: {accepted}")
