"""What metrics read: rows, splits, blocks, and the one line that each refusal says."""

import numpy as np
import pytest

from equiworld.metrics.tables import is_lone_block, read_blocks, read_rows, read_split

GRID = np.indices((3, 4)).reshape(2, -1).T


def test_whole_numbers_are_categories_as_far_as_floats_tell():
    factors = np.column_stack([[0, 1, 7], [0.5, 1, 2], [1e200, 2e200, 3e200], [-1, 2**53 - 1, 0]])
    rows = read_rows(factors, np.ones((3, 1)))
    assert rows.discrete.tolist() == [True, False, False, True]
    assert rows.labels(0).tolist() == [0, 1, 7]
    assert read_rows(factors, np.ones((3, 1)), continuous=[0, 1, 2]).discrete.tolist() == [False, False, False, True]


@pytest.mark.parametrize("scale", [1.0, 1e200, 1e-200])
def test_levels_of_quantities_are_bins_of_any_scale(scale):
    rows = read_rows(np.column_stack([[7, 7, 3, 3], np.array([0.0, 0.1, 0.2, 4.0]) * scale]), np.ones((4, 1)), [1])
    assert rows.levels(4).T.tolist() == [[1, 1, 0, 0], [0, 0, 0, 1]]
    assert rows.levels(4, "quantile").T.tolist() == [[1, 1, 0, 0], [0, 1, 2, 3]]
    assert rows.varying.tolist() == [True, True]
    constant = read_rows(np.full((4, 1), scale), np.ones((4, 1)), [0])
    assert len(np.unique(constant.levels())) == 1
    assert constant.varying.tolist() == [False]


def test_a_third_of_the_rows_is_set_apart():
    train, test = read_split(GRID, GRID * 1.0, seed=0)
    assert (len(train), len(test)) == (8, 4)
    together = np.vstack([train.codes, test.codes])
    assert sorted(together.tolist()) == GRID.tolist()
    assert np.array_equal(read_split(GRID, GRID * 1.0, seed=0)[0].codes, train.codes)
    assert [len(part) for part in read_split(GRID[:2], GRID[:2], seed=0)] == [1, 1]


def test_test_rows_that_are_given_are_used():
    train, test = read_split(GRID, GRID, GRID[:1], GRID[:1], seed=0)
    assert (len(train), len(test)) == (12, 1)
    # What is a quantity among the training rows is one among the test rows.
    train, test = read_split(GRID + 0.5, GRID, GRID[:3], GRID[:3], seed=0)
    assert not test.discrete.any()
    assert [len(part) for part in read_split(GRID[:1], GRID[:1], GRID[:1], GRID[:1], seed=0)] == [1, 1]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ((GRID[:1], GRID[:1]), "a single row cannot be divided: give more rows, or factors_test and codes_test"),
        ((GRID[:0], GRID[:0]), "factors is empty"),
        ((GRID, GRID, GRID), "go together"),
        ((GRID, GRID, GRID[:0], GRID[:0]), "test factors is empty"),
        ((GRID, GRID, GRID[:2], GRID[:3]), "test factors and test codes differ in rows"),
        ((GRID, GRID, GRID[:, :1], GRID), "train and test differ in columns"),
        ((GRID, GRID, GRID + 0.5, GRID), r"test factors \[0, 1\] are not whole numbers"),
        ((GRID, [["a"]]), "codes must be an array of numbers"),
        ((GRID, None), "codes must have 2 axes"),
        ((GRID, GRID[:, 0]), "codes must have 2 axes, not shape"),
        ((GRID, GRID + np.inf), "codes holds numbers that are not finite"),
    ],
)
def test_refused_in_one_line(arrays, message):
    with pytest.raises(ValueError, match=message) as caught:
        read_split(*arrays, seed=0)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("mask", [[False, True], (False, True), np.array([False, True]), [False, np.True_]])
def test_quantities_by_a_mask(mask):
    assert read_rows(GRID, GRID, mask).discrete.tolist() == [True, False]
    assert read_split(GRID, GRID, seed=0, continuous=mask)[1].discrete.tolist() == [True, False]


@pytest.mark.parametrize("mask", [[True], [True, False, True], [True, 1], 1, True])
def test_masks_that_are_refused(mask):
    with pytest.raises(ValueError, match="continuous") as caught:
        read_rows(GRID, GRID, mask)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("column", [2, -1, 0.5, "a"])
def test_a_quantity_must_be_a_column(column):
    with pytest.raises(ValueError, match="there is no factor"):
        read_rows(GRID, GRID, continuous=[column])


def test_blocks():
    assert read_blocks(None, 3) == [[0], [1], [2]]
    assert read_blocks(np.array([[3, 1], [0, 2]]), 4) == [[3, 1], [0, 2]]
    assert read_blocks([(4,), (0, 1)], 6) == [[4], [0, 1]]
    assert is_lone_block([[0, 1]], 2) and not is_lone_block([[0, 1]], 1) and not is_lone_block([[0]], 2)


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        ([], "at least one code dimension each"),
        ([[0], []], "at least one code dimension each"),
        ([[0, 1], [1]], "in more than one block"),
        ([[0, 4]], "blocks name dimension 4, but codes have 0..2"),
        ([[-1]], "blocks name dimension -1"),
        ([0, 1], "blocks must be lists of code dimensions"),
        ([[0.5]], "blocks must be lists of code dimensions"),
        (["01"], "blocks must be lists of code dimensions"),
        (2, "blocks must be lists of code dimensions"),
    ],
)
def test_blocks_that_are_refused(blocks, message):
    with pytest.raises(ValueError, match=message):
        read_blocks(blocks, 3)
