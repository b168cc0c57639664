"""DCI: recorded values of four predictors, blocks, continuous factors, parallel fits, degenerate codes."""

import itertools

import numpy as np
import pytest

from equiworld.metrics.dci_scores import dci, dci_forest, dci_hist, dci_lasso
from equiworld.metrics.predictors import PARALLEL_FROM, fit_factors, same_order
from equiworld.metrics.tables import read_rows

NAMES = "perfect permuted_scaled monotone dead_dims rotated noisy duplicated paired missing sincos random constant"
KEYS = {
    "disentanglement": "disentanglement",
    "completeness": "completeness",
    "informativeness": "informativeness_test",
    "informativeness_train": "informativeness_train",
}


@pytest.fixture(scope="module")
def grid():
    """A 4 x 3 grid, ten rows of each cell, and a perfect code of it."""
    factors = np.repeat(np.array(list(itertools.product(range(4), range(3)))), 10, axis=0)
    return factors, factors.astype(float)


# The other representations agree as closely, but boosting takes its time.
@pytest.mark.parametrize("name", ["missing", "rotated"])
def test_boosted_trees_as_recorded(recordings, name):
    expected = recordings.expected["disentanglement_lib"][f"mini/{name}/dci_gbt"]["scores"]
    result = dci(*recordings.rows("mini", name), n_jobs=1)
    for ours, theirs in KEYS.items():
        assert result.values[ours] == pytest.approx(expected[theirs], abs=5e-3)
    np.testing.assert_allclose(result.details["importance"], expected["importance_matrix"], atol=1e-2)
    assert result.predictor == "gradient boosted trees"


def test_boosted_trees_as_recorded_with_many_levels(recordings):
    # Of the whole space only the last two factors: each is fitted by itself, so their columns are those recorded.
    factors, codes, factors_test, codes_test = recordings.rows("shapes3d", "perfect")
    expected = recordings.expected["disentanglement_lib"]["shapes3d/perfect/dci_gbt"]["scores"]
    result = dci(factors[:, 3:5], codes, factors_test[:, 3:5], codes_test, n_jobs=1)
    np.testing.assert_allclose(result.details["importance"], np.array(expected["importance_matrix"])[:, 3:5], atol=5e-3)
    assert result.values["disentanglement"] == pytest.approx(expected["disentanglement"], abs=5e-3)


@pytest.mark.parametrize("name", NAMES.split())
def test_lasso_as_recorded(recordings, name):
    expected = recordings.expected["others"][f"mini/{name}/ubisoft/dci_lasso"]["scores"]
    rows = recordings.rows("mini", name)
    values = dci_lasso(*rows).values
    assert values["disentanglement"] == pytest.approx(expected["disentanglement"], abs=1e-6)
    assert values["completeness"] == pytest.approx(expected["completeness"], abs=1e-6)
    assert values["informativeness_train"] == pytest.approx(expected["informativeness"], abs=1e-6)


@pytest.mark.parametrize("name", ["perfect", "dead_dims", "rotated", "random", "constant"])
def test_lasso_as_recorded_with_many_levels(recordings, name):
    expected = recordings.expected["others"][f"shapes3d/{name}/ubisoft/dci_lasso"]["scores"]
    values = dci_lasso(*recordings.rows("shapes3d", name), stop_at_dead_code=True).values
    assert values["disentanglement"] == pytest.approx(expected["disentanglement"], abs=1e-6)
    assert values["completeness"] == pytest.approx(expected["completeness"], abs=1e-6)
    assert values["informativeness_train"] == pytest.approx(expected["informativeness"], abs=1e-6)


def test_searched_forest_as_recorded(recordings, monkeypatch):
    # One combination stands for the search, which only ever looks for the smallest error.
    expected = recordings.expected["others"]["mini/perfect/ubisoft/dci_rf"]["scores"]
    import equiworld.metrics.dci_scores as module

    class Quick(module._ChosenForest):
        def __init__(self, seed):
            super().__init__(seed)
            self.search.param_grid = {"max_depth": [8], "max_features": [1.0]}

    monkeypatch.setattr(module, "_ChosenForest", Quick)
    values = dci_forest(*recordings.rows("mini", "perfect"), ubisoft_search=True).values
    assert values["disentanglement"] == pytest.approx(expected["disentanglement"], abs=1e-3)
    assert values["completeness"] == pytest.approx(expected["completeness"], abs=1e-3)
    assert values["informativeness_train"] == pytest.approx(expected["informativeness"], abs=1e-3)


