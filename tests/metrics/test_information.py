"""The mutual information gap against recorded values and closed forms."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equiworld.metrics import compute, discretise, entropy, mig, mutual_information


def full_grid(*sizes):
    return np.stack([axis.ravel() for axis in np.meshgrid(*map(np.arange, sizes), indexing="ij")], axis=1)


NAMES = ["perfect", "monotone", "duplicated", "sincos", "missing", "noisy", "constant", "rotated"]


@pytest.mark.parametrize("name", NAMES)
def test_recorded_values(recorded, name):
    expected = recorded.expected["mig"][name]
    result = mig(recorded.array("mig", "factors"), recorded.array("mig", name), bins=20)
    assert result.values["mig"] == pytest.approx(expected["mig"], abs=1e-6)
    np.testing.assert_allclose(result.details["mutual_information"], expected["mutual_information"], atol=1e-6)


@pytest.mark.parametrize("sizes", [(3, 4, 5), (20, 7), (33, 33)])
def test_perfect_code_on_a_full_grid_scores_one_with_enough_bins(sizes):
    factors = full_grid(*sizes)
    result = mig(factors, factors * 2.5 - 1.0, bins=None)
    assert result.values["mig"] == pytest.approx(1.0, abs=1e-9)
    assert result.ceiling["mig"] == pytest.approx(1.0, abs=1e-9)


def test_too_few_bins_lower_the_ceiling_and_the_score_reaches_it():
    factors = full_grid(33, 33)
    result = mig(factors, factors.astype(float), bins=20)
    # 33 levels in 20 bins: 13 bins take two levels, 7 take one.
    information = -(13 * (2 / 33) * np.log(2 / 33) + 7 * (1 / 33) * np.log(1 / 33))
    assert result.ceiling["mig"] == pytest.approx(information / np.log(33), abs=1e-9)
    assert result.values["mig"] == pytest.approx(result.ceiling["mig"], abs=1e-12)


def test_duplicated_code_scores_zero():
    factors = full_grid(4, 6)
    assert mig(factors, np.hstack([factors, factors])).values["mig"] == pytest.approx(0.0, abs=1e-12)


def test_single_code_dimension_has_no_rival():
    factors = full_grid(5, 5)
    result = mig(factors, factors[:, :1].astype(float))
    np.testing.assert_allclose(result.details["per_factor"], [1.0, 0.0], atol=1e-12)


def test_constant_factor_is_left_out_and_named():
    factors = np.hstack([full_grid(4, 5), np.zeros((20, 1), dtype=int)])
    result = mig(factors, factors[:, :2].astype(float))
    assert result.values["mig"] == pytest.approx(1.0)
    assert result.details["constant_factors"] == [2]
    assert result.details["per_factor"][2] is None


def test_no_varying_factor_says_so():
    result = mig(np.zeros((5, 2)), np.arange(5.0)[:, None])
    assert result.values == {"mig": None}
    assert result.reason == "no factor varies in the sample"


def test_mutual_information_of_equal_and_independent_columns():
    factors = full_grid(3, 8)
    np.testing.assert_allclose(mutual_information(factors, factors), np.diag([np.log(3), np.log(8)]), atol=1e-12)
    np.testing.assert_allclose(entropy(factors), [np.log(3), np.log(8)], atol=1e-12)


def test_discretise_puts_the_largest_value_in_the_last_bin():
    assert discretise(np.array([[0.0], [0.24], [0.26], [1.0]]), 4).ravel().tolist() == [0, 0, 1, 3]


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**20), shift=st.floats(-5, 5), power=st.integers(-4, 4))
def test_invariant_to_order_scale_and_shift_of_codes(seed, shift, power):
    rng = np.random.default_rng(seed)
    factors = full_grid(4, 5, 3)
    # Whole levels, away from the edges of the 20 bins, so that rounding moves nothing across an edge.
    codes = rng.permutation(factors[:, rng.permutation(3)] @ rng.integers(1, 4, (3, 3))).astype(float)
    order = rng.permutation(3)
    moved = codes[:, order] * 2.0**power
    first, second = mig(factors, codes, bins=19).values["mig"], mig(factors, moved, bins=19).values["mig"]
    assert first == pytest.approx(second, abs=1e-12)
    spread = mig(factors, factors + shift, bins=7).values["mig"]
    assert spread == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize(
    ("factors", "codes", "bins", "message"),
    [
        (np.zeros((3, 1)), np.zeros((4, 1)), 20, "factors must be"),
        (np.zeros((3, 1)), np.full((3, 1), np.nan), 20, "not finite"),
        (np.zeros((3, 1)), np.zeros((3, 0)), 20, "empty"),
        (np.arange(3)[:, None], np.zeros((3, 1)), 0, "bins must be at least 1"),
    ],
)
def test_bad_input(factors, codes, bins, message):
    with pytest.raises(ValueError, match=message):
        compute("mig", factors, codes, bins=bins)
