"""FlatLand with continuous places: how it moves, and what of each pixel the disc covers."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equiworld.envs import FlatLandContinuous, UsageError, WorldEnv, action_group

WORLD = FlatLandContinuous()
PLACE = st.floats(0, 33, exclude_max=True)
MOVE = st.floats(-1, 1)


@settings(deadline=None)
@given(PLACE, PLACE, MOVE, MOVE)
def test_moves_add_up_on_the_torus(x: float, y: float, a: float, b: float) -> None:
    start = np.array([[x, y]])
    moved = WORLD.act(start, np.array([[a, b]]))
    assert (moved >= 0).all() and (moved < 33).all()
    turned = np.exp(1j * (start * 2 * np.pi / 33 + WORLD.angles([[a, b]])))
    np.testing.assert_allclose(np.exp(1j * moved * 2 * np.pi / 33), turned, atol=1e-12)
    back = WORLD.act(moved, np.array([[-a, -b]]))
    np.testing.assert_allclose(np.exp(2j * np.pi * (back - start) / 33), 1, atol=1e-12)


def test_a_tiny_step_back_from_the_start_of_the_circle_stays_on_it() -> None:
    after = WORLD.act(np.zeros((1, 2)), np.array([[-1e-18, 0.2]]))
    assert after.tolist() == [[0.0, 1.0]]


def test_the_picture_is_what_the_disc_covers() -> None:
    rng = np.random.default_rng(0)
    states = WORLD.factors.sample(rng, 40)
    images = WORLD.render(states)[..., 0]
    centres = WORLD.centre(states)
    # Each pixel's share, from a hundred points in it.
    fine = (np.arange(640) + 0.5) / 10 - 0.5
    for image, (row, column) in zip(images, centres, strict=True):
        inside = (fine[:, None] - row) ** 2 + (fine - column) ** 2 <= 15**2
        share = 255 * inside.reshape(64, 10, 64, 10).mean(axis=(1, 3))
        assert np.abs(share - image).max() < 20 and np.abs(share - image).mean() < 0.3
    areas = images.sum(axis=(1, 2)) / 255
    np.testing.assert_allclose(areas, math.pi * 15**2, rtol=2e-3)


def test_the_place_can_be_read_off_the_picture() -> None:
    states = WORLD.factors.sample(np.random.default_rng(1), 60)
    weights = WORLD.render(states)[..., 0].astype(float)
    weights /= weights.sum(axis=(1, 2), keepdims=True)
    rows = (weights.sum(axis=2) * np.arange(64)).sum(axis=1)
    columns = (weights.sum(axis=1) * np.arange(64)).sum(axis=1)
    np.testing.assert_allclose(np.stack([rows, columns], axis=1), WORLD.centre(states), atol=0.02)


def test_the_disc_never_leaves_the_picture() -> None:
    edge = math.nextafter(33.0, 0.0)
    images = WORLD.render(np.array([[0.0, 0.0], [edge, edge], [0.0, edge]]))
    covered = images.sum(axis=(1, 2, 3)) / 255
    np.testing.assert_allclose(covered, math.pi * 15**2, rtol=2e-3)


def test_redrawing_is_drawing_anew() -> None:
    rng = np.random.default_rng(2)
    for radius in (15.0, 3.3, 0.4):
        world = FlatLandContinuous(radius=radius, channels=3)
        states = world.factors.sample(rng, 20)
        images = world.render(states)
        after = np.where(rng.random((20, 1)) < 0.7, world.factors.sample(rng, 20), states)
        world.redraw(images, states, after)
        assert np.array_equal(images, world.render(after))
        assert images.any(axis=(1, 2, 3)).all()


def test_actions_beyond_the_bounds_are_brought_back() -> None:
    env = WorldEnv(WORLD)
    env.reset(options={"factors": [10.0, 20.0]})
    assert env.step([2.0, -0.5])[4]["factors"].tolist() == [15.0, 17.5]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: WORLD.act(np.zeros((1, 2)), np.array([[1.5, 0]])),
            "flatland-continuous: actions are numbers from -1 to 1, one for x and one for y",
        ),
        (
            lambda: WORLD.act(np.zeros((2, 2)), np.zeros((1, 2))),
            "[2, 2] factors and [1, 2] actions do not belong together",
        ),
        (lambda: WORLD.render(np.array([[0, 34.0]])), "factor 'y' cannot be 34.0; accepted: 0.0 to 33.0"),
        (lambda: FlatLandContinuous(period=0), "flatland-continuous: period must be a number above 0, got 0"),
        (
            lambda: FlatLandContinuous(radius=float("nan")),
            "flatland-continuous: radius must be a number above 0, got nan",
        ),
        (
            lambda: FlatLandContinuous(stride=17),
            "flatland-continuous: stride must be below half the period 33.0, got 17",
        ),
        (
            lambda: FlatLandContinuous(size=62),
            "flatland-continuous: radius 15.0 and period 33.0 need a picture of 63.0 pixels or more, got 62",
        ),
        (lambda: action_group(WORLD), "the group of a world needs discrete factors and discrete actions"),
        (lambda: WorldEnv(WORLD).world.factors.size, "factor 'x' is continuous: its values cannot be counted"),
    ],
)
def test_refusals_are_one_line(call: Callable[[], object], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        call()
    assert str(caught.value) == message
