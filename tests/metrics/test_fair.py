"""Fairness: closed forms, interventions on a whole grid, codes of any size, degenerate input."""

import itertools

import numpy as np
import pytest

from equiworld.metrics.fair import fairness, fairness_hist, inter_group_fairness
from equiworld.metrics.registry import compute

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


@pytest.mark.parametrize("sizes", [(9, 9), (4, 3, 5)])
def test_a_whole_grid_is_compared_without_sampling_error(sizes):
    grid = np.array(list(itertools.product(*map(range, sizes))))
    codes = grid.astype(float)
    given = fairness_hist(grid, codes, grid, codes)
    found = compute("fairness_hist", grid, codes, reference=True)
    assert found.values == given.values == {"unfairness": 0, "worst_pair": 0, "worst_group": 0}
    assert found.ceiling["unfairness"] == 0 < found.chance["unfairness"]
    assert found.details["grid"] is True and found.details["test"] == found.n == len(grid)
    # Two parts that are the grid together are compared on all of it.
    order = np.random.default_rng(0).permutation(len(grid))
    first, second = order[: 4 * len(order) // 5], order[4 * len(order) // 5 :]
    halves = fairness_hist(grid[first], codes[first], grid[second], codes[second])
    assert halves.details["grid"] is True and halves.n == len(first) and halves.details["test"] == len(grid)
    # Values that only the training part knows are no part of the grid that is asked about.
    few = grid[(grid % 2 == 0).all(axis=1)]
    assert fairness_hist(grid, codes, few, few.astype(float), samples=20).values["unfairness"] == 0


def test_chance_of_a_sample_is_what_its_size_makes():
    rng = np.random.default_rng(0)
    factors = rng.integers(6, size=(300, 2))
    perfect = fairness_hist(factors, factors.astype(float))
    assert perfect.details["grid"] is False
    assert perfect.values["unfairness"] == pytest.approx(perfect.chance["unfairness"], abs=0.1)
    shared = fairness_hist(factors, factors.sum(axis=1, keepdims=True).astype(float))
    assert shared.values["unfairness"] > shared.chance["unfairness"] + 0.1


def test_constant_factors_are_left_out_on_both_sides():
    rng = np.random.default_rng(0)
    factors = rng.integers(3, size=(200, 2))
    codes = factors.sum(axis=1, keepdims=True) + 0.3 * rng.standard_normal((200, 1))
    alone = fairness_hist(factors, codes)
    fixed = fairness_hist(np.column_stack([factors, np.ones((200, 2))]), codes)
    assert fixed.values == alone.values and fixed.details["constant_factors"] == [2, 3]
    single = fairness_hist(np.column_stack([factors[:, 0], np.ones(200)]), codes)
    assert set(single.values.values()) == {None} and "single factor varies" in single.reason
    still = fairness_hist(factors, codes, np.ones((5, 2)), codes[:5])
    assert still.reason == "no factor varies in the test rows"


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
