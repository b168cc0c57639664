"""Scores without factors and factor leakage: recorded values, closed forms, degenerate input."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equiworld.metrics import compute
from equiworld.metrics.leakage import factor_leakage, leakage_from_information
from equiworld.metrics.unsupervised import (
    gaussian_total_correlation,
    gaussian_wasserstein_correlation,
    unsupervised,
)

NAMES = "perfect permuted_scaled monotone dead_dims rotated noisy duplicated paired missing sincos random constant"
MINI = [f"mini/{name}" for name in NAMES.split()]
SHAPES = [f"shapes3d/{name}" for name in ("perfect", "permuted_scaled", "monotone", "dead_dims", "rotated", "missing")]


@pytest.mark.parametrize("name", MINI + SHAPES)
def test_unsupervised_as_recorded(recordings, name):
    expected = recordings.expected["disentanglement_lib"][f"{name}/unsupervised"]["scores"]
    values = unsupervised(*recordings.rows(*name.split("/"))[:2]).values
    pairs = {
        "total_correlation": "gaussian_total_correlation",
        "wasserstein": "gaussian_wasserstein_correlation",
        "wasserstein_norm": "gaussian_wasserstein_correlation_norm",
        "mutual_information": "mutual_info_score",
    }
    for ours, theirs in pairs.items():
        if np.isfinite(expected[theirs]):
            assert values[ours] == pytest.approx(expected[theirs], abs=1e-6)


@pytest.mark.parametrize("correlation", [0.0, 0.3, -0.9, 0.9999])
def test_total_correlation_of_a_correlated_pair(correlation):
    matrix = np.array([[4.0, 2e-3 * correlation], [2e-3 * correlation, 1e-6]])
    assert gaussian_total_correlation(matrix) == pytest.approx(-0.5 * np.log(1 - correlation**2), abs=1e-9)


@pytest.mark.parametrize("correlation", [0.0, 0.3, -0.9])
def test_wasserstein_correlation_of_a_correlated_pair(correlation):
    matrix = np.array([[1.0, correlation], [correlation, 1.0]])
    expected = 4 - 2 * (np.sqrt(1 + correlation) + np.sqrt(1 - correlation))
    assert gaussian_wasserstein_correlation(matrix) == pytest.approx(expected, abs=1e-9)


def test_duplicated_dimensions_have_infinite_total_correlation(recordings):
    result = unsupervised(None, recordings.rows("mini", "duplicated")[1])
    assert result.values["total_correlation"] is None
    assert "infinite" in result.reason
    assert result.values["wasserstein_norm"] == pytest.approx(1 - 1 / np.sqrt(2), abs=0.3)


def test_dimensions_without_variance_depend_on_nothing():
    rng = np.random.default_rng(0)
    codes = rng.standard_normal((500, 2)) @ np.array([[1.0, 0.5], [0.0, 1.0]])
    without = unsupervised(None, codes).values
    with_dead = unsupervised(None, np.column_stack([codes, np.full(500, 0.1)]))
    assert with_dead.values["total_correlation"] == pytest.approx(without["total_correlation"], abs=1e-12)
    assert with_dead.values["wasserstein"] == pytest.approx(without["wasserstein"], abs=1e-12)
    assert with_dead.details["constant_dims"] == [2]
    still = unsupervised(None, np.full((10, 3), 0.1))
    assert still.values["total_correlation"] == 0 and still.values["wasserstein_norm"] is None
    assert "no code dimension varies" in still.reason
    single = unsupervised(None, codes[:, :1])
    assert single.values["mutual_information"] is None and "no pairs" in single.reason
    with pytest.raises(ValueError, match="two rows"):
        unsupervised(None, codes[:1])
    with pytest.raises(ValueError, match="square"):
        gaussian_total_correlation(np.ones((2, 3)))


def test_ceiling_is_that_of_independent_dimensions_and_there_is_no_chance():
    rng = np.random.default_rng(0)
    codes = rng.standard_normal((200, 3)) @ rng.standard_normal((3, 3))
    result = compute("unsupervised", np.zeros((200, 1)), codes)
    assert result.chance == dict.fromkeys(result.values)
    # With 200 rows the plug-in information of 20 x 20 cells is far from 0.
    apart = [unsupervised(None, rng.standard_normal((200, 3))).values for _ in range(20)]
    for key in ("total_correlation", "mutual_information", "wasserstein_norm"):
        assert result.ceiling[key] == pytest.approx(np.mean([row[key] for row in apart]), rel=0.8)
        assert result.ceiling[key] < result.values[key]
    again = unsupervised(None, codes, seed=0)
    assert again.ceiling == result.ceiling != unsupervised(None, codes, seed=1).ceiling


@pytest.mark.parametrize("scale", [1e-200, 1e-160, 1e100, 1e200, 1e307])
def test_tiny_and_huge_codes(scale):
    rng = np.random.default_rng(0)
    codes = np.tanh(rng.standard_normal((100, 3)) @ rng.standard_normal((3, 3)))
    usual, result = unsupervised(None, codes), unsupervised(None, codes * scale)
    for key in ("total_correlation", "wasserstein_norm", "mutual_information"):
        assert result.values[key] == pytest.approx(usual.values[key], abs=1e-9)
    if scale == 1e100:
        assert result.values["wasserstein"] == pytest.approx(usual.values["wasserstein"] * 1e200, rel=1e-9)
    elif scale != 1e-160:  # whose square is a number of few digits
        assert result.values["wasserstein"] is None
        assert result.reason.startswith(f"the codes are too {'large' if scale > 1 else 'small'} for the square")
    mixed = unsupervised(None, codes * [1.0, scale, 1.0])
    assert mixed.values["total_correlation"] == pytest.approx(usual.values["total_correlation"], abs=1e-9)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_order_of_dimensions_and_rows_does_not_matter(seed):
    rng = np.random.default_rng(seed)
    codes = rng.standard_normal((60, 3)) @ rng.standard_normal((3, 3))
    other = codes[rng.permutation(60)][:, rng.permutation(3)]
    first, second = unsupervised(None, codes).values, unsupervised(None, other).values
    for key, value in first.items():
        assert second[key] == pytest.approx(value, rel=1e-9, abs=1e-9)
    scaled = unsupervised(None, codes * [1e-3, 5.0, 40.0]).values["total_correlation"]
    assert scaled == pytest.approx(first["total_correlation"], rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("name", MINI + SHAPES)
def test_leakage_as_recorded(recordings, name):
    expected = recordings.expected["leakage"][name]
    values = factor_leakage(*recordings.rows(*name.split("/"))[:2]).values
    names = {"leakage": "norm_mean", "mean": "mean", "auc": "auc", "nm_auc": "nm_auc"}
    for ours, theirs in names.items():
        if np.isfinite(expected[theirs]):
            assert values[ours] == pytest.approx(expected[theirs], abs=1e-6)
        else:
            assert values[ours] is None


def test_leakage_of_a_known_matrix():
    values = leakage_from_information([[0.0, 2.0], [4.0, 0.0], [1.0, 1.0]])
    # Sorted and divided by the largest: 1, 1; 1/4, 1/2; 0, 0.
    assert values["leakage"] == pytest.approx(3 / 16)
    assert values["mean"] == pytest.approx(1 / 2)
    assert values["auc"] == pytest.approx((11 / 24 + 3 / 16 + 0) / 3)
    assert values["nm_auc"] == pytest.approx(3 / 32)


def test_leakage_of_quantities():
    rng = np.random.default_rng(0)
    factors = np.column_stack([rng.integers(0, 1000, 2000), rng.integers(0, 4, 2000)])
    codes = factors.astype(float)
    # A thousand levels in 2,000 rows are almost known from their number alone: bins are what tells.
    assert factor_leakage(factors, codes).values["leakage"] > 0.1
    binned = factor_leakage(factors, codes, continuous=[0])
    assert binned.values["leakage"] < 0.02
    edges = np.histogram_bin_edges(factors[:, 0], 20)[1:-1]
    by_hand = factor_leakage(np.column_stack([np.digitize(factors[:, 0], edges), factors[:, 1]]), codes)
    assert binned.values == pytest.approx(by_hand.values)
    halves = np.column_stack([factors[:, 0] / 2, factors[:, 1]])
    assert factor_leakage(halves, codes).values == pytest.approx(binned.values)
    with pytest.raises(ValueError, match="there is no factor 2"):
        factor_leakage(factors, codes, continuous=[2])


@pytest.mark.parametrize("scale", [1e-200, 1e200, [1e-200, 1e200, 1.0]])
def test_leakage_does_not_depend_on_scale(scale):
    rng = np.random.default_rng(0)
    factors, codes = rng.integers(0, 4, (100, 2)), rng.standard_normal((100, 3))
    assert factor_leakage(factors, codes * scale).values == pytest.approx(factor_leakage(factors, codes).values)


def test_leakage_of_degenerate_input():
    factors = np.repeat(np.arange(4), 5)[:, None]
    codes = np.column_stack([factors, factors]).astype(float)
    assert "single code" in factor_leakage(factors, codes[:, :1]).reason
    assert "knows anything" in factor_leakage(factors, np.zeros((20, 2))).reason
    fixed = factor_leakage(np.column_stack([factors, np.ones(20)]), codes)
    assert fixed.details["constant_factors"] == [1]
    assert fixed.values["leakage"] == pytest.approx(1)
    assert "no factor varies" in factor_leakage(np.ones((20, 1)), codes).reason
    assert factor_leakage(codes[:, :1] / 7, codes).values["leakage"] == pytest.approx(1)


def test_leakage_of_quantile_bins_does_not_depend_on_the_scale_of_a_code():
    rng = np.random.default_rng(0)
    factors = rng.integers(4, size=(300, 2))
    codes = factors + rng.normal(size=(300, 2))
    even = factor_leakage(factors, codes, binning="quantile")
    assert factor_leakage(factors, np.exp(codes), binning="quantile").values == even.values
    assert factor_leakage(factors, np.exp(codes)).values != factor_leakage(factors, codes).values
    assert even.details["binning"] == "quantile"
