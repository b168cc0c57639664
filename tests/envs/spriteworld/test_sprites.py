"""Sprites as arrays: what is a state and what is not, and colours."""

from __future__ import annotations

import numpy as np
import pytest

from equiworld.envs import UsageError
from equiworld.envs.spriteworld.sprites import FACTORS, check, colours, count, factor_names, sprite

TWO = np.stack([sprite(x=0.1, shape="circle"), sprite(y=0.9, x_vel=-0.5)])


def test_the_ten_factors() -> None:
    assert FACTORS == ("x", "y", "shape", "angle", "scale", "c0", "c1", "c2", "x_vel", "y_vel")
    assert factor_names(2)[8:12] == ("sprite0.x_vel", "sprite0.y_vel", "sprite1.x", "sprite1.y")
    assert sprite(shape="triangle", c2=1)[[2, 7]].tolist() == [1.0, 1.0]


def test_flat_and_shaped_factors_mean_the_same_and_missing_slots_are_filled_up() -> None:
    expected = np.concatenate([TWO, np.zeros((1, 10))])
    assert (check(TWO, 3) == expected).all()
    assert (check(expected.ravel(), 3) == expected).all()
    assert (check(np.stack([expected.ravel()] * 4), 3) == expected).all()
    assert check(np.stack([expected] * 4), 3).shape == (4, 3, 10)
    assert count(check(TWO, 3)) == 2
    assert (check(TWO[:1], 1) == TWO[:1]).all()
    assert (check(TWO[0], 1) == TWO[:1]).all()


def test_the_argument_is_copied() -> None:
    given = TWO.copy()
    check(given, 2)[:] = 0
    assert (given == TWO).all()


def changed(column: str, value: float, slot: int = 1) -> np.ndarray:
    rows = TWO.copy()
    rows[slot, FACTORS.index(column)] = value
    return rows


@pytest.mark.parametrize(
    ("factors", "message"),
    [
        (changed("x", np.nan), "sprite 1 is none: all its numbers must be finite"),
        (changed("shape", 14, 0), "sprite 0 is none: its shape must be 1"),
        (changed("shape", 2.5), "its shape must be 1"),
        (changed("shape", 0), "without a shape there is no sprite"),
        (changed("scale", 0), "its scale must be above 0, to 2"),
        (changed("scale", 2.5), "its scale must be above 0, to 2"),
        (changed("angle", -361), "its angle must be from -360 to 360"),
        (changed("y_vel", 1.5), "its velocities must be from -1 to 1"),
        (changed("c1", 1.5), "its colour must be three numbers from 0 to 1"),
        (changed("y", 1.01), r"its centre must lie in \[0, 1\]"),
        (np.concatenate([np.zeros((1, 10)), TWO[:1]]), "slots are filled from the first on"),
        (TWO[:, :9], "2 sprites are"),
        (np.zeros((3, 10)), "2 sprites are"),
        (np.zeros(7), "2 sprites are"),
        ("nonsense", "are numbers"),
        (None, "2 sprites are"),
    ],
)
def test_what_is_no_state_is_refused(factors: object, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        check(factors, 2)  # type: ignore[arg-type]


def test_a_centre_may_lie_outside_where_sprites_may_leave() -> None:
    assert check(changed("y", 1.01), 2, within=False)[1, 1] == 1.01


@pytest.mark.parametrize(
    ("color", "space", "expected"),
    [
        ((1 / 3, 1.0, 1.0), "hsv", [0, 255, 0]),
        ((2 / 3, 1.0, 0.5), "hsv", [0, 0, 127]),
        ((1.0, 0.0, 1.0), "hsv", [255, 255, 255]),  # the embodied agent is white
        ((64.0, 128.9, 255.9), "rgb", [64, 128, 255]),
    ],
)
def test_colours(color: tuple[float, float, float], space: str, expected: list[int]) -> None:
    c0, c1, c2 = color
    row = sprite(c0=c0, c1=c1, c2=c2)
    assert colours(check(row[None], 1, color_space=space), space).tolist() == [expected]


def test_a_colour_must_be_one_of_its_space() -> None:
    with pytest.raises(UsageError, match="three numbers from 0 to 256"):
        check(sprite(c0=256.5)[None], 1, color_space="rgb")
