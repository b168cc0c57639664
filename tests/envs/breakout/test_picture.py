"""Pictures of screens: exact area averaging, redrawn where screens change, and a ball that stays visible."""

from __future__ import annotations

import numpy as np
import pytest
from ale_py import AtariVectorEnv
from numpy.typing import NDArray

from equiworld.envs.breakout import FACTOR_NAMES, ram
from equiworld.envs.breakout.emulator import FIRE, LEFT, NOOP, RIGHT, Console
from equiworld.envs.breakout.picture import Pictures, greys
from equiworld.envs.breakout.world import PLAYFIELD, SCREEN, Breakout

COLOURS = np.random.default_rng(0).integers(0, 256, (256, 3), dtype=np.uint8)


def averaged(picture: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Area averaging by the book: every line is cut into as many parts as there are new ones, and blocks are added."""
    height, width, _ = picture.shape
    down, across = (
        np.repeat(np.eye(old, dtype=np.int64), new, axis=0).reshape(new, old, old).sum(axis=1)
        for old, new in zip((height, width), size, strict=True)
    )
    sums = np.einsum("iy,yxc,jx->ijc", down, picture.astype(np.int64), across, optimize=True)
    return ((2 * sums + height * width) // (2 * height * width)).astype(np.uint8)


def screens(n: int, seed: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 128, (n, 210, 160), dtype=np.uint8) * 2


@pytest.mark.parametrize("size", [(64, 64), (84, 84), (41, 10), (1, 1), (164, 144)])
@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_are_exact_means(size: tuple[int, int], channels: int) -> None:
    colours, shown = COLOURS[:, :channels], screens(2, seed=1)
    view = Pictures(2, colours, PLAYFIELD, size)
    view.update(np.arange(2), shown, None)
    for screen, picture in zip(shown, view.pictures, strict=True):
        assert np.array_equal(picture, averaged(colours[screen[32:196, 8:152]], size))


def test_the_whole_screen_as_it_is() -> None:
    view = Pictures(1, COLOURS, SCREEN, (210, 160))
    shown = screens(1, seed=2)
    view.update(np.arange(1), shown, None)
    assert np.array_equal(view.pictures, COLOURS[shown])


@pytest.mark.parametrize("crop", [PLAYFIELD, SCREEN, (3, 201, 13, 147)])
@pytest.mark.parametrize("pooled", [False, True])
def test_redrawing_changes_comes_to_drawing_anew(crop: tuple[int, int, int, int], pooled: bool) -> None:
    rng = np.random.default_rng(3)
    shown = screens(3, seed=4)
    before = screens(3, seed=5) if pooled else None
    view = Pictures(3, COLOURS, crop, (60, 50))
    view.update(np.arange(3), shown, before)
    for _ in range(8):
        rows = np.flatnonzero(rng.random(3) < 0.7)
        kept = view.pictures.copy()
        for row in rows:
            top, left = rng.integers(0, 206), rng.integers(0, 158)
            which = shown if before is None or rng.random() < 0.5 else before
            which[row, top : top + 4, left : left + 2] = 2 * rng.integers(0, 128)
        view.update(rows, shown, before)
        anew = Pictures(3, COLOURS, crop, (60, 50))
        anew.update(np.arange(3), shown, before)
        assert np.array_equal(view.pictures[rows], anew.pictures[rows])
        others = np.setdiff1d(np.arange(3), rows)
        assert np.array_equal(view.pictures[others], kept[others])
        top, bottom, left, right = crop
        parts = COLOURS[shown[:, top:bottom, left:right]]
        if before is not None:
            parts = np.maximum(parts, COLOURS[before[:, top:bottom, left:right]])
        for row in rows[:1]:
            assert np.array_equal(view.pictures[row], averaged(parts[row], (60, 50)))


def test_pictures_are_those_of_the_emulators_own_vector_environment() -> None:
    """Its reduction works in floating point and rounds on its own: at most one level apart."""
    theirs = AtariVectorEnv(
        "breakout", 1, num_threads=1, stack_num=1, maxpool=False, noop_max=0, use_fire_reset=False, frameskip=4
    )
    console = Console(np.zeros(128, np.uint8), np.zeros((210, 160), np.uint8))
    palette = console.palette()
    view = Pictures(1, greys(palette), SCREEN, (84, 84))
    theirs.reset(seed=0)
    rng = np.random.default_rng(6)
    for _ in range(60):
        code = int(rng.integers(4))
        observation = theirs.step(np.array([code]))[0]
        console.run([(NOOP, FIRE, RIGHT, LEFT)[code]] * 4)
        view.update(np.arange(1), console._screen[None], None)
        difference = view.pictures[0, :, :, 0].astype(int) - observation[0, 0]
        assert np.abs(difference).max() <= 1 and (difference != 0).mean() < 0.01
    theirs.close()


@pytest.mark.parametrize(("size", "least", "typical"), [(64, 69, 133), (84, 117, 167)])
def test_the_ball_is_never_lost_between_the_pixels(size: int, least: int, typical: int) -> None:
    """The brightest red that is left of the ball, anywhere between bricks and paddle; its own is 200."""
    x, y = (part.ravel() for part in np.meshgrid(np.arange(8, 151), np.arange(97, 181)))
    rows = np.zeros((len(x), len(FACTOR_NAMES)))
    rows[:, :2] = np.stack([x, y], axis=1)
    rows[:, [ram.PADDLE_X, ram.PADDLE_WIDTH, ram.LIVES]] = 70, 16, 5
    world = Breakout(image_size=size, renderer="drawn")
    above_paddle = int(156 * size / 164)
    peaks = np.concatenate(
        [world.render_scene(part)[:, :above_paddle, :, 0].max((1, 2)) for part in np.array_split(rows, 8)]
    )
    assert (peaks.min(), np.median(peaks)) == (least, typical) and peaks.max() <= 200


@pytest.mark.parametrize(
    ("size", "grayscale", "least"), [(64, False, 50), (64, True, 30), (84, False, 83), (84, True, 50)]
)
def test_the_ball_is_seen_wherever_no_brick_hides_it(size: int, grayscale: bool, least: int) -> None:
    """The largest difference, over all places from the ceiling to the paddle, to the same picture without a ball."""
    x, y = (part.ravel() for part in np.meshgrid(np.arange(8, 151), np.arange(32, 193)))
    rows = np.zeros((len(x), len(FACTOR_NAMES)))
    rows[:, :2] = np.stack([x, y], axis=1)
    rows[:, ram.PADDLE_WIDTH], rows[:, ram.LIVES] = 16, 5
    rows[:, ram.PADDLE_X] = np.where(x < 80, 120, 20)  # out of the way
    without = rows[[0, -1]].copy()
    without[:, :2] = ram.NO_BALL
    world = Breakout(image_size=size, grayscale=grayscale, renderer="drawn")
    right, left = world.render_scene(without).astype(np.int16)
    seen = []
    for part in np.array_split(rows, 12):
        base = np.where((part[:, ram.BALL_X] < 80)[:, None, None, None], right, left)
        seen.append(np.abs(world.render_scene(part) - base).max((1, 2, 3)))
    assert np.concatenate(seen).min() == least
