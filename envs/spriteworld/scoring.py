"""The loops over scenes that tasks run at every step, compiled. Each scene is added up in the order of its sprites."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

BEST = 100.0
"""The greatest value of the measure of clustering."""

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@njit(cache=True)
def find_goal(
    factors: Floats,
    members: Bools,
    goal: Floats,
    weights: Floats,
    near: float,
    multiplier: float,
    bonus: float,
    sparse: bool,
    reward: Floats,
    success: Bools,
    applies: Bools,
) -> None:
    """``tasks.FindGoalPosition``: factors [N, S, 10] and members [N, S] in; reward, success and applies [N] out."""
    for n in range(len(factors)):
        total, found, solved = 0.0, False, True
        for s in range(factors.shape[1]):
            if members[n, s]:
                right, up = factors[n, s, 0] - goal[0], factors[n, s, 1] - goal[1]
                distance = math.sqrt(weights[0] * right * right + weights[1] * up * up)
                total += multiplier * (near - distance)
                found = True
                solved = solved and distance <= near
        solved = solved and found
        if solved:
            total += bonus
        elif sparse:
            total = 0.0
        reward[n], success[n], applies[n] = total, solved, found


@njit(cache=True)
def cluster(
    factors: Floats,
    members: Bools,
    threshold: float,
    multiplier: float,
    bonus: float,
    sparse: bool,
    reward: Floats,
    success: Bools,
    applies: Bools,
) -> None:
    """``tasks.Clustering``: factors [N, S, 10] and members [N, C, S] in; reward, success and applies [N] out."""
    clusters, slots = members.shape[1], members.shape[2]
    label = np.empty(slots, dtype=np.int64)
    for n in range(len(factors)):
        for s in range(slots):
            label[s] = -1
            for c in range(clusters):
                if members[n, c, s]:
                    label[s] = c
                    break
        measure = inverse_davies_bouldin(factors[n, :, :2], label, clusters)
        found = measure >= 0
        solved = found and measure >= threshold
        total = (measure - threshold) * multiplier if solved or (found and not sparse) else 0.0
        if solved:
            total += bonus
        reward[n], success[n], applies[n] = total, solved, found


@njit(cache=True)
def inverse_davies_bouldin(positions: Floats, label: NDArray[np.int64], clusters: int) -> float:
    """The inverse of the Davies-Bouldin index, at most ``BEST``.

    Args:
        positions: Points, float64 [S, 2].
        label: The cluster of each, int64 [S]; -1: none.
        clusters: How many there may be.

    Returns:
        0 to ``BEST``; -1 if there are fewer than two clusters, or none with two points.
    """
    size = np.zeros(clusters, dtype=np.int64)
    centre = np.zeros((clusters, 2))
    spread = np.zeros(clusters)
    for s in range(len(label)):
        if label[s] >= 0:
            size[label[s]] += 1
            centre[label[s], 0] += positions[s, 0]
            centre[label[s], 1] += positions[s, 1]
    several, some = False, 0
    for c in range(clusters):
        if size[c]:
            centre[c, 0] /= size[c]
            centre[c, 1] /= size[c]
            some += 1
            several = several or size[c] > 1
    if some < 2 or not several:
        return -1.0
    for s in range(len(label)):
        c = label[s]
        if c >= 0:
            right, up = positions[s, 0] - centre[c, 0], positions[s, 1] - centre[c, 1]
            spread[c] += math.sqrt(right * right + up * up) / size[c]
    total = 0.0
    for i in range(clusters):
        if size[i] == 0:
            continue
        worst = 0.0
        for j in range(clusters):
            if i != j and size[j] > 0:
                right, up = centre[i, 0] - centre[j, 0], centre[i, 1] - centre[j, 1]
                apart = math.sqrt(right * right + up * up)
                if apart == 0.0:
                    return 0.0  # two centres in one place
                worst = max(worst, (spread[i] + spread[j]) / apart)
        total += worst
    return min(BEST, some / total) if total > 0 else BEST
