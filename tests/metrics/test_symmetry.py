"""Alignment, angles, group laws and the discovered structure, on maps that are known exactly."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equiworld.metrics import (
    align_actions,
    alignment,
    angle_report,
    closure_error,
    closure_errors,
    commutator_error,
    compare_decomposition,
    compute,
    decomposition,
    group_errors,
    inverse_error,
    inverse_errors,
    nearest_order,
    order_error,
    rotation_angles,
    wrap_angle,
)

TURN = 2 * np.pi
STEP = TURN * 5 / 33


@dataclass
class Group:
    """A true cyclic subgroup, as a world would describe it."""

    codes: tuple
    order: int
    angle: float


FLAT = {0: Group((1, 3), 33, STEP), 1: Group((0, 2), 33, STEP)}


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**20), count=st.integers(1, 6), extra=st.integers(0, 3))
def test_relabelled_actions_align_perfectly(seed, count, extra):
    rng = np.random.default_rng(seed)
    true = np.concatenate([np.arange(count), rng.integers(count, size=50)])
    names = rng.permutation(count + extra)[:count]
    accuracy, mapping = align_actions(names[true], true, count + extra, count)
    assert accuracy == 1.0
    assert mapping == dict(enumerate(names.tolist()))


def test_alignment_counts_what_the_best_assignment_leaves_wrong():
    true = [0] * 6 + [1] * 4
    inferred = [1] * 5 + [0] + [1] * 3 + [0]
    # Both true actions are mostly inferred as 1; one-to-one, 0->1 and 1->0 gets 5 + 1 right.
    accuracy, mapping = align_actions(inferred, true, 2, 2)
    assert (accuracy, mapping) == (0.6, {0: 1, 1: 0})
    result = alignment(inferred, true, 2, 2)
    assert result.values["alignment"] == 0.6
    assert result.chance["alignment"] == 0.6
    assert result.details["confusion"] == [[1, 5], [1, 3]]


def test_fewer_learnt_than_true_actions():
    accuracy, mapping = align_actions([0, 0, 0, 1], [0, 0, 1, 2], 2, 3)
    assert (accuracy, mapping) == (0.75, {0: 0, 2: 1})


def test_alignment_rejects_bad_codes():
    with pytest.raises(ValueError, match=r"inferred must lie in 0\.\.1, got 0\.\.2"):
        align_actions([0, 2], [0, 1], 2, 2)
    with pytest.raises(ValueError, match="inferred has 2 entries, expected 3"):
        align_actions([0, 1], [0, 1, 1], 2, 2)
    with pytest.raises(ValueError, match="true must be a vector"):
        align_actions([], [], 2, 2)


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
    assert result.details["actions"][0]["order"] == [5, 33]


def test_angle_report_names_the_actions_that_were_not_learnt(rotate):
    result = angle_report(np.stack([rotate([STEP])]), {1: 0}, [STEP, STEP, -STEP])
    assert result.values == {"max": None, "mean": None, "orders": None}
    assert result.reason == "no learnt action for the true action 0, 2"
    assert result.details["actions"][0]["error"] == pytest.approx(0.0, abs=1e-12)


def test_wrap_angle():
    np.testing.assert_allclose(
        wrap_angle([0.0, np.pi, -np.pi, 3 * np.pi / 2, 7.0]), [0, -np.pi, -np.pi, -np.pi / 2, 7 - TURN]
    )


def flat_maps(rotate, basis=None):
    """Down, left, up, right on two planes: codes 0, 2 turn the second plane and 1, 3 the first."""
    dims = None if basis is None else len(basis)
    pairs = ([0, -STEP], [-STEP, 0], [0, STEP], [STEP, 0])
    return np.stack([rotate(angles, dims=dims, basis=basis) for angles in pairs])


def test_group_errors_are_zero_for_exact_rotations(rotate, orthogonal):
    maps = flat_maps(rotate, orthogonal(6, 1))
    result = group_errors(maps, [2, 3, 0, 1], 33)
    assert list(result.values) == ["inverse", "closure", "commutator"]
    assert max(result.values.values()) < 1e-12
    assert closure_error(maps, 5) > 0.5


def test_group_errors_of_a_known_perturbation(rotate, orthogonal):
    q = orthogonal(4, 2)
    maps = flat_maps(rotate, q)
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


def test_group_errors_without_inverses_or_orders_say_so(rotate):
    result = group_errors(flat_maps(rotate), [None] * 4, [None] * 4, commute=False)
    assert result.values == {"inverse": None, "closure": None}
    assert result.reason == "no action has an inverse; no action has an order"
    with pytest.raises(ValueError, match="expected 4 inverses, got 1"):
        group_errors(flat_maps(rotate), [0], 33)
    with pytest.raises(ValueError, match="an order must be at least 1"):
        closure_error(flat_maps(rotate), 0)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**20), dims=st.sampled_from([4, 5, 6, 8]))
def test_two_cyclic_factors_in_any_basis(rotate, orthogonal, seed, dims):
    q = orthogonal(dims, seed)
    found = decomposition(flat_maps(rotate, q))
    assert found.reason is None
    assert found.static_dims == dims - 4
    assert [factor.codes for factor in found.factors] == [(0, 2), (1, 3)]
    assert [factor.order for factor in found.factors] == [33, 33]
    assert [factor.angle for factor in found.factors] == pytest.approx([STEP, STEP])
    assert found.inverse_pairs == ((0, 2), (1, 3))
    assert {(abs(k), n) for k, n in found.orders} == {(5, 33)}
    assert (found.idle, found.mixed) == ((), ())
    assert max(found.residual, found.misfit, found.commutator) < 1e-9
    np.testing.assert_allclose(np.abs(found.angles), STEP * np.array([[1, 0], [0, 1]] * 2), atol=1e-9)
    np.testing.assert_allclose(found.basis.T @ found.basis, np.eye(dims), atol=1e-9)
    # The first plane is the one that action 0 turns: the third and fourth column of the basis that it was made in.
    span = found.basis[:, :2] @ found.basis[:, :2].T
    np.testing.assert_allclose(span, q[:, 2:4] @ q[:, 2:4].T, atol=1e-8)


def test_the_true_structure_compares_as_true_under_relabelling(rotate, orthogonal):
    maps = flat_maps(rotate, orthogonal(6, 5))
    order = [2, 0, 3, 1]  # the learnt map i is the true action order[i]
    mapping = {true: learnt for learnt, true in enumerate(order)}
    found = decomposition(maps[order])
    assert all(compare_decomposition(found, FLAT, mapping, [2, 3, 0, 1]).values())
    assert all(compare_decomposition(found, FLAT, mapping).values())
    wrong = compare_decomposition(found, FLAT)
    assert not wrong["actions"]
    assert not wrong["all"]


def test_comparison_tells_which_point_is_wrong(rotate):
    found = decomposition(flat_maps(rotate))
    other = {0: Group((1, 3), 33, STEP), 1: Group((0, 2), 16, 1.2)}
    answer = compare_decomposition(found, other)
    assert [name for name, right in answer.items() if not right] == ["orders", "angles", "all"]
    three = FLAT | {2: Group((4,), 2, np.pi)}
    answer = compare_decomposition(found, three)
    assert [name for name, right in answer.items() if not right] == ["factors", "actions", "orders", "angles", "all"]
    assert not compare_decomposition(found, FLAT, inverses=[1, 0, 3, 2])["inverses"]


def test_noisy_maps_keep_their_structure(rotate, orthogonal):
    rng = np.random.default_rng(0)
    maps = flat_maps(rotate, orthogonal(6, 7))
    found = decomposition(maps + 0.005 * rng.standard_normal(maps.shape), order_tolerance=0.0047)
    assert found.reason is None
    assert found.static_dims == 2
    assert [factor.codes for factor in found.factors] == [(0, 2), (1, 3)]
    assert found.inverse_pairs == ((0, 2), (1, 3))
    assert 0 < found.residual < 0.02


def test_action_on_both_planes_is_mixed(rotate, orthogonal):
    q = orthogonal(4, 4)
    angles = [[0.9, 0.0], [0.0, 0.5], [0.9, 0.5], [-0.9, -0.5]]
    found = decomposition([rotate(pair, basis=q) for pair in angles])
    assert [factor.codes for factor in found.factors] == [(0, 2, 3), (1, 2, 3)]
    assert found.mixed == (2, 3)
    assert found.inverse_pairs == ((2, 3),)
    assert found.inverses == (None, None, 3, 2)


def test_one_factor_held_at_two_frequencies_is_one_factor(rotate, orthogonal):
    q = orthogonal(4, 6)
    step = TURN / 12
    found = decomposition([rotate([step, 3 * step], basis=q), rotate([-step, -3 * step], basis=q)])
    assert len(found.factors) == 1
    assert found.factors[0].planes == (0, 1)
    assert found.factors[0].order == 12
    assert found.mixed == ()
    assert not compare_decomposition(found, {0: Group((0, 1), 12, step)})["planes"]


def test_planes_turned_together_and_against_each_other_are_two_factors(rotate, orthogonal):
    q = orthogonal(4, 8)
    found = decomposition([rotate([0.9, 0.9], basis=q), rotate([0.9, -0.9], basis=q)])
    assert len(found.factors) == 2
    assert found.mixed == (0, 1)


def test_map_that_does_nothing_is_idle(rotate, orthogonal):
    q = orthogonal(4, 9)
    maps = [*flat_maps(rotate, q), np.eye(4)]
    found = decomposition(maps)
    assert found.idle == (4,)
    assert found.inverse_pairs == ((0, 2), (1, 3))
    assert found.orders[4] == (0, 1)
    assert [factor.codes for factor in found.factors] == [(0, 2), (1, 3)]


def test_nothing_but_idle_maps():
    found = decomposition(np.stack([np.eye(4)] * 2))
    assert (found.planes, found.factors, found.static_dims, found.idle) == ((), (), 4, (0, 1))
    assert found.angles.shape == (2, 0)
    assert found.orders == ((0, 1), (0, 1))
    assert found.reason is None


def test_half_turns_and_reflections(rotate, orthogonal):
    q = orthogonal(5, 10)
    half = rotate([np.pi, 0.0], dims=5)
    mirror = np.diag([1.0, 1, 1, 1, -1])
    quarter = rotate([0.0, np.pi / 2], dims=5)
    found = decomposition([q @ matrix @ q.T for matrix in (half, mirror, quarter)])
    assert found.reason is None
    assert sorted(len(plane) for plane in found.planes) == [1, 2, 2]
    assert [(factor.codes, factor.order) for factor in found.factors] == [((0,), 2), ((1,), 2), ((2,), 4)]
    assert found.inverses == (0, 1, None)
    assert found.static_dims == 0


def test_maps_that_do_not_commute_are_said_not_to():
    about_z = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    about_x = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
    found = decomposition([about_z, about_x])
    assert found.reason.startswith("the maps do not commute (error 1.41)")
    assert found.commutator == pytest.approx(np.sqrt(2))
    assert found.residual > 0.1
    assert not compare_decomposition(found, FLAT)["commute"]


def test_commuting_maps_that_are_no_rotations_are_said_not_to_fit():
    found = decomposition([np.diag([2.0, 0.5]), np.diag([0.5, 2.0])])
    assert found.commutator == 0.0
    assert found.reason.startswith("the maps are not rotations of common planes")


def test_report_through_the_registry(rotate, orthogonal):
    maps = flat_maps(rotate, orthogonal(6, 11))
    result = compute("decomposition", maps, FLAT, inverses=[2, 3, 0, 1])
    assert {name: result.values[name] for name in ("correct", "factors", "planes", "static_dims")} == {
        "correct": 1.0,
        "factors": 2.0,
        "planes": 2.0,
        "static_dims": 2.0,
    }
    assert result.details["found"]["inverse_pairs"] == [[0, 2], [1, 3]]
    assert "correct" not in compute("decomposition", maps).values


def test_decomposition_rejects_what_is_no_stack_of_squares():
    with pytest.raises(ValueError, match="matrices must be square"):
        decomposition(np.zeros((2, 3, 4)))
    with pytest.raises(ValueError, match="matrices must have 3 axes"):
        decomposition(np.eye(4))
    with pytest.raises(ValueError, match="tries must be at least 1"):
        decomposition(np.zeros((1, 2, 2)), tries=0)
