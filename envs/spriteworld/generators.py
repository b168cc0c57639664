"""Generators of scenes: how many sprites there are at first, from which distributions, and in which order."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..registry import UsageError
from .distributions import Distribution, choices, probabilities
from .sprites import DEFAULTS, FACTORS, SHAPE

Scenes = NDArray[np.float64]


class SpriteGenerator(ABC):
    """A distribution over scenes.

    Attributes:
        slots: The most sprites that a scene can have, S.
    """

    slots: int

    @abstractmethod
    def sample(self, rng: np.random.Generator, n: int) -> Scenes:
        """Draws scenes.

        Args:
            rng: The source of randomness.
            n: Scenes, 0 or more.

        Returns:
            Sprites from back to front, float64 [n, S, 10] (columns: ``FACTORS``); slots without one are zeros, and
            come last.

        Raises:
            UsageError: A distribution has nothing to draw.
        """


class GenerateSprites(SpriteGenerator):
    """Sprites that are drawn independently from one distribution.

    Args:
        distribution: Of each sprite; factors that it leaves out are as in ``DEFAULTS``.
        number: How many sprites, or the least and the most of them, each number in between as likely.

    Raises:
        UsageError: The number is none.
    """

    def __init__(self, distribution: Distribution, number: int | tuple[int, int] = 1) -> None:
        least, most = number if isinstance(number, tuple) else (number, number)
        if not all(isinstance(end, int | np.integer) for end in (least, most)) or not 0 <= least <= most or most < 1:
            raise UsageError(f"number must be 1 or more sprites, or (least, most) of them, got {number!r}")
        self.distribution, self.number, self.slots = distribution, (int(least), int(most)), int(most)

    def sample(self, rng: np.random.Generator, n: int) -> Scenes:
        least, most = self.number
        scenes = np.tile(np.array(DEFAULTS), (n, most, 1))
        for key, values in self.distribution.sample(rng, n * most).items():
            scenes[..., FACTORS.index(key)] = values.reshape(n, most)
        if least < most:
            scenes[np.arange(most) >= rng.integers(least, most + 1, (n, 1))] = 0
        return scenes


class Chain(SpriteGenerator):
    """The sprites of all of several generators; those of a later one stand further in front.

    Args:
        generators: The generators.

    Raises:
        UsageError: There is none.
    """

    def __init__(self, generators: Sequence[SpriteGenerator]) -> None:
        self.generators = _some("Chain", generators)
        self.slots = sum(generator.slots for generator in self.generators)

    def sample(self, rng: np.random.Generator, n: int) -> Scenes:
        return _ordered(np.concatenate([generator.sample(rng, n) for generator in self.generators], axis=1))


class Choice(SpriteGenerator):
    """The sprites of one of several generators, drawn anew for each scene.

    Args:
        generators: The generators.
        probs: The probability of each; None: all the same.

    Raises:
        UsageError: There is none, or the probabilities are none.
    """

    def __init__(self, generators: Sequence[SpriteGenerator], probs: Sequence[float] | None = None) -> None:
        self.generators = _some("Choice", generators)
        self.probs = probabilities("Choice", probs, len(self.generators))
        self.slots = max(generator.slots for generator in self.generators)

    def sample(self, rng: np.random.Generator, n: int) -> Scenes:
        chosen = choices(rng, n, self.probs)
        scenes = np.zeros((n, self.slots, len(FACTORS)))
        for number, generator in enumerate(self.generators):
            places = np.flatnonzero(chosen == number)
            if len(places):
                scenes[places, : generator.slots] = generator.sample(rng, len(places))
        return scenes


class Shuffle(SpriteGenerator):
    """The sprites of a generator in random order, so that what lies in front tells nothing of what it is.

    Args:
        generator: The generator.
    """

    def __init__(self, generator: SpriteGenerator) -> None:
        self.generator, self.slots = generator, generator.slots

    def sample(self, rng: np.random.Generator, n: int) -> Scenes:
        scenes = self.generator.sample(rng, n)
        order = np.argsort(rng.random(scenes.shape[:2]), axis=1)
        return _ordered(np.take_along_axis(scenes, order[..., None], axis=1))


def _ordered(scenes: Scenes) -> Scenes:
    """The same scenes with their empty slots behind."""
    order = np.argsort(scenes[..., SHAPE] == 0, axis=1, kind="stable")
    return np.take_along_axis(scenes, order[..., None], axis=1)


def _some(what: str, generators: Sequence[SpriteGenerator]) -> tuple[SpriteGenerator, ...]:
    """The generators, one or more."""
    if not generators:
        raise UsageError(f"{what} needs one generator or more")
    return tuple(generators)
