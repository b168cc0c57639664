"""RMIG: posteriors with a width, fixed intervals, and what they are read against."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equiworld.metrics import compute, rmig


def full_grid(*sizes):
    return np.indices(sizes).reshape(len(sizes), -1).T


def test_posterior_deviations_blur_the_robust_gap():
    factors = full_grid(5, 5)
    codes = factors.astype(float)
    sharp = rmig(factors, codes, deviations=np.full(codes.shape, 1e-3)).values["rmig"]
    soft = rmig(factors, codes, deviations=np.full(codes.shape, 0.7)).values["rmig"]
    blind = rmig(factors, codes, deviations=np.full(codes.shape, 1e3)).values["rmig"]
    assert sharp == pytest.approx(1.0, abs=1e-6)
    assert 0.1 < soft < 0.7
    assert blind == pytest.approx(0.0, abs=1e-4)
    # One bin border at 0, two values at -1 and 1: the mass on the wrong side is known.
    pair = np.array([[0], [1]])
    wrong = 0.15865525393145707
    known = np.log(2) + wrong * np.log(wrong) + (1 - wrong) * np.log(1 - wrong)
    result = rmig(pair, 2.0 * pair - 1, deviations=np.ones((2, 1)), bins=2, interval=(-4, 4))
    assert result.values["rmig_nats"] == pytest.approx(known, abs=1e-9)
    with pytest.raises(ValueError, match="deviations must be positive"):
        rmig(pair, pair, deviations=np.zeros((2, 1)))


@pytest.mark.parametrize("scale", [1.0, 1e200, 1e-200])
def test_a_perfect_code_reaches_its_ceiling_under_any_posterior(scale):
    factors = full_grid(5, 5)
    for width in (0.01, 0.4, 5.0):
        result = rmig(factors, factors * scale, deviations=np.full((25, 2), width * scale))
        assert result.ceiling == pytest.approx(result.values, abs=1e-9)
        assert result.details["sharp_ceiling"] == pytest.approx(1.0)
    # A code that no factor is in, however sharp, does not raise it: it is one place among others.
    beside = np.hstack([factors, np.zeros((25, 1))]) * scale
    result = rmig(factors, beside, deviations=np.full((25, 3), 0.4 * scale))
    assert 0 < result.values["rmig"] <= result.ceiling["rmig"] + 1e-12 < 0.9


def test_the_sharpest_code_is_the_ceilings_place():
    factors = full_grid(4, 4)
    widths = np.full((16, 2), 0.1) * [1, 20]
    found = rmig(factors, factors * 1.0, deviations=widths)
    per_factor = found.details["per_factor"]
    assert per_factor[1] < 0.3 < per_factor[0] == pytest.approx(found.ceiling["rmig"])


def test_collapsed_posteriors_allow_nothing():
    factors = full_grid(4, 4)
    result = rmig(factors, np.zeros((16, 2)), deviations=np.ones((16, 2)))
    assert result.values == {"rmig": 0.0, "rmig_nats": 0.0}
    assert result.ceiling["rmig"] == 0.0
    assert result.details["sharp_ceiling"] == pytest.approx(1.0)


def test_an_interval_has_a_ceiling_of_its_own():
    factors = full_grid(6, 6)
    standard = (factors - 2.5) / np.std(np.arange(6))
    narrow = rmig(factors, standard, interval=(-4, 4), bins=8)
    assert narrow.values["rmig"] < 0.8
    assert narrow.ceiling == pytest.approx(narrow.values)
    # Of another scale it is not what the interval is for.
    assert rmig(factors, standard / 10, interval=(-4, 4), bins=8).values["rmig"] < 0.5
    assert rmig(factors, standard, interval=(-4, 4), bins=100).ceiling["rmig"] == pytest.approx(1.0)
    outside = rmig(factors, standard + 50, interval=(-4, 4), bins=8)
    assert outside.values["rmig"] == 0.0


def test_chance_deals_the_deviations_with_the_codes():
    # All that there is to know lies in the widths.
    factors = np.repeat([[0], [1]], 200, axis=0)
    codes = np.random.default_rng(0).standard_normal((400, 2))
    result = compute("rmig", factors, codes, deviations=np.hstack([0.01 + 3 * factors, np.ones((400, 1))]))
    assert result.values["rmig"] > 0.15
    assert set(result.chance) == set(result.values)
    assert abs(result.chance["rmig"]) < 0.03


def test_test_rows_are_not_read():
    factors = full_grid(5, 4)
    codes, widths = factors * 1.0, np.full((20, 2), 0.3)
    alone = compute("rmig", factors, codes, deviations=widths)
    beside = compute("rmig", factors, codes, factors[:7], codes[:7], deviations=widths)
    assert alone.values == beside.values
    assert (alone.chance, alone.ceiling) == (beside.chance, beside.ceiling)
    with pytest.raises(ValueError, match=r"of the shape of codes \(20, 2\)"):
        rmig(factors, codes, deviations=widths[:7])


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**20), exponent=st.integers(-600, 600))
def test_invariant_to_order_sign_and_scale_together_with_the_deviations(seed, exponent):
    rng = np.random.default_rng(seed)
    factors = rng.integers(0, [4, 3], (60, 2))
    codes = np.column_stack([factors, rng.standard_normal(60)]) + rng.standard_normal((60, 3))
    widths = rng.exponential(size=(60, 3)) + 0.01
    columns, rows = rng.permutation(3), rng.permutation(60)
    scale = 2.0**exponent * rng.choice([1.0, 2.0], 3)
    plain = rmig(factors, codes, deviations=widths)
    moved = rmig(
        factors[rows],
        (codes * scale * rng.choice([-1, 1], 3))[rows][:, columns],
        deviations=(widths * scale)[rows][:, columns],
    )
    assert moved.values == pytest.approx(plain.values, abs=1e-9)
    assert 0 <= plain.values["rmig"] <= 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"interval": (1, 1)}, "low < high"),
        ({"interval": (1,)}, "low < high"),
        ({"interval": (-1e308, 1e308)}, "low < high"),
        ({"interval": (0, float("nan"))}, "low < high"),
        ({"interval": (0, 1), "binning": "quantile"}, "binning must be 'width'"),
        ({"deviations": np.ones((9, 2)), "binning": "exact"}, "binning must be 'width'"),
        ({"deviations": np.full((9, 2), np.inf)}, "deviations holds numbers that are not finite"),
        ({"bins": 0}, "bins must be at least 1"),
    ],
)
def test_refused(options, message):
    factors = full_grid(3, 3)
    with pytest.raises(ValueError, match=message):
        rmig(factors, factors, **options)
