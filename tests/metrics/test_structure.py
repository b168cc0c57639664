"""The discovered structure, on maps that are known exactly."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equiworld.metrics import (
    compare_decomposition,
    compute,
    decomposition,
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


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**20), dims=st.sampled_from([4, 5, 6, 8]))
def test_two_cyclic_factors_in_any_basis(flat_maps, orthogonal, seed, dims):
    q = orthogonal(dims, seed)
    found = decomposition(flat_maps(q))
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


def test_the_true_structure_compares_as_true_under_relabelling(flat_maps, orthogonal):
    maps = flat_maps(orthogonal(6, 5))
    order = [2, 0, 3, 1]  # the learnt map i is the true action order[i]
    mapping = {true: learnt for learnt, true in enumerate(order)}
    found = decomposition(maps[order])
    assert all(compare_decomposition(found, FLAT, mapping, [2, 3, 0, 1]).values())
    assert all(compare_decomposition(found, FLAT, mapping).values())
    wrong = compare_decomposition(found, FLAT)
    assert not wrong["actions"]
    assert not wrong["all"]


def test_comparison_tells_which_point_is_wrong(flat_maps):
    found = decomposition(flat_maps())
    other = {0: Group((1, 3), 33, STEP), 1: Group((0, 2), 16, 1.2)}
    answer = compare_decomposition(found, other)
    assert [name for name, right in answer.items() if not right] == ["orders", "angles", "all"]
    three = FLAT | {2: Group((4,), 2, np.pi)}
    answer = compare_decomposition(found, three)
    assert [name for name, right in answer.items() if not right] == ["factors", "actions", "orders", "angles", "all"]
    assert not compare_decomposition(found, FLAT, inverses=[1, 0, 3, 2])["inverses"]


def test_noisy_maps_keep_their_structure(flat_maps, orthogonal):
    rng = np.random.default_rng(0)
    maps = flat_maps(orthogonal(6, 7))
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


def test_map_that_does_nothing_is_idle(flat_maps, orthogonal):
    q = orthogonal(4, 9)
    maps = [*flat_maps(q), np.eye(4)]
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


def test_report_through_the_registry(flat_maps, orthogonal):
    maps = flat_maps(orthogonal(6, 11))
    result = compute("decomposition", maps, FLAT, inverses=[2, 3, 0, 1])
    assert {name: result.values[name] for name in ("correct", "factors", "planes", "static_dims")} == {
        "correct": 1.0,
        "factors": 2.0,
        "planes": 2.0,
        "static_dims": 2.0,
    }
    assert result.details["found"]["inverse_pairs"] == [[0, 2], [1, 3]]
    assert result.ceiling == {"residual": 0.0, "misfit": 0.0, "correct": 1.0, "factors": 2.0, "planes": 2.0}
    assert result.chance["correct"] == 0.0 and result.chance["misfit"] > 0.1
    assert set(result.chance) == set(result.values) and result.n == 4
    bare = compute("decomposition", maps, seed=3)
    assert "correct" not in bare.values and set(bare.ceiling) == {"residual", "misfit"}


@pytest.mark.parametrize("scale", [1e-200, 1e200, 1e307])
def test_tiny_and_huge_maps_are_said_not_to_be_rotations(flat_maps, orthogonal, scale):
    result = compute("decomposition", flat_maps(orthogonal(6, 11)) * scale)
    assert "the maps are not rotations of common planes" in result.reason


def test_huge_maps_that_do_not_commute_are_said_not_to():
    found = decomposition([np.diag([0.0, 1e200]), np.array([[0.0, 1e200], [0.0, 0.0]])])
    assert found.commutator == np.inf
    assert found.reason.startswith("the maps do not commute (error inf)")


def test_decomposition_rejects_what_is_no_stack_of_squares():
    with pytest.raises(ValueError, match="matrices must be square"):
        decomposition(np.zeros((2, 3, 4)))
    with pytest.raises(ValueError, match="matrices must have 3 axes"):
        decomposition(np.eye(4))
    with pytest.raises(ValueError, match="tries must be at least 1"):
        decomposition(np.zeros((1, 2, 2)), tries=0)
