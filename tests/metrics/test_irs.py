"""Interventional robustness against recorded values and closed forms."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equiworld.metrics.irs import irs, mean_deviation


def grid(*sizes):
    return np.stack([axis.ravel() for axis in np.meshgrid(*map(np.arange, sizes), indexing="ij")], axis=1)


def test_recorded_values(recordings, space, name):
    factors, codes = recordings.rows(space, name)[:2]
    expected = recordings.expected["disentanglement_lib"][f"{space}/{name}/irs"]["scores"]
    result = irs(factors, codes)
    assert result.values["irs"] == pytest.approx(expected["IRS"], abs=1e-6)
    largest = irs(factors, codes, quantile=1.0, bins=None).values["irs"]
    ubisoft = recordings.expected["others"][f"{space}/{name}/ubisoft/irs"]["scores"]["score"]
    assert largest == pytest.approx(ubisoft, abs=1e-6)
    if name != "constant":
        np.testing.assert_allclose(result.details["irs_matrix"], expected["IRS_matrix"], atol=1e-6)
        whole = irs(factors, codes, quantile=1.0).values["irs"]
        assert whole == pytest.approx(expected["IRS_quantile_1.0"], abs=1e-6)


def test_closed_forms():
    factors = grid(3, 5)
    assert irs(factors, factors.astype(float)).values["irs"] == pytest.approx(1.0)
    # A sum: within a value of the first factor the code reaches 2 from its mean, of 3 over all.
    result = irs(factors, factors.sum(axis=1, keepdims=True).astype(float), quantile=1.0)
    np.testing.assert_allclose(result.details["irs_matrix"], [[1 - 2 / 3, 1 - 1 / 3]], atol=1e-12)
    assert result.values["irs"] == pytest.approx(2 / 3)
    assert result.details["parents"] == [1]


def test_codes_weigh_by_their_reach():
    factors = grid(3, 5)
    codes = np.column_stack([factors[:, 0] * 6.0, factors.sum(axis=1) * 0.5])
    # Reaches are 6 and 1.5.
    expected = (6 * 1.0 + 1.5 * 2 / 3) / 7.5
    assert irs(factors, codes, quantile=1.0).values["irs"] == pytest.approx(expected)


def test_groups_need_not_lie_together():
    codes = np.array([[0.0], [10.0], [1.0], [14.0]])
    np.testing.assert_allclose(mean_deviation(codes, np.array([0, 1, 0, 1]), 1.0), [(0.5 + 2.0) / 2])


def test_degenerate_input():
    factors = np.hstack([grid(3, 5), np.zeros((15, 1), dtype=int)])
    codes = np.hstack([factors, np.full((15, 1), 0.1)])
    result = irs(factors, codes)
    assert result.values["irs"] == pytest.approx(1.0)
    assert result.details["active"] == [True, True, False, False]
    assert result.details["parents"] == [0, 1, None, None]
    assert result.details["constant_factors"] == [2]
    assert irs(factors, codes[:, 2:]).values["irs"] == 0.0
    nothing = irs(factors[:, 2:], codes)
    assert nothing.values["irs"] is None
    assert nothing.reason == "no factor varies in the sample"


def test_quantities_are_cut_into_bins():
    factors = np.random.default_rng(0).random((500, 2))
    assert irs(factors, factors).values["irs"] > 0.85
    assert irs(factors, factors, bins=None).values["irs"] == irs(factors, factors).values["irs"]


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**20))
def test_invariant_to_order_and_sign_and_to_a_common_scale(seed):
    rng = np.random.default_rng(seed)
    factors, codes = rng.integers(0, 4, (60, 2)), rng.standard_normal((60, 3))
    rows, columns = rng.permutation(60), rng.permutation(3)
    moved = codes[rows][:, columns] * rng.choice([-5.0, 5.0], 3) + 2
    assert irs(factors, codes).values["irs"] == pytest.approx(irs(factors[rows], moved).values["irs"], abs=1e-9)


@pytest.mark.parametrize("scale", [1e-200, 1e200, 1e307, [1e200, 1.0, 1e-200]])
def test_tiny_and_huge_codes(scale):
    rng = np.random.default_rng(0)
    factors, codes = rng.integers(0, 4, (60, 2)), rng.uniform(-1, 1, (60, 3))
    result, expected = irs(factors, codes * scale), irs(factors, codes)
    np.testing.assert_allclose(result.details["irs_matrix"], expected.details["irs_matrix"], atol=1e-9)
    # Beside a huge code the others weigh nothing.
    value = expected.details["per_code"][0] if np.ndim(scale) else expected.values["irs"]
    assert result.values["irs"] == pytest.approx(value, abs=1e-9)


def test_bad_input():
    with pytest.raises(ValueError, match="quantile must be"):
        irs(grid(3, 3), grid(3, 3), quantile=0.0)
    with pytest.raises(ValueError, match="bins must be at least 1"):
        irs(grid(3, 3), grid(3, 3), bins=0)
