"""Angles, orders and group laws, on maps that are known exactly."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equiworld.metrics import (
    angle_report,
    closure_error,
    closure_errors,
    commutator_error,
    group_errors,
    inverse_error,
    inverse_errors,
    nearest_order,
    order_error,
    rotation_angles,
    wrap_angle,
)
from equiworld.metrics.angles import random_rotations

TURN = 2 * np.pi
STEP = TURN * 5 / 33


@dataclass
class Group:
    """A true cyclic subgroup, as a world would describe it."""

    codes: tuple
    order: int
    angle: float


FLAT = {0: Group((1, 3), 33, STEP), 1: Group((0, 2), 33, STEP)}


@settings(max_examples=40, deadline=None)
@given(
    angles=st.lists(st.floats(-3.1, 3.1), min_size=1, max_size=4),
    seed=st.integers(0, 2**20),
    scale=st.floats(0.2, 3),
)
def test_rotation_angles_of_blocks_in_any_basis(rotate, orthogonal, angles, seed, scale):
    matrix = scale * rotate(angles, basis=orthogonal(2 * len(angles), seed))
    np.testing.assert_allclose(rotation_angles(matrix), np.sort(np.abs(angles))[::-1], atol=1e-6)


def test_rotation_angles_of_odd_dimensions(rotate):
    np.testing.assert_allclose(rotation_angles(rotate([0.7], dims=3)), [0.7, 0.0], atol=1e-12)


@pytest.mark.parametrize(
    ("angle", "expected"),
    [
        (STEP, (5, 33)),
        (-STEP, (-5, 33)),
        (np.pi / 2, (1, 4)),
        (np.pi, (1, 2)),
        (0.0, (0, 1)),
        (TURN * 4 / 32, (1, 8)),
        (TURN + STEP, (5, 33)),
        (TURN / 33, (1, 33)),
        (TURN / 3 + 0.003, (1, 3)),
        (STEP - 0.003, (5, 33)),
        (STEP + 0.003, (5, 33)),
    ],
)
def test_nearest_order(angle, expected):
    assert nearest_order(angle) == expected


def test_tolerance_chooses_between_simple_and_near():
    # 3/20 is .0095 below 5/33 and 2/13 .0147 above: a coarse tolerance takes the simplest within reach.
    assert nearest_order(STEP, tolerance=0.0094) == (5, 33)
    assert nearest_order(STEP, tolerance=0.0096) == (3, 20)
    assert nearest_order(STEP, tolerance=0.02) == (2, 13)
    assert nearest_order(STEP, tolerance=0.0) == (5, 33)
    assert nearest_order(STEP, max_order=20) == (3, 20)
    assert nearest_order(TURN * 7 / 64) == (6, 55)
    assert nearest_order(TURN * 7 / 64, tolerance=0.0017) == (7, 64)
    assert order_error(STEP, (3, 20)) == pytest.approx(STEP - TURN * 3 / 20)


def test_without_a_fraction_in_reach_the_nearest_is_given_and_its_error_tells():
    fraction = nearest_order(0.3, max_order=4)
    assert fraction == (0, 1)
    assert order_error(0.3, fraction) == pytest.approx(0.3)


@settings(max_examples=100, deadline=None)
@given(order=st.integers(1, 64), step=st.integers(-100, 100))
def test_exact_fractions_are_found_in_lowest_terms(order, step):
    fraction = nearest_order(TURN * step / order, tolerance=0.0)
    assert order_error(TURN * step / order, fraction) < 1e-9
    assert np.gcd(*fraction) == 1
    assert order % fraction[1] == 0


def test_nearest_order_rejects_what_is_no_angle():
    with pytest.raises(ValueError, match="expected a finite angle"):
        nearest_order(np.nan)
    with pytest.raises(ValueError, match="max_order >= 1"):
        nearest_order(1.0, max_order=0)


def test_angle_report_finds_the_error_of_either_plane(rotate, orthogonal):
    q = orthogonal(4, 3)
    maps = np.stack(
        [
            rotate([0.0, -STEP - 0.002], basis=q),
            rotate([-STEP, 0.03], basis=q),
            rotate([STEP, 0.0], basis=q),
            rotate([0.001, STEP], basis=q),
        ]
    )
    result = angle_report(maps, {0: 3, 1: 2, 2: 0, 3: 1}, [-STEP, -STEP, STEP, STEP])
    assert [row["error"] for row in result.details["actions"]] == pytest.approx([0.001, 0.0, 0.002, 0.03], abs=1e-9)
    assert result.values["max"] == pytest.approx(0.03)
    assert result.values["mean"] == pytest.approx(0.033 / 4)
    assert result.values["orders"] == 1.0
    assert (result.ceiling, result.n) == ({"max": 0.0, "mean": 0.0, "orders": 1.0}, 4)
    assert result.details["actions"][0]["order"] == [5, 33]


def test_angle_report_names_the_actions_that_were_not_learnt(rotate):
    result = angle_report(np.stack([rotate([STEP])]), {1: 0}, [STEP, STEP, -STEP])
    assert result.values == {"max": None, "mean": None, "orders": None}
    assert result.reason == "no learnt action for the true action 0, 2"
    assert result.details["actions"][0]["error"] == pytest.approx(0.0, abs=1e-12)


def test_random_rotations_are_rotations_and_even(rotate):
    maps = random_rotations(np.random.default_rng(0), 4000, 3)
    np.testing.assert_allclose(maps @ maps.swapaxes(1, 2), np.broadcast_to(np.eye(3), maps.shape), atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(maps), 1.0)
    # A fixed direction is sent everywhere alike, and the angles of rotations of space average pi / 2 + 2 / pi.
    np.testing.assert_allclose(maps.mean(axis=0), 0, atol=0.05)
    angles = [rotation_angles(matrix)[0] for matrix in maps]
    assert np.mean(angles) == pytest.approx(np.pi / 2 + 2 / np.pi, abs=0.05)


def test_chance_of_angles_and_of_the_laws_is_that_of_random_rotations(flat_maps, orthogonal):
    identity, true = {code: code for code in range(4)}, [-STEP, -STEP, STEP, STEP]
    rng = np.random.default_rng(5)
    draws = [random_rotations(rng, 4, 6) for _ in range(40)]
    maps = flat_maps(orthogonal(6, 1))
    for result, others in (
        (angle_report(maps, identity, true, seed=1), [angle_report(draw, identity, true) for draw in draws]),
        (group_errors(maps, [2, 3, 0, 1], 33, seed=1), [group_errors(draw, [2, 3, 0, 1], 33) for draw in draws]),
    ):
        assert set(result.chance) == set(result.ceiling) == set(result.values)
        for key, value in result.chance.items():
            scores = [other.values[key] for other in others]
            assert value == pytest.approx(np.mean(scores), abs=4 * np.std(scores) / np.sqrt(10) + 1e-9)
        assert result.n == 4
    assert group_errors(maps, [2, 3, 0, 1], 33).chance["inverse"] > 1


@pytest.mark.parametrize("scale", [1e-200, 1e200, 1e307])
def test_tiny_and_huge_maps(flat_maps, orthogonal, scale):
    maps = flat_maps(orthogonal(6, 1))
    mapping, true = {code: code for code in range(4)}, [-STEP, -STEP, STEP, STEP]
    assert angle_report(maps * scale, mapping, true).values["max"] < 1e-9
    result = group_errors(maps * scale, [2, 3, 0, 1], 33)
    if scale < 1:
        # Nothing is left of a product: it is 1 off in every direction.
        assert result.values == {"inverse": 1.0, "closure": 1.0, "commutator": 0.0}
    else:
        assert (result.values["inverse"], result.values["closure"]) == (None, None)
        assert result.reason.startswith("the maps are so large that inverse and closure")


def test_one_map_that_overflows_is_not_passed_over(rotate):
    maps = np.stack([np.eye(4), 3 * rotate([1.0, 0.5])])
    result = group_errors(maps, [0, None], [1, 1000], commute=False)
    assert result.values == {"inverse": 0.0, "closure": None}
    assert result.reason == "the maps are so large that closure overflow"


def test_wrap_angle():
    np.testing.assert_allclose(
        wrap_angle([0.0, np.pi, -np.pi, 3 * np.pi / 2, 7.0]), [0, -np.pi, -np.pi, -np.pi / 2, 7 - TURN]
    )


def test_group_errors_are_zero_for_exact_rotations(flat_maps, orthogonal):
    maps = flat_maps(orthogonal(6, 1))
    result = group_errors(maps, [2, 3, 0, 1], 33)
    assert list(result.values) == ["inverse", "closure", "commutator"]
    assert max(result.values.values()) < 1e-12
    assert closure_error(maps, 5) > 0.5


def test_group_errors_of_a_known_perturbation(flat_maps, rotate, orthogonal):
    q = orthogonal(4, 2)
    maps = flat_maps(q)
    delta = 0.01
    maps[3] = rotate([STEP + delta, 0.0], basis=q)
    # |R(a) - I| = 2 sqrt(2) sin(a / 2) for one plane, over sqrt(4).
    expected = np.sqrt(2) * np.sin(delta / 2)
    np.testing.assert_allclose(inverse_errors(maps, [2, 3, 0, 1]), [0, expected, 0, expected], atol=1e-12)
    assert inverse_error(maps, [2, 3, 0, 1]) == pytest.approx(expected)
    closing = np.sqrt(2) * np.sin(33 * delta / 2)
    np.testing.assert_allclose(closure_errors(maps, [33, 33, 33, 33]), [0, 0, 0, closing], atol=1e-11)
    assert commutator_error(maps) < 1e-12


def test_commutator_error_of_quarter_turns_about_two_axes():
    about_z = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    about_x = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
    # The products differ in two rows each way: six entries of +-1 in three rows.
    difference = about_z @ about_x - about_x @ about_z
    assert commutator_error([about_z, about_x]) == pytest.approx(np.linalg.norm(difference) / np.sqrt(3))
    assert commutator_error([about_z, about_x]) == pytest.approx(np.sqrt(2.0))


def test_group_errors_without_inverses_or_orders_say_so(flat_maps):
    result = group_errors(flat_maps(), [None] * 4, [None] * 4, commute=False)
    assert result.values == {"inverse": None, "closure": None}
    assert result.reason == "no action has an inverse; no action has an order"
    with pytest.raises(ValueError, match="expected 4 inverses, got 1"):
        group_errors(flat_maps(), [0], 33)
    with pytest.raises(ValueError, match="an order must be at least 1"):
        closure_error(flat_maps(), 0)
