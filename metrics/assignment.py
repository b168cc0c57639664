"""Which learnt action is which true one."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from .checks import as_codes
from .registry import metric
from .result import MetricResult


def align_actions(inferred: Any, true: Any, n_inferred: int, n_true: int) -> tuple[float, dict[int, int]]:
    """The one-to-one assignment of learnt to true actions under which most inferred actions are right.

    Args:
        inferred: Learnt action codes [N].
        true: True action codes [N].
        n_inferred: How many learnt actions there are.
        n_true: How many true actions there are.

    Returns:
        The share of rows that are right, and the assignment {true code: learnt code}. With fewer learnt than true
        actions some true codes are absent from it, and their rows count as wrong.

    Raises:
        ValueError: The vectors are empty, differ in length, or hold a code out of range.
    """
    target = as_codes(true, "true", n_true)
    guess = as_codes(inferred, "inferred", n_inferred, len(target))
    counts = np.bincount(target * n_inferred + guess, minlength=n_true * n_inferred).reshape(n_true, n_inferred)
    rows, columns = linear_sum_assignment(counts, maximize=True)
    mapping = {int(row): int(column) for row, column in zip(rows, columns, strict=True)}
    return float(counts[rows, columns].sum() / len(target)), mapping


_DRAWS = 20


@metric("alignment", family="symmetry")
def alignment(inferred: Any, true: Any, n_inferred: int, n_true: int, *, seed: int = 0) -> MetricResult:
    """How often the inferred action is the true one, under the best one-to-one assignment.

    Args:
        inferred: Learnt action codes [N].
        true: True action codes [N].
        n_inferred: How many learnt actions there are.
        n_true: How many true actions there are.
        seed: Seeds the orders of rows behind ``chance``.

    Returns:
        Value ``alignment`` in 0..1. Chance: the mean over random orders of the inferred actions, which know nothing
        then but are as frequent as before. Ceiling: 1, or with fewer learnt than true actions the share of the
        commonest of these. Details: mapping {true: learnt}, confusion [n_true, n_inferred], samples.

    Raises:
        ValueError: As ``align_actions``.
    """
    accuracy, mapping = align_actions(inferred, true, n_inferred, n_true)
    confusion = np.zeros((n_true, n_inferred), dtype=np.int64)
    np.add.at(confusion, (np.asarray(true, dtype=np.int64), np.asarray(inferred, dtype=np.int64)), 1)
    samples = int(confusion.sum())
    rng = np.random.default_rng(seed)
    dealt = [align_actions(rng.permutation(inferred), true, n_inferred, n_true)[0] for _ in range(_DRAWS)]
    commonest = np.sort(confusion.sum(axis=1))[::-1][:n_inferred]
    return MetricResult(
        "alignment",
        {"alignment": accuracy},
        {"mapping": mapping, "confusion": confusion, "samples": samples},
        chance={"alignment": float(np.mean(dealt))},
        ceiling={"alignment": float(commonest.sum() / samples)},
        n=samples,
    )
