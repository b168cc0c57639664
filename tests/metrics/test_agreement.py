"""Agreement of several runs: recorded values, closed forms, dead dimensions."""

import numpy as np
import pytest

from equiworld.metrics.agreement import relative_strength, udr

FAMILIES = ["aligned", "aligned_noise0.5", "rotated", "aligned_two_dead", "random"]


@pytest.fixture(scope="module")
def runs(request):
    with np.load(request.path.parent / "data" / "udr.npz") as arrays:
        held = {name: arrays[name] for name in arrays.files}
    return {
        family: tuple([held[f"{family}__{part}{run}"] for run in range(4)] for part in ("model", "kl"))
        for family in FAMILIES
    }


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("correlation", ["lasso", "spearman"])
@pytest.mark.parametrize("filtered", [True, False])
def test_as_recorded(recordings, runs, family, correlation, filtered):
    codes, kl = runs[family]
    expected = recordings.expected["udr"][f"{family}/{correlation}/filter_low_kl={filtered}"]["model_scores"]
    found = udr(codes, kl, correlation=correlation, filter_inactive=filtered, nan_wins=not filtered)
    np.testing.assert_allclose(found.details["model_scores"], expected, atol=1e-6)
    assert float(found) == pytest.approx(np.mean(expected), abs=1e-6)


def test_constants_count_as_unrelated_unless_nan_wins(runs):
    codes, kl = runs["aligned_two_dead"]
    known = float(udr(codes, kl, correlation="spearman"))
    dead = udr(codes, kl, correlation="spearman", filter_inactive=False)
    assert float(dead) == pytest.approx(known * 4 / 6, abs=1e-9)
    zeroed = [np.where(amount > 0.01, code, 0.0) for code, amount in zip(codes, kl, strict=True)]
    assert float(udr(zeroed, correlation="spearman")) == pytest.approx(known, abs=1e-9)


def test_ceiling_and_chance(runs):
    result = udr(runs["aligned"][0])
    assert result.ceiling["udr"] == pytest.approx(0.9) and float(result) == pytest.approx(0.9)
    assert result.chance["udr"] == pytest.approx(0, abs=0.01)
    assert result.predictor == "lasso (alpha 0.1)"


@pytest.mark.parametrize("correlation", ["lasso", "spearman"])
@pytest.mark.parametrize("scale", [1e-200, 1e200, [1e-200, 1e200, 1.0, 1e307]])
def test_scale_does_not_matter(runs, correlation, scale):
    codes = runs["aligned_noise0.5"][0]
    expected = udr(codes, correlation=correlation).values
    scaled = [table.astype(np.float64) / np.abs(table).max() * scale for table in codes]
    assert udr(scaled, correlation=correlation).values == pytest.approx(expected, abs=1e-9)


def test_one_row_and_two():
    single = udr([np.ones((1, 2)), np.zeros((1, 2))])
    assert single.values == {"udr": None, "best": None} and "no active dimension in run 0, 1" in single.reason
    pair = udr([np.eye(2), np.eye(2)])
    assert 0 < float(pair) <= 1


def test_relative_strength_closed_forms():
    assert relative_strength(np.eye(3)) == pytest.approx(1)
    assert relative_strength(0.5 * np.eye(3)[[2, 0, 1]]) == pytest.approx(0.5)
    assert relative_strength(np.ones((2, 4))) == pytest.approx((1 / 2 + 1 / 4) / 2)
    assert relative_strength(np.zeros((2, 2))) == 0
    poisoned = np.array([[1.0, 0.0], [np.nan, 1.0]])
    assert relative_strength(poisoned, nan_wins=True) == pytest.approx(0.5)
    with pytest.raises(ValueError):
        relative_strength(poisoned)


def test_degenerate_and_refused(runs):
    codes = runs["aligned"][0][:2]
    still = udr([codes[0], np.zeros_like(codes[1])])
    assert still.values == {"udr": None, "best": None} and "run 1" in still.reason
    wide = udr([codes[0], np.hstack([codes[1], codes[1]])], correlation="spearman")
    assert 0.4 < float(wide) < 0.9
    with pytest.raises(ValueError, match="at least two runs"):
        udr(codes[:1])
    with pytest.raises(ValueError, match="unknown correlation"):
        udr(codes, correlation="pearson")
    with pytest.raises(ValueError, match="vectors of divergences"):
        udr(codes, [np.ones(4)])
    with pytest.raises(ValueError, match="entries for"):
        udr(codes, [np.ones(4), np.ones(3)])
