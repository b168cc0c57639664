"""Information from nearest neighbours against a second implementation, closed forms and invariances."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import digamma
from sklearn.feature_selection import mutual_info_classif, mutual_info_regression

from equiworld.metrics import entropy
from equiworld.metrics.neighbours import neighbour_information


def gaussian(rho, count=2000, seed=0):
    return np.random.default_rng(seed).multivariate_normal([0, 0], [[1, rho], [rho, 1]], count)


@pytest.mark.parametrize("levels", [2, 5, 12])
def test_neighbours_agree_with_a_second_implementation_on_categories(levels):
    rng = np.random.default_rng(levels)
    labels = rng.integers(0, levels, 600)
    codes = np.stack([labels + rng.standard_normal(600), rng.standard_normal(600)], axis=1)
    expected = mutual_info_classif(codes, labels, random_state=0, n_neighbors=3)
    found = [neighbour_information(column, labels) for column in codes.T]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_neighbours_agree_with_a_second_implementation_on_quantities():
    pair = gaussian(0.8, 600)
    expected = mutual_info_regression(pair[:, :1], pair[:, 1], random_state=0, n_neighbors=3)
    assert neighbour_information(pair[:, 0], pair[:, 1], discrete=False) == pytest.approx(expected[0], abs=1e-6)


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9])
def test_neighbours_on_a_gaussian_come_close_to_the_closed_form(rho):
    pair = gaussian(rho)
    known = -0.5 * np.log(1 - rho**2)
    assert neighbour_information(pair[:, 0], pair[:, 1], discrete=False) == pytest.approx(known, abs=0.05)
    # A dimension of noise beside the code adds nothing.
    wide = np.stack([pair[:, 0], np.random.default_rng(1).standard_normal(len(pair))], axis=1)
    assert neighbour_information(wide, pair[:, 1], discrete=False) == pytest.approx(known, abs=0.1)


def test_neighbours_know_a_circle_as_a_whole_and_not_in_parts():
    factor = np.random.default_rng(0).integers(0, 15, 1500)
    circle = np.stack([np.cos(2 * np.pi * factor / 15), np.sin(2 * np.pi * factor / 15)], axis=1)
    full = entropy(factor[:, None])[0]
    assert neighbour_information(circle, factor) == pytest.approx(full, abs=0.01)
    assert neighbour_information(circle[:, 0], factor) < 0.8 * full
    # Noise of two dimensions: joint bins would find a third of the entropy here.
    assert neighbour_information(np.random.default_rng(1).standard_normal((1500, 2)), factor) < 0.05 * full


def test_ties_of_independent_levels_know_nothing():
    levels = np.random.default_rng(0).integers(0, 6, (3000, 2))
    assert neighbour_information(levels[:, 0], levels[:, 1]) < 0.02
    assert neighbour_information(levels[:, 0], levels[:, 0]) == pytest.approx(np.log(6), abs=0.01)


@pytest.mark.parametrize("discrete", [True, False])
def test_neighbours_of_constants_and_of_few_rows(discrete):
    labels = np.arange(30) % 3
    assert neighbour_information(np.zeros(30), labels, discrete=discrete) == pytest.approx(0.0, abs=1e-9)
    assert neighbour_information(np.arange(2.0), np.arange(2), discrete=discrete) >= 0.0
    assert neighbour_information(np.arange(1.0), np.zeros(1), discrete=discrete) == 0.0


@settings(max_examples=8, deadline=None)
@given(
    seed=st.integers(0, 2**20),
    scale=st.sampled_from([-7.0, -0.01, 0.5, 300.0]),
    discrete=st.booleans(),
    width=st.integers(1, 3),
)
def test_neighbours_ignore_scale_sign_shift_and_row_order(seed, scale, discrete, width):
    rng = np.random.default_rng(seed)
    factor = rng.integers(0, 4, 80)
    target = factor if discrete else factor + rng.standard_normal(80)
    codes = rng.standard_normal((80, width)) + factor[:, None]
    order = rng.permutation(80)
    plain = neighbour_information(codes, target, discrete=discrete)
    moved = neighbour_information(codes[order][:, ::-1] * scale + 1.5, target[order], discrete=discrete)
    assert plain == pytest.approx(moved, abs=1e-9)


def test_bad_input_of_neighbours():
    with pytest.raises(ValueError, match="codes must be"):
        neighbour_information(np.zeros((3, 1)), np.zeros(4))
    with pytest.raises(ValueError, match="neighbours must be at least 1"):
        neighbour_information(np.zeros((3, 1)), np.zeros(3), neighbours=0)


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**20), exponent=st.integers(-900, 900), discrete=st.booleans())
def test_neighbours_ignore_scales_whose_squares_no_float_holds(seed, exponent, discrete):
    rng = np.random.default_rng(seed)
    target = rng.integers(0, 4, 80) if discrete else rng.standard_normal(80)
    codes = rng.standard_normal((80, 2)) + target[:, None]
    plain = neighbour_information(codes, target, discrete=discrete)
    assert plain > 0.1
    unit = 2.0**exponent
    assert neighbour_information(codes * unit, target, discrete=discrete) == plain
    if not discrete:
        assert neighbour_information(codes, target * unit, discrete=False) == plain


def test_a_constant_block_knows_exactly_nothing():
    labels = np.arange(30) % 3
    assert neighbour_information(np.full((30, 2), 0.1), labels) == 0.0
    assert neighbour_information(np.full((30, 2), 1e300), labels * 0.5, discrete=False) == 0.0


def test_many_equal_points_are_counted_as_one_by_one():
    # Every point of a class within its radius: against counting by hand, without trees.
    rng = np.random.default_rng(0)
    codes, labels = rng.integers(0, 2, (60, 2)).astype(float), rng.integers(0, 2, 60)
    apart = np.linalg.norm(codes[:, None] - codes[None], axis=2)
    gain = []
    for row, label in enumerate(labels):
        own = apart[row, labels == label]
        assert np.sort(own)[3] == 0  # three others at the same place
        gain.append(digamma((own == 0).sum()) - digamma((apart[row] == 0).sum()))
    sizes = np.bincount(labels)[labels]
    known = np.mean(gain) - digamma(sizes).mean() + digamma(60)
    assert neighbour_information(codes, labels) == pytest.approx(max(0.0, known))
