"""Which learnt action is which true one, on actions that are known."""

from itertools import combinations

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
    # Of all orders of the inferred actions; the assignment is chosen anew for each.
    orders = [np.isin(np.arange(10), places).astype(int) for places in combinations(range(10), 8)]
    expected = np.mean([align_actions(order, true, 2, 2)[0] for order in orders])
    assert expected > 0.6
    assert result.chance["alignment"] == pytest.approx(expected, abs=0.05)
    assert (result.ceiling, result.n) == ({"alignment": 1.0}, 10)
    assert result.details["confusion"] == [[1, 5], [1, 3]]


def test_fewer_learnt_than_true_actions():
    accuracy, mapping = align_actions([0, 0, 0, 1], [0, 0, 1, 2], 2, 3)
    assert (accuracy, mapping) == (0.75, {0: 0, 2: 1})
    # Two learnt actions can be right about the two commonest true ones at best.
    assert alignment([0, 0, 0, 1], [0, 0, 1, 2], 2, 3).ceiling["alignment"] == 0.75


def test_random_labels_align_as_chance_says():
    rng = np.random.default_rng(0)
    true = rng.choice(4, size=60, p=[0.4, 0.3, 0.2, 0.1])
    scores = [alignment(rng.integers(4, size=60), true, 4, 4).values["alignment"] for _ in range(50)]
    result = alignment(rng.integers(4, size=60), true, 4, 4, seed=1)
    assert result.chance["alignment"] == pytest.approx(np.mean(scores), abs=0.03)
    always = alignment(np.zeros(60, dtype=int), true, 4, 4)
    assert always.values["alignment"] == pytest.approx(always.chance["alignment"], abs=1e-12)


def test_alignment_rejects_bad_codes():
    with pytest.raises(ValueError, match=r"inferred must lie in 0\.\.1, got 0\.\.2"):
        align_actions([0, 2], [0, 1], 2, 2)
    with pytest.raises(ValueError, match="inferred has 2 entries, expected 3"):
        align_actions([0, 1], [0, 1, 1], 2, 2)
    with pytest.raises(ValueError, match="true must be a vector"):
        align_actions([], [], 2, 2)
