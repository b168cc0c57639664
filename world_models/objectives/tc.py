"""tc: the divergence taken apart and weighted by part, beta-TCVAE (Chen et al. 2018, arXiv 1802.04942)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from ...envs.registry import UsageError
from ..latents import DiagonalGaussian, LatentSpace
from ..latents.numerics import HALF_LOG_2PI
from .base import OBJECTIVES, Evidence, Objective, Setting, Terms

if TYPE_CHECKING:
    from ..vae import VAE


@dataclass
class TCOptions:
    """Options of the objective."""

    alpha: float = 1.0
    """Weight of the mutual information of image and code."""
    beta: float = 6.0
    """Weight of the total correlation of the latents."""
    gamma: float = 1.0
    """Weight of the divergence of each latent by itself from the prior."""
    sampling: Literal["weighted", "stratified"] = "weighted"
    """Estimate of the density of all codes from a batch: minibatch-weighted or minibatch-stratified sampling."""


def need_gaussian(model: VAE, name: str) -> None:
    """Refuses a model whose posteriors are not diagonal Gaussians.

    Raises:
        UsageError: They are not.
    """
    features = torch.zeros(1, model.latent.posterior_size, device=model.latent.device)
    if not isinstance(model.latent.posterior(features), DiagonalGaussian):
        raise UsageError(f"--objective {name} needs Gaussian posteriors: --latent euclidean is accepted")


class TC(Objective):
    """The evidence lower bound with a weight on each part of the divergence.

    With q(z) the mean posterior of all images,

        KL = (log q(z|x) - log q(z)) + (log q(z) - sum_j log q(z_j)) + sum_j (log q(z_j) - log p(z_j))

    on average: the mutual information of image and code, the total correlation, and the divergence of each latent
    by itself. ``loss = reconstruction + KL + (alpha - 1) MI + (beta - 1) TC + (gamma - 1) KL_j``, where KL is the
    closed form, so that three weights of 1 are the evidence lower bound itself.

    Args:
        space: Whose prior p is.
        images: How many images there are, N.
        alpha: Weight of the mutual information, 0 or more.
        beta: Weight of the total correlation, 0 or more.
        gamma: Weight of the divergences by latent, 0 or more.
        sampling: How q(z) and q(z_j) are estimated from a batch: ``weighted`` or ``stratified``.

    Raises:
        UsageError: A weight is negative.
    """

    def __init__(self, space: LatentSpace, images: int, alpha: float, beta: float, gamma: float, sampling: str) -> None:
        super().__init__()
        for name, value in {"alpha": alpha, "beta": beta, "gamma": gamma}.items():
            if not value >= 0:
                raise UsageError(f"--{name} must be 0 or more, not {value}")
        self.space = (space,)  # not a part of the objective: its parameters are the model's
        self.images, self.alpha, self.beta, self.gamma, self.sampling = images, alpha, beta, gamma, sampling

    def check(self, model: VAE) -> None:
        need_gaussian(model, "tc")

    def loss(self, evidence: Evidence, step: int, generator: torch.Generator | None = None) -> Terms:
        assert isinstance(evidence.posterior, DiagonalGaussian)  # as checked
        pairs = pairwise(evidence.posterior, evidence.codes)
        own = pairs.diagonal().sum(0)
        prior = self.space[0].prior_log_prob(evidence.codes)
        aggregate = self.aggregate(pairs.sum(2))
        marginals = self.aggregate(pairs).sum(1)
        information, correlation = (own - aggregate).mean(), (aggregate - marginals).mean()
        by_latent = (marginals - prior).mean()
        reconstruction, kl = evidence.reconstruction.mean(), evidence.kl.sum(1).mean()
        others = (self.alpha - 1) * information + (self.beta - 1) * correlation + (self.gamma - 1) * by_latent
        return {
            "loss": reconstruction + kl + others,
            "reconstruction": reconstruction,
            "kl": kl,
            "mutual_information": information,
            "total_correlation": correlation,
            "dimension_wise_kl": by_latent,
        }

    def aggregate(self, pairs: Tensor) -> Tensor:
        """Log-density of the mean posterior of all images at the codes of a batch of them.

        Weighted: every posterior of the batch counts 1/(NB), which on average gives less than the density (section 4 of
        the paper); where the batch holds all images, 1/N of it.

        Stratified: a code's own posterior counts 1/N and each other one (1 - 1/N)/(B - 1). This has no bias (in the
        density, not in its logarithm), and is exact where the batch holds all images. The paper's estimate (appendix)
        gives one of the others, no matter which, another weight; this is its mean over which.

        Args:
            pairs: Log-density of each code under each posterior, ``[B, B, ...]``.

        Returns:
            ``[B, ...]``
        """
        batch, images = len(pairs), max(self.images, len(pairs))
        if self.sampling == "weighted":
            return pairs.logsumexp(1) - math.log(images * batch)
        others = math.log1p(-1 / images) - math.log(batch - 1) if batch > 1 else 0.0
        weights = torch.full((batch, batch), others).fill_diagonal_(-math.log(images)).to(pairs)
        return (pairs + weights.view(batch, batch, *[1] * (pairs.dim() - 2))).logsumexp(1)


def pairwise(posterior: DiagonalGaussian, codes: Tensor) -> Tensor:
    """Log-density of each latent of each of ``codes [N, L]`` under each posterior of the batch, ``[N, B, L]``."""
    scaled = (codes[:, None] - posterior.mean) * torch.exp(-0.5 * posterior.log_variance)
    return -0.5 * (scaled.square() + posterior.log_variance) - HALF_LOG_2PI


@OBJECTIVES.part("tc", TCOptions, "divergence weighted by part, beta-TCVAE (Chen et al. 2018)")
def tc(options: TCOptions, setting: Setting) -> TC:
    """Mutual information, total correlation and divergence by latent, each with a weight."""
    return TC(setting.space, setting.images, options.alpha, options.beta, options.gamma, options.sampling)
