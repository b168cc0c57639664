"""Explicitness and factor prediction: recorded values, closed forms, degenerate input."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from equiworld.metrics.downstream import factor_prediction
from equiworld.metrics.explicit import area_under_curve, explicitness

_NAMES = "perfect permuted_scaled monotone dead_dims rotated noisy duplicated paired missing sincos random"
NAMES = _NAMES.split()


@pytest.mark.parametrize(
    "name", [f"mini/{name}" for name in NAMES] + ["shapes3d/perfect", "shapes3d/missing", "shapes3d/random"]
)
def test_explicitness_as_recorded(recordings, name):
    expected = recordings.expected["disentanglement_lib"][f"{name}/explicitness"]["scores"]
    result = explicitness(*recordings.rows(*name.split("/")))
    assert result.values["explicitness"] == pytest.approx(expected["explicitness_score_test"], abs=1e-6)
    assert result.values["train"] == pytest.approx(expected["explicitness_score_train"], abs=1e-6)
    assert result.values["scaled"] == pytest.approx(2 * result.values["explicitness"] - 1)
    np.testing.assert_allclose(result.details["per_factor"], np.array(expected["per_factor"])[:, 1], atol=1e-6)


@pytest.mark.parametrize("name", [*NAMES, "constant"])
def test_one_against_the_rest_as_recorded(recordings, name):
    factors, codes, _, _ = recordings.rows("mini", name)
    expected = recordings.expected["others"][f"mini/{name}/ubisoft/explicitness"]["scores"]["score"]
    result = explicitness(factors, codes, factors, codes, classifier="one_vs_rest", scaling="range")
    assert result.values["scaled"] == pytest.approx(expected, abs=1e-6)


def test_a_constant_code_is_at_chance(recordings):
    result = explicitness(*recordings.rows("mini", "constant"))
    assert result.values == {"explicitness": 0.5, "scaled": 0.0, "train": 0.5}


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_area_under_curve_is_the_usual_one(seed):
    rng = np.random.default_rng(seed)
    labels = np.concatenate([[0, 1, 2], rng.integers(3, size=20)])
    scores = rng.integers(4, size=(23, 3)).astype(float)
    usual = roc_auc_score(np.eye(3)[labels], scores, average="macro")
    assert area_under_curve(scores, labels) == pytest.approx(usual, abs=1e-12)


def test_explicitness_of_quantities_and_of_values_never_seen():
    rng = np.random.default_rng(0)
    factors = rng.random((300, 1))
    assert explicitness(factors, factors, bins=3).values["explicitness"] > 0.9
    train, test = np.array([[0], [0], [1], [1]]), np.array([[0], [1], [2]])
    found = explicitness(train, train.astype(float), test, test.astype(float))
    assert found.values["explicitness"] == 1
    nothing = explicitness(np.ones((9, 1)), factors[:9])
    assert nothing.values["explicitness"] is None and "no factor varies" in nothing.reason
    unseen = explicitness(train, train.astype(float), np.full((2, 1), 7), np.ones((2, 1)))
    assert unseen.values["explicitness"] is None and "test rows" in unseen.reason


def test_scale_does_not_matter(recordings):
    factors, codes, factors_test, codes_test = recordings.rows("mini", "noisy")
    first = explicitness(factors, codes, factors_test, codes_test)
    second = explicitness(factors, codes * -9, factors_test, codes_test * -9)
    assert float(second) == pytest.approx(float(first), abs=1e-6)


def test_explicitness_refuses():
    with pytest.raises(ValueError, match="classifier"):
        explicitness(np.eye(4), np.eye(4), classifier="svm")
    with pytest.raises(ValueError, match="scaling"):
        explicitness(np.eye(4), np.eye(4), scaling="none")
    with pytest.raises(ValueError, match="expected scores"):
        area_under_curve(np.ones(3), np.ones(3))


@pytest.mark.parametrize("name", ["perfect", "noisy", "missing", "random", "constant"])
def test_factor_prediction_as_recorded(recordings, name):
    expected = recordings.expected["disentanglement_lib"][f"mini/{name}/downstream_logreg_cv"]["scores"]
    result = factor_prediction(*recordings.rows("mini", name), predictor="logistic_cv")
    assert result.values["accuracy"] == pytest.approx(expected["mean_test_accuracy"], abs=5e-3)
    assert result.values["train_accuracy"] == pytest.approx(expected["mean_train_accuracy"], abs=5e-3)


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
