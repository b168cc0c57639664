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
    first, second = np.asarray(cost, dtype=np.float64), np.asarray(gain, dtype=np.float64)
    no_worse = (first[None] <= first[:, None]) & (second[None] >= second[:, None])
    better = (first[None] < first[:, None]) | (second[None] > second[:, None])
    return np.asarray((no_worse & better).any(1))


def on_a_front(negative_elbo: ArrayLike, information: ArrayLike) -> NDArray[np.bool_]:
    """Which runs are on the front of those with much information, or on that of those with little, bool [N].

    Args:
        negative_elbo: In nats, [N].
        information: Mutual information between images and codes in nats, [N].
    """
    gain = np.asarray(information, dtype=np.float64)
    return np.asarray(~(dominated(negative_elbo, gain) & dominated(negative_elbo, -gain)))
