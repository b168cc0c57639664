"""Disentanglement and completeness of importance matrices: closed forms, weights, invariances."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equiworld.metrics.importance import (
    completeness_from_importance,
    completeness_per_factor,
    disentanglement_from_importance,
    disentanglement_per_code,
    sum_blocks,
)


def test_one_code_a_factor_is_perfect():
    matrix = np.diag([0.5, 2.0, 1.0])
    assert disentanglement_from_importance(matrix) == pytest.approx(1, abs=1e-12)
    assert completeness_from_importance(matrix) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("count", [2, 4, 7])
def test_a_duplicated_code_costs_completeness_alone(count):
    matrix = np.vstack([np.eye(count), np.eye(count)])
    assert disentanglement_from_importance(matrix) == pytest.approx(1, abs=1e-12)
    assert completeness_from_importance(matrix) == pytest.approx(1 - np.log(2) / np.log(2 * count), abs=1e-12)


def test_a_code_of_two_factors_costs_disentanglement_alone():
    matrix = np.kron(np.eye(2), np.ones((1, 2)))
    np.testing.assert_allclose(disentanglement_per_code(matrix), 1 - np.log(2) / np.log(4), atol=1e-12)
    np.testing.assert_allclose(completeness_per_factor(matrix), 1, atol=1e-12)


def test_nothing_important_scores_nothing():
    assert disentanglement_from_importance(np.zeros((3, 4))) == 0
    assert completeness_from_importance(np.zeros((3, 4)), "uniform") == 0


def test_weights():
    matrix = np.array([[3.0, 0.0], [1.0, 1.0], [0.0, 0.0]])
    assert disentanglement_from_importance(matrix) == pytest.approx(3 / 5)
    assert disentanglement_from_importance(matrix, "uniform") == pytest.approx(1 / 3)
    quarter = -(0.75 * np.log(0.75) + 0.25 * np.log(0.25)) / np.log(3)
    assert completeness_from_importance(matrix) == pytest.approx((4 * (1 - quarter) + 1) / 5)
    assert completeness_from_importance(matrix, "uniform") == pytest.approx((2 - quarter) / 2)


def test_stopping_at_a_dead_code_is_not_the_default():
    matrix = np.array([[1.0, 1.0], [0.0, 0.0], [2.0, 0.0]])
    assert disentanglement_from_importance(matrix) == pytest.approx(0.5)
    assert disentanglement_from_importance(matrix, stop_at_dead_code=True) == pytest.approx(0)
    assert disentanglement_from_importance(matrix[::-1], stop_at_dead_code=True) == pytest.approx(1)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_order_and_scale_do_not_matter(seed):
    rng = np.random.default_rng(seed)
    matrix = rng.exponential(size=(5, 4)) * (rng.random((5, 4)) < 0.7)
    other = 3.5 * matrix[rng.permutation(5)][:, rng.permutation(4)]
    for score in (disentanglement_from_importance, completeness_from_importance):
        assert 0 <= score(matrix) <= 1
        assert score(other) == pytest.approx(score(matrix), abs=1e-12)


def test_blocks_are_summed():
    assert sum_blocks(np.arange(8.0).reshape(4, 2), [[0, 2], [3]]).tolist() == [[4, 6], [6, 7]]


@pytest.mark.parametrize("matrix", [np.ones((3, 1)), -np.ones((2, 2)), np.full((2, 2), np.nan), np.ones(3)])
def test_refused(matrix):
    with pytest.raises(ValueError):
        disentanglement_from_importance(matrix)


def test_unknown_weights_are_refused():
    with pytest.raises(ValueError, match="weights"):
        completeness_from_importance(np.eye(2), "equal")


@pytest.mark.parametrize("scale", [1e300, 1e-300])
def test_importance_of_any_size(scale):
    matrix = np.array([[3.0, 1.0], [1.0, 4.0], [2.0, 0.0]])
    for score in (disentanglement_from_importance, completeness_from_importance):
        assert score(matrix * scale) == pytest.approx(score(matrix), abs=1e-12)
