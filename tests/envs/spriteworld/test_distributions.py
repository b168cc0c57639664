"""Distributions of factors: the set algebra, and that what is drawn is what is contained."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from equiworld.envs import UsageError
from equiworld.envs.spriteworld.distributions import (
    TRIES,
    Continuous,
    Discrete,
    Distribution,
    Intersection,
    Mixture,
    Product,
    Selection,
    SetMinus,
)

GRID = np.round(np.linspace(0, 1, 21), 2)
POINTS = {"x": np.repeat(GRID, 21), "y": np.tile(GRID, 21)}

ends = st.lists(st.sampled_from(GRID.tolist()), min_size=2, max_size=2, unique=True).map(sorted)


@st.composite
def single(draw: st.DrawFn, key: str) -> Distribution:
    if draw(st.booleans()):
        low, high = draw(ends)
        return Continuous(key, low, high)
    return Discrete(key, draw(st.lists(st.sampled_from(GRID.tolist()), min_size=1, max_size=9, unique=True)))


plane = st.tuples(single("x"), single("y")).map(lambda pair: Product(list(pair)))
sets = st.recursive(
    plane,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(Mixture),
        st.lists(inner, min_size=1, max_size=2).map(Intersection),
        st.tuples(inner, st.one_of(inner, single("x"))).map(lambda pair: SetMinus(*pair)),
        st.tuples(inner, st.one_of(inner, single("y"))).map(lambda pair: Selection(*pair)),
    ),
    max_leaves=6,
)


@settings(max_examples=60)
@given(base=sets, seed=st.integers(0, 5))
def test_what_is_drawn_is_contained(base: Distribution, seed: int) -> None:
    try:
        drawn = base.sample(np.random.default_rng(seed), 50)
    except UsageError as error:
        assert "draws in a row lay outside" in str(error)
        assume(False)
    assert set(drawn) == base.keys
    assert all(values.shape == (50,) and values.dtype == np.float64 for values in drawn.values())
    assert base.contains(drawn).all()
    again = base.sample(np.random.default_rng(seed), 50)
    assert all((again[key] == drawn[key]).all() for key in drawn)


@given(a=sets, b=sets, line=single("x"))
def test_contains_is_set_algebra(a: Distribution, b: Distribution, line: Distribution) -> None:
    in_a, in_b, in_line = (distribution.contains(POINTS) for distribution in (a, b, line))
    assert (Intersection([a, b]).contains(POINTS) == (in_a & in_b)).all()
    assert (Mixture([a, b]).contains(POINTS) == (in_a | in_b)).all()
    assert (Mixture([a, b], [1.0, 0.0]).contains(POINTS) == in_a).all()
    assert (SetMinus(a, b).contains(POINTS) == (in_a & ~in_b)).all()
    assert (SetMinus(a, line).contains(POINTS) == (in_a & ~in_line)).all()
    assert (Selection(a, line).contains(POINTS) == (in_a & in_line)).all()
    # A set is what is left of it together with what was taken away.
    assert (SetMinus(a, b).contains(POINTS) | Selection(a, b).contains(POINTS) == in_a).all()
    assert not Intersection([SetMinus(a, b), b]).contains(POINTS).any()


def test_intervals_are_half_open() -> None:
    assert Continuous("x", 0.25, 0.5).contains({"x": [0.2499, 0.25, 0.4999, 0.5]}).tolist() == [
        False,
        True,
        True,
        False,
    ]


def test_rounding_does_not_reach_the_end_of_an_interval() -> None:
    class Largest(np.random.Generator):
        def random(self, size: int) -> np.ndarray:  # type: ignore[override]
            return np.full(size, np.nextafter(1.0, 0.0))

    # 1 + 2^-52 is the next number after 1: almost all of the interval rounds to one of its ends.
    narrow = Continuous("angle", 1.0, np.nextafter(1.0, 2.0))
    assert narrow.sample(Largest(np.random.PCG64(0)), 3)["angle"].tolist() == [1.0] * 3


def test_continuous_is_uniform() -> None:
    drawn = Continuous("x", -1.0, 3.0).sample(np.random.default_rng(0), 100_000)["x"]
    assert np.histogram(drawn, 8, (-1, 3))[0] == pytest.approx(np.full(8, 12_500), rel=0.05)


def test_discrete_follows_its_probabilities_and_never_draws_what_has_none() -> None:
    shapes = Discrete("shape", ["square", "circle", "star_4"], [0.2, 0.8, 0.0])
    drawn = shapes.sample(np.random.default_rng(0), 50_000)["shape"]
    assert np.mean(drawn == 2) == pytest.approx(0.2, abs=0.01)
    assert set(drawn) == {2.0, 6.0}
    assert shapes.contains({"shape": [[2, 6], [7, 1]]}).tolist() == [[True, True], [False, False]]


def test_mixture_follows_its_probabilities() -> None:
    mixed = Mixture([Continuous("x", 0, 1), Continuous("x", 5, 6)], [0.25, 0.75])
    assert np.mean(mixed.sample(np.random.default_rng(0), 50_000)["x"] > 2) == pytest.approx(0.75, abs=0.01)


def test_product_is_independent() -> None:
    drawn = Product([Continuous("x", 0, 1), Continuous("y", 0, 1)]).sample(np.random.default_rng(0), 50_000)
    assert np.corrcoef(drawn["x"], drawn["y"])[0, 1] == pytest.approx(0, abs=0.02)


def test_what_remains_is_still_uniform() -> None:
    square = Product([Continuous("x", 0, 1), Continuous("y", 0, 1)])
    corner = Product([Continuous("x", 0.5, 1), Continuous("y", 0.5, 1)])
    drawn = SetMinus(square, corner).sample(np.random.default_rng(0), 60_000)
    quadrants = np.histogram2d(drawn["x"], drawn["y"], 2, [[0, 1], [0, 1]])[0]
    assert quadrants == pytest.approx(np.array([[20_000, 20_000], [20_000, 0]]), rel=0.03)


def test_an_intersection_is_drawn_from_the_component_that_is_named() -> None:
    few, many = Discrete("x", [1, 2, 3]), Continuous("x", 1.5, 2.5)
    assert set(Intersection([few, many]).sample(np.random.default_rng(0), 100)["x"]) == {2.0}
    # The other way around a single point would have to be met.
    with pytest.raises(UsageError, match="draws in a row lay outside"):
        Intersection([few, many], index_for_sampling=1).sample(np.random.default_rng(0), 1)


def test_rare_acceptance_is_met_and_an_empty_set_is_told_after_its_tries() -> None:
    rare = Selection(Continuous("x", 0, 1), Continuous("x", 0.5, 0.5005))
    assert rare.contains(rare.sample(np.random.default_rng(0), 20)).all()
    with pytest.raises(UsageError, match=r"SetMinus over x: \d+ draws in a row") as error:
        SetMinus(Continuous("x", 0, 1), Continuous("x", -1, 2)).sample(np.random.default_rng(0), 4)
    assert int("".join(filter(str.isdigit, str(error.value).split(":")[1].split("draws")[0]))) >= TRIES


def test_nothing_can_be_drawn_and_is() -> None:
    drawn = SetMinus(Continuous("x", 0, 1), Continuous("x", 0.5, 1)).sample(np.random.default_rng(0), 0)
    assert drawn["x"].shape == (0,)


def test_contains_looks_at_its_own_factors_only_and_in_any_shape() -> None:
    hue = Continuous("c0", 0.0, 0.4)
    assert hue.contains({"c0": np.full((2, 3, 4), 0.1), "x": "anything"}).shape == (2, 3, 4)


X, Y = Continuous("x", 0, 1), Continuous("y", 0, 1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: X.contains({"y": 1.0}), "contains needs x; x is missing"),
        (lambda: Product([X, Y]).contains({"x": 1.0}), "contains needs x, y; y is missing"),
        (lambda: Continuous("z", 0, 1), "a sprite has no factor 'z'"),
        (lambda: Continuous("angel", 0, 1), "did you mean 'angle'"),
        (lambda: Continuous("x", 1, 1), r"must run from a number to a larger one, got \[1.0, 1.0\)"),
        (lambda: Continuous("x", 0, np.inf), "must be a finite number, got inf"),
        (lambda: Continuous("x", "a", 1), "must be a finite number, got 'a'"),
        (lambda: Discrete("shape", ["sqare"]), "did you mean 'square'"),
        (lambda: Discrete("x", []), "needs one candidate or more"),
        (lambda: Discrete("x", [1, 2], [0.5, 0.6]), r"2 probabilities that sum to 1, got \[0.5, 0.6\]"),
        (lambda: Discrete("x", [1, 2], [1.5, -0.5]), "probabilities"),
        (lambda: Discrete("x", [1, 2], [np.nan, 1.0]), "probabilities"),
        (lambda: Discrete("x", [1, 2], [1.0]), "2 probabilities"),
        (lambda: Product([X, Product([X, Y])]), "share no factor; these are over x; x, y"),
        (lambda: Product([]), "Product needs one component"),
        (lambda: Mixture([X, Y]), "Mixture are over the same factors; these are over x; y"),
        (lambda: Intersection([X, Product([X, Y])]), "Intersection are over the same factors"),
        (lambda: Intersection([X, X], index_for_sampling=2), "must be 0 to 1, got 2"),
        (lambda: SetMinus(X, Y), "SetMinus: the base is over x, and y is not among them"),
        (lambda: Selection(X, Product([X, Y])), "Selection: the base is over x, and y is not among them"),
    ],
)
def test_what_cannot_be_made_is_refused(make: object, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make()  # type: ignore[operator]


@pytest.mark.parametrize(
    ("make", "wrong"),
    [
        (lambda: Discrete("c0", [0, 1], probs="half"), "needs 2 probabilities that sum to 1, got 'half'"),
        (lambda: Discrete("c0", [0, 1], probs=5), "needs 2 probabilities that sum to 1, got 5"),
        (lambda: Discrete("c0", [0, 1], probs=["a", "b"]), "needs 2 probabilities that sum to 1, got ['a', 'b']"),
        (lambda: Discrete("c0", 3), "needs a list of values, got 3"),
        (lambda: Discrete("shape", "square"), "needs a list of values, got 'square'"),
    ],
)
def test_values_and_probabilities_that_are_none_are_refused(make: Callable[[], object], wrong: str) -> None:
    with pytest.raises(UsageError, match=re.escape(wrong)):
        make()
