"""Explicitness: closed forms, codes of any size, degenerate input."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from equiworld.metrics import explicit
from equiworld.metrics.explicit import area_under_curve, explicitness


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


@pytest.mark.parametrize("classifier", ["multinomial", "one_vs_rest"])
@pytest.mark.parametrize("scaling", ["variance", "range"])
@pytest.mark.parametrize("scale", [1e-300, 1e-200, 9, 1e200, 1e307])
def test_scale_does_not_matter(recordings, classifier, scaling, scale):
    factors, codes, factors_test, codes_test = (array[:300] for array in recordings.rows("mini", "noisy"))
    options = {"classifier": classifier, "scaling": scaling}
    first = explicitness(factors, codes, factors_test, codes_test, **options)
    second = explicitness(factors, codes * scale, factors_test, codes_test * scale, **options)
    assert float(second) == pytest.approx(float(first), abs=1e-4)


def test_a_single_row():
    with pytest.raises(ValueError, match="single row"):
        explicitness([[0]], [[1.0]])
    assert "no factor varies" in explicitness([[0]], [[1.0]], [[0]], [[1.0]]).reason


def test_explicitness_refuses():
    with pytest.raises(ValueError, match="classifier"):
        explicitness(np.eye(4), np.eye(4), classifier="svm")
    with pytest.raises(ValueError, match="scaling"):
        explicitness(np.eye(4), np.eye(4), scaling="none")
    with pytest.raises(ValueError, match="expected scores"):
        area_under_curve(np.ones(3), np.ones(3))


def test_it_says_whether_the_regression_converged(monkeypatch):
    factors = np.stack(np.divmod(np.arange(64), 8), axis=1)
    codes = factors + np.random.default_rng(0).normal(size=(64, 2))
    assert explicitness(factors, codes, factors, codes).details["converged"] is True
    few = partial(explicit.LogisticRegression, max_iter=2)
    monkeypatch.setattr(explicit, "LogisticRegression", few)
    assert explicitness(factors, codes, factors, codes).details["converged"] is False


def test_values_that_were_never_seen_are_named_as_what_they_are():
    factors = np.arange(20).reshape(-1, 1) % 4
    found = explicitness(factors, factors.astype(float), factors + 10, factors.astype(float))
    assert found.reason == "no factor has two values in the test rows that the training rows have too"
