"""The intervention world: any joint setting is drawn by the console, pixel by pixel as it should be."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest
from numpy.typing import NDArray

from equiworld.envs import UsageError, action_group, make_world, true_groups
from equiworld.envs.breakout import FACTOR_NAMES, decode, ram
from equiworld.envs.breakout.scenes import Painter, compose
from equiworld.envs.breakout.world import SCREEN, Breakout

SETTINGS = 1500
ROW_COLOURS = (70, 54, 38, 22, 198, 134)


def settings(n: int, seed: int, free: bool) -> NDArray[np.float64]:
    """Joint settings drawn at random: with ``free`` the ball touches nothing, otherwise it can be anywhere."""
    rng = np.random.default_rng(seed)
    rows = np.zeros((n, len(FACTOR_NAMES)))
    for name, (low, high) in ram.RANGES.items():
        rows[:, FACTOR_NAMES.index(name)] = rng.integers(low, high + 1, n)
    if free:
        rows[:, :2] = np.stack([rng.integers(8, 151, n), rng.integers(94, 186, n)], axis=1)
    below = rows[:, ram.BALL_Y] >= ram.BELOW
    rows[below, ram.BALL_X] = rng.integers(-40, 191, below.sum())
    rows[:, ram.PADDLE_WIDTH] = rng.choice(ram.PADDLE_WIDTHS, n)
    rows[:, ram.BRICK] = rng.random((n, ram.BRICKS)) < rng.random((n, 1))
    rows[rng.random(n) < 0.05, :2] = ram.NO_BALL
    return rows


@pytest.fixture(scope="module")
def painter() -> Painter:
    return Painter(SCREEN, (210, 160), grayscale=False)


def test_joint_settings_are_drawn_exactly(painter: Painter) -> None:
    """Every pixel within the walls, from the documented places alone; and the memory afterwards says the same."""
    rows = settings(SETTINGS, seed=0, free=True)
    for row in rows:
        screen = painter.screens(row[None])[0]
        x, y, _, _, paddle, width = (int(value) for value in row[:6])
        expected = np.zeros((210, 160), dtype=np.uint8)
        bricks = row[ram.BRICK].reshape(6, 18)
        for number, colour in enumerate(ROW_COLOURS):
            expected[57 + 6 * number : 63 + 6 * number, 8:152] = np.repeat(bricks[number], 8) * colour
        expected[189:193, paddle : paddle + width] = 70
        if y >= 0:
            expected[y : y + 4, x : x + 2] = 70
        assert np.array_equal(screen[32:196, 8:152], expected[32:196, 8:152])
        walls = screen[17:189, np.r_[0:8, 152:160]]
        assert (walls == 6).all() and (screen[17:32] == 6).all()
        assert np.array_equal(decode(painter._ram[None])[0], row)


def test_pictures_without_the_console_are_the_same_pixels(painter: Painter) -> None:
    """Anywhere: the ball among bricks, at walls and ceiling, below the paddle; digits included."""
    rows = settings(SETTINGS, seed=1, free=False)
    edges = settings(300, seed=2, free=False)
    rng = np.random.default_rng(3)
    edges[:, ram.BALL_Y] = rng.choice([32, 33, 89, 90, 93, 94, *range(185, 200), 216], 300)
    # Below the paddle the console does not get to draw all of it everywhere.
    edges[:, ram.BALL_X] = rng.choice([6, 7, 8, 44, 45, 46, 54, 55, 56, 150, 151, 152], 300)
    wanted = np.concatenate([rows, edges])
    drawn = np.zeros((len(wanted), 210, 160), dtype=np.uint8)
    compose(wanted.astype(np.int64), drawn, *painter._parts)
    assert np.array_equal(painter.screens(wanted), drawn)
    few = wanted[::15]
    assert np.array_equal(painter.draw(few, True), painter.draw(few, False))
    # What has been drawn before leaves no trace.
    order = rng.permutation(200)
    assert np.array_equal(painter.screens(wanted[order]), drawn[order])


def test_the_grid_of_states() -> None:
    world = Breakout()
    assert world.factors.names == ("ball_x", "ball_y", "paddle_x", "bricks")
    assert world.factors.sizes.tolist() == [16, 8, 16, 18] and world.image_shape == (64, 64, 3)
    assert {factor.kind for factor in world.factors.factors} == {"cyclic"}
    scene = world.scene(np.array([[0, 0, 0, 0], [15, 7, 15, 17], [3, 2, 1, 15]]))
    assert scene[:, ram.BALL_X].tolist() == [19, 19 + 15 * 8, 19 + 3 * 8]
    assert scene[:, ram.BALL_Y].tolist() == [100, 100 + 7 * 11, 100 + 2 * 11]
    assert scene[:, ram.PADDLE_X].tolist() == [16, 16 + 15 * 8, 16 + 8]
    assert (scene[:, ram.LIVES] == 5).all() and (scene[:, ram.SCORE] == 0).all()
    gaps = [np.flatnonzero(row[ram.BRICK].reshape(6, 18)[0] == 0).tolist() for row in scene]
    assert gaps == [[0, 1, 2, 3, 4, 5], [0, 1, 2, 3, 4, 17], [0, 1, 2, 15, 16, 17]]
    assert all(len(np.unique(row[ram.BRICK].reshape(6, 18), axis=0)) == 1 for row in scene)
    emulated = world.render(world.factors.from_index(np.arange(0, world.factors.size, 331)))
    drawn = Breakout(renderer="drawn").render(world.factors.from_index(np.arange(0, world.factors.size, 331)))
    assert np.array_equal(emulated, drawn)
    assert len(np.unique(emulated.reshape(len(emulated), -1), axis=0)) == len(emulated)


def test_the_largest_grid_reaches_every_pixel() -> None:
    world = Breakout(ball_columns=143, ball_rows=91, paddle_places=137, brick_factors=6)
    first, last = world.scene(np.zeros((1, 9))), world.scene(world.factors.sizes[None] - 1)
    assert (first[0, :2].tolist(), first[0, ram.PADDLE_X]) == ([8, 94], 8)
    assert (last[0, :2].tolist(), last[0, ram.PADDLE_X]) == ([150, 184], 144)
    assert world.factors.names[3:] == tuple(f"bricks_{number}" for number in range(6))
    turned = world.scene(np.array([[0, 0, 0, 0, 3, 6, 9, 12, 15]]))[0, ram.BRICK].reshape(6, 18)
    assert [int(np.flatnonzero(np.diff(np.r_[row[-1], row]) == -1)[0]) for row in turned] == [0, 3, 6, 9, 12, 15]


def test_actions_are_a_group_and_move_what_they_say() -> None:
    world = Breakout(ball_columns=5, ball_rows=4, paddle_places=3, brick_factors=2, gap=3, renderer="drawn")
    names = [action.name for action in world.actions]
    assert names[:6] == ["ball left", "ball right", "ball up", "ball down", "paddle left", "paddle right"]
    assert names[6:] == ["bricks_0 left", "bricks_0 right", "bricks_1 left", "bricks_1 right"]
    assert {column: group.order for column, group in true_groups(world).items()} == {0: 5, 1: 4, 2: 3, 3: 18, 4: 18}
    small = Breakout(ball_columns=5, ball_rows=3, paddle_places=3, brick_factors=0)
    group = action_group(small)
    assert (group.order, group.abelian, group.action_orders) == (45, True, (5, 5, 3, 3, 3, 3))
    state = np.array([[4, 0, 1, 17, 0]])
    right = world.scene(world.act(state, np.array([names.index("ball right")])))
    assert right[0, ram.BALL_X] == world.scene(np.array([[0, 0, 1, 17, 0]]))[0, ram.BALL_X]
    for code, action in enumerate(world.actions):
        there = world.act(state, np.array([code]))
        assert np.array_equal(world.act(there, np.array([action.inverse])), state)
        changed = (world.render(state) != world.render(there)).any(axis=(0, 2, 3))
        rows = np.flatnonzero(changed)
        band = {"ball": (22, 62), "padd": (60, 64), "bric": (9, 24)}[action.name[:4]]
        assert len(rows) and band[0] <= rows.min() and rows.max() < band[1]


def test_bricks_can_be_toggled() -> None:
    world = Breakout(bricks="toggle", brick_factors=3, renderer="drawn")
    assert world.factors.names[3:] == ("brick_5_0", "brick_5_6", "brick_5_12")
    toggles = [action for action in world.actions if action.name.startswith("toggle")]
    assert [action.name for action in toggles] == ["toggle brick_5_0", "toggle brick_5_6", "toggle brick_5_12"]
    assert all(action.angle == math.pi and world.actions[action.inverse or 0] is action for action in toggles)
    bricks = world.scene(np.array([[0, 0, 0, 1, 0, 1]]))[0, ram.BRICK].reshape(6, 18)
    assert bricks.sum() == 107 and bricks[5, 6] == 0
    code = world.actions.index(toggles[1])
    state = np.array([[0, 0, 0, 1, 0, 1]])
    assert world.act(state, np.array([code])).tolist() == [[0, 0, 0, 1, 1, 1]]
    assert world.act(world.act(state, np.array([code])), np.array([code])).tolist() == state.tolist()


def test_factors_of_one_place_have_no_actions() -> None:
    world = Breakout(ball_columns=1, ball_rows=1, paddle_places=9, brick_factors=0)
    assert [action.name for action in world.actions] == ["paddle left", "paddle right"]
    assert world.scene(np.array([[0, 0, 4]]))[0, [0, 1, ram.PADDLE_X]].tolist() == [79, 139, 76]


def test_a_world_travels_between_processes() -> None:
    world = make_world("breakout", image_size=84, grayscale=True, crop=None, renderer="drawn")
    states = world.factors.from_index([0, 999, 30000])
    expected = world.render(states)
    assert expected.shape == (3, 84, 84, 1) and expected[0].std() > 10
    assert np.array_equal(pickle.loads(pickle.dumps(world)).render(states), expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ball_columns": 144}, "ball_columns must be a whole number from 1 to 143, got 144"),
        ({"ball_rows": 0}, "ball_rows must be a whole number from 1 to 91, got 0"),
        ({"paddle_places": 2.5}, "paddle_places must be a whole number from 1 to 137, got 2.5"),
        ({"paddle_width": 14}, "paddle_width must be 12 or 16, got 14"),
        ({"bricks": "melt"}, "bricks must be one of rotate, toggle, got 'melt'"),
        ({"brick_factors": 4}, "brick_factors must be one of 0, 1, 2, 3, 6, got 4"),
        ({"bricks": "toggle", "brick_factors": 19}, "brick_factors must be one of 0, 1, 2"),
        ({"gap": 18}, "gap must be 1 to 17 columns, got 18"),
        ({"gap": 2.5}, "gap must be 1 to 17 columns, got 2.5"),
        ({"brick_factors": True}, "brick_factors must be one of 0, 1, 2, 3, 6, got True"),
        ({"crop": 64}, "crop must be four whole numbers"),
        ({"stride": 4}, "stride must be 1 to below half of the 8 places of ball_y, got 4"),
        ({"image_size": 145}, r"image_size must be 1 to 144 \(the crop is 164 x 144\) or None, got 145"),
        ({"crop": (0, 211, 0, 160)}, "crop must lie in rows 0 to 210 and columns 0 to 160"),
        ({"crop": (0, 10)}, "crop must be four whole numbers"),
        ({"renderer": "brush"}, "renderer must be one of emulator, drawn, got 'brush'"),
        ({"colour": "red"}, "the world 'breakout' has no option 'colour'"),
    ],
)
def test_options_that_cannot_be_used_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=f"^{message}"):
        make_world("breakout", **options)


def test_no_states_have_no_pictures() -> None:
    for world in (Breakout(), Breakout(renderer="drawn")):
        assert world.render(np.zeros((0, 4), dtype=np.int64)).shape == (0, 64, 64, 3)
        assert world.render_scene(np.zeros((0, 116))).shape == (0, 64, 64, 3)


def test_states_that_are_none_are_refused() -> None:
    world = Breakout(renderer="drawn")
    with pytest.raises(UsageError, match=r"^factor 'ball_y' cannot be 8; accepted: 0 to 7$"):
        world.render(np.array([[0, 8, 0, 0]]))
    with pytest.raises(UsageError, match=r"^paddle_x cannot be set to 0; accepted: whole numbers 8 to 144$"):
        world.render_scene(np.zeros(116) - np.r_[1, 1, np.zeros(114)])
