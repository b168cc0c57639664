"""What an agent learns from instead of the environment's own rewards: a multiple, or in units of how returns spread."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.running_mean_std import RunningMeanStd

_MOST = 10.0  # of a reward that is over the spread
_LEAST = 1e-8


class Rewards:
    """Scales the rewards of a vector environment; returns that are reported are not touched by it.

    Normalised rewards are those over the running standard deviation of the discounted return so far, cut at -10 and
    10: the definition of ``VecNormalize`` in stable-baselines3. Their mean stays, so that what is good and what is bad
    stays so.

    Args:
        number: Copies of the environment.
        scale: What rewards are multiplied by.
        gamma: Discount of the returns whose spread is followed; None: rewards are not normalised.
    """

    def __init__(self, number: int, scale: float = 1.0, gamma: float | None = None) -> None:
        self.scale, self.gamma = scale, gamma
        self._returns = np.zeros(number)
        self._seen = RunningMeanStd(shape=())

    def __call__(self, rewards: NDArray[Any], ended: NDArray[np.bool_]) -> NDArray[np.float32]:
        """What is learnt from.

        Args:
            rewards: Of a step, ``[N]``.
            ended: In which copies the step ended an episode, ``[N]``.

        Returns:
            float32 ``[N]``.
        """
        if self.gamma is not None:
            self._returns = self._returns * self.gamma + rewards
            self._seen.update(self._returns)
            self._returns[ended] = 0.0
            rewards = np.clip(rewards / np.sqrt(self._seen.var + _LEAST), -_MOST, _MOST)
        return np.asarray(rewards * self.scale, dtype=np.float32)

    def begin(self) -> None:
        """Episodes begin in all copies."""
        self._returns[:] = 0.0

    def get_state(self) -> dict[str, Any]:
        """All that is needed to go on from here, as plain data."""
        seen = self._seen
        spread = {"mean": float(seen.mean), "var": float(seen.var), "count": float(seen.count)}
        return {"returns": self._returns.copy(), **spread}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Goes on from what ``get_state`` gave."""
        self._returns = np.array(state["returns"])
        self.set_spread(state)

    def set_spread(self, state: Mapping[str, Any]) -> None:
        """Takes how returns spread from what ``get_state`` gave, of as many copies or of others."""
        for name in ("mean", "var"):
            setattr(self._seen, name, np.float64(state[name]))
        self._seen.count = float(state["count"])
