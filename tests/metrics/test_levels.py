"""Level numbers that two tables of factors have in common."""

import numpy as np
import pytest

from equiworld.metrics.levels import constant_columns, shared_levels
from equiworld.metrics.tables import read_rows


def rows(*columns, continuous=None):
    return read_rows(np.column_stack(columns), np.ones((len(columns[0]), 1)), continuous)


def test_a_number_means_the_same_value_in_both_parts():
    first, second = shared_levels(rows([5, 9, 5], [1, 1, 1]), rows([9, 7], [1, 2]))
    assert first.T.tolist() == [[0, 2, 0], [0, 0, 0]]
    assert second.T.tolist() == [[2, 1], [0, 1]]


@pytest.mark.parametrize("scale", [1.0, 1e200, 1e-200])
def test_quantities_are_cut_where_the_training_part_lies(scale):
    train = rows(np.array([0.0, 1.0, 3.0, 4.0]) * scale, continuous=[0])
    test = rows(np.array([-5.0, 0.5, 3.5, 99.0]) * scale, continuous=[0])
    first, second = shared_levels(train, test, bins=2)
    assert first.ravel().tolist() == [0, 0, 1, 1]
    assert second.ravel().tolist() == [0, 0, 1, 1]
    with pytest.raises(ValueError, match="bins must be at least 1"):
        shared_levels(train, test, bins=0)


def test_constant_columns():
    assert constant_columns(rows([1, 2], [3, 3], [1e308, -1e308])) == [1]
    assert constant_columns(rows([1], [2])) == [0, 1]
