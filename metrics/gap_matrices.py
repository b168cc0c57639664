"""Gaps and ratios in a matrix of information between codes [B] and factors [K]: functions of matrices alone."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

from .checks import Floats, Ints


def top_gaps(matrix: Floats) -> Floats:
    """Largest minus second largest entry of each column; the second is 0 where there is one row. [B, K] to [K]."""
    if len(matrix) == 1:
        return np.array(matrix[0], dtype=np.float64)
    ordered = np.sort(matrix, axis=0)
    return np.asarray(ordered[-1] - ordered[-2], dtype=np.float64)


def normalised_by_codes(information: Floats, code_entropy: Floats) -> Floats:
    """Information divided by the entropy of the code, [B, K]; 0 where a code has none."""
    spread = code_entropy[:, None]
    return np.divide(information, spread, out=np.zeros_like(information), where=spread > 0)


def modularity_of_codes(information: Floats) -> Floats:
    """1 - (squared information about all factors but the first) / ((K - 1) x squared information about the first).

    Args:
        information: float64 [B, K], at least two factors.

    Returns:
        float64 [B]; 0 for a code without any information.
    """
    largest = information.max(axis=1, keepdims=True)
    shares = np.divide(information, largest, out=np.zeros_like(information), where=largest > 0)
    rest = (shares**2).sum(axis=1) - 1
    return np.where(largest[:, 0] > 0, 1 - rest / (information.shape[1] - 1), 0.0)


def disentangled_share(information: Floats, factor_entropy: Floats) -> float:
    """DCIMIG: every factor's best gap among the codes that know most about it, summed, over the summed entropies."""
    best = np.zeros(information.shape[1])
    owner = information.argmax(axis=1)
    np.maximum.at(best, owner, top_gaps(information.T))
    return float(best.sum() / factor_entropy.sum())


def joint_entropy_gaps(information: Floats, factor_entropy: Floats, code_entropy: Floats) -> tuple[Floats, Ints]:
    """JEMMIG in nats of every factor (H(v, z*) - I(v; z*) + I(v; z°)), and its best code; both [K]."""
    # Of codes that know equally much the one that knows least beside, so that the order of codes does not matter.
    leading = information >= information.max(axis=0) - 1e-12
    best = np.where(leading, code_entropy[:, None], np.inf).argmin(axis=0)
    joint = factor_entropy + code_entropy[best] - information.max(axis=0)
    return np.maximum(0.0, joint - top_gaps(information)), best.astype(np.int64)


def assign_codes(information: Floats, factor_entropy: Floats) -> list[int | None]:
    """The code of each factor: one each, so that the summed shares of the factors' entropies are largest.

    Args:
        information: float64 [B, K].
        factor_entropy: float64 [K]; a factor without entropy gets no code.

    Returns:
        K rows of ``information``; None for factors that are left without.
    """
    found: list[int | None] = [None] * information.shape[1]
    kept = np.flatnonzero(factor_entropy > 0)
    for code, place in zip(*linear_sum_assignment(-information[:, kept] / factor_entropy[kept]), strict=True):
        found[int(kept[place])] = int(code)
    return found
