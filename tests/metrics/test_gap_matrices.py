"""Functions of a matrix of information: closed forms and invariances."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equiworld.metrics.gap_matrices import (
    assign_codes,
    disentangled_share,
    joint_entropy_gaps,
    modularity_of_codes,
    normalised_by_codes,
    top_gaps,
)


def test_modularity_of_two_equal_informations():
    matrix = np.array([[0.4, 0.4, 0.0, 0.0], [0.7, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
    np.testing.assert_allclose(modularity_of_codes(matrix), [1 - 1 / 3, 1.0, 0.0])


def test_disentangled_share_takes_the_best_code_of_each_factor():
    matrix = np.array([[0.9, 0.1], [0.5, 0.2], [0.6, 0.65]])
    assert disentangled_share(matrix, np.array([1.0, 1.0])) == pytest.approx((0.8 + 0.05) / 2)


def test_codes_are_assigned_one_to_one():
    matrix = np.array([[0.9, 0.8, 0.0], [0.7, 0.1, 0.0]])
    assert assign_codes(matrix, np.array([1.0, 1.0, 0.0])) == [1, 0, None]


def test_gaps_are_to_the_second_row_and_to_nothing_where_there_is_one():
    assert top_gaps(np.array([[0.2, 0.9], [0.5, 0.3], [0.4, 0.3]])) == pytest.approx([0.1, 0.6])
    assert top_gaps(np.array([[0.2, 0.9]])) == pytest.approx([0.2, 0.9])


def test_a_code_without_entropy_knows_nothing():
    assert normalised_by_codes(np.array([[0.0, 0.0], [0.5, 0.1]]), np.array([0.0, 2.0])).tolist() == [
        [0, 0],
        [0.25, 0.05],
    ]


def test_joint_entropy_gap_takes_the_narrower_of_two_equal_codes():
    information = np.array([[0.6, 0.0], [0.6, 0.2], [0.1, 0.5]])
    gaps, best = joint_entropy_gaps(information, np.array([1.0, 1.0]), np.array([0.9, 0.7, 0.5]))
    assert best.tolist() == [1, 2]
    # H(v, z*) - I* + I°: 1 + 0.7 - 0.6 - 0.6 + 0.6, and 1 + 0.5 - 0.5 - 0.5 + 0.2
    assert gaps == pytest.approx([1.1, 0.7])


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**20), exponent=st.integers(-600, 600))
def test_order_of_codes_and_factors_does_not_matter_nor_units_of_information(seed, exponent):
    rng = np.random.default_rng(seed)
    matrix = rng.exponential(size=(5, 3)) * (rng.random((5, 3)) < 0.8)
    entropies, spread = matrix.max(axis=0) + rng.random(3), rng.random(5) + 0.1
    codes, factors, unit = rng.permutation(5), rng.permutation(3), 2.0**exponent
    moved = matrix[codes][:, factors]
    assert top_gaps(moved) == pytest.approx(top_gaps(matrix)[factors])
    assert modularity_of_codes(moved * unit) == pytest.approx(modularity_of_codes(matrix)[codes])
    share = disentangled_share(moved * unit, entropies[factors] * unit)
    assert share == pytest.approx(disentangled_share(matrix, entropies))
    joint = joint_entropy_gaps(moved, entropies[factors], spread[codes])[0]
    assert joint == pytest.approx(joint_entropy_gaps(matrix, entropies, spread)[0][factors])
