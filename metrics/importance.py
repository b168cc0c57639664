"""Disentanglement and completeness of a matrix that says how much each code dimension matters for each factor."""

from __future__ import annotations

from typing import Any

import numpy as np

from .checks import Floats, as_floats
from .scale import to_unit

WEIGHTS = ("importance", "uniform")
"""How rows are averaged: by their share of all importance, or all alike."""


def disentanglement_per_code(importance: Any) -> Floats:
    """One minus the normalised entropy of each row: 1 where a code dimension (or block) serves one factor alone.

    Eastwood and Williams 2018 (DCI; openreview By-7dz-AZ).

    Args:
        importance: [D, K], not negative. At least two factors.

    Returns:
        float64 [D] in 0..1; 0 for a row without any importance.

    Raises:
        ValueError: Not a matrix of finite numbers from 0 up, or a single column.
    """
    matrix = _as_importance(importance)
    if matrix.shape[1] < 2:
        raise ValueError("with a single factor every code serves one factor: there is nothing to measure")
    return _concentration(matrix)


def completeness_per_factor(importance: Any) -> Floats:
    """One minus the normalised entropy of each column: 1 where a factor is held by one code dimension (or block).

    Args:
        importance: [D, K], not negative. At least two code dimensions.

    Returns:
        float64 [K] in 0..1; 0 for a column without any importance.

    Raises:
        ValueError: Not a matrix of finite numbers from 0 up, or a single row.
    """
    matrix = _as_importance(importance)
    if matrix.shape[0] < 2:
        raise ValueError("with a single code every factor is held by one code: there is nothing to measure")
    return _concentration(matrix.T)


def disentanglement_from_importance(
    importance: Any, weights: str = "importance", stop_at_dead_code: bool = False
) -> float:
    """Disentanglement of an importance matrix: the mean over code dimensions of how few factors each one serves.

    Args:
        importance: [D, K], not negative.
        weights: "importance" weighs each code by its share of all importance (the paper, disentanglement_lib);
            "uniform" takes the plain mean, in which a dead code counts 0.
        stop_at_dead_code: Looks no further than the first code without importance, as ubisoft's code does. It makes
            the score depend on the order of the codes.

    Returns:
        A number in 0..1; 0 where nothing has any importance.

    Raises:
        ValueError: As in ``disentanglement_per_code``, or other weights.
    """
    matrix = _as_importance(importance)
    scores = disentanglement_per_code(matrix)
    shares = matrix.sum(axis=1)
    if stop_at_dead_code and (shares == 0).any():
        first = int(np.argmax(shares == 0))
        if first == 0:
            return 0.0
        scores, shares = scores[:first], shares[:first]
    return _average(scores, shares, weights)


def completeness_from_importance(importance: Any, weights: str = "importance") -> float:
    """Completeness of an importance matrix: the mean over factors of how few code dimensions hold each one.

    Args:
        importance: [D, K], not negative.
        weights: "importance" weighs each factor by its share of all importance (disentanglement_lib); "uniform" takes
            the plain mean over factors (the paper, ubisoft), in which a factor that nothing holds counts 0.

    Returns:
        A number in 0..1; 0 where nothing has any importance.

    Raises:
        ValueError: As in ``completeness_per_factor``, or other weights.
    """
    matrix = _as_importance(importance)
    return _average(completeness_per_factor(matrix), matrix.sum(axis=0), weights)


def sum_blocks(importance: Any, blocks: list[list[int]]) -> Floats:
    """The importance of blocks of code dimensions: the sum over each block's rows; float64 [blocks, K]."""
    matrix = as_floats(importance, "importance", 2)
    return np.stack([matrix[block].sum(axis=0) for block in blocks])


def _as_importance(value: Any) -> Floats:
    matrix = as_floats(value, "importance", 2)
    if (matrix < 0).any():
        raise ValueError("importance must not be negative")
    return to_unit(matrix)[0]  # only ratios count


def _concentration(matrix: Floats) -> Floats:
    """One minus the entropy of each row in units of the entropy of an even row; 0 for a row of zeros."""
    total = matrix.sum(axis=1, keepdims=True)
    shares = matrix / np.where(total > 0, total, 1.0)
    logs = np.log(np.where(shares > 0, shares, 1.0))
    scores = 1.0 + (shares * logs).sum(axis=1) / np.log(matrix.shape[1])
    # Rounding can take an even row a hair below 0.
    return np.where(total[:, 0] > 0, np.clip(scores, 0.0, 1.0), 0.0)


def _average(scores: Floats, shares: Floats, weights: str) -> float:
    if weights not in WEIGHTS:
        raise ValueError(f"unknown weights {weights!r}; there are: {', '.join(WEIGHTS)}")
    if weights == "uniform":
        return float(scores.mean())
    total = float(shares.sum())
    return float((scores * shares).sum() / total) if total > 0 else 0.0
