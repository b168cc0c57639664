"""Mean correlation coefficient: closed forms, invariances and degenerate input."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equiworld.metrics import compute
from equiworld.metrics.mcc import absolute_correlations, matched, mcc


def grid(*sizes):
    return np.stack([axis.ravel() for axis in np.meshgrid(*map(np.arange, sizes), indexing="ij")], axis=1)


@pytest.mark.parametrize("name", ["perfect", "permuted_scaled", "dead_dims", "duplicated"])
def test_permuted_scaled_and_wide_codes_are_perfect(recordings, name):
    result = mcc(*recordings.rows("shapes3d", name))
    assert result.values == pytest.approx({"mcc": 1.0, "mcc_spearman": 1.0}, abs=1e-9)


def test_monotone_codes_are_perfect_by_ranks_only():
    factors = grid(6, 6)
    result = mcc(factors, np.exp(factors[:, ::-1] * [1.0, -2.0]))
    assert result.values["mcc_spearman"] == pytest.approx(1.0)
    expected = np.mean([abs(np.corrcoef(np.arange(6), np.exp(rate * np.arange(6)))[0, 1]) for rate in (1.0, -2.0)])
    assert result.values["mcc"] == pytest.approx(expected, abs=1e-12)
    assert result.details["match"] == [1, 0]


def test_rotation_by_a_known_angle():
    factors = grid(7, 7)
    cosine, sine = np.cos(0.3), np.sin(0.3)
    codes = factors @ np.array([[cosine, sine], [-sine, cosine]])
    assert mcc(factors, codes).values["mcc"] == pytest.approx(cosine, abs=1e-12)


def test_the_match_is_the_best_one_and_not_greedy():
    matrix = np.array([[0.9, 0.8], [0.8, 0.0]])
    values, match = matched(matrix, np.array([True, True]))
    assert match == [1, 0]
    np.testing.assert_allclose(values, [0.8, 0.8])


def test_fewer_codes_than_factors_leave_zeros():
    factors = grid(5, 5)
    result = mcc(factors, factors[:, 1:].astype(float))
    assert result.values["mcc"] == pytest.approx(0.5)
    assert result.details["match"] == [None, 0]
    assert result.details["per_factor"] == pytest.approx([0.0, 1.0])


def test_constant_columns():
    factors = np.hstack([grid(4, 5), np.zeros((20, 1), dtype=int)])
    result = mcc(factors, np.hstack([factors, np.full((20, 1), 0.1)]).astype(float))
    assert result.values["mcc"] == pytest.approx(1.0)
    assert result.details["constant_factors"] == [2]
    assert mcc(factors, np.full((20, 2), 0.1)).values == {"mcc": 0.0, "mcc_spearman": 0.0}
    nothing = mcc(factors[:, 2:], factors.astype(float))
    assert nothing.values == {"mcc": None, "mcc_spearman": None}
    assert nothing.reason == "no factor varies in the sample"


def test_tiny_and_huge_codes():
    values = np.arange(10.0)[:, None]
    np.testing.assert_allclose(absolute_correlations(values * [[1e-200, 1e200]], values), 1.0, atol=1e-12)


@pytest.mark.parametrize("scale", [1e-200, 1e200, [1e-200, 1e307]])
def test_scale_does_not_matter(scale):
    factors = grid(4, 5)
    codes = factors @ np.array([[1.0, 0.2], [-0.3, 0.5]]) / 10
    assert mcc(factors, codes * scale).values == pytest.approx(mcc(factors, codes).values, abs=1e-9)


def test_chance_is_not_zero_in_small_samples():
    result = compute("mcc", grid(5, 5), grid(5, 5).astype(float))
    assert result.ceiling["mcc"] == pytest.approx(1.0)
    assert 0.0 < result.chance["mcc"] < 0.6


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**20))
def test_invariant_to_order_sign_and_scale(seed):
    rng = np.random.default_rng(seed)
    factors, codes = rng.integers(0, 5, (40, 3)), rng.standard_normal((40, 4))
    rows, columns = rng.permutation(40), rng.permutation(4)
    moved = codes[rows][:, columns] * rng.choice([-1e3, 0.1, 2], 4) - 3
    assert mcc(factors, codes).values == pytest.approx(mcc(factors[rows], moved).values, abs=1e-9)
