"""The split of a world's states into training, validation and test states."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..envs.registry import UsageError
from .randomness import numpy_generator


@dataclass(frozen=True)
class Split:
    """Three disjoint sets of state indices, each sorted, int64."""

    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]

    def role(self, n: int) -> NDArray[np.int8]:
        """What each of ``n`` states is for: 0 training, 1 validation, 2 test; int8 [n].

        Raises:
            UsageError: The split is not one of ``n`` states.
        """
        parts = (self.train, self.validation, self.test)
        everything = np.concatenate(parts)
        if not np.array_equal(np.sort(everything), np.arange(n)):
            raise UsageError(f"the split covers {len(everything)} states, not the {n} there are")
        roles = np.empty(n, dtype=np.int8)
        for number, part in enumerate(parts):
            roles[part] = number
        return roles


def split_classes(
    labels: NDArray[np.int64],
    roles: NDArray[np.int8] | None = None,
    validation: float = 0.1,
    test: float = 0.1,
    seed: int = 0,
) -> Split:
    """Splits items so that each part has the same share of every class, to within an item or two.

    Args:
        labels: The class of each item, int64 [N].
        roles: What each item is for, as ``Split.role`` says, where that is known; only parts that it leaves out are
            drawn, from those for training.
        validation: The share of the validation part among the items that are drawn from, in (0, 1).
        test: Likewise.
        seed: The same seed gives the same split.

    Raises:
        UsageError: A share is not in (0, 1), a part would be empty, or the seed is negative.
    """
    shares = {1: validation, 2: test}
    _check_shares(validation, test)
    found = np.zeros(len(labels), dtype=np.int8) if roles is None else roles.copy()
    pool, rng = np.flatnonzero(found == 0), numpy_generator(seed, 0)
    # Each class is spread evenly over [0, 1), in an order and from a beginning that are drawn; a part is an interval.
    pool = pool[rng.permutation(len(pool))]
    pool = pool[np.argsort(labels[pool], kind="stable")]
    _, inverse, counts = np.unique(labels[pool], return_inverse=True, return_counts=True)
    ranks = np.arange(len(pool)) - (np.cumsum(counts) - counts)[inverse]
    order = pool[np.argsort((ranks + rng.random(len(counts))[inverse]) / counts[inverse], kind="stable")]
    begin = 0
    for role, share in shares.items():
        if not (found == role).any():
            end = begin + round(len(pool) * share)
            found[order[begin:end]] = role
            begin = end
    parts = [np.flatnonzero(found == role) for role in range(3)]
    _check_parts(len(labels), [len(part) for part in parts], validation, test)
    return Split(*parts)


def split_states(n: int, validation: float = 0.1, test: float = 0.1, seed: int = 0) -> Split:
    """Splits ``n`` states at random.

    Args:
        n: The number of states.
        validation: The share of validation states, in (0, 1); their number is rounded.
        test: The share of test states, likewise. What is left is for training.
        seed: The same seed gives the same split.

    Raises:
        UsageError: A share is not in (0, 1), a part would be empty, or the seed is negative.
    """
    _check_shares(validation, test)
    held = round(n * validation), round(n * test)
    counts = [n - sum(held), *held]
    _check_parts(n, counts, validation, test)
    order = numpy_generator(seed, 0).permutation(n).astype(np.int64)
    return Split(*(np.sort(part) for part in np.split(order, np.cumsum(counts)[:2])))


def _check_shares(validation: float, test: float) -> None:
    for name, share in (("validation", validation), ("test", test)):
        if not 0 < share < 1:
            raise UsageError(f"the {name} share of the states must lie between 0 and 1, got {share}")


def _check_parts(n: int, counts: Sequence[int], validation: float, test: float) -> None:
    for name, count in zip(("training", "validation", "test"), counts, strict=True):
        if count < 1:
            raise UsageError(
                f"the split of {n} states leaves the {name} part empty (validation {validation}, test {test});"
                " every part needs a state"
            )
