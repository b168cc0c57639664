"""FlatLand: the disc's pixels and places, and the torus that its actions make; scrambled, and between walls."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equiworld.envs import FlatLand, FlatLandPermuted, FlatLandWalls, UsageError, action_group, true_groups

WORLD = FlatLand()
STATE = st.tuples(st.integers(0, 32), st.integers(0, 32))


def box(image: np.ndarray) -> tuple[int, int, int, int]:
    """First and last row, first and last column of what is white."""
    rows, columns = np.nonzero(image[..., 0])
    return rows.min(), rows.max(), columns.min(), columns.max()


def test_every_state_shows_the_whole_disc_of_688_pixels() -> None:
    images = WORLD.render(WORLD.factors.grid())
    assert images.shape == (1089, 64, 64, 1)
    assert images.dtype == np.uint8
    assert set(np.unique(images)) == {0, 255}
    assert ((images == 255).sum(axis=(1, 2, 3)) == 688).all()
    assert len(np.unique(images.reshape(1089, -1), axis=0)) == 1089


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ((0, 0), (33, 62, 1, 30)),  # left, at the bottom
        ((32, 32), (1, 30, 33, 62)),  # right, at the top
        ((4, 4), (29, 58, 5, 34)),  # the original's start: position (30, 30) is rows 59-30.. and columns 30-25..
    ],
)
def test_the_disc_is_at_its_place(state: tuple[int, int], expected: tuple[int, int, int, int]) -> None:
    assert box(WORLD.render(np.array([state]))[0]) == expected


def test_the_rows_of_the_disc_are_those_of_the_original() -> None:
    # Recorded from pygame.draw.circle with radius 15: the widths of the rows, from the top to the middle.
    widths = [6, 12, 16, 18, 20, 22, 24, 26, 26, 28, 28, 28, 30, 30, 30]
    disc = WORLD.render(np.array([[0, 0]]))[0, 33:63, 1:31, 0] > 0
    assert disc.sum(axis=1).tolist() == widths + widths[::-1]
    assert np.array_equal(disc, disc[:, ::-1])
    assert np.array_equal(disc, disc.T)


def test_the_centre_is_the_mean_of_the_white_pixels() -> None:
    grid = WORLD.factors.grid()
    weights = WORLD.render(grid)[..., 0] / 255 / 688
    places = np.arange(64)
    rows, columns = (weights.sum(axis=2) * places).sum(axis=1), (weights.sum(axis=1) * places).sum(axis=1)
    assert WORLD.centre(grid).dtype == np.float64
    np.testing.assert_allclose(WORLD.centre(grid), np.stack([rows, columns], axis=1), atol=1e-9)
    assert WORLD.centre(np.array([[0, 0]])).tolist() == [[47.5, 15.5]]


def test_the_actions_are_those_of_the_original() -> None:
    angle = 2 * math.pi * 5 / 33
    described = [(a.name, a.factor, a.amount, a.angle, a.inverse) for a in WORLD.actions]
    assert described == [
        ("down", 1, -5, -angle, 2), ("left", 0, -5, -angle, 3), ("up", 1, 5, angle, 0), ("right", 0, 5, angle, 1),
    ]  # fmt: skip
    middle = np.full((4, 2), 16)
    shift = WORLD.centre(WORLD.act(middle, np.arange(4))) - WORLD.centre(middle)
    assert shift.tolist() == [[5, 0], [0, -5], [-5, 0], [0, 5]]  # (row, column): down, left, up, right


@pytest.mark.parametrize("action", range(4))
def test_an_action_comes_back_after_exactly_33_steps(action: int) -> None:
    start = np.array([[3, 29]])
    orbit = [start]
    for _ in range(33):
        orbit.append(WORLD.act(orbit[-1], np.array([action])))
    assert [step for step, state in enumerate(orbit) if np.array_equal(state, start)] == [0, 33]
    moved = WORLD.actions[action].factor
    path = np.concatenate(orbit[:-1])
    assert sorted(path[:, moved]) == list(range(33))
    assert (path[:, 1 - moved] == start[0, 1 - moved]).all()


@settings(deadline=None)
@given(STATE, st.integers(0, 3), st.integers(0, 3))
def test_inverses_cancel_and_actions_commute(state: tuple[int, int], a: int, b: int) -> None:
    start = np.array([state])

    def go(*actions: int) -> list[list[int]]:
        there = start
        for action in actions:
            there = WORLD.act(there, np.array([action]))
        return there.tolist()

    inverse = WORLD.actions[a].inverse
    assert inverse is not None
    assert go(a, inverse) == go(inverse, a) == start.tolist()
    assert go(a, b) == go(b, a)
    assert go(a) != start.tolist()


def test_the_disc_is_carried_to_the_other_side_whole() -> None:
    after = WORLD.act(np.array([[32, 0], [1, 31]]), np.array([3, 2]))
    assert after.tolist() == [[4, 0], [1, 3]]
    assert (WORLD.render(after) == 255).sum(axis=(1, 2, 3)).tolist() == [688, 688]


@settings(deadline=None)
@given(st.integers(3, 12), st.integers(1, 8), st.integers(0, 5), st.integers(1, 3))
def test_options(period: int, radius: int, spare: int, channels: int) -> None:
    size = 2 * radius + period - 1 + spare
    world = FlatLand(period=period, stride=1, radius=radius, size=size, channels=channels)
    images = world.render(world.factors.grid())
    assert images.shape == (period**2, size, size, channels)
    assert (images == images[..., :1]).all()
    covered = box(images.max(axis=0))
    margin = spare // 2
    assert covered == (margin, size - 1 - (spare - margin), margin, size - 1 - (spare - margin))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"period": 2}, "flatland: period must be a whole number, 3 or more, got 2"),
        ({"stride": 0}, "flatland: stride must be a whole number, 1 or more, got 0"),
        ({"stride": 17}, "flatland: stride must be below half the period 33, got 17"),
        ({"radius": -1}, "flatland: radius must be a whole number, 1 or more, got -1"),
        ({"size": -64}, "flatland: image size must be a whole number, 1 or more, got -64"),
        ({"channels": 0}, "flatland: channels must be a whole number, 1 or more, got 0"),
        ({"period": 3.5}, "flatland: period must be a whole number, 3 or more, got 3.5"),
        (
            {"size": 61},
            "flatland: a disc of radius 15 with 33 positions needs a picture of 62 pixels or more, got 61",
        ),
    ],
)
def test_refusals_are_one_line(options: dict, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        FlatLand(**options)
    assert str(caught.value) == message


def test_states_outside_are_refused() -> None:
    with pytest.raises(UsageError, match=r"^factor 'x' cannot be 33; accepted: 0 to 32$"):
        WORLD.render(np.array([[33, 0]]))


# Scrambled


def test_the_permuted_world_has_the_pictures_and_the_group_of_flatland() -> None:
    world = FlatLandPermuted(order_seed=3)
    grid = WORLD.factors.grid()
    assert [sorted(order) for order in world.order.tolist()] == [list(range(33))] * 2
    assert not np.array_equal(world.order[0], world.order[1])
    places = np.stack([world.order[0][grid[:, 0]], world.order[1][grid[:, 1]]], axis=1)
    assert np.array_equal(world.render(grid), WORLD.render(places))
    assert np.array_equal(world.centre(grid), WORLD.centre(places))
    assert true_groups(world) == true_groups(WORLD)
    small = [FlatLandPermuted(period=7, stride=2, radius=3, size=16), FlatLand(period=7, stride=2, radius=3, size=16)]
    assert np.array_equal(action_group(small[0]).table, action_group(small[1]).table)


def test_an_action_carries_the_disc_along_the_scrambled_circle() -> None:
    world = FlatLandPermuted(stride=1)
    path = [np.array([[0, 0]])]
    for _ in range(33):
        path.append(world.act(path[-1], np.array([3])))
    columns = [world.centre(state)[0, 1] - 15.5 for state in path]
    assert columns == [*world.order[0], world.order[0][0]]
    assert {abs(step) for step in np.diff(columns)} != {1.0, 32.0}  # no circle in the picture
    assert [action.angle for action in world.actions] == [action.angle for action in FlatLand(stride=1).actions]
    assert np.array_equal(FlatLandPermuted(order_seed=1).order, FlatLandPermuted(order_seed=1).order)
    assert not np.array_equal(FlatLandPermuted(order_seed=1).order, FlatLandPermuted(order_seed=2).order)


# Between walls


def test_walls_stop_the_disc() -> None:
    world = FlatLandWalls()
    grid = world.factors.grid()
    assert np.array_equal(world.render(grid), WORLD.render(grid))
    moves = {0: [0, -5], 1: [-5, 0], 2: [0, 5], 3: [5, 0]}
    for code, move in moves.items():
        after = world.act(grid, np.full(len(grid), code))
        assert np.array_equal(after, np.clip(grid + move, 0, 32))
    inside = ((grid >= 5) & (grid <= 27)).all(axis=1)
    assert np.array_equal(
        world.act(world.act(grid[inside], np.full(inside.sum(), 1)), np.full(inside.sum(), 3)), grid[inside]
    )


def test_walls_make_no_group() -> None:
    world = FlatLandWalls()
    assert [factor.kind for factor in world.factors.factors] == ["ordinal", "ordinal"]
    assert [(action.angle, action.inverse) for action in world.actions] == [(0.0, None)] * 4
    assert true_groups(world) == {}
    with pytest.raises(UsageError, match=r"^action 'down' takes two states to one and cannot be undone: "):
        action_group(world)
