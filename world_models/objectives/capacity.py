"""capacity (B): a divergence held at a capacity that grows (Burgess et al. 2018, arXiv 1804.03599)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ...envs.registry import UsageError
from .base import OBJECTIVES, Divergence, Evidence, Setting, Terms


@dataclass
class CapacityOptions:
    """Options of the objective."""

    gamma: float = 1000.0
    """Weight of the distance to the capacity."""
    C_max: float = 25.0
    """Last capacity in nats."""
    C_stop_iter: int = 100_000
    """Updates until the capacity reaches C_max."""


class Capacity(Divergence):
    """``gamma * |KL - C|``, where C rises from 0 to ``C_max`` over ``C_stop_iter`` updates and stays.

    Args:
        gamma: The weight.
        C_max: Last capacity in nats.
        C_stop_iter: Updates until it is reached.

    Raises:
        UsageError: One of them is not above 0.
    """

    def __init__(self, gamma: float = 1000.0, C_max: float = 25.0, C_stop_iter: int = 100_000) -> None:
        super().__init__()
        for name, value in {"gamma": gamma, "C-max": C_max, "C-stop-iter": C_stop_iter}.items():
            if not value > 0:
                raise UsageError(f"--{name} must be above 0, not {value}")
        self.gamma, self.C_max, self.C_stop_iter = gamma, C_max, C_stop_iter

    def capacity(self, step: int) -> float:
        """C after ``step`` updates, in nats."""
        return min(self.C_max, self.C_max * step / max(1, self.C_stop_iter))

    def penalty(self, kl: Tensor, step: int) -> Tensor:
        return self.gamma * (kl.mean() - self.capacity(step)).abs()

    def loss(self, evidence: Evidence, step: int, generator: torch.Generator | None = None) -> Terms:
        capacity = evidence.reconstruction.new_tensor(self.capacity(step))
        return super().loss(evidence, step, generator) | {"capacity": capacity}


@OBJECTIVES.part("capacity", CapacityOptions, "divergence held at a growing capacity, B (Burgess et al. 2018)")
def capacity(options: CapacityOptions, setting: Setting) -> Capacity:
    """A weight on the distance to the capacity."""
    return Capacity(options.gamma, options.C_max, options.C_stop_iter)
