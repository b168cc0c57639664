"""What small predictors read from the codes: actions, and factors."""

import numpy as np
import pytest

from equiworld.metrics import action_prediction, compute, factor_prediction


def transitions(count, seed=0):
    rng = np.random.default_rng(seed)
    before, actions = rng.standard_normal((count, 2)), rng.integers(4, size=count)
    moves = np.array([[2.0, 0], [-2, 0], [0, 2], [0, -2]])
    return before, before + moves[actions], actions


def test_visible_actions_are_predicted_and_invisible_ones_are_not():
    before, after, actions = transitions(1200)
    test = np.arange(1200) % 2 == 1
    seen = action_prediction(before, after, actions, test=test, trees=40)
    assert seen.values["accuracy"] > 0.9
    assert (seen.details["train"], seen.details["test"]) == (600, 600)
    unseen = action_prediction(before, before, actions, test=test, trees=40)
    assert unseen.values["accuracy"] == pytest.approx(unseen.chance["accuracy"], abs=0.08)


def test_same_seed_same_answer():
    before, after, actions = transitions(200)
    first, second = (action_prediction(before, after, actions, seed=3, trees=10) for _ in range(2))
    assert first == second


def test_chance_is_the_share_of_the_commonest_training_action():
    before, after, _ = transitions(10)
    actions = np.array([0, 0, 0, 0, 1, 0, 1, 1, 1, 1])
    result = action_prediction(before, after, actions, test=np.arange(10) >= 5, trees=5)
    assert result.chance["accuracy"] == pytest.approx(0.2)


@pytest.mark.parametrize("scale", [1e-200, 1e200, [1e-200, 1e200]])
def test_tiny_and_huge_codes(scale):
    before, after, actions = transitions(300)
    usual = action_prediction(before, after, actions, trees=10)
    assert usual.values["accuracy"] > 0.8
    found = action_prediction(before * scale, after * scale, actions, trees=10)
    assert found.values["accuracy"] == pytest.approx(usual.values["accuracy"], abs=0.03)


def test_what_stands_beside_the_score():
    result = action_prediction(*transitions(30), trees=10)
    assert (result.ceiling, result.n) == ({"accuracy": 1.0}, 15)
    assert result.predictor == "forest (10 trees of depth 15)"


def test_bad_input():
    before, after, actions = transitions(10)
    assert action_prediction(before[:2], after[:2], [1, 1], trees=3).values["accuracy"] == 1.0
    with pytest.raises(ValueError, match="at least 2 rows"):
        action_prediction(before[:1], after[:1], actions[:1])
    with pytest.raises(ValueError, match="some of them on either side"):
        action_prediction(before, after, actions, test=np.zeros(10, dtype=bool))
    with pytest.raises(ValueError, match="shapes do not fit"):
        action_prediction(before, after[:, :1], actions)


def test_factor_prediction_of_quantities_classes_and_nothing():
    rng = np.random.default_rng(0)
    factors = np.column_stack([rng.integers(3, size=300), rng.random(300), np.zeros(300)])
    known = factor_prediction(factors, factors)
    assert known.values["accuracy"] > 0.99
    assert known.details["constant_factors"] == [2]
    assert known.chance["accuracy"] == pytest.approx(1 / 6, abs=0.05)
    assert factor_prediction(factors, np.zeros((300, 2))).values["accuracy"] < 0.3
    nothing = factor_prediction(np.zeros((30, 1)), rng.random((30, 2)))
    assert nothing.values["accuracy"] is None and nothing.reason
    with pytest.raises(ValueError, match="unknown predictor"):
        factor_prediction(factors, factors, predictor="magic")


PREDICTORS = ["logistic", "logistic_cv", "gbt", "hist", "forest"]


@pytest.mark.parametrize("predictor", PREDICTORS)
def test_factors_are_predicted_from_codes_of_any_size(predictor):
    rng = np.random.default_rng(0)
    factors = np.column_stack([rng.integers(3, size=120), rng.random(120)])
    codes = factors + 0.05 * rng.standard_normal(factors.shape)
    first = factor_prediction(factors, codes, predictor=predictor)
    assert first.values["accuracy"] > 0.85
    if predictor == "logistic_cv":
        with pytest.raises(ValueError, match="reads codes as they are"):
            factor_prediction(factors, codes * 1e200, predictor=predictor)
        return
    for scale in (1e-300, 1e-200, 1e200, 1e307):
        second = factor_prediction(factors, codes * scale, predictor=predictor)
        assert float(second) == pytest.approx(float(first), abs=1e-9)
    huge = factor_prediction(factors * [1, 1e200], codes, predictor=predictor)
    assert float(huge) == pytest.approx(float(first), abs=1e-3)


@pytest.mark.parametrize("predictor", PREDICTORS)
def test_constant_codes_and_a_single_row(predictor):
    factors = np.arange(60)[:, None] % 3
    still = factor_prediction(factors, np.full((60, 2), 0.1), factors, np.full((60, 2), 0.1), predictor=predictor)
    assert still.values["accuracy"] == pytest.approx(1 / 3)
    with pytest.raises(ValueError, match="single row"):
        factor_prediction([[0]], [[1.0]], predictor=predictor)
    single = factor_prediction([[0]], [[1.0]], [[0]], [[1.0]], predictor=predictor)
    assert single.values["accuracy"] is None and "no factor varies" in single.reason


def test_five_folds_take_five_rows():
    factors = np.arange(4)[:, None] % 2
    with pytest.raises(ValueError, match="n_splits=5"):
        factor_prediction(factors, factors, factors, factors, predictor="logistic_cv")


def test_compute_adds_chance_and_ceiling_of_factor_prediction():
    factors = np.random.default_rng(0).integers(4, size=(200, 2))
    result = compute("factor_prediction", factors, factors.astype(float))
    assert result.chance["accuracy"] == pytest.approx(0.25, abs=0.1)
    assert result.ceiling["accuracy"] > 0.95
