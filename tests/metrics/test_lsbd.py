"""D_LSBD against recorded values, closed forms and its invariances."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equiworld.metrics import lsbd

NAMES = [
    "torus_perfect",
    "torus_perfect_omega_2_3",
    "torus_perfect_omega_minus1_1",
    "torus_rectangular_8x20",
    "torus_rotated_4d",
    "torus_scaled_linear",
    "torus_ellipse",
    "torus_padded_dead",
    "torus_noise_0.1",
    "torus_noise_0.5",
    "torus_wrong_order",
    "entangled_sum",
    "only_first_factor",
    "cartesian_angles",
    "one_angle_line_plus_zero",
    "random_gaussian_4d",
    "cylinder_perfect",
    "cylinder_noise_0.3",
]


@pytest.mark.parametrize("name", NAMES)
def test_recorded_values(recorded, name):
    codes, expected = recorded.array("dlsbd", name), recorded.expected["dlsbd"][name]
    # The cylinder's first axis is a line, not a circle.
    cylinder = name.startswith("cylinder")
    result = lsbd(codes, cyclic=[1] if cylinder else None, arbitrary_signs=cylinder)
    assert result.values["lsbd"] == pytest.approx(expected["score"], abs=1e-6)
    if name != "entangled_sum":  # every frequency ties there
        assert result.details["frequencies"] == expected["frequencies"]


@settings(max_examples=25, deadline=None)
@given(
    first=st.integers(1, 10),
    second=st.integers(1, 6),
    seed=st.integers(0, 2**20),
    scale=st.floats(1e-3, 1e3),
    shift=st.floats(-10, 10),
)
def test_perfect_torus_scores_zero_in_any_basis_at_any_frequency(torus, orthogonal, first, second, seed, scale, shift):
    codes = torus((21, 13), (first, -second)) * np.array([scale, scale, 1.0, 1.0])
    result = lsbd(codes @ orthogonal(4, seed) + shift)
    assert result.values["lsbd"] < 1e-12
    assert result.details["frequencies"] == [first, second]


def test_frequency_outside_the_range_is_not_found_unless_all_are_tried(torus):
    codes = torus((33, 33), (13, 1))
    assert lsbd(codes).details["per_axis"][0] == pytest.approx(1.0, abs=0.01)
    assert lsbd(codes, max_frequency=None).values["lsbd"] < 1e-12
    assert lsbd(codes, max_frequency=None).details["frequencies"] == [13, 1]


def test_aliased_frequencies_are_reported_as_the_lowest(torus):
    # 8 positions: frequencies 1, 7 and 9 are the same up to sign.
    assert lsbd(torus((8, 20), (7, 1))).details["frequencies"] == [1, 1]


def test_dead_component_counts_as_dispersed(torus):
    # One cosine alone: half the variance follows the frequency (as two turning halves), and half of that is kept.
    line = torus((16, 16))[..., [0, 2]]
    count = 256
    share = (count - 1) / count
    assert lsbd(line).values["lsbd"] == pytest.approx(share - 0.25 * share, abs=1e-9)
    assert lsbd(np.ones((16, 16, 3))).values["lsbd"] == pytest.approx(share, abs=1e-12)
    assert lsbd(np.ones((16, 16, 1)) * 0.1).values["lsbd"] == pytest.approx(share, abs=1e-12)


def test_held_out_states_are_measured_around_the_common_point(torus):
    codes = torus((16, 16))
    mask = np.zeros((16, 16), dtype=bool)
    mask[3, ::4] = mask[9, 1] = True
    result = lsbd(codes, held_out=mask)
    assert result.values["held_out"] < 1e-12
    noisy = np.where(mask[..., None], -codes, codes)
    spoilt = lsbd(noisy, held_out=mask)
    # The held-out states stand opposite the common point, at nearly twice the radius 1 of the standard circle.
    assert spoilt.values["lsbd"] < 0.3
    assert 3.0 < spoilt.values["held_out"] < 4.0
    rest = lsbd(noisy, held_out=~mask).values["held_out"]
    share = mask.mean()
    whole = share * spoilt.values["held_out"] + (1 - share) * rest
    assert whole == pytest.approx(spoilt.values["lsbd"], abs=1e-12)
    everything = lsbd(noisy, held_out=np.ones((16, 16), dtype=bool))
    assert everything.values["held_out"] == pytest.approx(everything.values["lsbd"], abs=1e-12)


def test_objects_of_a_cylinder_are_measured_by_themselves(recorded, orthogonal):
    codes = recorded.array("dlsbd", "cylinder_noise_0.3")
    result = lsbd(codes, cyclic=[1])
    # Each object by itself, at the common frequency 1: two of the five planes came out of the PCA mirrored, which
    # the recorded .4552 counts as dispersion.
    alone = [lsbd(one[None], cyclic=[1]) for one in codes]
    assert result.values["lsbd"] == pytest.approx(np.mean([one.values["lsbd"] for one in alone]), abs=1e-12)
    assert result.values["lsbd"] == pytest.approx(0.12005921794, abs=1e-9)
    assert [one.details["frequencies"] for one in alone] == [[1]] * 5
    assert (result.details["axes"], result.details["object_axes"]) == ([1], [0])
    # Planes may differ from object to object, in place, size and basis.
    angles = 2 * np.pi * np.arange(12) / 12
    circle = np.stack([np.cos(2 * angles), np.sin(2 * angles)], axis=1)
    cylinder = np.stack([circle @ (seed * orthogonal(4, seed)[:2]) + 3 * seed for seed in range(1, 6)])
    assert lsbd(cylinder, cyclic=[1]).values["lsbd"] < 1e-12
    assert lsbd(cylinder, cyclic=[1]).details["frequencies"] == [2]
    # Two of five objects at another frequency: one frequency is common to all of them.
    other = np.stack([np.cos(3 * angles), np.sin(3 * angles), 0 * angles, 0 * angles], axis=1)
    mixed = np.concatenate([cylinder[:3], [other, other]])
    assert lsbd(mixed, cyclic=[1]).values["lsbd"] == pytest.approx(11 / 12 * 2 / 5, abs=1e-9)


def test_a_cylinder_of_two_circles(torus):
    codes = torus((8, 9))
    codes = np.stack([codes, 3 * codes[..., ::-1] + 1, codes[:, ::-1]])
    assert lsbd(codes, cyclic=[1, 2]).values["lsbd"] < 1e-12
    mask = np.zeros((3, 8, 9), dtype=bool)
    mask[2, :2] = True
    noisy = codes + np.where(mask[..., None], np.random.default_rng(0).standard_normal(codes.shape), 0.0)
    result = lsbd(noisy, cyclic=[1, 2], held_out=mask)
    assert result.values["held_out"] > 0.3 > result.values["lsbd"]
    assert lsbd(noisy, cyclic=[1, 2], held_out=~mask).values["held_out"] < 0.1


def test_a_grid_without_a_group_says_so(torus):
    result = lsbd(torus((16, 16)), cyclic=[])
    assert (result.values, result.n) == ({"lsbd": None}, 256)
    assert result.reason == "no axis is cyclic or has a representation"


def symmetric_group():
    """S_3 as permutation matrices [6, 3, 3]."""
    return np.stack([np.eye(3)[list(order)] for order in permutations(range(3))])


def dihedral_group():
    """D_4 as turns and reflections of the plane [8, 2, 2]."""
    angles = np.pi / 2 * np.arange(4)
    cosine, sine = np.cos(angles), np.sin(angles)
    turns = np.stack([np.stack([cosine, -sine], -1), np.stack([sine, cosine], -1)], -2)
    return np.concatenate([turns, turns @ np.diag([1.0, -1.0])])


GROUPS = {"S_3": symmetric_group(), "D_4": dihedral_group()}


@settings(max_examples=25, deadline=None)
@given(group=st.sampled_from(sorted(GROUPS)), seed=st.integers(0, 2**20), objects=st.integers(1, 3))
def test_a_perfect_code_of_a_group_that_does_not_commute(group, seed, objects):
    rho, rng = GROUPS[group], np.random.default_rng(seed)
    points = rng.standard_normal((rho.shape[1], objects))
    # Any linear basis, even a skewed one, of five dimensions, and an offset for every object.
    basis = np.linalg.qr(rng.standard_normal((5, 5)))[0][:, : rho.shape[1]] * rng.uniform(0.2, 5, rho.shape[1])
    codes = np.einsum("dj,gji,io->ogd", basis, rho, points) + rng.standard_normal((objects, 1, 5))
    skewed = rng.standard_normal(rho.shape[1:]) + 3 * np.eye(rho.shape[1])
    for matrices in (rho, skewed @ rho @ np.linalg.inv(skewed)):
        result = lsbd(codes, cyclic=[], representations={1: matrices})
        assert result.values["lsbd"] < 1e-10
        assert result.details["frequencies"] == [None]


def test_a_wrong_representation_is_told_from_the_right_one():
    rho = GROUPS["D_4"]
    codes = rho @ np.array([1.0, 0.3])
    # What tells reflections from turns holds nothing of where a vector points: nothing is explained.
    sign = np.linalg.det(rho).reshape(-1, 1, 1)
    assert lsbd(codes, representations={0: sign}).values["lsbd"] == pytest.approx(7 / 8, abs=1e-9)
    # The elements in another order are no homomorphism of the same group.
    mixed = rho[[0, 1, 4, 3, 2, 5, 7, 6]]
    assert lsbd(codes, representations={0: mixed}).values["lsbd"] > 0.3
    # Both parts are asked for: 1 dimension of 3 has no variance, and counts as dispersed.
    both = np.zeros((8, 3, 3))
    both[:, :2, :2], both[:, 2:, 2:] = rho, sign
    assert lsbd(codes, representations={0: both}).values["lsbd"] == pytest.approx(7 / 8 / 3, abs=1e-9)
    whole = np.hstack([codes, 0.1 * sign[:, :, 0]])
    assert lsbd(whole, representations={0: both}).values["lsbd"] < 1e-12
    # The same part twice: an orbit fills two of its four dimensions only.
    twice = np.kron(np.eye(2), np.stack([np.linalg.matrix_power(rho[1], k) for k in range(4)]))
    turns = np.stack([np.linalg.matrix_power(rho[1], k) for k in range(4)])
    assert lsbd(turns @ np.array([1.0, 0.3]), representations={0: twice}).values["lsbd"] < 1e-12


@pytest.mark.parametrize("group", sorted(GROUPS))
def test_noise_scores_near_its_chance_and_codes_with_noise_lie_between(group):
    rho, rng = GROUPS[group], np.random.default_rng(3)
    noise = rng.standard_normal((len(rho), 40, 4))
    result = lsbd(noise, cyclic=[], representations={0: rho})
    # Forty objects, each with an embedding of its own; eight elements in a plane leave noise much room to fit.
    assert result.values["lsbd"] == pytest.approx(result.chance["lsbd"], abs=0.05)
    assert lsbd(noise[:, :1], cyclic=[], representations={0: rho}).chance["lsbd"] > 0.3
    # One embedding for all states of a grid with a second group leaves little.
    pooled = lsbd(noise, cyclic=[1], representations={0: rho})
    assert pooled.details["per_axis"][1] > 0.9 and pooled.chance["lsbd"] > 0.9
    clean = np.einsum("gij,nj->gni", rho, rng.standard_normal((40, rho.shape[1])))
    between = lsbd(clean + 0.2 * rng.standard_normal(clean.shape), cyclic=[], representations={0: rho})
    assert 0.01 < between.values["lsbd"] < 0.5 * between.chance["lsbd"]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**20), frequency=st.integers(1, 4), noise=st.sampled_from([0.0, 0.3, 3.0]))
def test_rotations_as_the_given_group_are_the_cyclic_axis(torus, seed, frequency, noise):
    codes = torus((9, 5), (frequency, 1))
    codes = codes + noise * np.random.default_rng(seed).standard_normal(codes.shape)
    best = lsbd(codes, max_frequency=None)
    angles = 2 * np.pi * best.details["frequencies"][0] * np.arange(9) / 9
    cosine, sine = np.cos(angles), np.sin(angles)
    turns = np.stack([np.stack([cosine, -sine], -1), np.stack([sine, cosine], -1)], -2)
    given_group = lsbd(codes, max_frequency=None, representations={0: turns})
    assert given_group.details["axes"] == [1, 0]
    assert given_group.details["per_axis"] == pytest.approx(best.details["per_axis"][::-1], abs=1e-9)


def test_the_best_embedding_is_found():
    """No isometry of thousands does better on noise, where the search is hardest."""
    rho, rng = GROUPS["S_3"], np.random.default_rng(0)
    basis = np.linalg.qr(np.column_stack([np.ones(3), rng.standard_normal((3, 2))]))[0][:, 1:]
    rho = basis.T @ rho @ basis
    for _ in range(3):
        codes = rng.standard_normal((6, 2))
        codes -= codes.mean(axis=0)
        white = codes @ np.linalg.svd(codes)[2].T
        white /= white.std(axis=0, ddof=1) * np.sqrt(2)
        angles = 2 * np.pi * np.arange(3000) / 3000
        cosine, sine = np.cos(angles), np.sin(angles)
        turns = np.stack([np.stack([cosine, -sine], -1), np.stack([sine, cosine], -1)], -2)
        all_of_them = np.concatenate([turns, turns @ np.diag([1.0, -1.0])])
        back = np.einsum("gji,qjk,gk->qgi", rho, all_of_them, white)
        least = np.square(back - back.mean(axis=1, keepdims=True)).sum(axis=2).mean(axis=1).min()
        assert lsbd(codes, representations={0: rho}).values["lsbd"] == pytest.approx(least, abs=1e-4)


@pytest.mark.parametrize("shape", [(3, 3, 4), (6, 8, 4), (16, 16, 4)])
def test_chance_is_what_noise_scores_on_the_same_grid(shape):
    scores = [lsbd(np.random.default_rng(draw).standard_normal(shape)).values["lsbd"] for draw in range(30)]
    result = lsbd(np.zeros(shape), seed=1)
    assert result.chance["lsbd"] == pytest.approx(np.mean(scores), abs=3 * np.std(scores) / np.sqrt(20))
    assert (result.n, result.ceiling) == (shape[0] * shape[1], {"lsbd": 0.0})
    assert lsbd(np.zeros(shape), seed=1) == result
    masked = lsbd(np.zeros(shape), held_out=np.ones(shape[:2], dtype=bool))
    assert masked.chance["held_out"] == pytest.approx(masked.chance["lsbd"])


@pytest.mark.parametrize("scale", [1e-200, 1e200, 1e307])
def test_tiny_and_huge_codes(recorded, scale):
    codes = recorded.array("dlsbd", "torus_noise_0.5")
    assert lsbd(codes * scale).values["lsbd"] == pytest.approx(lsbd(codes).values["lsbd"], abs=1e-9)
    rho = GROUPS["D_4"]
    noisy = rho @ np.array([1.0, 0.3]) + 0.3 * np.random.default_rng(0).standard_normal((8, 2))
    value = lsbd(noisy, representations={0: rho}).values["lsbd"]
    assert lsbd(noisy * scale, representations={0: rho}).values["lsbd"] == pytest.approx(value, abs=1e-9)


def test_bad_input():
    grid = np.random.default_rng(0).standard_normal((4, 5, 2))
    with pytest.raises(ValueError, match="axis 2 is not one of the 2 axes"):
        lsbd(grid, cyclic=[2])
    with pytest.raises(ValueError, match="needs at least 3"):
        lsbd(grid[:2])
    with pytest.raises(ValueError, match="held_out must be a mask of shape"):
        lsbd(grid, held_out=np.zeros((4, 5), dtype=bool))
    with pytest.raises(ValueError, match="not finite"):
        lsbd(np.full((4, 5, 2), np.inf))
    with pytest.raises(ValueError, match="max_frequency must not be negative"):
        lsbd(grid, max_frequency=-1)
    rho = dihedral_group()
    octet = np.zeros((8, 4, 3))
    for wrong, message in (
        (rho[:4], "axis 0 has 8 values, its representation 4 matrices"),
        (rho * 2, "is not one of a finite group"),
        (rho * 1e200, "is not one of a finite group"),
        (np.zeros((8, 2, 2)), "is not one of a finite group"),
        (rho[[0, 1, 1, 1, 1, 1, 1, 1]], "is not one of a finite group"),
        (np.ones((8, 1, 1)), "the representation of axis 0 moves nothing"),
        (rho[:, :1], "the representation of axis 0 must be square"),
    ):
        with pytest.raises(ValueError, match=message):
            lsbd(octet, cyclic=[], representations={0: wrong})
    with pytest.raises(ValueError, match="axis 0 is cyclic and has a representation"):
        lsbd(octet, cyclic=[0], representations={0: rho})
    with pytest.raises(ValueError, match="axis -1 is not one of the 2 axes"):
        lsbd(octet, representations={-1: rho})
