"""Planes of Gaussians N(mu, sigma^2) under their Fisher metric, with the pseudo-Gaussian-manifold normal.

Cho, Lee, Park and Kim, "Hyperbolic VAE via Latent Gaussian Distributions", 2023, arXiv 2209.15217.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from .base import Draw, LatentSpace, Posterior, by_row, check_factors, latent
from .curvature import Curvature, CurvatureOptions
from .hyperbolic import from_half_plane, to_half_plane
from .numerics import (
    HALF_LOG_2PI,
    bounded_exp,
    digamma_error,
    expm1_minus,
    log_gamma_quotient,
    norm,
    stirling_error,
)

_LINEAR, _MOST = 25.0, 40.0


@dataclass
class PlaneNormal:
    """The pseudo-Gaussian-manifold normal: ``mu`` normal, ``sigma^2`` gamma, independent.

    ``mu ~ N(alpha, beta^2 gamma^2)`` and ``sigma^2 ~ Gamma(1 + g, rate g / beta^2)`` with ``g = 1 / (4 k gamma^2)``.

    Attributes:
        alpha: ``[..., F]``.
        log_beta2: Logarithm of the mode of ``sigma^2``, ``[..., F]``.
        log_gamma2: Logarithm of the squared spread, ``[..., F]``.
        k: Minus the curvature, ``[F]``.
    """

    alpha: Tensor
    log_beta2: Tensor
    log_gamma2: Tensor
    k: Tensor

    @property
    def log_g(self) -> Tensor:
        """Logarithm of the gamma's shape less one."""
        return -(torch.log(4 * self.k) + self.log_gamma2)

    def log_density(self, offset: Tensor, height: Tensor) -> Tensor:
        """Log-density with respect to ``dmu dsigma / (sqrt(k) sigma^2)``, by factor.

        Args:
            offset: ``(mu - alpha) / (beta gamma)``.
            height: ``log sigma^2 - log beta^2``.
        """
        normal = -0.5 * (offset.square() + self.log_beta2 + self.log_gamma2) - HALF_LOG_2PI
        # The gamma's density of log sigma^2, with lgamma(g) as Stirling's formula and its small rest.
        log_g = self.log_g
        near = torch.exp(log_g) * expm1_minus(height.clamp(-1, 1))
        # g (exp(u) - 1 - u), with the product g exp(u) taken in logarithms: either alone may overflow.
        far = bounded_exp(log_g + height) - torch.exp(log_g) * (1 + height)
        exponent = torch.where(height.abs() < 1, near, far)
        gamma = 0.5 * log_g + height - exponent - HALF_LOG_2PI - stirling_error(torch.exp(log_g))
        volume = math.log(2) + 0.5 * torch.log(self.k) + 0.5 * (height + self.log_beta2)
        return normal + gamma + volume

    def kl(self, prior: PlaneNormal) -> Tensor:
        """Divergence from another on the same plane, by factor, in nats; 0 to rounding where they agree."""
        log_variance, prior_log_variance = self.log_beta2 + self.log_gamma2, prior.log_beta2 + prior.log_gamma2
        shift = (self.alpha - prior.alpha) * torch.exp(-0.5 * prior_log_variance)
        normal = 0.5 * (shift.square() + expm1_minus(log_variance - prior_log_variance))
        # With a = 1 + g the shapes and w = log(E_q[sigma^2] / E_p[sigma^2]); each lgamma(a) is Stirling's and a rest.
        g, prior_g = torch.exp(self.log_g), torch.exp(prior.log_g)
        w = self.log_beta2 - prior.log_beta2 + functional.softplus(-self.log_g) - functional.softplus(-prior.log_g)
        shapes = functional.softplus(self.log_g) - functional.softplus(prior.log_g)
        gamma = (
            (1 + prior_g) * expm1_minus(w)
            + 0.5 * shapes
            + (g - prior_g) * digamma_error(1 + g)
            + stirling_error(1 + prior_g)
            - stirling_error(1 + g)
        )
        return normal + gamma


