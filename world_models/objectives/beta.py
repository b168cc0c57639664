"""beta (H): the weighted divergence of beta-VAE (Higgins et al. 2017)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ...envs.registry import UsageError
from .base import OBJECTIVES, Divergence, Setting


class Beta(Divergence):
    """``beta * KL``.

    Args:
        beta: The weight; 1 gives the evidence lower bound.

    Raises:
        UsageError: The weight is negative.
    """

    def __init__(self, beta: float = 1.0) -> None:
        super().__init__()
        if not beta >= 0:
            raise UsageError(f"--beta must be 0 or more, not {beta}")
        self.beta = beta

    def penalty(self, kl: Tensor, step: int) -> Tensor:
        return self.beta * kl.mean()


@dataclass
class BetaOptions:
    """Options of the objective."""

    beta: float = 1.0
    """Weight of the divergence; 1: the evidence lower bound."""


@OBJECTIVES.part("beta", BetaOptions, "weighted divergence, beta-VAE's H (Higgins et al. 2017)")
def beta(options: BetaOptions, setting: Setting) -> Beta:
    """The evidence lower bound with a weight."""
    return Beta(options.beta)
