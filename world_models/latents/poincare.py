"""Hyperbolic space as the Poincaré ball, with the Riemannian normal or the wrapped one.

Mathieu et al., "Continuous Hierarchical Representations with Poincaré Variational Auto-Encoders", NeurIPS 2019,
arXiv 1901.06033.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from ...envs.registry import UsageError
from . import hyperbolic
from .base import Draw, Posterior, latent
from .hyperboloid import HyperbolicLatent, HyperbolicOptions, Spread, WrappedNormal, standard_log_density
from .numerics import log_softplus, norm

# Gauss-Legendre's rule with 12 nodes on [0, 1].
_NODES = (
    0.009219682876640375, 0.04794137181476257, 0.11504866290284765, 0.20634102285669126, 0.31608425050090994,
    0.4373832957442655, 0.5626167042557344, 0.68391574949909, 0.7936589771433087, 0.8849513370971523,
    0.9520586281852375, 0.9907803171233596,
)  # fmt: skip
_WEIGHTS = (
    0.02358766819325591, 0.05346966299765922, 0.08003916427167311, 0.10158371336153296, 0.11674626826917740,
    0.12457352290670139, 0.12457352290670139, 0.11674626826917740, 0.10158371336153296, 0.08003916427167311,
    0.05346966299765922, 0.02358766819325591,
)  # fmt: skip


def log_area(log_scale: Tensor, root: Tensor) -> Tensor:
    """Logarithm of the Riemannian normal's normaliser on planes: the integral of ``exp(-d^2 / (2 sigma^2))``.

    Args:
        log_scale: ``log sigma``, ``[..., F]``.
        root: ``sqrt(-curvature)``, ``[F]``.
    """
    tau = root * torch.exp(log_scale)
    # 2 pi sigma^2 exp(tau^2 / 2) sqrt(pi / 2) erf(tau / sqrt 2) / tau, where the last two are 1 at tau = 0.
    return math.log(2 * math.pi) + 2 * log_scale + 0.5 * tau.square() + log_mass(tau)


def log_mass(tau: Tensor) -> Tensor:
    """``log(sqrt(pi / 2) erf(tau / sqrt 2) / tau)`` for ``tau > 0``."""
    square = tau.clamp(max=0.5).square()
    series = 1 - square * (1 / 6 - square * (1 / 40 - square * (1 / 336 - square * (1 / 3456 - square / 42240))))
    large = tau.clamp(min=0.5)
    return torch.where(
        tau < 0.5, torch.log(series), torch.log(math.sqrt(math.pi / 2) * torch.erf(large / math.sqrt(2)) / large)
    )


def log_survival(x: Tensor, tau: Tensor) -> Tensor:
    """Logarithm of the chance that the radius, in units of the scale, is above ``x``; ``tau = sqrt(-curvature) sigma``.

    The radius has a density in proportion to ``exp(-x^2 / 2) sinh(tau x)``.
    """
    # Above tau = 1 the difference of two normal distributions; below, where that cancels, the integral between the two.
    high = tau.clamp(min=1.0)
    upper, lower = torch.special.log_ndtr(high - x), torch.special.log_ndtr(-high - x)
    apart = upper + torch.log1p(-torch.exp(lower - upper)) - torch.log(torch.erf(high / math.sqrt(2)))
    return torch.where(tau > 1, apart, _log_mean_cosh(x, tau.clamp(max=1.0)) - 0.5 * x.square())


def _rule(tau: Tensor) -> tuple[Tensor, Tensor]:
    """Nodes s and weights of the mean of a function of s in [0, 1] under ``exp(-tau^2 s^2 / 2)``, ``[..., 12]``."""
    nodes = torch.tensor(_NODES, dtype=tau.dtype, device=tau.device)
    weights = torch.tensor(_WEIGHTS, dtype=tau.dtype, device=tau.device)
    weights = weights * torch.exp(-0.5 * (tau[..., None] * nodes).square())
    return nodes, weights / weights.sum(-1, keepdim=True)


def _log_mean_cosh(x: Tensor, tau: Tensor) -> Tensor:
    """Logarithm of the mean of ``cosh(tau s x)`` under ``_rule``."""
    nodes, weights = _rule(tau)
    reach = tau * x
    terms = weights * 0.5 * (torch.exp((nodes - 1) * reach[..., None]) + torch.exp(-(nodes + 1) * reach[..., None]))
    return reach + torch.log(terms.sum(-1))


@torch.no_grad()
def radius_of(log_chance: Tensor, tau: Tensor, rounds: int = 4) -> Tensor:
    """The ``x`` that is exceeded with the given chance, both ``[...]``.

    Newton's method on the root of minus the survival's logarithm, which is linear in ``x`` at ``tau = 0``, from a
    start that is exact for large ``tau``. There is nothing to reject, and nothing that could run for ever.
    """
    target = torch.sqrt(-log_chance)
    share = torch.exp(log_chance) * torch.erf(tau / math.sqrt(2))
    above = tau - torch.special.ndtri(share.clamp(1e-37, 1 - 1e-7))
    x = torch.where(tau > 1, above, math.sqrt(2) * target).clamp(min=1e-6)
    for _ in range(rounds):
        log_chance_at_x = log_survival(x, tau)
        root = torch.sqrt(-log_chance_at_x.clamp(max=-1e-30))
        step = 2 * root * (target - root) / _hazard(x, tau, log_chance_at_x)
        x = torch.maximum(x + step, 0.1 * x)
    return x


def _hazard(x: Tensor, tau: Tensor, log_chance: Tensor) -> Tensor:
    """Density over survival, whose logarithm is given."""
    reach = tau * x
    # The density is exp(-(x - tau)^2 / 2) (1 - exp(-2 tau x)) / (2 tau) over exp(log_mass).
    log_density = -0.5 * (x - tau).square() + torch.log(-torch.expm1(-2 * reach).clamp(max=-1e-30)) - torch.log(2 * tau)
    return torch.exp(log_density - log_mass(tau) - log_chance).clamp(min=1e-30)


def radius_slope(x: Tensor, tau: Tensor) -> Tensor:
    """Derivative of ``radius_of`` by ``tau``: ``(cosh(tau x) - survival exp(x^2 / 2)) / sinh(tau x)``."""
    low, high = tau.clamp(max=1.0), tau.clamp(min=1.0)
    # Below tau = 1 the survival is itself a mean of cosh(tau s x), and the difference a mean of products of two sinh.
    nodes, weights = _rule(low)
    reach = (low * x)[..., None]
    ends = -torch.expm1(-reach * (1 + nodes)) * -torch.expm1(-reach * (1 - nodes))
    near = (weights * ends).sum(-1) / -torch.expm1(-2 * reach[..., 0]).clamp(max=-1e-30)
    reach = high * x
    inverse = 1 / torch.expm1(2 * reach).clamp(min=1e-30)
    # exp(x^2 / 2) / sinh(tau x) with the squares completed: alone they lose their digits.
    log_rest = log_survival(x, high) + 0.5 * (x - high).square() - 0.5 * high.square() + math.log(2)
    far = 1 + 2 * inverse - torch.exp(log_rest - torch.log(-torch.expm1(-2 * reach)))
    return torch.where(tau > 1, far, near)


class RiemannianNormal(Posterior):
    """A batch of products of Riemannian normals on planes: densities go with ``exp(-d(mean, z)^2 / (2 sigma^2))``.

    Args:
        centre: Tangent vectors of the means, ``[B, F, 2]``.
        log_scale: ``log sigma``, ``[B, F]``.
        k: Minus the curvature, ``[F]``.
    """

    def __init__(self, centre: Tensor, log_scale: Tensor, k: Tensor) -> None:
        self.centre, self.log_scale, self.k = centre, log_scale, k
        self.mean = centre.flatten(1)

    @property
    def deviation(self) -> Tensor:
        """``sigma`` along either axis, which it is where the scale is small against the curvature."""
        return torch.exp(self.log_scale)[..., None].expand_as(self.centre).flatten(1)

    def __getitem__(self, rows: Tensor) -> RiemannianNormal:
        return RiemannianNormal(self.centre[rows], self.log_scale[rows], self.k)

    def noise(self, generator: torch.Generator | None = None) -> Tensor:
        """Logarithm of the chance of a larger radius, and the direction's angle, ``[B, F, 2]``."""
        uniform = torch.rand(*self.log_scale.shape, 2, generator=generator)
        # The generator gives multiples of 2^-24 from 0 on: half of one more is inside (0, 1).
        chance = torch.log(uniform[..., 0] + 2.0**-25)
        return torch.stack([chance, 2 * math.pi * uniform[..., 1]], -1).to(self.centre)

    def at(self, noise: Tensor) -> Draw:
        log_chance, angle = noise.unbind(-1)
        root = self.k.sqrt()
        tau = root * torch.exp(self.log_scale)
        fixed = tau.detach()
        x = radius_of(log_chance, fixed)
        x = x + radius_slope(x, fixed) * (tau - fixed)  # the value is x; the gradient that of a fixed chance
        length = tau * x
        direction = torch.stack([torch.cos(angle), torch.sin(angle)], -1)
        points, radius = hyperbolic.translate(self.centre * root[:, None], length[..., None] * direction)

        def densities() -> tuple[Tensor, Tensor]:
            return -0.5 * x.square() - log_area(self.log_scale, root), standard_riemannian(radius / root, root)

        return Draw((points / root[:, None]).flatten(1), densities)

    def log_prob(self, codes: Tensor) -> Tensor:
        root = self.k.sqrt()
        points = codes.unflatten(-1, self.centre.shape[1:])
        away = hyperbolic.distance(self.centre * root[:, None], points * root[:, None]) / root
        return (-0.5 * (away * torch.exp(-self.log_scale)).square() - log_area(self.log_scale, root)).sum(-1)