class GaussianManifoldPosterior(Posterior):
    """A batch of products of such normals; a code is ``(mu, log sigma^2)`` for each plane.

    Args:
        normal: The posterior's parameters, each ``[B, F]``.
        prior: The prior's, each ``[F]``.
    """

    closed_form = True

    def __init__(self, normal: PlaneNormal, prior: PlaneNormal) -> None:
        self.normal, self.prior = normal, prior
        self.mean = torch.stack([normal.alpha, normal.log_beta2], -1).flatten(1)

    @property
    def deviation(self) -> Tensor:
        """Of ``mu`` and of ``log sigma^2``, ``[B, 2 F]``."""
        across = torch.exp(0.5 * (self.normal.log_beta2 + self.normal.log_gamma2))
        along = torch.sqrt(torch.polygamma(1, 1 + torch.exp(self.normal.log_g.clamp(max=60.0))))
        return torch.stack([across, along], -1).flatten(1)

    def __getitem__(self, rows: Tensor) -> GaussianManifoldPosterior:
        q = self.normal
        normal = PlaneNormal(q.alpha[rows], q.log_beta2[rows], q.log_gamma2[rows], q.k)
        return GaussianManifoldPosterior(normal, self.prior)

    def noise(self, generator: torch.Generator | None = None) -> Tensor:
        """``(mu - alpha) / (beta gamma)`` and ``log(sigma^2 / beta^2)`` of each plane, ``[B, F, 2]``."""
        offset = torch.randn(self.normal.alpha.shape, generator=generator).to(self.normal.alpha)
        return torch.stack([offset, log_gamma_quotient(torch.exp(self.normal.log_g), generator)], -1)

    def at(self, noise: Tensor) -> Draw:
        offset, height = noise.unbind(-1)
        q, p = self.normal, self.prior
        mu = q.alpha + torch.exp(0.5 * (q.log_beta2 + q.log_gamma2)) * offset
        log_square = q.log_beta2 + height

        def densities() -> tuple[Tensor, Tensor]:
            shift = (mu - p.alpha) * torch.exp(-0.5 * (p.log_beta2 + p.log_gamma2))
            return q.log_density(offset, height), p.log_density(shift, log_square - p.log_beta2)

        return Draw(torch.stack([mu, log_square], -1).flatten(1), densities)

    def log_prob(self, codes: Tensor) -> Tensor:
        return _log_prob(self.normal, codes)

    def kl(self) -> Tensor:
        return self.normal.kl(self.prior)


def _log_prob(normal: PlaneNormal, codes: Tensor) -> Tensor:
    mu, log_square = codes.unflatten(-1, (-1, 2)).unbind(-1)
    offset = (mu - normal.alpha) * torch.exp(-0.5 * (normal.log_beta2 + normal.log_gamma2))
    return normal.log_density(offset, log_square - normal.log_beta2).sum(-1)


