"""The cross-entropy method over sequences of actions."""

from __future__ import annotations

from typing import Any

import torch
from gymnasium import spaces
from torch import Tensor

from ...envs.registry import UsageError
from .shooting import Imagined, ShootingPlanner


class CEMPlanner(ShootingPlanner):
    """The cross-entropy method: the law is fitted to the best of the sequences that it drew.

    Rubinstein 1999 (Methodology and Computing in Applied Probability 1); for planning with learnt dynamics as in Chua
    et al. 2018 (arXiv 1805.12114). Choices have categorical laws, continuous actions normal ones, means and deviations.

    Args:
        dynamics: As in ``ShootingPlanner``.
        space: As in ``ShootingPlanner``.
        elite: Share of the sequences that the law is fitted to, above 0 and at most 1; at least two of them.
        **options: Those of ``ShootingPlanner``.

    Raises:
        UsageError: An option is out of its range.
    """

    def __init__(self, dynamics: Imagined, space: spaces.Space[Any], *, elite: float = 0.1, **options: Any) -> None:
        super().__init__(dynamics, space, **options)
        if not 0 < elite <= 1:
            raise UsageError(f"the planner's elite must be above 0 and at most 1, got {elite}")
        self.elite = elite

    def weights(self, costs: Tensor) -> Tensor:
        number = min(costs.shape[1], max(2, round(self.elite * costs.shape[1])))
        chosen = costs.topk(number, 1, largest=False).indices
        return torch.zeros_like(costs).scatter_(1, chosen, 1.0 / number)
