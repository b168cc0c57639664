"""Hyperbolic space with the wrapped normal: isotropic, diagonal, full or rotated.

Nagano et al., "A Wrapped Normal Distribution on Hyperbolic Space for Gradient-Based Learning", ICML 2019,
arXiv 1902.02992; rotated: Cho et al., "A Rotated Hyperbolic Wrapped Normal Distribution for Hierarchical
Representation Learning", NeurIPS 2022, arXiv 2205.13371.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from . import hyperbolic
from .base import Draw, LatentSpace, Posterior, by_row, check_factors, latent
from .curvature import Curvature, CurvatureOptions
from .numerics import HALF_LOG_2PI, log_sinhc, log_softplus, norm

Covariance = Literal["isotropic", "diagonal", "full", "rotated"]


@dataclass
class Spread:
    """A centred Gaussian on tangent vectors ``A e``, by factor; subclasses say what ``A`` is.

    Attributes:
        log_scales: Logarithms of the standard deviations along the axes of ``e``, ``[..., F, n]``.
    """

    log_scales: Tensor

    def select(self, rows: Tensor) -> Spread:
        """Of some rows of the batch."""
        parts = {each.name: getattr(self, each.name)[rows] for each in dataclasses.fields(self)}
        return dataclasses.replace(self, **parts)

    def make(self, noise: Tensor) -> Tensor:
        """Tangent vectors ``A e`` of standard normal ``e``, both ``[..., F, n]``."""
        return torch.exp(self.log_scales) * noise

    def noise_of(self, tangent: Tensor) -> Tensor:
        """The ``e`` that makes a tangent vector."""
        return torch.exp(-self.log_scales) * tangent

    def length(self, noise: Tensor) -> Tensor:
        """Of the tangent vector that ``noise`` makes, ``[..., F]``."""
        return norm(self.make(noise))

    def log_density(self, noise: Tensor) -> Tensor:
        """Of the tangent vector that ``noise`` makes, ``[..., F]``."""
        return -(0.5 * noise.square() + self.log_scales + HALF_LOG_2PI).sum(-1)


@dataclass
class FullSpread(Spread):
    """``A`` is lower triangular, with the scales on its diagonal.

    Attributes:
        below: ``A`` below its diagonal, row by row in units of its row's scale, ``[..., F, n (n - 1) / 2]``.
    """

    below: Tensor

    def _unit(self) -> Tensor:
        """``A`` with rows divided by their scales: ones on the diagonal."""
        n = self.log_scales.shape[-1]
        rows, columns = torch.tril_indices(n, n, -1, device=self.below.device)
        matrix = torch.eye(n, dtype=self.below.dtype, device=self.below.device)
        matrix = matrix.expand(*self.below.shape[:-1], n, n).clone()
        matrix[..., rows, columns] = self.below
        return matrix

    def make(self, noise: Tensor) -> Tensor:
        return torch.exp(self.log_scales) * (self._unit() * noise[..., None, :]).sum(-1)

    def noise_of(self, tangent: Tensor) -> Tensor:
        scaled = (torch.exp(-self.log_scales) * tangent)[..., None]
        return torch.linalg.solve_triangular(self._unit(), scaled, upper=False, unitriangular=True)[..., 0]


@dataclass
class RotatedSpread(Spread):
    """``A = R diag(scales)``, where R turns the first axis to the direction of the mean by the shorter way.

    Attributes:
        mean: Tangent vector of the mean, ``[..., F, n]``.
    """

    mean: Tensor

    def _turn(self, vectors: Tensor, back: bool) -> Tensor:
        # The first axis or its opposite, whichever is nearer to the mean, so that 1 + cos is at least 1.
        first = torch.zeros_like(self.mean)
        first[..., 0] = torch.where(self.mean[..., 0] < 0, -1.0, 1.0)
        # Where the mean nears the origin the turn fades out: its direction says nothing there.
        near = self.mean + 0.01 * first
        towards = near / norm(near)[..., None]
        old, new = (towards, first) if back else (first, towards)
        along_old, along_new = ((vectors * axis).sum(-1, keepdim=True) for axis in (old, new))
        cosine = (old * new).sum(-1, keepdim=True)
        # R v = v + K v + K^2 v / (1 + cos), with K = new old' - old new'
        turned = vectors + new * along_old - old * along_new
        inner_old, inner_new = along_old * cosine - along_new, along_old - along_new * cosine
        return turned + (new * inner_old - old * inner_new) / (1 + cosine)

    def make(self, noise: Tensor) -> Tensor:
        return self._turn(super().make(noise), back=False)

    def noise_of(self, tangent: Tensor) -> Tensor:
        return super().noise_of(self._turn(tangent, back=True))

    def length(self, noise: Tensor) -> Tensor:
        return norm(super().make(noise))  # no turn changes it


class WrappedNormal(Posterior):
    """A batch of products of wrapped normals; a code holds each factor's normal coordinates at the origin.

    A Gaussian tangent vector at the origin is transported to the mean and mapped to the space there. The density is
    found from that vector's length, and the prior's from the distance to the origin: no map is inverted.

    Args:
        centre: Tangent vectors of the means, ``[B, F, n]``.
        spread: Of the tangent vectors.
        k: Minus the curvature, ``[F]``.
    """

    def __init__(self, centre: Tensor, spread: Spread, k: Tensor) -> None:
        self.centre, self.spread, self.k = centre, spread, k
        self.mean = centre.flatten(1)

    @property
    def deviation(self) -> Tensor:
        """Of the tangent vectors at the mean, along the coordinate axes."""
        n = self.centre.shape[-1]
        axes = torch.eye(n, dtype=self.centre.dtype, device=self.centre.device)
        columns = [self.spread.make(axis.expand_as(self.centre)) for axis in axes]
        return torch.stack(columns).square().sum(0).sqrt().flatten(1)

    def __getitem__(self, rows: Tensor) -> WrappedNormal:
        return WrappedNormal(self.centre[rows], self.spread.select(rows), self.k)

    def noise(self, generator: torch.Generator | None = None) -> Tensor:
        """Standard normal, ``[B, F, n]``."""
        return torch.randn(self.centre.shape, generator=generator).to(self.centre)

    def at(self, noise: Tensor) -> Draw:
        root = self.k.sqrt()
        tangent = self.spread.make(noise)
        points, radius = hyperbolic.translate(self.centre * root[:, None], tangent * root[:, None])

        def densities() -> tuple[Tensor, Tensor]:
            stretch = (noise.shape[-1] - 1) * log_sinhc(self.spread.length(noise) * root)
            return self.spread.log_density(noise) - stretch, standard_log_density(radius / root, noise.shape[-1], root)

        return Draw((points / root[:, None]).flatten(1), densities)

    def log_prob(self, codes: Tensor) -> Tensor:
        root = self.k.sqrt()
        points = codes.unflatten(-1, self.centre.shape[1:]) * root[:, None]
        seen, radius = hyperbolic.translate(-self.centre * root[:, None], points)
        noise = self.spread.noise_of(seen / root[:, None])
        return (self.spread.log_density(noise) - (noise.shape[-1] - 1) * log_sinhc(radius)).sum(-1)


def standard_log_density(radius: Tensor, n: int, root: Tensor) -> Tensor:
    """Log-density of the wrapped normal of unit scale at the origin, at points that far from it, ``[..., F]``.

    Args:
        radius: ``[..., F]``.
        n: Dimensions of a factor.
        root: ``sqrt(-curvature)``, ``[F]``.
    """
    return -0.5 * radius.square() - n * HALF_LOG_2PI - (n - 1) * log_sinhc(radius * root)


class HyperbolicLatent(LatentSpace):
    """A product of hyperbolic spaces whose codes are normal coordinates at the origin: what subclasses share.

    The decoder reads the codes: they are the logarithmic map of the points.

    Args:
        latents: Numbers in a code, a multiple of ``factor_size``.
        factor_size: Dimensions of each factor, n; None: one factor of all latents.
        spread_size: Numbers that the encoder emits for the spread of a factor.
        curvature: Of each factor, below 0.
        learn_curvature: Whether each factor learns its own.
    """

    def __init__(
        self, latents: int, factor_size: int | None, spread_size: int, curvature: float, learn_curvature: bool
    ) -> None:
        dimensions = latents if factor_size is None else factor_size
        factors = check_factors(latents, dimensions)
        super().__init__(latents, factors, latents + factors * spread_size)
        self.factor_size = dimensions
        self.curvature = Curvature(factors, curvature, learn_curvature)

    def _read(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Means ``[B, F, n]``, and what the encoder says of spreads ``[B, F, spread_size]``."""
        means, spreads = features[:, : self.size], features[:, self.size :]
        return self.split(means), spreads.unflatten(-1, (self.factors, -1))

    def distance(self, first: Tensor, second: Tensor) -> Tensor:
        root = self.curvature(first).sqrt()
        one, two = (self.split(each) * root[:, None] for each in (first, second))
        return torch.linalg.vector_norm(hyperbolic.distance(one, two) / root, dim=-1)

    def interpolate(self, first: Tensor, second: Tensor, share: Tensor | float) -> Tensor:
        root = self.curvature(first).sqrt()[:, None]
        one, two = (self.split(each) * root for each in (first, second))
        return (hyperbolic.interpolate(one, two, by_row(share, one)) / root).flatten(1)


