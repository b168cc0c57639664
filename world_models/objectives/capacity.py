"""B: a divergence held at a capacity that grows (Burgess et al. 2018)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ...envs.registry import UsageError
from .base import OBJECTIVES, Objective


@OBJECTIVES.register("B")
@dataclass(frozen=True)
class Capacity(Objective):
    """``gamma * |KL - C|``, where C rises from 0 to ``C_max`` over ``C_stop_iter`` updates and stays.

    Attributes:
        gamma: The weight.
        C_max: Last capacity in nats.
        C_stop_iter: Updates until it is reached.
    """

    gamma: float = 1000.0
    C_max: float = 25.0
    C_stop_iter: int = 100_000

    def __post_init__(self) -> None:
        for name in ("gamma", "C_max", "C_stop_iter"):
            if not getattr(self, name) > 0:
                raise UsageError(f"--{name.replace('_', '-')} must be above 0, not {getattr(self, name)}")

    def capacity(self, step: int) -> float:
        """C after ``step`` updates, in nats."""
        return min(self.C_max, self.C_max * step / max(1, self.C_stop_iter))

    def penalty(self, kl: Tensor, step: int) -> Tensor:
        return self.gamma * (kl.mean() - self.capacity(step)).abs()
