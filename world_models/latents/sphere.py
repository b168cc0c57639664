"""Products of spheres with the power spherical distribution, under uniform priors.

De Cao and Aziz, "The Power Spherical distribution", 2020, arXiv 2006.04437: a density in proportion to
``(1 + mean . x)^concentration``. It has the shape of the von Mises-Fisher distribution, and what that lacks: samples
without rejection, a closed-form normaliser in any dimension (no Bessel functions) and so a closed-form divergence.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from ...envs.registry import UsageError
from .base import Draw, LatentSpace, Posterior, by_row, check_factors, latent
from .numerics import digamma_error, log_gamma_quotient, stirling_error, unit

_MOST = 1e30  # of concentrations


class PowerSpherical(Posterior):
    """A batch of products of power spherical distributions; a code holds a unit vector for each factor.

    The stereographic projection of a sample from the mean is a Student t vector: a normal one over the root of twice a
    gamma variable. So a sample at a tiny angle keeps its digits, and its density is found from that vector.

    Args:
        centre: Unit vectors, ``[B, F, m]``.
        log_concentration: ``[B, F]``.
    """

    closed_form = True

    def __init__(self, centre: Tensor, log_concentration: Tensor) -> None:
        self.centre, self.log_concentration = centre, log_concentration
        self.half = 0.5 * (centre.shape[-1] - 1)  # half the sphere's dimensions
        self.log_area = log_area(centre.shape[-1])
        self.mean = centre.flatten(1)

    @property
    def concentration(self) -> Tensor:
        """Of each factor, ``[B, F]``."""
        return torch.exp(self.log_concentration).clamp(max=_MOST)

    @property
    def deviation(self) -> Tensor:
        """Root mean squared distance from the mean in the space around, by dimension of the sphere, ``[B, D]``."""
        # 1 - E[mean . x], with (1 + mean . x) / 2 ~ Beta(half + concentration, half)
        spread = 2 * self.half / (2 * self.half + self.concentration)
        return torch.sqrt(2 * spread / (2 * self.half))[..., None].expand_as(self.centre).flatten(1)

    def __getitem__(self, rows: Tensor) -> PowerSpherical:
        return PowerSpherical(self.centre[rows], self.log_concentration[rows])

    def noise(self, generator: torch.Generator | None = None) -> Tensor:
        """A vector across the mean, of length ``tan(angle / 2)``, by coordinates on fixed axes, ``[B, F, m - 1]``."""
        shape = (*self.centre.shape[:-1], self.centre.shape[-1] - 1)
        normal = torch.randn(shape, generator=generator).to(self.centre)
        # G ~ Gamma(concentration + half): for half of a dimension the one below, times the chance that makes up for it.
        alpha = self.concentration + self.half
        log_gamma = torch.log(alpha) + log_gamma_quotient(alpha, generator)
        uniform = torch.rand(alpha.shape, generator=generator).to(alpha) + 2.0**-25
        log_gamma = log_gamma + torch.log(uniform) / alpha
        return normal * torch.exp(-0.5 * (log_gamma + math.log(2)))[..., None]

    def at(self, noise: Tensor) -> Draw:
        square = noise.square().sum(-1, keepdim=True)
        # The inverse of the stereographic projection, at the first axis; then the reflection that takes it to the mean.
        pole = (1 - square) / (1 + square)
        across = noise / (0.5 * (1 + square))
        codes = _reflect(torch.cat([pole, across], -1), self.centre).flatten(1)
        # 1 + mean . x = 2 / (1 + |y|^2)
        return Draw(codes, lambda: (self._log_density(torch.log1p(square[..., 0])), self._prior()))

    def _log_density(self, log_secant2: Tensor) -> Tensor:
        """By factor, at points where ``log(2 / (1 + mean . x))`` is as given."""
        kappa, half = self.concentration, self.half
        alpha = kappa + half
        # The normaliser is 2^(alpha + half) pi^half Gamma(alpha) / Gamma(alpha + half), of which 2^kappa goes into
        # (1 + mean . x)^kappa.
        ratio = torch.log1p(half / alpha)
        gammas = -half * torch.log(alpha + half) - (alpha - 0.5) * ratio + half
        gammas = gammas + stirling_error(alpha) - stirling_error(alpha + half)
        return -kappa * log_secant2 - half * math.log(4 * math.pi) - gammas

    def _prior(self) -> Tensor:
        return torch.full_like(self.log_concentration, -self.log_area)

    def log_prob(self, codes: Tensor) -> Tensor:
        points = codes.unflatten(-1, self.centre.shape[1:])
        # (1 + mean . x) / 2 is 1 - |mean - x|^2 / 4 and |mean + x|^2 / 4: the one that does not cancel.
        near = torch.log1p(-(0.25 * (self.centre - points).square().sum(-1)).clamp(max=0.5))
        far = torch.log((0.25 * (self.centre + points).square().sum(-1)).clamp(min=1e-30))
        behind = (self.centre * points).sum(-1) < 0
        return self._log_density(-torch.where(behind, far, near)).sum(-1)

    def kl(self) -> Tensor:
        """Divergence from the uniform distribution by factor in nats, ``[B, F]``: a closed form."""
        kappa, half = self.concentration, self.half
        alpha = kappa + half
        errors = stirling_error(alpha + half) - stirling_error(alpha)
        errors = errors + kappa * (digamma_error(alpha) - digamma_error(alpha + half))
        ratio = (half - 0.5) * torch.log1p(half / alpha)
        return self.log_area + half * (torch.log(alpha + half) - math.log(4 * math.pi) - 1) + ratio + errors


def log_area(m: int) -> float:
    """Logarithm of the area of the unit sphere in ``m`` dimensions."""
    return math.log(2) + 0.5 * m * math.log(math.pi) - math.lgamma(0.5 * m)


def _reflect(points: Tensor, centre: Tensor) -> Tensor:
    """Points ``[..., m]`` under the reflection that exchanges the first axis and ``centre``."""
    first = functional.one_hot(torch.zeros_like(centre[..., 0], dtype=torch.long), centre.shape[-1]).to(centre)
    # The mirror stands across first - centre; where these are close, first + centre serves, with a change of sign.
    away = centre[..., :1] > 0
    across = torch.where(away, first + centre, first - centre)
    across = across / across.square().sum(-1, keepdim=True).sqrt()
    reflected = points - 2 * (points * across).sum(-1, keepdim=True) * across
    return torch.where(away, -reflected, reflected)


class SphereLatent(LatentSpace):
    """A product of unit spheres; a code holds a unit vector of ``factor_size`` numbers for each.

    The encoder emits for each factor a vector, whose direction is the mean, and a number r: the concentration is
    ``2 exp(-r)``, so that r is a log-variance where samples are close to the mean.

    Args:
        latents: Numbers in a code, a multiple of ``factor_size``.
        factor_size: Numbers of a unit vector, 2 or more: 2 is the circle, 3 the sphere.

    Raises:
        UsageError: Another ``factor_size``, or no whole number of factors.
    """

    def __init__(self, latents: int, factor_size: int = 3) -> None:
        if factor_size < 2:
            raise UsageError(f"--factor-size must be 2 or more on spheres, not {factor_size}")
        factors = check_factors(latents, factor_size, "circles" if factor_size == 2 else None)
        super().__init__(latents, factors, latents + factors)
        self.factor_size = factor_size

    def posterior(self, features: Tensor) -> PowerSpherical:
        vectors, raw = features[:, : self.size], features[:, self.size :]
        return PowerSpherical(unit(self.split(vectors)), math.log(2) - raw)

    def features(self, codes: Tensor) -> Tensor:
        return unit(self.split(codes)).flatten(1)

    @property
    def bounds(self) -> tuple[float, float]:
        return -1.0, 1.0

    def prior_sample(self, number: int, generator: torch.Generator | None = None) -> Tensor:
        normal = torch.randn(number, self.factors, self.factor_size, generator=generator)
        return unit(normal).flatten(1).to(self.device)

    def prior_log_prob(self, codes: Tensor) -> Tensor:
        return codes.new_full(codes.shape[:-1], -self.factors * log_area(self.factor_size))

    def angles(self, first: Tensor, second: Tensor) -> Tensor:
        """Angles between the unit vectors of two codes by factor, ``[B, F]`` in [0, pi]."""
        one, two = self.split(first), self.split(second)
        # Unlike the arc cosine this keeps its digits near 0 and pi.
        return 2 * torch.atan2(torch.linalg.vector_norm(one - two, dim=-1), torch.linalg.vector_norm(one + two, dim=-1))

    def distance(self, first: Tensor, second: Tensor) -> Tensor:
        return torch.linalg.vector_norm(self.angles(first, second), dim=-1)

    def interpolate(self, first: Tensor, second: Tensor, share: Tensor | float) -> Tensor:
        one, two = self.split(first), self.split(second)
        angle = self.angles(first, second)[..., None]
        part = by_row(share, one)
        rest = two - (one * two).sum(-1, keepdim=True) * one
        across = unit(rest - (one * rest).sum(-1, keepdim=True) * one)
        return unit(torch.cos(part * angle) * one + torch.sin(part * angle) * across).flatten(1)

    def manifold(self) -> Any:
        """The sphere of each factor as geoopt has it, for its optimisers and maps."""
        from geoopt import Sphere

        return Sphere()


@dataclass
class SphereOptions:
    """Options of the latent space."""

    factor_size: int = 3
    """Numbers of each unit vector; 2: circles, 3: spheres."""


@latent("sphere", SphereOptions, "unit spheres, power spherical (De Cao and Aziz 2020, arXiv 2006.04437)")
def sphere(options: SphereOptions, latents: int) -> SphereLatent:
    """A sphere for each ``factor_size`` latents."""
    return SphereLatent(latents, options.factor_size)