def standard_riemannian(radius: Tensor, root: Tensor) -> Tensor:
    """Log-density of the Riemannian normal of unit scale at the origin, at points that far from it, ``[..., F]``."""
    return -0.5 * radius.square() - log_area(torch.zeros_like(root), root)


class PoincareLatent(HyperbolicLatent):
    """A product of hyperbolic spaces under Riemannian or wrapped normals; the prior has unit scale at the origin.

    The encoder emits the tangent vectors of the means, then one scale a factor (``riemannian``) or one a dimension
    (``wrapped``), each before its softplus. Codes are normal coordinates, not the ball's, whose digits end at a
    radius of 8.

    Args:
        latents: Numbers in a code, a multiple of ``factor_size``.
        factor_size: Dimensions of each factor; None: one factor of all latents. The Riemannian normal takes 2.
        normal: ``riemannian`` or ``wrapped``.
        curvature: Of each factor, below 0.
        learn_curvature: Whether each factor learns its own.

    Raises:
        UsageError: A Riemannian normal on something else than planes.
    """

    def __init__(
        self,
        latents: int,
        factor_size: int | None = 2,
        normal: Literal["riemannian", "wrapped"] = "riemannian",
        curvature: float = -1.0,
        learn_curvature: bool = False,
    ) -> None:
        n = latents if factor_size is None else factor_size
        if normal == "riemannian" and n != 2:
            raise UsageError(f"--normal riemannian lives on planes: --factor-size 2 is accepted, not {n}")
        super().__init__(latents, factor_size, 1 if normal == "riemannian" else n, curvature, learn_curvature)
        self.normal = normal

    def posterior(self, features: Tensor) -> Posterior:
        centre, raw = self._read(features)
        logs, k = log_softplus(raw), self.curvature(features)
        if self.normal == "wrapped":
            return WrappedNormal(centre, Spread(logs), k)
        return RiemannianNormal(centre, logs[..., 0], k)

    def prior_sample(self, number: int, generator: torch.Generator | None = None) -> Tensor:
        if self.normal == "wrapped":
            return torch.randn(number, self.size, generator=generator).to(self.device)
        zero = torch.zeros(number, self.factors, 2, device=self.device)
        return RiemannianNormal(zero, zero[..., 0], self.curvature(zero)).rsample(generator)

    def prior_log_prob(self, codes: Tensor) -> Tensor:
        root, radius = self.curvature(codes).sqrt(), norm(self.split(codes))
        if self.normal == "wrapped":
            return standard_log_density(radius, self.factor_size, root).sum(-1)
        return standard_riemannian(radius, root).sum(-1)

    def manifold(self, factor: int = 0) -> Any:
        """The ball of a factor as geoopt has it, for its optimisers and maps."""
        from geoopt import PoincareBall

        return PoincareBall(float(torch.exp(self.curvature.log_size[factor])))

    def points(self, codes: Tensor, factor: int = 0) -> Tensor:
        """Ball coordinates of a factor of codes, ``[B, n]``: float32 tells points apart to a radius of about 8."""
        value = -float(torch.exp(self.curvature.log_size[factor]))
        return hyperbolic.to_ball(self.split(codes)[:, factor], value)


@dataclass
class PoincareOptions(HyperbolicOptions):
    """Options of the latent space."""

    normal: Literal["riemannian", "wrapped"] = "riemannian"
    """Family of posterior and prior; riemannian takes --factor-size 2."""


@latent(
    "poincare", PoincareOptions, "Poincaré balls, Riemannian or wrapped normal (Mathieu et al. 2019, arXiv 1901.06033)"
)
def poincare(options: PoincareOptions, latents: int) -> PoincareLatent:
    """Hyperbolic factors of the size that is asked for."""
    return PoincareLatent(latents, options.factor_size, options.normal, options.curvature, options.learn_curvature)
