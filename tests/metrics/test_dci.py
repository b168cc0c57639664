"""DCI: blocks, continuous factors, parallel fits, expected times, codes of any size, degenerate codes."""

import itertools

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from equiworld.metrics import dci_scores, predictors
from equiworld.metrics.dci_scores import dci, dci_forest, dci_hist, dci_lasso
from equiworld.metrics.predictors import (
    PARALLEL_FROM,
    PREDICTORS,
    STARTUP,
    expected_seconds,
    fit_factors,
    make_predictor,
    same_order,
)
from equiworld.metrics.registry import compute
from equiworld.metrics.tables import read_rows


@pytest.fixture(scope="module")
def grid():
    """A 4 x 3 grid, ten rows of each cell, and a perfect code of it."""
    factors = np.repeat(np.array(list(itertools.product(range(4), range(3)))), 10, axis=0)
    return factors, factors.astype(float)


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
    assert PARALLEL_FROM > STARTUP > 0


def test_processes_are_started_only_where_it_pays(recordings, monkeypatch):
    factors, codes, _, _ = recordings.rows("mini", "noisy")
    rows = read_rows(factors[:60, :2], codes[:60])
    for seconds, cores, expected in ((10.0, 1, 20.0), (40.0, 2, 40.0 + STARTUP)):
        monkeypatch.setattr(predictors, "expected_seconds", lambda *_, seconds=seconds: seconds)
        asked = []
        monkeypatch.setattr(predictors, "Parallel", lambda n_jobs, asked=asked, **_: Cores(n_jobs, asked))
        seen = []
        fit_factors(rows, rows, "hist", progress=seen.append)
        assert asked == [1 if cores == 1 else -1] and seen[0].remaining == expected


class Cores:
    """Stands for a pool of two processes."""

    def __init__(self, n_jobs, asked):
        asked.append(n_jobs)

    def _effective_n_jobs(self):
        return 2

    def __call__(self, tasks):
        return (function(*arguments, **named) for function, arguments, named in tasks)


@settings(max_examples=4, deadline=None)
@given(st.integers(-12, 12), st.sampled_from([0.0, 1.0, -3.0, 1e4, -1e8, 1e10]))
@example(-7, 0.0)
@example(0, 1e8)
@pytest.mark.parametrize("function", [dci, dci_hist, dci_forest])
def test_scale_and_offset_do_not_matter(function, exponent, offset):
    rng = np.random.default_rng(0)
    factors = rng.integers(3, size=(60, 2))
    # Whole numbers keep their digits beside an offset.
    codes = np.round(8 * (factors + 0.3 * rng.standard_normal((60, 2))))
    codes[:, 1] *= 3
    first = function(factors, codes, factors, codes)
    moved = (codes + offset) * 10.0**exponent
    second = function(factors, moved, factors, moved)
    assert second.values == pytest.approx(first.values, abs=1e-6)


@pytest.fixture
def one_choice(monkeypatch):
    """Makes the search of ubisoft's forest look at a single depth and share."""
    monkeypatch.setattr(dci_scores._ChosenForest, "choices", ((8, 1.0),))


def test_a_searched_forest_is_seeded(grid, one_choice):
    factors, codes = grid
    noisy = codes + 0.7 * np.random.default_rng(1).standard_normal(codes.shape)
    first, second, other = (
        dci_forest(factors, noisy, factors, noisy, ubisoft_search=True, seed=seed).values for seed in (0, 0, 1)
    )
    assert first == second != other
    perfect = dci_forest(factors, codes, factors, codes, ubisoft_search=True).values
    assert perfect["disentanglement"] == pytest.approx(1, abs=1e-9)
    assert perfect["informativeness"] == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("predictor", PREDICTORS)
@pytest.mark.parametrize("discrete", [True, False])
def test_the_time_of_slow_predictors_is_expected(grid, predictor, discrete):
    factors, codes = grid
    model = make_predictor(predictor, discrete, 0)
    seconds = expected_seconds(model, codes, factors[:, 0] if discrete else codes[:, 0])
    assert (seconds > 0) == (predictor in ("gbt", "hist", "forest") or (predictor == "logistic_cv" and discrete))
    assert not hasattr(model, "classes_")


def test_the_time_of_searches_is_stated_before_they_start(grid, one_choice):
    factors, codes = grid
    seen = []
    dci_forest(factors, codes, factors, codes, ubisoft_search=True, progress=seen.append)
    assert [step.done for step in seen] == [0, 1, 2]
    assert seen[0].remaining > 0 and "about" in str(seen[0])


@pytest.mark.parametrize("scale", [1e-300, 1e-200, 1e200, 1e307])
@pytest.mark.parametrize("function", [dci, dci_hist, dci_lasso, dci_forest])
def test_codes_of_any_size(grid, function, scale):
    factors, codes = (table[::4] for table in grid)
    noisy = codes + 0.2 * np.random.default_rng(0).standard_normal(codes.shape)
    first = function(factors, noisy, factors, noisy)
    second = function(factors, noisy * scale, factors, noisy * scale)
    for key, value in first.values.items():
        assert second.values[key] == pytest.approx(value, abs=1e-9)


@pytest.mark.parametrize("function", [dci, dci_hist, dci_lasso, dci_forest])
def test_a_single_row(function):
    with pytest.raises(ValueError, match="single row"):
        function([[0, 1]], [[1.0, 2.0]])
    rows = ([[0, 1]], [[1.0, 2.0]], [[0, 1]], [[1.0, 2.0]])
    if function is dci_lasso:
        with pytest.raises(ValueError, match="at least 10 rows"):
            function(*rows)
    else:
        assert "no factor varies" in function(*rows).reason


def test_test_rows_beyond_all_numbers_are_refused(grid):
    factors, codes = grid
    with pytest.raises(ValueError, match="larger than the training rows"):
        dci_hist(factors, codes * 1e-300, factors, codes * 1e300)


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


@pytest.mark.parametrize("name", ["dci", "dci_hist", "dci_forest", "dci_lasso"])
def test_a_dimension_in_no_block_predicts_nothing(name):
    rng = np.random.default_rng(0)
    factors = rng.integers(3, size=(120, 2))
    noise = rng.normal(size=(120, 2))
    found = compute(name, factors, np.hstack([noise, factors]), blocks=[[0], [1]], reference=False)
    alone = compute(name, factors, noise, reference=False)
    assert found.values["informativeness"] < 0.6
    assert found.details["blocks"] == [[0], [1]]
    if name == "dci_lasso":
        assert found.values == pytest.approx(alone.values)
