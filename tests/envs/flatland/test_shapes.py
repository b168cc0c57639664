"""FlatLand's worlds of other shapes: hue, rotor, two discs, and the letter that is turned and mirrored."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from equiworld.envs import (
    CyclicGroup,
    FlatLand,
    FlatLandDihedral,
    FlatLandDiscs,
    FlatLandHue,
    FlatLandRotor,
    UsageError,
    World,
    action_group,
    true_groups,
    true_matrices,
)


def walk(world: World, state: list[int], *codes: int) -> list[int]:
    rows = np.array([state])
    for code in codes:
        rows = world.act(rows, np.array([code]))
    return rows[0].tolist()


def angle_of(quarter: np.ndarray) -> float:
    """The direction from the picture's middle to the mean of what a mask marks, counterclockwise from the right."""
    rows, columns = np.nonzero(quarter)
    middle = (quarter.shape[0] - 1) / 2
    return math.atan2(middle - rows.mean(), columns.mean() - middle)


# Hue


def test_hues_are_a_circle_in_the_space_of_colours() -> None:
    world = FlatLandHue(hue_period=12)
    colours = world.colours.astype(float)
    assert colours[0].tolist() == [255, 102, 102]  # red, then green and blue a third and two thirds on
    assert colours[4].tolist() == [102, 255, 102] and colours[8].tolist() == [102, 102, 255]
    middle = np.full(3, 153.0)
    np.testing.assert_allclose(colours.mean(axis=1), 153, atol=0.5)
    np.testing.assert_allclose(np.linalg.norm(colours - middle, axis=1), 102 * math.sqrt(1.5), atol=1)
    steps = np.linalg.norm(colours - np.roll(colours, 1, axis=0), axis=1)
    assert steps.max() - steps.min() < 2.5  # rounding


def test_the_coloured_disc_is_that_of_flatland() -> None:
    world, plain = FlatLandHue(), FlatLand()
    rng = np.random.default_rng(0)
    states = world.factors.sample(rng, 50)
    images = world.render(states)
    assert images.shape == (50, 64, 64, 3)
    expected = (plain.render(states[:, :2]) > 0) * world.colours[states[:, 2]][:, None, None]
    assert np.array_equal(images, expected)
    assert np.array_equal(world.centre(states), plain.centre(states[:, :2]))


def test_hue_turns_with_its_own_actions() -> None:
    world = FlatLandHue()
    assert walk(world, [3, 4, 11], 4) == [3, 4, 0]
    assert walk(world, [3, 4, 0], 5) == [3, 4, 11]
    assert walk(world, [3, 4, 5], 3, 2) == [8, 9, 5]
    assert true_groups(world) == {
        0: CyclicGroup(0, "x", (1, 3), 33, 2 * math.pi * 5 / 33),
        1: CyclicGroup(1, "y", (0, 2), 33, 2 * math.pi * 5 / 33),
        2: CyclicGroup(2, "hue", (4, 5), 12, 2 * math.pi / 12),
    }


# Rotor


def test_the_dark_quarter_turns_counterclockwise() -> None:
    # A disc in the middle of its picture, alone at its place.
    world = FlatLandRotor(period=3, stride=1, radius=20, size=42, turn_period=24, turn_stride=1)
    states = np.array([[1, 1, turn] for turn in range(24)])
    images = world.render(states)[..., 0]
    dark = (images > 70) & (images < 82)
    for turn in range(24):
        expected = 2 * math.pi * turn / 24 + math.pi / 4
        assert abs(math.remainder(angle_of(dark[turn]) - expected, 2 * math.pi)) < 0.02
        assert abs(dark[turn].sum() / (images[turn] > 70).sum() - 0.25) < 0.04
    # A quarter turn is an exact one of the picture, as the disc is an even number of pixels wide.
    assert np.array_equal(images[6], np.rot90(images[0]))
    assert len(np.unique(images.reshape(24, -1), axis=0)) == 24


def test_the_rotor_turns_with_its_own_actions() -> None:
    world = FlatLandRotor()
    assert walk(world, [3, 4, 30], 4) == [3, 4, 2]
    assert walk(world, [3, 4, 2], 5) == [3, 4, 30]
    assert [(group.name, group.order, group.codes) for group in true_groups(world).values()] == [
        ("x", 33, (1, 3)),
        ("y", 33, (0, 2)),
        ("orientation", 33, (4, 5)),
    ]
    images = world.render(np.array([[0, 0, 0], [32, 32, 0]]))
    assert np.array_equal(images[0, 33:63, 1:31], images[1, 1:31, 33:63])  # the same disc, elsewhere


# Two discs


