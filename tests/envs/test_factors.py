"""Factor spaces: numbering, ranges, sampling, and what they refuse."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equiworld.envs import Factor, FactorSpace, UsageError

SIZES = st.lists(st.integers(1, 7), min_size=1, max_size=4)


def space_of(sizes: list[int]) -> FactorSpace:
    return FactorSpace([Factor(f"f{i}", size, "ordinal") for i, size in enumerate(sizes)])


def mixed() -> FactorSpace:
    return FactorSpace([Factor("kind", 3, "categorical"), Factor("heat", None, "continuous", -1.0, 2.0)])


@settings(deadline=None)
@given(SIZES)
def test_index_and_factors_are_inverse(sizes: list[int]) -> None:
    space = space_of(sizes)
    index = np.arange(space.size)
    factors = space.from_index(index)
    assert factors.dtype == np.int64
    assert factors.shape == (np.prod(sizes), len(sizes))
    assert np.array_equal(space.to_index(factors), index)
    assert np.array_equal(factors, space.grid())
    assert np.array_equal(factors, np.stack(np.unravel_index(index, sizes), axis=1))
    assert space.contains(factors).all()


@settings(deadline=None)
@given(SIZES, st.data())
def test_one_state_is_answered_like_a_batch(sizes: list[int], data: st.DataObject) -> None:
    space = space_of(sizes)
    index = data.draw(st.integers(0, space.size - 1))
    row = space.from_index(index)
    assert row.shape == (len(sizes),)
    assert space.to_index(row) == index
    assert space.to_index(row).shape == ()


def test_the_last_factor_changes_fastest() -> None:
    assert space_of([2, 3]).grid().tolist() == [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2]]


def test_description() -> None:
    space = space_of([4, 5])
    assert (len(space), space.size, space.names, space.sizes.tolist()) == (2, 20, ("f0", "f1"), [4, 5])
    assert space == space_of([4, 5]) != space_of([5, 4])
    assert space.to_index(np.zeros((0, 2), dtype=int)).shape == (0,)
    assert space.from_index(np.zeros(0, dtype=int)).shape == (0, 2)


def test_contains_tells_row_by_row() -> None:
    assert space_of([2, 3]).contains([[0, 0], [1, 2], [2, 0], [0, -1]]).tolist() == [True, True, False, False]
    assert mixed().contains([[2, 2.0], [0, 2.1], [0.0, -1.0]]).tolist() == [True, False, True]


def test_samples_are_uniform_and_repeatable() -> None:
    space = space_of([2, 3])
    drawn = space.sample(np.random.default_rng(0), 60_000)
    shares = np.bincount(space.to_index(drawn), minlength=6) / len(drawn)
    assert np.allclose(shares, 1 / 6, atol=0.008)  # five standard deviations
    assert np.array_equal(drawn, space.sample(np.random.default_rng(0), 60_000))


def test_samples_of_continuous_factors_fill_their_interval() -> None:
    drawn = mixed().sample(np.random.default_rng(0), 20_000)
    assert drawn.shape == (20_000, 2)
    assert mixed().contains(drawn).all()
    assert set(np.unique(drawn[:, 0])) == {0.0, 1.0, 2.0}
    assert abs(drawn[:, 1].mean() - 0.5) < 0.03
    assert drawn[:, 1].min() < -0.99 and drawn[:, 1].max() > 1.99


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: space_of([2, 3]).to_index([[0, 3]]), "factor 'f1' cannot be 3; accepted: 0 to 2"),
        (lambda: space_of([2, 3]).to_index([-1, 0]), "factor 'f0' cannot be -1; accepted: 0 to 1"),
        (lambda: space_of([2, 3]).to_index([0, 0, 0]), "factors need the shape [N, 2] (f0, f1), got [3]"),
        (lambda: space_of([2, 3]).to_index([0.5, 1]), "factors: whole numbers are accepted, got float64 values"),
        (lambda: space_of([2, 3]).from_index(6), "there is no state 6; states are numbered 0 to 5"),
        (lambda: space_of([2, 3]).from_index([0, -1]), "there is no state -1; states are numbered 0 to 5"),
        (lambda: mixed().sizes, "factor 'heat' is continuous: its values cannot be counted"),
        (lambda: mixed().to_index([0, 0.5]), "factor 'heat' is continuous: its values cannot be counted"),
        (lambda: mixed().check([0, 3.0]), "factor 'heat' cannot be 3.0; accepted: -1.0 to 2.0"),
        (lambda: FactorSpace([]), "a factor space needs at least one factor"),
        (lambda: FactorSpace([Factor("a", 2, "cyclic")] * 2), "the names of factors must differ, got: a, a"),
        (lambda: Factor("a", 0, "cyclic"), "factor 'a': the size must be a positive whole number, got 0"),
        (lambda: Factor("a", None, "cyclic"), "factor 'a': the size must be a positive whole number, got None"),
        (lambda: Factor("a", 2, "continuous"), "factor 'a': a continuous factor has no size, got 2"),
        (
            lambda: Factor("a", None, "continuous", 1.0, 1.0),
            "factor 'a': low must be below high, got [1.0, 1.0]",
        ),
        (
            lambda: Factor("a", 2, "round"),  # type: ignore[arg-type]
            "factor 'a': unknown kind 'round'; there are: cyclic, ordinal, categorical, continuous",
        ),
    ],
)
def test_refusals_are_one_line(call: Callable[[], object], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        call()
    assert str(caught.value) == message


def test_a_space_too_large_to_number_is_refused_not_overflowed() -> None:
    space = space_of([2**32, 2**32])
    with pytest.raises(UsageError, match=r"^18446744073709551616 states are too many to be numbered$"):
        space.to_index([0, 0])