@pytest.mark.parametrize("function", [dci_hist, dci_forest])
def test_perfect_and_duplicated_codes(grid, function):
    factors, codes = grid
    values = function(factors, codes, factors, codes).values
    assert values["disentanglement"] == pytest.approx(1, abs=1e-3)
    assert values["completeness"] == pytest.approx(1, abs=1e-3)
    assert values["informativeness"] == 1
    twice = function(factors, np.hstack([codes, codes]), factors, np.hstack([codes, codes])).values
    assert twice["disentanglement"] == pytest.approx(1, abs=1e-3)
    assert twice["completeness"] == pytest.approx(1 - np.log(2) / np.log(4), abs=2e-2)


def test_blocks_make_a_circle_perfect(recordings):
    factors, codes, factors_test, codes_test = recordings.rows("mini", "sincos")
    rows = (factors[:, :2], codes[:, :4], factors_test[:, :2], codes_test[:, :4])
    alone = dci_hist(*rows).values
    blocks = dci_hist(*rows, blocks=[[0, 1], [2, 3]])
    assert alone["completeness"] < 0.9
    assert blocks.values["completeness"] == pytest.approx(1, abs=1e-3)
    assert blocks.values["disentanglement"] == pytest.approx(1, abs=1e-3)
    assert np.shape(blocks.details["importance"]) == (2, 2)


def test_parallel_fits_give_the_same_numbers_and_report(recordings):
    factors, codes, _, _ = recordings.rows("mini", "noisy")
    rows = (factors[:300, :2], codes[:300], factors[300:500, :2], codes[300:500])
    seen = []
    alone = dci(*rows, seed=3, n_jobs=1, progress=seen.append)
    assert dci(*rows, seed=3, n_jobs=2).to_dict() == alone.to_dict()
    assert [step.done for step in seen] == [0, 1, 2]
    assert seen[0].remaining > 0 and seen[0].seconds == 0
    assert seen[-1].remaining == 0 and seen[-1].total == 2
    assert PARALLEL_FROM > 0


def test_continuous_factors_are_regressed():
    rng = np.random.default_rng(0)
    factors = rng.random((400, 2))
    noisy = factors + 0.01 * rng.standard_normal(factors.shape)
    for function in (dci_hist, dci_lasso, dci_forest):
        values = function(factors, noisy).values
        assert values["disentanglement"] > 0.95
        assert values["informativeness"] > 0.95
        assert function(factors, rng.standard_normal((400, 2))).values["informativeness"] < 0.1


def test_sign_scale_and_order_of_codes_do_not_matter(grid):
    factors, codes = grid
    noisy = codes + 0.4 * np.random.default_rng(1).standard_normal(codes.shape)
    other = noisy[:, ::-1] * [-2.0, 0.5]
    first, second = dci_lasso(factors, noisy, factors, noisy), dci_lasso(factors, other, factors, other)
    for key, value in first.values.items():
        assert second.values[key] == pytest.approx(value, abs=1e-6)


@pytest.mark.parametrize("function", [dci_hist, dci_lasso])
def test_degenerate_input_has_values_or_reasons(grid, function):
    factors, codes = grid
    still = function(factors, np.zeros_like(codes), factors, np.zeros_like(codes))
    assert still.values["disentanglement"] == 0 and still.values["completeness"] == 0
    single = function(factors[:, :1], codes, factors[:, :1], codes)
    assert single.values["disentanglement"] is None and "single factor" in single.reason
    assert single.values["completeness"] is not None
    narrow = function(factors, codes[:, :1], factors, codes[:, :1])
    assert narrow.values["completeness"] is None and "single code" in narrow.reason
    fixed = np.column_stack([factors, np.ones(len(factors))])
    assert function(fixed, codes, fixed, codes).details["constant_factors"] == [2]
    nothing = function(np.ones_like(factors), codes)
    assert set(nothing.values.values()) == {None} and "no factor varies" in nothing.reason


def test_dimensions_in_the_same_order_are_found():
    values = np.array([3.0, 1.0, 2.0, 2.0])
    table = np.column_stack([values, np.array([0.0, 1.0, 0.0, 5.0]), -(values**3), 2 * values])
    assert same_order(table) == [[0, 2, 3]]


def test_refused(grid):
    factors, codes = grid
    with pytest.raises(ValueError, match="predictors"):
        dci(factors, codes, predictor="svm")
    with pytest.raises(ValueError, match="unknown predictor"):
        rows = read_rows(factors, codes)
        fit_factors(rows, rows, "svm")
    with pytest.raises(ValueError, match="at least 10"):
        dci_lasso(factors[:8], codes[:8], factors, codes)
