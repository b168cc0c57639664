"""Bins: published edges, equal counts, and columns of any size."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equiworld.metrics import discretise
from equiworld.metrics.discretise import equal_widths, joint_cells


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


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**20), bins=st.integers(1, 40), offset=st.sampled_from([0.0, -3.0, 1e6]))
def test_edges_are_those_of_numpy_to_the_last_digit(seed, bins, offset):
    column = offset + np.random.default_rng(seed).integers(0, 60, 200) / 7
    expected = np.digitize(column, np.histogram(column, bins)[1][:-1]) - 1
    np.testing.assert_array_equal(discretise(column[:, None], bins)[:, 0], expected)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**20),
    exponent=st.integers(-960, 960),
    binning=st.sampled_from(["width", "quantile", "exact", "width_ubisoft"]),
)
def test_bins_do_not_depend_on_scale(seed, exponent, binning):
    column = np.random.default_rng(seed).standard_normal((50, 1)) + 2
    np.testing.assert_array_equal(
        discretise(column, 7, binning), discretise(column * 2.0**exponent, 7, binning), strict=True
    )


def test_columns_at_the_ends_of_what_floats_hold():
    tops = np.array([[-1.7e308], [0.0], [1.7e308]])
    assert discretise(tops, 4).ravel().tolist() == [0, 2, 3]
    assert discretise(np.array([[0.0], [5e-324], [1e-323]]), 2).ravel().tolist() == [0, 1, 1]
    # Closer together than twenty edges can lie.
    steps = 1e5 + np.arange(3)[:, None] * np.spacing(1e5)
    assert discretise(steps, 20).ravel().tolist() == [0, 10, 19]
    for value in (1e300, -1e-300, 0.0):
        assert len(np.unique(discretise(np.full((4, 1), value), 20))) == 1


def test_other_rows_go_into_the_same_bins():
    found = equal_widths(np.array([0.0, 1.0, 4.0]), 4, np.array([-1e300, 0.5, 2.0, 3.9, 1e300]))
    assert found.tolist() == [0, 1, 3, 0, 0, 2, 3, 3]


def test_cells_number_the_rows_that_differ():
    assert joint_cells(np.array([[1, 0], [0, 5], [1, 0], [0, 0]])).tolist() == [2, 1, 2, 0]
