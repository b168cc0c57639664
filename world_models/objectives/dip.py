"""dip-i, dip-ii: codes pulled to uncorrelated latents of variance 1, DIP-VAE (Kumar et al. 2018, arXiv 1711.00848)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from ...envs.registry import UsageError
from ..latents import DiagonalGaussian
from .base import OBJECTIVES, Evidence, Objective, Setting, Terms
from .tc import need_gaussian

if TYPE_CHECKING:
    import torch

    from ..vae import VAE


@dataclass
class DIPOneOptions:
    """Options of the objective."""

    lambda_od: float = 10.0
    """Weight of the squared covariances of two latents."""
    lambda_d: float = 100.0
    """Weight of the squared distances of the latents' variances from 1."""


@dataclass
class DIPTwoOptions(DIPOneOptions):
    """Options of the objective."""

    lambda_d: float = 10.0
    """Weight of the squared distances of the latents' variances from 1."""


class DIP(Objective):
    """The evidence lower bound, and how far a covariance is from the identity.

    ``lambda_od sum_{i != j} C_ij^2 + lambda_d sum_i (C_ii - 1)^2`` with C, over a batch, the covariance of the
    posterior means, or that of samples: the former and the mean of the posterior variances.

    Args:
        lambda_od: Weight off the diagonal, 0 or more.
        lambda_d: Weight on the diagonal, 0 or more.
        samples: C is that of samples (DIP-VAE-II), not of means (DIP-VAE-I).

    Raises:
        UsageError: A weight is negative.
    """

    def __init__(self, lambda_od: float, lambda_d: float, samples: bool) -> None:
        super().__init__()
        for name, value in {"od": lambda_od, "d": lambda_d}.items():
            if not value >= 0:
                raise UsageError(f"--lambda-{name} must be 0 or more, not {value}")
        self.lambda_od, self.lambda_d, self.samples = lambda_od, lambda_d, samples

    def check(self, model: VAE) -> None:
        need_gaussian(model, "dip-ii" if self.samples else "dip-i")

    def covariance(self, posterior: DiagonalGaussian) -> Tensor:
        """C of a batch, ``[L, L]``."""
        centred = posterior.mean - posterior.mean.mean(0)
        covariance = centred.T @ centred / len(centred)
        return covariance + posterior.log_variance.exp().mean(0).diag() if self.samples else covariance

    def loss(self, evidence: Evidence, step: int, generator: torch.Generator | None = None) -> Terms:
        assert isinstance(evidence.posterior, DiagonalGaussian)  # as checked
        reconstruction, kl = evidence.reconstruction.mean(), evidence.kl.sum(1).mean()
        covariance = self.covariance(evidence.posterior)
        variances = covariance.diagonal()
        on, off = (variances - 1).square().sum(), (covariance - variances.diag()).square().sum()
        loss = reconstruction + kl + self.lambda_od * off + self.lambda_d * on
        return {"loss": loss, "reconstruction": reconstruction, "kl": kl, "off_diagonal": off, "diagonal": on}


@OBJECTIVES.part("dip-i", DIPOneOptions, "covariance of the means near the identity, DIP-VAE-I (Kumar et al. 2018)")
def dip_one(options: DIPOneOptions, setting: Setting) -> DIP:
    """Of posterior means."""
    return DIP(options.lambda_od, options.lambda_d, samples=False)


@OBJECTIVES.part("dip-ii", DIPTwoOptions, "covariance of the codes near the identity, DIP-VAE-II (Kumar et al. 2018)")
def dip_two(options: DIPTwoOptions, setting: Setting) -> DIP:
    """Of samples of the posteriors."""
    return DIP(options.lambda_od, options.lambda_d, samples=True)