class GaussianManifoldLatent(LatentSpace):
    """A product of planes, each of the Gaussians ``N(sqrt(2 k) mu, sigma^2)`` at curvature ``-k``.

    The metric is ``dmu^2 / sigma^2 + dsigma^2 / (k sigma^2)``; the prior has ``alpha = log beta^2 = log gamma^2 = 0``.

    The encoder emits three numbers a plane. With ``layers="raw"`` they are ``alpha``, ``log beta^2`` and
    ``log gamma^2``, and the decoder reads ``(mu, log sigma^2)``. With ``layers="geometric"`` the first two are a
    tangent vector at the prior's centre, taken to the plane by the exponential map, and the decoder reads the tangent
    vector of the sample. The divergence grows as the exponential of twice that vector's length, so lengths bend away
    from 25 on and stay below 40 (in units of curvature -1): what is further does not fit into float32.

    Args:
        latents: Numbers in a code; even.
        curvature: Of each plane, below 0.
        learn_curvature: Whether each plane learns its own.
        layers: ``raw`` or ``geometric``.
    """

    def __init__(
        self,
        latents: int,
        curvature: float = -1.0,
        learn_curvature: bool = False,
        layers: Literal["raw", "geometric"] = "geometric",
    ) -> None:
        planes = check_factors(latents, 2, "planes")
        super().__init__(latents, planes, 3 * planes)
        self.curvature = Curvature(planes, curvature, learn_curvature)
        self.layers = layers

    def _prior(self, like: Tensor) -> PlaneNormal:
        zero = torch.zeros(self.factors, dtype=like.dtype, device=like.device)
        return PlaneNormal(zero, zero, zero, self.curvature(like))

    def posterior(self, features: Tensor) -> GaussianManifoldPosterior:
        first, second, log_gamma2 = features.unflatten(-1, (3, self.factors)).unbind(-2)
        k = self.curvature(features)
        if self.layers == "geometric":
            tangent = torch.stack([first, second], -1) * k.sqrt()[:, None]
            length = norm(tangent)[..., None].clamp(min=_LINEAR)
            over = (length - _LINEAR) / (_MOST - _LINEAR)
            bent = _LINEAR + (_MOST - _LINEAR) * over / (1 + over)
            plane = to_half_plane(tangent * (bent / length), -1.0)
            first, second = plane[..., 0] * k.rsqrt(), 2 * plane[..., 1]
        return GaussianManifoldPosterior(PlaneNormal(first, second, log_gamma2, k), self._prior(features))

    def levels(self, codes: Tensor) -> Tensor:
        """``log sigma^2`` of each plane, ``[B, F]``: the wider a Gaussian, the more general."""
        return self.split(codes)[..., 1]

    def features(self, codes: Tensor) -> Tensor:
        if self.layers == "raw":
            return codes
        mu, log_square = self.split(codes).unbind(-1)
        k = self.curvature(codes)
        tangent = from_half_plane(torch.stack([mu * k.sqrt(), 0.5 * log_square], -1), -1.0)
        return (tangent * k.rsqrt()[:, None]).flatten(1)

    def prior_sample(self, number: int, generator: torch.Generator | None = None) -> Tensor:
        zero = torch.zeros(number, self.factors, device=self.device)
        k = self.curvature(zero)
        normal = PlaneNormal(zero, zero, zero, k)
        return GaussianManifoldPosterior(normal, normal).rsample(generator)

    def prior_log_prob(self, codes: Tensor) -> Tensor:
        return _log_prob(self._prior(codes), codes)

    def _from(self, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Points by plane, and the second as seen when the first is moved to the origin, in units of curvature -1."""
        one, two = (self.split(each) for each in (first, second))
        one, two = (torch.stack([each[..., 0], 0.5 * each[..., 1]], -1) for each in (one, two))
        root = self.curvature(first).sqrt()
        across = (two[..., 0] - one[..., 0]) * root * torch.exp(-one[..., 1])
        return one, torch.stack([across, two[..., 1] - one[..., 1]], -1), root

    def distance(self, first: Tensor, second: Tensor) -> Tensor:
        _, seen, root = self._from(first, second)
        across, log_ratio = seen.unbind(-1)
        # sinh^2(d / 2) = a^2 / (4 b) + sinh^2(log(b) / 2)
        half = torch.hypot(0.5 * across * torch.exp(-0.5 * log_ratio), torch.sinh(0.5 * log_ratio))
        return torch.linalg.vector_norm(2 * torch.asinh(half) / root, dim=-1)

    def interpolate(self, first: Tensor, second: Tensor, share: Tensor | float) -> Tensor:
        one, seen, root = self._from(first, second)
        there = to_half_plane(by_row(share, seen) * from_half_plane(seen, -1.0), -1.0)
        mu = one[..., 0] + torch.exp(one[..., 1]) * there[..., 0] / root
        return torch.stack([mu, 2 * (one[..., 1] + there[..., 1])], -1).flatten(1)


@dataclass
class GaussianManifoldOptions(CurvatureOptions):
    """Options of the latent space."""

    layers: Literal["raw", "geometric"] = "geometric"
    """Encoder and decoder read plane coordinates as they are (raw), or tangent vectors at the origin (geometric)."""


@latent(
    "gaussian-manifold",
    GaussianManifoldOptions,
    "planes of Gaussians, pseudo-Gaussian-manifold normal (Cho et al. 2023, arXiv 2209.15217)",
)
def gaussian_manifold(options: GaussianManifoldOptions, latents: int) -> GaussianManifoldLatent:
    """A plane for each two latents."""
    return GaussianManifoldLatent(latents, options.curvature, options.learn_curvature, options.layers)
