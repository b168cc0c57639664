"""H: the weighted divergence of beta-VAE (Higgins et al. 2017)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ...envs.registry import UsageError
from .base import OBJECTIVES, Objective


@OBJECTIVES.register("H")
@dataclass(frozen=True)
class Beta(Objective):
    """``beta * KL``.

    Attributes:
        beta: The weight; 1 gives the evidence lower bound.
    """

    beta: float = 1.0

    def __post_init__(self) -> None:
        if self.beta < 0:
            raise UsageError(f"--beta must be 0 or more, not {self.beta}")

    def penalty(self, kl: Tensor, step: int) -> Tensor:
        return self.beta * kl.mean()
