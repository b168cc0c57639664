"""Splits of states: disjoint, covering, seeded, and refused when a part is empty."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equiworld.datasets import Split, split_states
from equiworld.envs import UsageError


@settings(deadline=None)
@given(st.integers(20, 400), st.floats(0.05, 0.4), st.floats(0.05, 0.4), st.integers(0, 5))
def test_the_parts_are_disjoint_sorted_and_cover_everything(n: int, validation: float, test: float, seed: int) -> None:
    split = split_states(n, validation, test, seed)
    parts = (split.train, split.validation, split.test)
    assert sorted(np.concatenate(parts).tolist()) == list(range(n))
    assert all((np.diff(part) > 0).all() and part.dtype == np.int64 for part in parts)
    assert len(split.validation) == round(n * validation)
    assert len(split.test) == round(n * test)
    roles = split.role(n)
    assert roles.dtype == np.int8
    for number, part in enumerate(parts):
        assert np.array_equal(np.flatnonzero(roles == number), part)


def test_the_seed_decides() -> None:
    first, again, other = split_states(1089), split_states(1089, seed=0), split_states(1089, seed=1)
    assert np.array_equal(first.test, again.test) and np.array_equal(first.validation, again.validation)
    assert not np.array_equal(first.test, other.test)
    assert (len(first.train), len(first.validation), len(first.test)) == (871, 109, 109)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((100, 0.0, 0.1), "the validation share of the states must lie between 0 and 1, got 0.0"),
        ((100, 0.1, 1.0), "the test share of the states must lie between 0 and 1, got 1.0"),
        ((100, 0.1, float("nan")), "the test share of the states must lie between 0 and 1, got nan"),
        ((100, -0.1, 0.1), "the validation share of the states must lie between 0 and 1, got -0.1"),
        (
            (100, 0.5, 0.5),
            "the split of 100 states leaves the training part empty (validation 0.5, test 0.5);"
            " every part needs a state",
        ),
        (
            (4, 0.1, 0.3),
            "the split of 4 states leaves the validation part empty (validation 0.1, test 0.3);"
            " every part needs a state",
        ),
        ((100, 0.1, 0.1, -1), "a seed must be 0 or more, got -1"),
    ],
)
def test_refusals_are_one_line(arguments: tuple, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        split_states(*arguments)
    assert str(caught.value) == message


def test_roles_of_another_number_of_states_are_refused() -> None:
    with pytest.raises(UsageError, match=r"^the split covers 20 states, not the 21 there are$"):
        split_states(20).role(21)
    with pytest.raises(UsageError, match="not the 3 there are"):
        Split(np.array([0]), np.array([0]), np.array([2])).role(3)
