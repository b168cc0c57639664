"""Consoles: states, colours, and games that go on from factors as the machine does."""

from __future__ import annotations

import numpy as np
import pytest
from ale_py import ALEInterface, roms
from numpy.typing import NDArray

from equiworld.envs import UsageError
from equiworld.envs.breakout import FACTOR_NAMES, decode, ram
from equiworld.envs.breakout.emulator import FIRE, FULL_ACTIONS, LEFT, MINIMAL_ACTIONS, NOOP, RIGHT, Console
from equiworld.envs.breakout.picture import greys


class Watched(Console):
    """A console with its arrays at hand."""

    def __init__(self) -> None:
        self.memory, self.shown = np.zeros(128, np.uint8), np.zeros((210, 160), np.uint8)
        self.earlier = np.zeros((210, 160), np.uint8)
        super().__init__(self.memory, self.shown, self.earlier)

    def factors(self) -> NDArray[np.float64]:
        return decode(self.memory[None])[0]


@pytest.fixture(scope="module")
def console() -> Watched:
    return Watched()


def scene(**values: float) -> NDArray[np.float64]:
    """Factors of a whole wall without a ball, and what is given."""
    row = np.zeros(116)
    row[:6] = ram.NO_BALL, ram.NO_BALL, 0, 0, 70, 16
    row[ram.BRICK], row[ram.LIVES] = 1, 5
    for name, value in values.items():
        row[FACTOR_NAMES.index(name)] = value
    return ram.check_factors(row)[0]


def test_the_game_is_the_emulators_own(console: Watched) -> None:
    ale = ALEInterface()
    ale.setFloat("repeat_action_probability", 0.0)
    ale.loadROM(roms.get_rom_path("breakout"))
    assert [str(action.name) for action in ale.getLegalActionSet()] == list(FULL_ACTIONS)
    assert [str(action.name) for action in ale.getMinimalActionSet()] == list(MINIMAL_ACTIONS)
    console.restart()
    palette = console.palette()
    assert len({tuple(colour) for colour in palette[::2]}) == 128
    rng = np.random.default_rng(0)
    for _ in range(60):
        actions = rng.choice([NOOP, FIRE, RIGHT, LEFT], 4).tolist()
        before = None
        points = 0
        for action in actions:
            before = ale.getScreen().copy()
            points += ale.act(action)
        assert console.run(actions) == points
        assert np.array_equal(console.memory, ale.getRAM())
        assert np.array_equal(console.shown, ale.getScreen()) and np.array_equal(console.earlier, before)
        assert np.array_equal(palette[console.shown], ale.getScreenRGB())
        assert np.array_equal(greys(palette)[console.shown][..., 0], ale.getScreenGrayscale())
        assert console.factors()[ram.LIVES] == ale.lives()


def test_a_game_ends_with_its_last_life(console: Watched) -> None:
    console.place(scene(lives=1, ball_x=20, ball_y=200, ball_vy=2, paddle_x=140))
    assert not console.over
    frames = 0
    while not console.over:
        assert console.run([NOOP]) == 0
        frames += 1
    assert 5 <= frames <= 40 and console.factors()[ram.LIVES] == 0
    assert console.run([FIRE]) == 0 and console.over
    console.restart()
    assert not console.over and console.factors()[ram.LIVES] == 5


def test_a_saved_game_goes_on_bit_by_bit(console: Watched) -> None:
    console.restart()
    rng = np.random.default_rng(1)
    console.run(rng.choice([NOOP, FIRE, RIGHT, LEFT], 200).tolist())
    saved = console.save()
    plan = rng.choice([NOOP, FIRE, RIGHT, LEFT], 300).tolist()
    other = Watched()

    def film(which: Watched) -> list[bytes]:
        return [bytes([which.run([action])]) + which.memory.tobytes() + which.shown.tobytes() for action in plan]

    expected = film(console)
    for again in (console, other):
        again.load(saved)
        assert film(again) == expected


