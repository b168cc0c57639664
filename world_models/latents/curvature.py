"""The curvature of the factors of a latent space, fixed or learnt."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ...envs.registry import UsageError


@dataclass
class CurvatureOptions:
    """Options of a curved latent space."""

    curvature: float = -1.0
    """Curvature of each factor, below 0."""
    learn_curvature: bool = False
    """Learn a curvature for each factor, from --curvature on."""


class Curvature(nn.Module):
    """A negative curvature for each factor.

    Args:
        factors: How many, F.
        value: The curvature, or where learning starts, below 0.
        learnt: Whether it is a parameter (its logarithm is, so that the sign stays).

    Raises:
        UsageError: It is not negative.
    """

    log_size: Tensor

    def __init__(self, factors: int, value: float, learnt: bool) -> None:
        super().__init__()
        if not (value < 0 and math.isfinite(value)):
            raise UsageError(f"--curvature must be below 0 (hyperbolic), not {value}")
        start = torch.full((factors,), math.log(-value))
        if learnt:
            self.log_size = nn.Parameter(start)
        else:
            self.register_buffer("log_size", start, persistent=False)

    def forward(self, like: Tensor) -> Tensor:
        """``k = -curvature`` of each factor, ``[F]``, above 0, in the type of ``like``."""
        return torch.exp(self.log_size.to(like))
