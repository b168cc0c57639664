"""Fairness: closed forms, interventions on a whole grid, codes of any size, degenerate input."""

import itertools

import numpy as np
import pytest

from equiworld.metrics.fair import fairness, fairness_hist, inter_group_fairness

GRID = np.array(list(itertools.product(range(5), repeat=4)))


@pytest.mark.parametrize(
    ("counts", "mean", "largest"),
    [
        ([[0, 100], [100, 100]], 2 / 9, 1 / 3),
        ([[0, 100], [100, 0]], 1 / 2, 1 / 2),
        ([[50, 100], [25, 50]], 0, 0),
        ([[1, 0, 0], [1, 0, 3]], 3 / 10 * 8 / 5 / 2, 3 / 10),
    ],
)
def test_closed_forms(counts, mean, largest):
    assert inter_group_fairness(counts) == (pytest.approx(mean), pytest.approx(largest))


@pytest.mark.parametrize("counts", [np.zeros((2, 2)), -np.ones((2, 2)), np.ones(3)])
def test_refused(counts):
    with pytest.raises(ValueError, match="counts"):
        inter_group_fairness(counts)


def test_a_perfect_code_is_fair_and_a_shared_one_is_not():
    factors = GRID[:, :2]
    rows = np.unique(factors, axis=0)
    repeated = np.repeat(rows, 20, axis=0)
    perfect = fairness_hist(repeated, repeated.astype(float), rows, rows.astype(float))
    assert perfect.values == {"unfairness": 0, "worst_pair": 0, "worst_group": 0}
    assert (
        fairness_hist(repeated, repeated.astype(float), rows, rows.astype(float), samples=50).values["unfairness"] == 0
    )
    total = repeated.sum(axis=1, keepdims=True).astype(float)
    shared = fairness_hist(repeated, total, rows, rows.sum(axis=1, keepdims=True).astype(float))
    assert shared.values["unfairness"] > 0.2
    assert np.isnan(np.diag(np.array(shared.details["mean"], dtype=float))).all()


def test_degenerate_input_has_values_or_reasons():
    rng = np.random.default_rng(0)
    factors, codes = rng.integers(3, size=(90, 2)), rng.standard_normal((90, 2))
    assert fairness_hist(factors, np.zeros((90, 2))).values["unfairness"] == 0
    assert "single factor" in fairness_hist(factors[:, :1], codes).reason
    assert "no factor varies" in fairness_hist(np.ones((90, 2)), codes).reason
    assert fairness_hist(rng.random((90, 2)), codes).values["unfairness"] > 0
    with pytest.raises(ValueError, match="every combination"):
        fairness_hist(factors, codes, samples=10)
    with pytest.raises(ValueError, match="unknown predictor"):
        fairness(factors, codes, predictor="magic")


@pytest.mark.parametrize("scale", [1e-300, 1e-200, 1e200, 1e307])
@pytest.mark.parametrize("predictor", ["gbt", "hist", "logistic"])
def test_codes_of_any_size(predictor, scale):
    rng = np.random.default_rng(0)
    factors = rng.integers(3, size=(90, 2))
    codes = factors + 0.5 * rng.standard_normal((90, 2))
    first, second = (fairness(factors, codes * size, predictor=predictor, n_jobs=1) for size in (1.0, scale))
    assert second.values == pytest.approx(first.values, abs=1e-9)


def test_a_single_row():
    with pytest.raises(ValueError, match="single row"):
        fairness([[0, 1]], [[1.0]])
    assert "no factor varies" in fairness([[0, 1]], [[1.0]], [[0, 1]], [[1.0]]).reason
