"""Coordinates in the unit interval: a Gaussian posterior through the sigmoid, under uniform or Beta priors.

As in Reizinger et al., "Embrace the Gap: VAEs Perform Independent Mechanism Analysis", NeurIPS 2022, arXiv 2206.02416.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from ...envs.registry import UsageError
from .base import Draw, LatentSpace, Posterior, by_row, latent
from .numerics import HALF_LOG_2PI


def logit(codes: Tensor) -> Tensor:
    """The logit of codes in [0, 1], which is finite at the ends: there codes are taken half a rounding inside."""
    edge = 0.5 * torch.finfo(codes.dtype).eps
    upper = (1 - codes).clamp(min=edge)  # exact near 1
    return torch.log(codes.clamp(min=edge)) - torch.log(upper)


def log_slope(y: Tensor) -> Tensor:
    """Logarithm of the sigmoid's derivative at ``y``."""
    return -y.abs() - 2 * torch.log1p(torch.exp(-y.abs()))


def log_beta(y: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Log-density of ``Beta(first, second)`` at ``sigmoid(y)``."""
    normaliser = torch.lgamma(first) + torch.lgamma(second) - torch.lgamma(first + second)
    return -(first - 1) * functional.softplus(-y) - (second - 1) * functional.softplus(y) - normaliser


class LogitNormal(Posterior):
    """A batch of independent logit-normals: sigmoids of Gaussians.

    Args:
        location: Means of the logits, ``[B, L]``.
        log_variance: Of the logits, ``[B, L]``.
        first: First parameter of the Beta prior, ``[L]``.
        second: Its second parameter, ``[L]``.
    """

    def __init__(self, location: Tensor, log_variance: Tensor, first: Tensor, second: Tensor) -> None:
        self.location, self.log_variance, self.first, self.second = location, log_variance, first, second
        self.mean = torch.sigmoid(location)  # the median

    @property
    def deviation(self) -> Tensor:
        """The logit's deviation times the sigmoid's slope at its mean, at most that of two points at the ends."""
        return torch.exp((0.5 * self.log_variance + log_slope(self.location)).clamp(max=math.log(0.5)))

    def __getitem__(self, rows: Tensor) -> LogitNormal:
        return LogitNormal(self.location[rows], self.log_variance[rows], self.first, self.second)

    def noise(self, generator: torch.Generator | None = None) -> Tensor:
        """Standard normal, ``[B, L]``."""
        return torch.randn(self.location.shape, generator=generator).to(self.location)

    def at(self, noise: Tensor) -> Draw:
        y = self.location + torch.exp(0.5 * self.log_variance) * noise

        def densities() -> tuple[Tensor, Tensor]:
            posterior = -0.5 * (noise.square() + self.log_variance) - HALF_LOG_2PI - log_slope(y)
            return posterior, log_beta(y, self.first, self.second)

        return Draw(torch.sigmoid(y), densities)

    def log_prob(self, codes: Tensor) -> Tensor:
        y = logit(codes)
        scaled = ((y - self.location) * torch.exp(-0.5 * self.log_variance)).square()
        return -(0.5 * (scaled + self.log_variance) + HALF_LOG_2PI + log_slope(y)).sum(-1)


class UnitIntervalLatent(LatentSpace):
    """``size`` coordinates in (0, 1), each a factor with a Beta prior.

    The encoder emits mean and log-variance of the logits, ``[B, 2 L]``. Distances are Euclidean.

    Args:
        size: Number of latents L.
        first: First parameter of the prior, above 0; 1 and 1 are the uniform prior.
        second: Its second parameter, above 0.
        learnt: Whether each latent learns its own two, from these on.

    Raises:
        UsageError: A parameter that is not above 0.
    """

    logs: Tensor

    def __init__(self, size: int, first: float = 1.0, second: float = 1.0, learnt: bool = False) -> None:
        super().__init__(size, size, 2 * size)
        for name, value in (("alpha", first), ("beta", second)):
            if not (value > 0 and math.isfinite(value)):
                raise UsageError(f"--prior-{name} must be above 0, not {value}")
        start = torch.tensor([[math.log(first)], [math.log(second)]]).repeat(1, size)
        if learnt:
            self.logs = nn.Parameter(start)
        else:
            self.register_buffer("logs", start, persistent=False)

    def _prior(self, like: Tensor) -> tuple[Tensor, Tensor]:
        first, second = torch.exp(self.logs.to(like)).unbind(0)
        return first, second

    def posterior(self, features: Tensor) -> LogitNormal:
        location, log_variance = features[:, : self.size], features[:, self.size :]
        return LogitNormal(location, log_variance, *self._prior(features))

    @property
    def bounds(self) -> tuple[float, float]:
        return 0.0, 1.0

    def features(self, codes: Tensor) -> Tensor:
        return codes.clamp(0, 1)

    def prior_sample(self, number: int, generator: torch.Generator | None = None) -> Tensor:
        shapes = torch.exp(self.logs.detach()).cpu().unsqueeze(1).repeat(1, number, 1)
        # A gamma of shape a is one of shape a + 1 times u^(1/a): in logarithms, as small shapes give tiny numbers.
        larger = torch.log(torch._standard_gamma(shapes + 1, generator=generator).clamp(min=1e-37))
        uniform = torch.rand(shapes.shape, generator=generator) + 2.0**-25
        first, second = (larger + torch.log(uniform) / shapes).unbind(0)
        return torch.sigmoid(first - second).to(self.device)

    def prior_log_prob(self, codes: Tensor) -> Tensor:
        return log_beta(logit(codes), *self._prior(codes)).sum(-1)

    def distance(self, first: Tensor, second: Tensor) -> Tensor:
        return torch.linalg.vector_norm(first - second, dim=-1)

    def interpolate(self, first: Tensor, second: Tensor, share: Tensor | float) -> Tensor:
        return first + by_row(share, first) * (second - first)


@dataclass
class UnitIntervalOptions:
    """Options of the latent space."""

    prior: Literal["uniform", "beta"] = "uniform"
    """Prior of each latent."""
    prior_alpha: float = 1.0
    """First parameter of the Beta prior."""
    prior_beta: float = 1.0
    """Second parameter of the Beta prior."""
    learn_prior: bool = False
    """Learn the two for each latent, from there on (beta)."""


@latent(
    "unit-interval",
    UnitIntervalOptions,
    "the unit interval, uniform or Beta priors (as in Reizinger et al. 2022, arXiv 2206.02416)",
)
def unit_interval(options: UnitIntervalOptions, latents: int) -> UnitIntervalLatent:
    """As many coordinates as latents."""
    if options.prior == "uniform":
        for name in ("prior_alpha", "prior_beta", "learn_prior"):
            if getattr(options, name) != getattr(UnitIntervalOptions, name):
                raise UsageError(f"--{name.replace('_', '-')} is not read by --prior uniform")
    return UnitIntervalLatent(latents, options.prior_alpha, options.prior_beta, options.learn_prior)
