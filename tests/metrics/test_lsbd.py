"""D_LSBD against recorded values, closed forms and its invariances."""

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
]


@pytest.mark.parametrize("name", NAMES)
def test_recorded_values(recorded, name):
    codes, expected = recorded.array("dlsbd", name), recorded.expected["dlsbd"][name]
    # The cylinder's first axis is a line, not a circle.
    result = lsbd(codes, cyclic=[1] if name.startswith("cylinder") else None)
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


def test_axes_that_are_not_cyclic_are_left_out(torus):
    codes = torus((16, 16))
    codes = np.concatenate([codes[..., :2], np.linspace(0, 1, 16)[None, :, None] * np.ones((16, 16, 1))], axis=-1)
    assert lsbd(codes, cyclic=[0]).values["lsbd"] < 1e-12
    assert lsbd(codes, cyclic=[0, 1]).values["lsbd"] > 0.3
    assert lsbd(codes, cyclic=[]).reason == "no cyclic axis"


def test_bad_input():
    grid = np.random.default_rng(0).standard_normal((4, 5, 2))
    with pytest.raises(ValueError, match="cyclic axis 2 is not one of the 2 axes"):
        lsbd(grid, cyclic=[2])
    with pytest.raises(ValueError, match="needs at least 3"):
        lsbd(grid[:2])
    with pytest.raises(ValueError, match="held_out must be a mask of shape"):
        lsbd(grid, held_out=np.zeros((4, 5), dtype=bool))
    with pytest.raises(ValueError, match="not finite"):
        lsbd(np.full((4, 5, 2), np.inf))
    with pytest.raises(ValueError, match="max_frequency must not be negative"):
        lsbd(grid, max_frequency=-1)
