"""Which of several runs no other run is better than: consistency with the data against information in the codes."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def dominated(cost: ArrayLike, gain: ArrayLike) -> NDArray[np.bool_]:
    """Which points another one is at least as good as in both respects, and better in one, bool [N].

    Args:
        cost: The less the better, [N].
        gain: The more the better, [N].
    """
    return np.asarray(dominating(cost, gain, cost, gain).any(0))


def on_a_front(negative_elbo: ArrayLike, information: ArrayLike) -> NDArray[np.bool_]:
    """Which runs are on the front of those with much information, or on that of those with little, bool [N].

    Args:
        negative_elbo: In nats, [N].
        information: Mutual information between images and codes in nats, [N].
    """
    gain = np.asarray(information, dtype=np.float64)
    return np.asarray(~(dominated(negative_elbo, gain) & dominated(negative_elbo, -gain)))


def dominating(
    cost: ArrayLike, gain: ArrayLike, other_cost: ArrayLike, other_gain: ArrayLike, slack: tuple[float, float] = (0, 0)
) -> NDArray[np.bool_]:
    """Which points of one set dominate which of another, bool [N, M]: no worse in either respect, better in one.

    Args:
        cost: The less the better, [N].
        gain: The more the better, [N].
        other_cost: Of the other set, [M].
        other_gain: Likewise.
        slack: How much better in cost and in gain a point must be to be as good: what differences mean nothing.
    """
    cheaper = np.asarray(other_cost, dtype=np.float64) - np.asarray(cost, dtype=np.float64)[:, None] - slack[0]
    richer = np.asarray(gain, dtype=np.float64)[:, None] - np.asarray(other_gain, dtype=np.float64) - slack[1]
    return np.asarray((cheaper >= 0) & (richer >= 0) & ((cheaper > 0) | (richer > 0)))
