"""Model predictive path integral control over sequences of actions."""

from __future__ import annotations

from typing import Any

import torch
from gymnasium import spaces
from torch import Tensor

from ...envs.registry import UsageError
from .shooting import Imagined, ShootingPlanner


class MPPIPlanner(ShootingPlanner):
    """Path integral control: all sequences are averaged, the better ones with exponentially larger weights.

    Williams et al. 2017 (Information theoretic MPC for model-based reinforcement learning, ICRA). The weight of a
    sequence is exp(-(cost - least cost) / (temperature * deviation of the costs)): in units of that deviation one
    temperature does for costs of any size, which the original leaves to the user. Deviations of continuous actions stay
    as they are. Choices, which the original does not treat, have categorical laws that are averaged in the same way.

    Args:
        dynamics: As in ``ShootingPlanner``.
        space: As in ``ShootingPlanner``.
        temperature: How little better sequences count for more, above 0.
        **options: Those of ``ShootingPlanner``.

    Raises:
        UsageError: An option is out of its range.
    """

    refit = False

    def __init__(
        self, dynamics: Imagined, space: spaces.Space[Any], *, temperature: float = 0.1, **options: Any
    ) -> None:
        super().__init__(dynamics, space, **options)
        if not temperature > 0:
            raise UsageError(f"the planner's temperature must be above 0, got {temperature}")
        self.temperature = temperature

    def weights(self, costs: Tensor) -> Tensor:
        spread = costs.std(1, correction=0, keepdim=True).clamp_min(1e-12)
        return torch.softmax(-(costs - costs.min(1, keepdim=True).values) / (self.temperature * spread), 1)
