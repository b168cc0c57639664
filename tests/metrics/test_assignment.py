"""Which learnt action is which true one, on actions that are known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equiworld.metrics import (
    align_actions,
    alignment,
)

TURN = 2 * np.pi
STEP = TURN * 5 / 33


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**20), count=st.integers(1, 6), extra=st.integers(0, 3))
def test_relabelled_actions_align_perfectly(seed, count, extra):
    rng = np.random.default_rng(seed)
    true = np.concatenate([np.arange(count), rng.integers(count, size=50)])
    names = rng.permutation(count + extra)[:count]
    accuracy, mapping = align_actions(names[true], true, count + extra, count)
    assert accuracy == 1.0
    assert mapping == dict(enumerate(names.tolist()))


def test_alignment_counts_what_the_best_assignment_leaves_wrong():
    true = [0] * 6 + [1] * 4
    inferred = [1] * 5 + [0] + [1] * 3 + [0]
    # Both true actions are mostly inferred as 1; one-to-one, 0->1 and 1->0 gets 5 + 1 right.
    accuracy, mapping = align_actions(inferred, true, 2, 2)
    assert (accuracy, mapping) == (0.6, {0: 1, 1: 0})
    result = alignment(inferred, true, 2, 2)
    assert result.values["alignment"] == 0.6
    assert result.chance["alignment"] == 0.6
    assert result.details["confusion"] == [[1, 5], [1, 3]]


def test_fewer_learnt_than_true_actions():
    accuracy, mapping = align_actions([0, 0, 0, 1], [0, 0, 1, 2], 2, 3)
    assert (accuracy, mapping) == (0.75, {0: 0, 2: 1})


def test_alignment_rejects_bad_codes():
    with pytest.raises(ValueError, match=r"inferred must lie in 0\.\.1, got 0\.\.2"):
        align_actions([0, 2], [0, 1], 2, 2)
    with pytest.raises(ValueError, match="inferred has 2 entries, expected 3"):
        align_actions([0, 1], [0, 1, 1], 2, 2)
    with pytest.raises(ValueError, match="true must be a vector"):
        align_actions([], [], 2, 2)
