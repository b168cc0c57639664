"""Distributions over the factors of a sprite, and their set algebra: each can be sampled, and asked what it contains.

The seven kinds are those of Spriteworld (Watters et al. 2019, arXiv 1905.09275). What is sampled and what is contained
agree: nothing is ever drawn that ``contains`` denies. Values are numbers; shapes may be given by name.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..registry import UsageError
from .sprites import factor_value

Factors = dict[str, NDArray[np.float64]]

TRIES = 100_000
"""So many draws in a row may be rejected before a distribution is taken to be empty."""
BATCH = 8192
"""At most so many draws are made at once where some are rejected."""


class Distribution(ABC):
    """A distribution over some factors, by name.

    Attributes:
        keys: The factors that it is over.
    """

    keys: frozenset[str]

    @abstractmethod
    def sample(self, rng: np.random.Generator, n: int) -> Factors:
        """Draws ``n`` times.

        Args:
            rng: The source of randomness.
            n: Draws, 0 or more.

        Returns:
            Each factor's values, float64 [n], by name.

        Raises:
            UsageError: So many draws were rejected that there may be nothing to draw.
        """

    @abstractmethod
    def _contains(self, factors: Mapping[str, NDArray[np.float64]]) -> NDArray[np.bool_]:
        """``contains`` once the factors are known to be there, as arrays."""

    def contains(self, factors: Mapping[str, ArrayLike]) -> NDArray[np.bool_]:
        """Which values could have been drawn.

        Args:
            factors: Arrays of one shape by name, this distribution's factors among them; others are not looked at.

        Returns:
            bool, of the arrays' shape.

        Raises:
            UsageError: One of this distribution's factors is missing.
        """
        missing = sorted(self.keys - set(factors))
        if missing:
            raise UsageError(f"contains needs {_names(self.keys)}; {_names(missing)} is missing")
        return self._contains({key: np.asarray(factors[key], dtype=np.float64) for key in self.keys})

    def _accept(self, rng: np.random.Generator, n: int, base: Distribution) -> Factors:
        """Draws from ``base`` until ``n`` draws lie in this distribution."""
        parts: list[Factors] = []
        missing, rejected = n, 0
        while missing:
            # Twice as many as are missing, and more while there is no success: rarely more than two rounds.
            drawn = base.sample(rng, min(BATCH, 2 * missing + rejected))
            kept = np.flatnonzero(self._contains(drawn))[:missing]
            rejected = 0 if len(kept) else rejected + len(next(iter(drawn.values())))
            if rejected >= TRIES:
                raise UsageError(
                    f"{type(self).__name__} over {_names(self.keys)}: {rejected} draws in a row lay outside of it;"
                    " it must contain a larger part of the distribution that it samples from"
                )
            missing -= len(kept)
            parts.append({key: values[kept] for key, values in drawn.items()})
        return {key: np.concatenate([part[key] for part in parts] or [np.empty(0)]) for key in sorted(self.keys)}


class Continuous(Distribution):
    """One factor, uniform over the half-open interval [low, high).

    Args:
        key: The factor.
        low: The least value.
        high: The end of the interval, which is not part of it.

    Raises:
        UsageError: The interval is empty or not finite, or there is no such factor.

    Example:
        >>> hue = Continuous("c0", 0.0, 0.4)
        >>> hue.contains({"c0": [0.0, 0.2, 0.4]})
        array([ True,  True, False])
    """

    def __init__(self, key: str, low: float, high: float) -> None:
        low, high = factor_value(key, low), factor_value(key, high)
        if not low < high or not np.isfinite(high - low):
            raise UsageError(f"Continuous {key!r} must run from a number to a larger one, got [{low}, {high})")
        self.keys = frozenset({key})
        self.key, self.low, self.high = key, low, high
        self._last = np.nextafter(high, low)

    def sample(self, rng: np.random.Generator, n: int) -> Factors:
        # Rounding can reach the end of the interval, which is not part of it.
        return {self.key: np.minimum(self.low + (self.high - self.low) * rng.random(n), self._last)}

    def _contains(self, factors: Mapping[str, NDArray[np.float64]]) -> NDArray[np.bool_]:
        values = factors[self.key]
        inside: NDArray[np.bool_] = (values >= self.low) & (values < self.high)
        return inside


class Discrete(Distribution):
    """One factor that takes some values.

    Args:
        key: The factor.
        candidates: Its values; shapes may be named.
        probs: The probability of each; None: all the same.

    Raises:
        UsageError: There are no candidates, a shape or factor does not exist, or the probabilities are none.

    Example:
        >>> Discrete("shape", ["square", "circle"]).contains({"shape": 2})
        array(True)
    """

    def __init__(self, key: str, candidates: Sequence[float | str], probs: Sequence[float] | None = None) -> None:
        if not isinstance(candidates, Sequence | np.ndarray) or isinstance(candidates, str):
            raise UsageError(f"Discrete {key!r} needs a list of values, got {candidates!r}")
        self.keys = frozenset({key})
        self.key = key
        self.candidates = np.array([factor_value(key, candidate) for candidate in candidates], dtype=np.float64)
        self.probs = probabilities(f"Discrete {key!r}", probs, len(self.candidates))
        self._possible = self.candidates[self.probs > 0]

    def sample(self, rng: np.random.Generator, n: int) -> Factors:
        return {self.key: self.candidates[choices(rng, n, self.probs)]}

    def _contains(self, factors: Mapping[str, NDArray[np.float64]]) -> NDArray[np.bool_]:
        return np.isin(factors[self.key], self._possible)


class Product(Distribution):
    """Several distributions over different factors, independent of each other.

    Args:
        components: Distributions that share no factor.

    Raises:
        UsageError: There is none, or two share a factor.
    """

    def __init__(self, components: Sequence[Distribution]) -> None:
        self.components = _some("Product", components)
        self.keys = frozenset().union(*(component.keys for component in self.components))
        if sum(len(component.keys) for component in self.components) != len(self.keys):
            listed = [_names(component.keys) for component in self.components]
            raise UsageError(f"the components of a Product share no factor; these are over {'; '.join(listed)}")

    def sample(self, rng: np.random.Generator, n: int) -> Factors:
        drawn: Factors = {}
        for component in self.components:
            drawn |= component.sample(rng, n)
        return drawn

    def _contains(self, factors: Mapping[str, NDArray[np.float64]]) -> NDArray[np.bool_]:
        return np.logical_and.reduce([component._contains(factors) for component in self.components])


class Mixture(Distribution):
    """One of several distributions over the same factors, drawn anew each time: their union.

    Args:
        components: Distributions over the same factors.
        probs: The probability of each; None: all the same.

    Raises:
        UsageError: There is none, the factors differ, or the probabilities are none.
    """

    def __init__(self, components: Sequence[Distribution], probs: Sequence[float] | None = None) -> None:
        self.components = _alike("Mixture", components)
        self.keys = self.components[0].keys
        self.probs = probabilities("Mixture", probs, len(self.components))

    def sample(self, rng: np.random.Generator, n: int) -> Factors:
        chosen = choices(rng, n, self.probs)
        mixed = {key: np.empty(n) for key in sorted(self.keys)}
        for number, component in enumerate(self.components):
            places = np.flatnonzero(chosen == number)
            if len(places):
                for key, values in component.sample(rng, len(places)).items():
                    mixed[key][places] = values
        return mixed

    def _contains(self, factors: Mapping[str, NDArray[np.float64]]) -> NDArray[np.bool_]:
        possible = [component for component, prob in zip(self.components, self.probs, strict=True) if prob > 0]
        return np.logical_or.reduce([component._contains(factors) for component in possible])


class Intersection(Distribution):
    """What all of several distributions over the same factors contain.

    Args:
        components: Distributions over the same factors.
        index_for_sampling: The one that is drawn from; what the others do not contain is drawn again.

    Raises:
        UsageError: There is none, the factors differ, or there is no component of that index.
    """

    def __init__(self, components: Sequence[Distribution], index_for_sampling: int = 0) -> None:
        self.components = _alike("Intersection", components)
        self.keys = self.components[0].keys
        if index_for_sampling not in range(len(self.components)):
            raise UsageError(f"index_for_sampling must be 0 to {len(self.components) - 1}, got {index_for_sampling!r}")
        self.index_for_sampling = index_for_sampling

    def sample(self, rng: np.random.Generator, n: int) -> Factors:
        return self._accept(rng, n, self.components[self.index_for_sampling])

    def _contains(self, factors: Mapping[str, NDArray[np.float64]]) -> NDArray[np.bool_]:
        return np.logical_and.reduce([component._contains(factors) for component in self.components])


class SetMinus(Distribution):
    """A distribution without what another one contains.

    Args:
        base: The distribution that is drawn from.
        hold_out: What is left out, over some or all of the base's factors.

    Raises:
        UsageError: ``hold_out`` is over a factor that the base has not.
    """

    def __init__(self, base: Distribution, hold_out: Distribution) -> None:
        _within("SetMinus", base, hold_out)
        self.base, self.hold_out, self.keys = base, hold_out, base.keys

    def sample(self, rng: np.random.Generator, n: int) -> Factors:
        return self._accept(rng, n, self.base)

    def _contains(self, factors: Mapping[str, NDArray[np.float64]]) -> NDArray[np.bool_]:
        return self.base._contains(factors) & ~self.hold_out._contains(factors)


class Selection(Distribution):
    """The part of a distribution that another one contains, which may be over fewer factors.

    Args:
        base: The distribution that is drawn from.
        filtering: What is kept, over some or all of the base's factors.

    Raises:
        UsageError: ``filtering`` is over a factor that the base has not.
    """

    def __init__(self, base: Distribution, filtering: Distribution) -> None:
        _within("Selection", base, filtering)
        self.base, self.filtering, self.keys = base, filtering, base.keys

    def sample(self, rng: np.random.Generator, n: int) -> Factors:
        return self._accept(rng, n, self.base)

    def _contains(self, factors: Mapping[str, NDArray[np.float64]]) -> NDArray[np.bool_]:
        return self.base._contains(factors) & self.filtering._contains(factors)


def choices(rng: np.random.Generator, n: int, probs: NDArray[np.float64]) -> NDArray[np.int64]:
    """Indices drawn with these probabilities, int64 [n]; a fraction of the time that ``rng.choice`` takes."""
    if len(probs) == 1:
        return np.zeros(n, dtype=np.int64)
    cumulative = np.cumsum(probs)
    # Rounding may leave the sum below 1: the last index that is possible takes what is over.
    cumulative[np.flatnonzero(probs)[-1] :] = 1.0
    return np.searchsorted(cumulative, rng.random(n), side="right").astype(np.int64)


def probabilities(what: str, probs: Sequence[float] | None, count: int) -> NDArray[np.float64]:
    """Checked probabilities, float64 [count]."""
    if not count:
        raise UsageError(f"{what} needs one candidate or more")
    if probs is None:
        return np.full(count, 1.0 / count)
    try:
        values = np.array(probs, dtype=np.float64)
    except (TypeError, ValueError):
        raise UsageError(f"{what} needs {count} probabilities that sum to 1, got {probs!r}") from None
    if values.shape != (count,) or not (values >= 0).all() or abs(values.sum() - 1.0) > 1e-6:
        raise UsageError(f"{what} needs {count} probabilities that sum to 1, got {probs!r}")
    return values / values.sum()


def _some(what: str, components: Sequence[Any]) -> tuple[Any, ...]:
    """The components, one or more."""
    if not components:
        raise UsageError(f"{what} needs one component or more")
    return tuple(components)


def _alike(what: str, components: Sequence[Distribution]) -> tuple[Distribution, ...]:
    """The components, one or more, all over the same factors."""
    found = _some(what, components)
    if any(component.keys != found[0].keys for component in found):
        listed = "; ".join(_names(component.keys) for component in found)
        raise UsageError(f"the components of {what} are over the same factors; these are over {listed}")
    return found


def _within(what: str, base: Distribution, other: Distribution) -> None:
    """Raises unless the factors of ``other`` are among those of ``base``."""
    if not other.keys <= base.keys:
        raise UsageError(
            f"{what}: the base is over {_names(base.keys)}, and {_names(other.keys - base.keys)} is not among them"
        )


def _names(keys: Any) -> str:
    """Names as they read in a message."""
    return ", ".join(sorted(keys))
