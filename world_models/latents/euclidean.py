"""The Euclidean latent space: a diagonal Gaussian posterior under a standard normal prior."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..parts import NoOptions
from .base import Draw, LatentSpace, Posterior, by_row, latent
from .numerics import HALF_LOG_2PI


@dataclass
class DiagonalGaussian(Posterior):
    """A batch of Gaussians with independent coordinates.

    Attributes:
        mean: ``[B, L]``.
        log_variance: ``[B, L]``.
    """

    mean: Tensor
    log_variance: Tensor
    closed_form = True

    @property
    def deviation(self) -> Tensor:
        return (0.5 * self.log_variance).exp()

    def __getitem__(self, rows: Tensor) -> DiagonalGaussian:
        return DiagonalGaussian(self.mean[rows], self.log_variance[rows])

    def noise(self, generator: torch.Generator | None = None) -> Tensor:
        # Drawn where the generator is (the CPU), so that a seed means the same on every device.
        return torch.randn(self.mean.shape, generator=generator).to(self.mean)

    def at(self, noise: Tensor) -> Draw:
        codes = self.mean + torch.exp(0.5 * self.log_variance) * noise
        return Draw(
            codes,
            lambda: (
                -0.5 * (noise.square() + self.log_variance) - HALF_LOG_2PI,
                -0.5 * codes.square() - HALF_LOG_2PI,
            ),
        )

    def log_prob(self, codes: Tensor) -> Tensor:
        scaled = ((codes - self.mean) * torch.exp(-0.5 * self.log_variance)).square()
        return -(0.5 * (scaled + self.log_variance) + HALF_LOG_2PI).sum(-1)

    def kl(self) -> Tensor:
        """Divergence from the standard normal, per latent and in nats, ``[B, L]`` (Kingma and Welling 2014, app. B)."""
        # expm1 keeps the digits when the posterior is near the prior.
        return 0.5 * (self.mean.square() + torch.expm1(self.log_variance) - self.log_variance)


class EuclideanLatent(LatentSpace):
    """A latent space of ``size`` real coordinates, each of them a factor.

    The encoder emits ``[mean | log-variance]``, ``[B, 2 L]``.

    Args:
        size: Number of latents L.
    """

    def __init__(self, size: int) -> None:
        super().__init__(size, size, 2 * size)

    def posterior(self, features: Tensor) -> DiagonalGaussian:
        mean, log_variance = features[:, : self.size], features[:, self.size :]
        return DiagonalGaussian(mean, log_variance)

    def prior_sample(self, number: int, generator: torch.Generator | None = None) -> Tensor:
        return torch.randn(number, self.size, generator=generator).to(self.device)

    def prior_log_prob(self, codes: Tensor) -> Tensor:
        return -(0.5 * codes.square() + HALF_LOG_2PI).sum(-1)

    def distance(self, first: Tensor, second: Tensor) -> Tensor:
        return torch.linalg.vector_norm(first - second, dim=-1)

    def interpolate(self, first: Tensor, second: Tensor, share: Tensor | float) -> Tensor:
        return first + by_row(share, first) * (second - first)


@latent("euclidean", NoOptions, "real coordinates, diagonal Gaussian (Kingma and Welling 2014, arXiv 1312.6114)")
def euclidean(options: NoOptions, latents: int) -> EuclideanLatent:
    """As many coordinates as latents."""
    return EuclideanLatent(latents)
