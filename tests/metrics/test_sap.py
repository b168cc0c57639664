"""Separated attribute predictability: closed forms, blocks, codes of any size, degenerate input."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.tree import DecisionTreeClassifier

from equiworld.metrics import compute
from equiworld.metrics.sap import sap, squared_correlation, tree_accuracy


def full_grid(*sizes):
    return np.stack([axis.ravel() for axis in np.meshgrid(*map(np.arange, sizes), indexing="ij")], axis=1)


def test_the_attainable_maximum_of_the_svm_is_far_below_one(recordings):
    result = sap(*recordings.rows("shapes3d", "perfect"))
    assert result.values["sap"] == result.ceiling["sap"] == pytest.approx(0.196, abs=2e-3)
    assert result.ceiling["sap_r2"] == pytest.approx(0.998, abs=1e-3)


def test_closed_forms():
    factors = full_grid(3, 4)
    table = (factors, factors.astype(float), factors, factors.astype(float))
    assert sap(*table, predictor="r2").values == {"sap": 1.0, "sap_r2": 1.0}
    twice = np.hstack([factors, factors]).astype(float)
    assert sap(factors, twice, factors, twice).values == {"sap": 0.0, "sap_r2": 0.0}
    # The best code knows all, the second nothing: what remains is the share of the commonest class.
    result = sap(*table, predictor="knn", neighbours=1)
    assert result.details["score_matrix"][0][0] == 1.0
    assert result.details["score_matrix"][1][1] == 1.0


def test_squared_correlation():
    rng = np.random.default_rng(0)
    first, second = rng.standard_normal((2, 50))
    assert squared_correlation(first[:, None], second) == pytest.approx(np.corrcoef(first, second)[0, 1] ** 2)
    assert squared_correlation(np.zeros((50, 1)), second) == 0.0
    assert squared_correlation(np.stack([first, second], axis=1), first + 2 * second) == pytest.approx(1.0)


def test_one_tree_read_at_every_depth_is_every_tree():
    rng = np.random.default_rng(0)
    inputs, labels = rng.standard_normal((90, 1)), rng.integers(0, 3, 90)
    found = tree_accuracy(inputs, labels)
    scores = [
        DecisionTreeClassifier(max_depth=depth).fit(inputs, labels).score(inputs, labels) for depth in range(1, 10)
    ]
    assert min(abs(found - score) for score in scores) < 1e-12


def test_circles_in_blocks(recordings):
    rows = recordings.rows("mini", "sincos")
    blocks = [[0, 1], [2, 3], [4, 5], [6, 7]]
    result = sap(*rows, blocks=blocks)
    assert result.predictor == "knn"
    assert result.values["sap_r2"] == pytest.approx(1.0, abs=1e-6)
    # The second best block guesses one of five levels.
    assert result.details["score_matrix"][0][0] == 1.0
    assert result.values["sap"] == pytest.approx(result.ceiling["sap"], abs=0.03)
    assert result.values["sap"] > 0.75 > 0.3 > sap(*rows).values["sap"]
    rng = np.random.default_rng(0)
    noise = (rows[0], rng.standard_normal(rows[1].shape), rows[2], rng.standard_normal(rows[3].shape))
    chance = sap(*noise, blocks=blocks)
    assert chance.values["sap"] < 0.05
    assert chance.values["sap_r2"] < 0.02
    # Of five steps around a circle a plane explains the first harmonic: 2 |X|^2 / 5 of 10, |X| = 2.5 / sin(36 degrees).
    linear = sap(*rows, blocks=blocks, predictor="r2")
    assert linear.values["sap"] == pytest.approx(2 * (2.5 / np.sin(np.pi / 5)) ** 2 / 50, abs=0.02)


def test_without_test_rows_some_are_set_apart():
    rng = np.random.default_rng(0)
    factors = rng.integers(0, 4, (300, 2))
    result = sap(factors, factors.astype(float), seed=3)
    assert (result.n, result.details["test_samples"]) == (200, 100)
    again = sap(factors, factors.astype(float), seed=3)
    assert result.values == again.values


def test_compute_adds_chance():
    rng = np.random.default_rng(0)
    factors = rng.integers(0, 4, (300, 2))
    result = compute("sap", factors, factors.astype(float))
    assert result.chance["sap_r2"] < 0.05 < 0.9 < result.values["sap_r2"]
    assert 0.1 < result.ceiling["sap"] < 1


def test_quantities_are_regressed():
    factors = np.random.default_rng(0).random((200, 3))
    result = sap(factors, factors * [1, -3, 2])
    assert result.values["sap"] == result.values["sap_r2"] > 0.9
    held = sap(factors, factors * [1, -3, 2], predictor="knn", blocks=[[0], [1], [2]])
    assert held.values["sap"] > 0.9


@pytest.mark.parametrize("predictor", ["svm", "r2", "knn", "tree_ubisoft"])
def test_degenerate_columns(predictor):
    factors = np.hstack([full_grid(3, 4), np.zeros((12, 1), dtype=int)]).repeat(5, axis=0)
    codes = np.hstack([factors, factors[:, :1] * 0.0 + 3])
    result = sap(factors, codes, factors, codes, predictor=predictor)
    assert result.details["constant_factors"] == [2]
    assert result.details["per_factor"][2] is None
    assert 0 < result.values["sap"] <= 1
    constant = sap(factors, codes[:, 2:], factors, codes[:, 2:], predictor=predictor)
    assert constant.values == {"sap": 0.0, "sap_r2": 0.0}
    single = sap(factors, codes[:, :1], factors, codes[:, :1], predictor=predictor)
    assert single.values["sap_r2"] == pytest.approx(0.5)
    nothing = sap(factors[:, 2:], codes, factors[:, 2:], codes, predictor=predictor)
    assert nothing.values == {"sap": None, "sap_r2": None}
    assert nothing.reason == "no factor varies in the sample"


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**20))
def test_squared_correlation_ignores_scale_sign_and_order(seed):
    rng = np.random.default_rng(seed)
    factors = rng.integers(0, 4, (60, 2))
    codes = factors @ rng.standard_normal((2, 3)) + rng.standard_normal((60, 3))
    rows, columns = rng.permutation(60), rng.permutation(3)
    moved = codes[rows][:, columns] * rng.choice([-50, 0.01, 3], 3) + 7
    first = sap(factors, codes, factors, codes, predictor="r2").values["sap"]
    second = sap(factors[rows], moved, factors, codes, predictor="r2").values["sap"]
    assert first == pytest.approx(second, abs=1e-9)


@pytest.mark.parametrize("scale", [1e-300, 1e-200, 1e200, 1e307])
def test_codes_of_any_size(scale):
    rng = np.random.default_rng(0)
    factors = rng.integers(0, 4, (120, 2))
    codes = factors + 0.3 * rng.standard_normal((120, 2))
    rows, scaled = (factors, codes, factors, codes), (factors, codes * scale, factors, codes * scale)
    for options in ({"predictor": "r2"}, {"predictor": "tree_ubisoft"}, {"predictor": "knn"}):
        assert sap(*scaled, **options).values == pytest.approx(sap(*rows, **options).values, abs=1e-9)
    wide = rng.standard_normal((120, 4)) + np.repeat(factors, 2, axis=1)
    blocks = [[0, 1], [2, 3]]
    first, second = (sap(factors, wide * size, factors, wide * size, blocks=blocks) for size in (1.0, scale))
    assert second.values == pytest.approx(first.values, abs=1e-9)
    result = sap(*scaled)
    assert result.values["sap_r2"] == pytest.approx(sap(*rows).values["sap_r2"], abs=1e-9)
    if scale > 1:  # the SVM reads codes as they are
        assert result.values["sap"] is None and "scale them" in result.reason
    else:
        assert result.values["sap"] == pytest.approx(0.0, abs=0.05)
    assert sap(factors * 1e15 + 0.5, codes).values["sap_r2"] == pytest.approx(
        sap(factors + 0.5, codes).values["sap_r2"], abs=1e-9
    )


def test_a_single_row():
    with pytest.raises(ValueError, match="single row"):
        sap([[0]], [[1.0]])
    assert sap([[0]], [[1.0]], [[0]], [[1.0]]).reason == "no factor varies in the sample"


def test_bad_input():
    factors = full_grid(3, 4)
    with pytest.raises(ValueError, match="predictor must be one of"):
        sap(factors, factors, predictor="forest")
    with pytest.raises(ValueError, match="go together"):
        sap(factors, factors, factors)
    with pytest.raises(ValueError, match="neighbours must be at least 1"):
        sap(factors, factors, neighbours=0)
