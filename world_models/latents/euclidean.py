"""The Euclidean latent space: a diagonal Gaussian posterior under a standard normal prior."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class DiagonalGaussian:
    """A batch of Gaussians with independent coordinates.

    Attributes:
        mean: ``[B, L]``.
        log_variance: ``[B, L]``.
    """

    mean: Tensor
    log_variance: Tensor

    def rsample(self, generator: torch.Generator | None = None) -> Tensor:
        """Reparameterised samples ``[B, L]``."""
        # Drawn where the generator is (the CPU), so that a seed means the same on every device.
        noise = torch.randn(self.mean.shape, generator=generator).to(self.mean)
        return self.mean + torch.exp(0.5 * self.log_variance) * noise

    def log_prob(self, latents: Tensor) -> Tensor:
        """Log-density of ``latents [B, L]`` in nats, ``[B]``."""
        scaled = (latents - self.mean).square() * torch.exp(-self.log_variance)
        return -0.5 * (scaled + self.log_variance + math.log(2 * math.pi)).sum(1)

    def kl(self) -> Tensor:
        """Divergence from the standard normal, per latent and in nats, ``[B, L]`` (Kingma and Welling 2014, app. B)."""
        # expm1 keeps the digits when the posterior is near the prior.
        return 0.5 * (self.mean.square() + torch.expm1(self.log_variance) - self.log_variance)


@dataclass(frozen=True)
class EuclideanLatent:
    """A latent space of ``size`` real coordinates.

    Attributes:
        size: Number of latents L.
    """

    size: int

    @property
    def posterior_size(self) -> int:
        """Numbers that the encoder emits for an image: ``[mean | log-variance]``."""
        return 2 * self.size

    def posterior(self, features: Tensor) -> DiagonalGaussian:
        """The posterior that encoder features ``[B, 2 L]`` stand for."""
        mean, log_variance = features[:, : self.size], features[:, self.size :]
        return DiagonalGaussian(mean, log_variance)

    def prior_sample(self, number: int, generator: torch.Generator | None = None) -> Tensor:
        """Samples of the prior, ``[number, L]``."""
        return torch.randn(number, self.size, generator=generator)