class HyperboloidLatent(HyperbolicLatent):
    """A product of hyperbolic spaces under wrapped normals; the prior is the one of unit scale at the origin.

    The encoder emits the tangent vectors of the means, then for each factor what its covariance takes: one scale
    (``isotropic``), n scales (``diagonal``), n scales and the n (n - 1) / 2 numbers below the diagonal of the Cholesky
    factor (``full``), or n variances along the mean's direction and across it (``rotated``). Scales and variances are
    softplus of what is emitted.

    Args:
        latents: Numbers in a code, a multiple of ``factor_size``.
        factor_size: Dimensions of each factor, n; None: one factor of all latents.
        covariance: ``isotropic``, ``diagonal``, ``full`` or ``rotated``.
        curvature: Of each factor, below 0.
        learn_curvature: Whether each factor learns its own.
    """

    def __init__(
        self,
        latents: int,
        factor_size: int | None = 2,
        covariance: Covariance = "diagonal",
        curvature: float = -1.0,
        learn_curvature: bool = False,
    ) -> None:
        n = latents if factor_size is None else factor_size
        spread_size = {"isotropic": 1, "full": n * (n + 1) // 2}.get(covariance, n)
        super().__init__(latents, factor_size, spread_size, curvature, learn_curvature)
        self.covariance = covariance

    def posterior(self, features: Tensor) -> WrappedNormal:
        centre, raw = self._read(features)
        n = self.factor_size
        logs = log_softplus(raw[..., :n]).expand_as(centre)
        spread = Spread(logs)
        if self.covariance == "full":
            spread = FullSpread(logs, raw[..., n:])
        elif self.covariance == "rotated":
            spread = RotatedSpread(0.5 * logs, centre)
        return WrappedNormal(centre, spread, self.curvature(features))

    def prior_sample(self, number: int, generator: torch.Generator | None = None) -> Tensor:
        return torch.randn(number, self.size, generator=generator).to(self.device)

    def prior_log_prob(self, codes: Tensor) -> Tensor:
        root = self.curvature(codes).sqrt()
        return standard_log_density(norm(self.split(codes)), self.factor_size, root).sum(-1)

    def manifold(self, factor: int = 0) -> Any:
        """The hyperboloid of a factor as geoopt has it, for its optimisers and maps."""
        from geoopt import Lorentz

        return Lorentz(1 / float(torch.exp(self.curvature.log_size[factor])))

    def points(self, codes: Tensor, factor: int = 0) -> Tensor:
        """Hyperboloid coordinates of a factor of codes, ``[B, n + 1]``: float32 holds them to a radius of 88."""
        value = -float(torch.exp(self.curvature.log_size[factor]))
        return hyperbolic.to_lorentz(self.split(codes)[:, factor], value)


@dataclass
class HyperbolicOptions(CurvatureOptions):
    """Options of the latent space."""

    factor_size: int | None = 2
    """Dimensions of each hyperbolic factor; None: one of all latents."""


@dataclass
class HyperboloidOptions(HyperbolicOptions):
    """Options of the latent space."""

    covariance: Covariance = "diagonal"
    """Of the wrapped normal; rotated: diagonal along the mean's direction (RoWN)."""


@latent(
    "hyperboloid",
    HyperboloidOptions,
    "hyperbolic spaces, wrapped normal (Nagano et al. 2019, arXiv 1902.02992; Cho et al. 2022, arXiv 2205.13371)",
)
def hyperboloid(options: HyperboloidOptions, latents: int) -> HyperboloidLatent:
    """Hyperbolic factors of the size that is asked for."""
    return HyperboloidLatent(
        latents, options.factor_size, options.covariance, options.curvature, options.learn_curvature
    )
