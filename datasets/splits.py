"""The split of a world's states into training, validation and test states."""

from __future__ import annotations

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
    for name, share in (("validation", validation), ("test", test)):
        if not 0 < share < 1:
            raise UsageError(f"the {name} share of the states must lie between 0 and 1, got {share}")
    counts = {"validation": round(n * validation), "test": round(n * test)}
    counts = {"training": n - sum(counts.values()), **counts}
    for name, count in counts.items():
        if count < 1:
            raise UsageError(
                f"the split of {n} states leaves the {name} part empty (validation {validation}, test {test});"
                " every part needs a state"
            )
    order = numpy_generator(seed, 0).permutation(n).astype(np.int64)
    ends = counts["training"], counts["training"] + counts["validation"]
    train, held, tested = (np.sort(part) for part in np.split(order, ends))
    return Split(train, held, tested)