def test_the_frame_before_is_that_of_the_game(console: Watched) -> None:
    """Also where the first frame after a restart, a load or a setting is the last one: nothing is left of before."""
    console.restart()
    first = console.shown.copy()
    console.run([FIRE] * 40)
    saved, shown = console.save(), console.shown.copy()
    console.run([RIGHT] * 10)
    console.restart()
    console.run([NOOP])
    assert np.array_equal(console.earlier, first)
    console.load(saved)
    console.shown[:] = shown
    console.run([NOOP])
    assert np.array_equal(console.earlier, shown) and not np.array_equal(console.shown, shown)
    console.place(scene(ball_x=80, ball_y=130, ball_vx=1, ball_vy=1))
    placed = console.shown.copy()
    assert np.array_equal(console.earlier, placed)
    console.run([NOOP])
    assert np.array_equal(console.earlier, placed) and not np.array_equal(console.shown, placed)


def test_a_damaged_state_is_refused_and_the_game_goes_on(console: Watched) -> None:
    console.restart()
    console.run([FIRE] * 30)
    kept, saved = console.memory.copy(), console.save()
    for damaged in (b"", b"nonsense", saved[: len(saved) // 2]):
        with pytest.raises(UsageError, match="the state of the emulator cannot be restored"):
            console.load(damaged)
        assert np.array_equal(console.memory, kept)
    console.run([NOOP])
    twin = Watched()
    twin.load(saved)
    twin.run([NOOP])
    assert np.array_equal(console.memory, twin.memory) and np.array_equal(console.shown, twin.shown)


def test_the_paddle_stays_wherever_it_is_set(console: Watched) -> None:
    assert sorted(console.dial) == list(range(55, 192, 2))
    for left in range(8, 145):
        wanted = scene(paddle_x=left, paddle_width=(12, 16)[left % 2])
        console.place(wanted)
        console.run([NOOP] * 12)
        assert np.array_equal(console.factors(), wanted)


def test_a_ball_flies_as_its_velocity_says(console: Watched) -> None:
    for vx, vy in ((1.0, -1.0), (-1.5, 1.0), (2.0, -2.0), (0.5, 3.375), (0.25, 0.0078125)):
        console.place(scene(ball_x=80, ball_y=130, ball_vx=vx, ball_vy=vy))
        for frame in range(1, 9):
            console.run([NOOP])
            # Fractions are cut off; along x the machine counts from the other side.
            x, y = 80 + np.floor(vx * frame), 130 + np.floor(vy * frame)
            assert console.factors()[:4].tolist() == [x, y, vx, vy]


def test_a_ball_at_rest_stays(console: Watched) -> None:
    wanted = scene(ball_x=50, ball_y=120, score=123, lives=2)
    console.place(wanted)
    console.run([NOOP] * 20)
    assert np.array_equal(console.factors(), wanted)


@pytest.mark.parametrize(("row", "points"), list(enumerate((7, 7, 4, 4, 1, 1))))
def test_bricks_are_broken_and_counted(console: Watched, row: int, points: int) -> None:
    """A ball flies upwards under a brick of each row, with nothing below it."""
    wanted = scene(ball_x=8 + 8 * 7 + 3, ball_y=100, ball_vx=0, ball_vy=-1, score=40)
    standing = wanted[ram.BRICK].reshape(6, 18)
    standing[row + 1 :] = 0
    console.place(wanted)
    gained = 0
    for _ in range(60):
        gained += console.run([NOOP])
        if gained:
            break
    standing[row, 7] = 0
    after = console.factors()
    assert gained == points and after[ram.SCORE] == 40 + points
    assert np.array_equal(after[ram.BRICK], wanted[ram.BRICK])
    assert after[ram.BALL_VY] > 0


def test_the_ceiling_makes_the_paddle_small(console: Watched) -> None:
    wanted = scene(ball_x=80, ball_y=40, ball_vx=0, ball_vy=-1)
    wanted[ram.BRICK] = 0
    console.place(wanted)
    assert console.factors()[ram.PADDLE_WIDTH] == 16
    console.run([NOOP] * 30)
    assert console.factors()[ram.PADDLE_WIDTH] == 12 and console.factors()[ram.BALL_VY] > 0
