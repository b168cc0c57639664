"""Breakout's memory: what lies where, checked against the pictures of real play, and the way back."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from equiworld.envs import UsageError
from equiworld.envs.breakout import FACTOR_NAMES, decode, encode, ram
from equiworld.envs.breakout.emulator import FIRE, LEFT, NOOP, RIGHT, Console

GREY, ROW_COLOURS, RED = 6, (70, 54, 38, 22, 198, 134), 70
"""Indices of colours: walls, rows of bricks from the top, and ball and paddle."""
POINTS = (7, 7, 4, 4, 1, 1)


def scenes(n: int, seed: int) -> NDArray[np.float64]:
    """Factors that can be set, drawn at random."""
    rng = np.random.default_rng(seed)
    rows = np.zeros((n, len(FACTOR_NAMES)))
    for name, (low, high) in ram.RANGES.items():
        rows[:, FACTOR_NAMES.index(name)] = rng.integers(low, high + 1, n)
    rows[:, [ram.BALL_VX, ram.BALL_VY]] = rng.integers(-2048, 2049, (n, 2)) / 256
    rows[:, ram.PADDLE_WIDTH] = rng.choice(ram.PADDLE_WIDTHS, n)
    rows[:, ram.BRICK] = rng.random((n, ram.BRICKS)) < rng.random((n, 1))
    below = rows[:, ram.BALL_Y] >= ram.BELOW
    rows[below, ram.BALL_X] = rng.integers(-40, 191, below.sum())
    rows[rng.random(n) < 0.1, :4] = ram.NO_BALL, ram.NO_BALL, 0, 0
    return rows


@pytest.fixture(scope="module")
def play() -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.int64]]:
    """Memories, screens and points of a few thousand frames, with lives lost, bricks broken and the ceiling reached."""
    memory, screen = np.zeros(128, np.uint8), np.zeros((210, 160), np.uint8)
    console = Console(memory, screen)
    rng = np.random.default_rng(0)
    # A gap in the wall lets the ball through to the ceiling.
    beginning = scenes(1, seed=0)[0]
    beginning[:6] = ram.NO_BALL, ram.NO_BALL, 0, 0, 99, 16
    beginning[ram.BRICK], beginning[ram.LIVES], beginning[ram.SCORE] = 1, 5, 0
    beginning[ram.BRICK].reshape(6, 18)[:, 6:9] = 0
    console.place(beginning)
    memories, screens, points = [], [], []
    for number in range(6000):
        x, y, _, _, paddle, width = decode(memory[None])[0, :6]
        off = x + 1 - (paddle + width / 2)
        action = FIRE if y < 0 else RIGHT if off > 3 else LEFT if off < -3 else NOOP
        if number > 4000:
            action = int(rng.choice([NOOP, FIRE, RIGHT, LEFT]))
        points.append(console.run([action]))
        memories.append(memory.copy())
        screens.append(screen.copy())
        if console.over:
            break
    return np.array(memories), np.array(screens), np.array(points)


def test_a_new_game() -> None:
    memory, screen = np.zeros(128, np.uint8), np.zeros((210, 160), np.uint8)
    Console(memory, screen)
    factors = decode(memory[None])[0]
    assert factors[:6].tolist() == [-1, -1, 0, 0, 99, 16]
    assert factors[ram.BRICK].tolist() == [1] * 108
    assert factors[[ram.LIVES, ram.SCORE]].tolist() == [5, 0]
    assert (screen[189:193, 99:115] == RED).all() and (screen[189:193, 90:99] == 0).all()
    assert FACTOR_NAMES[:8] == ("ball_x", "ball_y", "ball_vx", "ball_vy", "paddle_x", "paddle_width", "brick_0_0",
                                "brick_0_1")  # fmt: skip
    assert FACTOR_NAMES[-3:] == ("brick_5_17", "lives", "score") and len(FACTOR_NAMES) == 116


def test_factors_are_what_the_pictures_of_real_play_show(
    play: tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.int64]],
) -> None:
    memories, screens, points = play
    factors = decode(memories)
    widths, seen_balls = set(), 0
    for row, screen in zip(factors, screens, strict=True):
        x, y, _, _, paddle, width = (int(value) for value in row[:6])
        line = screen[191, 8:152] == RED
        expected = np.zeros(160, dtype=bool)
        expected[paddle : paddle + width] = True
        if not 186 <= y < 196:
            assert np.array_equal(line, expected[8:152])
            widths.add(width)
        free = screen[97:189, 8:152] != 0
        ball = np.zeros((210, 160), dtype=bool)
        if y > 93:
            ball[y : y + 4, x : x + 2] = True
        if y < 0 or y > 96:
            assert np.array_equal(free, ball[97:189, 8:152])
            seen_balls += bool(free.any())
        if y < 0 or y > 93:  # no ball among the bricks
            wall = screen[57:93, 8:152].reshape(6, 6, 18, 8)
            standing = row[ram.BRICK].reshape(6, 18)
            for line_number, colour in enumerate(ROW_COLOURS):
                shown = wall[line_number].transpose(1, 0, 2).reshape(18, -1)
                assert (shown == colour * standing[line_number, :, None]).all()
    assert widths == {12, 16} and seen_balls > 1000
    assert np.array_equal(np.diff(factors[:, ram.SCORE]), points[1:])
    fallen = -np.diff(factors[:, ram.BRICK], axis=0).reshape(-1, 6, 18).sum(axis=2)
    assert np.array_equal(fallen @ np.array(POINTS), points[1:]) and fallen.sum() > 50
    assert set(np.diff(factors[:, ram.LIVES])) == {0, -1}


def test_velocities_say_how_the_ball_goes_on(
    play: tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.int64]],
) -> None:
    memories, _, _ = play
    factors = decode(memories)
    place = factors[:, :2] + memories[:, [100, 102]] / 256  # fractions of a pixel
    moved = np.diff(place, axis=0)
    flying = (factors[:-1, 1] > 0) & (factors[1:, 1] > 0) & (np.abs(moved) < 6).all(axis=1)
    steady = flying & (factors[:-1, 2:4] == factors[1:, 2:4]).all(axis=1)
    assert steady.sum() > 3000
    assert (moved[steady, 0] == factors[:-1][steady, ram.BALL_VX]).mean() > 0.999
    assert (moved[steady, 1] == factors[:-1][steady, ram.BALL_VY]).mean() > 0.99
    assert {1.0, -1.0} <= set(factors[:-1][flying, ram.BALL_VX])


def test_bricks_lie_in_bits_of_their_own() -> None:
    assert len({(int(a), int(m)) for a, m in zip(ram.BRICK_ADDRESS, ram.BRICK_MASK, strict=True)}) == 108
    known = {(0, 0): (35, 0xC0), (5, 0): (30, 0xC0), (0, 1): (29, 0xC0), (0, 4): (29, 0x03), (5, 5): (18, 0x03),
             (5, 8): (18, 0xC0), (0, 9): (17, 0x30), (0, 10): (17, 0xC0), (0, 11): (11, 0xC0), (5, 14): (6, 0x03),
             (0, 15): (5, 0x03), (5, 17): (0, 0x30)}  # fmt: skip
    for (row, column), bits in known.items():
        assert (ram.BRICK_ADDRESS[18 * row + column], ram.BRICK_MASK[18 * row + column]) == bits


def test_what_is_encoded_is_decoded() -> None:
    wanted = scenes(500, seed=1)
    rest = np.random.default_rng(2).integers(0, 256, 128, dtype=np.uint8)
    memory = ram.encode_velocity(wanted, encode(wanted, rest))
    assert np.array_equal(decode(memory), wanted)
    # Velocities alone are added by encode_velocity; nothing else of the memory is touched.
    still = wanted.copy()
    still[:, 2:4] = 0
    assert np.array_equal(decode(encode(wanted, rest)), still)
    own = {*range(36), 55, 57, 70, 72, 76, 77, 80, 82, 84, 86, 97, *range(99, 107), 108}
    others = [address for address in range(128) if address not in own]
    assert (memory[:, others] == rest[others]).all()
    assert ((memory[:, 12:18] ^ rest[12:18]) & 0x0F == 0).all()  # bits of no brick


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"ball_x": 153},
            r"^ball_x cannot be set to 153; accepted: whole numbers 6 to 152, -40 to 190 for a ball_y from 197 on "
            r"\(both -1: no ball in play\)$",
        ),
        ({"ball_x": -1}, r"^ball_x cannot be set to -1; accepted: whole numbers 6 to 152"),
        ({"ball_x": 191, "ball_y": 197}, r"^ball_x cannot be set to 191"),
        ({"ball_y": 217}, r"^ball_y cannot be set to 217"),
        ({"ball_y": 100.5}, r"^ball_y cannot be set to 100.5"),
        ({"ball_y": -1}, r"^ball_x cannot be set to 80"),
        ({"ball_vx": 0.001}, r"^ball_vx cannot be set to 0.001; accepted: -8 to 8 pixels a frame in steps of 1/256"),
        ({"ball_x": -1, "ball_y": -1, "ball_vy": 1}, r"^ball_vy cannot be set to 1"),
        ({"paddle_x": 7}, r"^paddle_x cannot be set to 7; accepted: whole numbers 8 to 144$"),
        ({"paddle_width": 14}, r"^paddle_width cannot be set to 14; accepted: 12 or 16$"),
        ({"brick_3_4": 2}, r"^a brick cannot be set to 2; accepted: 0 or 1$"),
        ({"lives": 0}, r"^lives cannot be set to 0; accepted: whole numbers 1 to 5$"),
        ({"score": 1000}, r"^score cannot be set to 1000; accepted: whole numbers 0 to 999$"),
        ({"paddle_x": float("nan")}, r"^paddle_x cannot be set to nan"),
    ],
)
def test_what_cannot_be_set_is_refused(changes: dict[str, float], message: str) -> None:
    row = np.zeros(116)
    row[[ram.BALL_X, ram.BALL_Y, ram.PADDLE_X, ram.PADDLE_WIDTH, ram.LIVES]] = 80, 100, 70, 16, 3
    assert ram.check_factors(row).shape == (1, 116)
    for name, value in changes.items():
        row[FACTOR_NAMES.index(name)] = value
    with pytest.raises(UsageError, match=message):
        ram.check_factors(row)


@pytest.mark.parametrize("factors", [np.zeros(115), np.zeros((2, 2, 116)), "ball", [["a"] * 116], None])
def test_what_are_no_factors_is_refused(factors: object) -> None:
    with pytest.raises(UsageError, match=r"factors need (the shape|numbers) \[N, 116\]"):
        ram.check_factors(factors)
