"""Bins, entropy and mutual information against closed forms and a second implementation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_selection import mutual_info_classif, mutual_info_regression

from equiworld.metrics import discretise, entropy, mutual_information
from equiworld.metrics.information import informative_blocks, neighbour_information
from equiworld.metrics.tables import read_rows


def full_grid(*sizes):
    return np.stack([axis.ravel() for axis in np.meshgrid(*map(np.arange, sizes), indexing="ij")], axis=1)


def gaussian(rho, count=2000, seed=0):
    return np.random.default_rng(seed).multivariate_normal([0, 0], [[1, rho], [rho, 1]], count)


def test_equal_widths_put_the_largest_value_in_the_last_bin():
    assert discretise(np.array([[0.0], [0.24], [0.26], [1.0]]), 4).ravel().tolist() == [0, 0, 1, 3]


def test_equal_counts_keep_equal_values_together_and_ignore_monotone_maps():
    codes = np.array([[5.0], [1.0], [1.0], [1.0], [9.0], [7.0]])
    assert discretise(codes, 3, "quantile").ravel().tolist() == [1, 0, 0, 0, 2, 2]
    spread = np.random.default_rng(0).standard_normal((100, 2))
    assert np.bincount(discretise(spread, 5, "quantile")[:, 0]).tolist() == [20] * 5
    np.testing.assert_array_equal(discretise(spread, 5, "quantile"), discretise(np.exp(3 * spread), 5, "quantile"))


def test_exact_levels_number_distinct_values_in_order():
    assert discretise(np.array([[2.5], [-1.0], [2.5], [0.0]]), 2, "exact").ravel().tolist() == [2, 0, 2, 1]


def test_constant_column_is_one_bin_everywhere():
    for binning in ("width", "quantile", "exact", "width_ubisoft"):
        assert len(np.unique(discretise(np.full((7, 1), 3.3), 20, binning))) == 1


@pytest.mark.parametrize(
    ("bins", "binning", "message"), [(0, "width", "bins must be at least 1"), (3, "log", "binning must be one of")]
)
def test_bad_binning(bins, binning, message):
    with pytest.raises(ValueError, match=message):
        discretise(np.zeros((3, 1)), bins, binning)


def test_mutual_information_of_equal_independent_and_constant_columns():
    factors = full_grid(3, 8)
    np.testing.assert_allclose(mutual_information(factors, factors), np.diag([np.log(3), np.log(8)]), atol=1e-12)
    np.testing.assert_allclose(entropy(factors), [np.log(3), np.log(8)], atol=1e-12)
    # Exactly zero: a constant code must not know 1e-17 nats.
    uneven = np.random.default_rng(0).integers(0, 7, (1999, 3))
    assert not mutual_information(np.full((1999, 1), 2), uneven).any()


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


def test_informative_codes_are_found_at_any_scale(recordings):
    factors, codes = recordings.rows("shapes3d", "dead_dims")[:2]
    blocks = [[dimension] for dimension in range(codes.shape[1])]
    scale = 10.0 ** np.linspace(-3, 3, codes.shape[1])
    for table in (codes, codes[:, ::-1] * scale):
        found = informative_blocks(read_rows(factors, table), blocks)
        assert sorted(found.tolist()) == [False] * 3 + [True] * 6


def test_noise_is_rarely_called_informative():
    rng = np.random.default_rng(0)
    passed = 0
    for _ in range(8):
        rows = read_rows(rng.integers(0, [10, 10, 15], (300, 3)), rng.standard_normal((300, 6)))
        passed += int(informative_blocks(rows, [[0], [1], [2], [3], [4, 5]]).sum())
    assert passed <= 1


def test_a_block_that_only_knows_jointly_is_informative():
    bits = np.random.default_rng(0).integers(0, 2, (400, 2))
    rows = read_rows(bits[:, :1] ^ bits[:, 1:], bits.astype(float))
    assert informative_blocks(rows, [[0, 1]]).tolist() == [True]
    assert informative_blocks(rows, [[0], [1]]).tolist() == [False, False]