def test_each_disc_has_its_colour_and_overlaps_are_yellow() -> None:
    world = FlatLandDiscs()
    states = world.factors.grid()[::7]
    images = world.render(states)
    red = FlatLand(period=41, stride=1, radius=12, size=64)
    green = FlatLand(period=41, stride=1, radius=7, size=54)
    assert np.array_equal(images[..., :1], red.render(5 * states[:, :2]))
    assert np.array_equal(images[:, 5:59, 5:59, 1:2], green.render(5 * states[:, 2:]))
    assert not images[..., 2].any()
    assert len(np.unique(images.reshape(len(states), -1), axis=0)) == len(states)


def test_the_discs_move_apart_from_each_other() -> None:
    world = FlatLandDiscs()
    assert [action.name for action in world.actions] == [
        f"{colour} {way}" for colour in ("red", "green") for way in ("down", "left", "up", "right")
    ]
    assert walk(world, [0, 8, 4, 4], 1, 2) == [8, 0, 4, 4]
    assert walk(world, [0, 8, 4, 4], 4, 7) == [0, 8, 5, 3]
    assert [group.codes for group in true_groups(world).values()] == [(1, 3), (0, 2), (5, 7), (4, 6)]
    for code, action in enumerate(world.actions):
        assert walk(world, [1, 2, 3, 4], code, action.inverse) == [1, 2, 3, 4]


# The letter


def test_turning_and_mirroring_do_not_commute() -> None:
    world = FlatLandDihedral()
    left, right, reflect = range(3)
    start = [3, 0]
    assert walk(world, start, left) == [8, 0] and walk(world, start, right) == [34, 0]
    assert walk(world, start, reflect) == [33, 1]
    assert walk(world, start, reflect, left) == walk(world, start, right, reflect) == [2, 1]
    assert walk(world, start, left, reflect) == [28, 1]
    for code, action in enumerate(world.actions):
        assert walk(world, start, code, action.inverse) == start
    with pytest.raises(UsageError, match=r"^the actions of this world do not commute: "):
        true_groups(world)


def test_reflecting_mirrors_the_picture_and_turning_turns_it() -> None:
    world = FlatLandDihedral(period=12, stride=3)
    grid = world.factors.grid()
    images = world.render(grid)
    assert len(np.unique(images.reshape(24, -1), axis=0)) == 24  # the letter has no symmetry of its own
    assert np.array_equal(world.render(world.act(grid, np.full(24, 2))), images[:, :, ::-1])
    # Three twelfths are a quarter turn, which takes pixels to pixels.
    quarter = np.rot90(images, axes=(1, 2))
    assert np.abs(world.render(world.act(grid, np.full(24, 0))).astype(int) - quarter).max() <= 8  # edges, rounding
    assert images.max() == 255 and 700 < (images[0] > 127).sum() < 1000


def test_the_dihedral_group() -> None:
    world = FlatLandDihedral()
    group = action_group(world)
    assert (group.order, group.abelian, group.action_orders) == (72, False, (36, 36, 2))
    # The matrices are a faithful representation: products of matrices are matrices of products.
    matrices = np.stack(
        [np.linalg.multi_dot([np.eye(2), *world.matrices[list(word[::-1])], np.eye(2)]) for word in group.words]
    )
    products = np.einsum("aij,bjk->abik", matrices, matrices)
    np.testing.assert_allclose(products, matrices[group.table], atol=1e-12)
    distances = np.abs(matrices[:, None] - matrices[None]).max(axis=(2, 3)) + np.eye(72)
    assert distances.min() > 0.05
    assert true_matrices(world) is world.matrices


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: FlatLandHue(hue_period=2), "flatland-hue: hue period must be a whole number, 3 or more, got 2"),
        (lambda: FlatLandHue(hue_stride=6), "flatland-hue: hue stride must be below half its period 12, got 6"),
        (lambda: FlatLandHue(period=True), "flatland-hue: period must be a whole number, 3 or more, got True"),
        (
            lambda: FlatLandRotor(turn_stride=0),
            "flatland-rotor: orientation stride must be a whole number, 1 or more, got 0",
        ),
        (lambda: FlatLandRotor(channels=0), "flatland-rotor: channels must be a whole number, 1 or more, got 0"),
        (
            lambda: FlatLandDiscs(small_radius=12),
            "flatland-discs: the small radius must be below the radius 12, got 12",
        ),
        (
            lambda: FlatLandDiscs(spacing=6),
            "flatland-discs: a disc of radius 12 with 9 positions needs a picture of 72 pixels or more, got 64",
        ),
        (lambda: FlatLandDihedral(stride=18), "flatland-dihedral: stride must be below half the period 36, got 18"),
        (
            lambda: FlatLandDihedral(size=63),
            "flatland-dihedral: radius 32 needs a picture of 64 pixels or more, got 63",
        ),
    ],
)
def test_refusals_are_one_line(call: Callable[[], object], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        call()
    assert str(caught.value) == message
