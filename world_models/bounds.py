"""What a model of images says of their likelihood and of its own codes: bounds, and information in them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..envs.registry import UsageError
from .latents import Posterior
from .vae import VAE

_DECODED = 512  # images decoded at a time
_NUMBERS = 1 << 24  # of covariances of pairs of codes and posteriors whose density is held at a time


@torch.no_grad()
def evidence_bound(model: VAE, images: Tensor, generator: torch.Generator) -> Tensor:
    """The evidence lower bound of each image in nats, ``[B]``, by one sample of its posterior.

    The divergence is its closed form where there is one.

    Args:
        model: Whose bound it is.
        images: ``[B, C, H, W]``.
        generator: Source of the samples.
    """
    found = []
    for part in images.split(_DECODED):
        evidence = model.evidence(part, generator)
        found.append(-evidence.reconstruction - evidence.kl.sum(1))
    return torch.cat(found)


@torch.no_grad()
def importance_bound(model: VAE, images: Tensor, samples: int, generator: torch.Generator) -> Tensor:
    """The importance-weighted bound of each image in nats, ``[B]`` (Burda et al. 2015, arXiv 1509.00519, eq. 8).

    ``log mean_k p(x|z_k) p(z_k) / q(z_k|x)`` of so many samples: the more, the nearer to ``log p(x)`` from below.
    Memory does not grow with their number.

    Args:
        model: Whose bound it is.
        images: ``[B, C, H, W]``.
        samples: Of each posterior, K.
        generator: Source of the samples.

    Raises:
        UsageError: Fewer than one sample.
    """
    if samples < 1:
        raise UsageError(f"an importance-weighted bound takes 1 sample or more, not {samples}")
    found = []
    for part in images.split(max(1, _DECODED // samples)):
        posterior = model.posterior(part)
        total = torch.full((len(part),), -math.inf, dtype=torch.float64, device=part.device)
        done = 0
        while done < samples:
            repeats = min(samples - done, max(1, _DECODED // len(part)))
            rows = torch.arange(len(part), device=part.device).repeat(repeats)
            draw = posterior[rows].draw(generator)
            likelihood = -model.likelihood.loss(model.logits(draw.codes), part[rows])
            weight = (likelihood - draw.log_ratio.sum(1)).double().view(repeats, len(part))
            total = torch.logaddexp(total, weight.logsumexp(0))
            done += repeats
        found.append((total - math.log(samples)).float())
    return torch.cat(found)


@dataclass(frozen=True)
class Information:
    """Mutual information between images and codes, in nats.

    Attributes:
        lower: The mean of ``log q(z|x) - log q(z)`` where the aggregate posterior q(z) is the mean over all N images;
            at most log N (the multi-sample bound of Poole et al. 2019, arXiv 1905.06922, with the exact density).
        upper: The same with each image left out of its own aggregate (Poole et al. 2019, eq. 13).
        to_prior: The mean divergence from the prior: above the information by the divergence of q(z) from the prior.
    """

    lower: float
    upper: float
    to_prior: float


@torch.no_grad()
def mutual_information(posterior: Posterior, generator: torch.Generator) -> Information:
    """Bounds of the mutual information between N images and their codes, by one sample of each posterior.

    Args:
        posterior: Of the images, ``[N]``; two or more.
        generator: Source of the samples.
    """
    number = len(posterior.mean)
    draw = posterior.draw(generator)
    own = draw.densities[0].sum(1).double()
    with_own, without = [], []
    for rows in torch.arange(number).split(max(1, _NUMBERS // (number * draw.codes.shape[1] ** 2))):
        pairs = posterior.pairwise_log_prob(draw.codes[rows]).double()
        # Where a posterior is narrow its own density is exact only by the noise that the sample was made of.
        pairs[torch.arange(len(rows)), rows] = own[rows]
        with_own.append(pairs.logsumexp(1) - math.log(number))
        pairs[torch.arange(len(rows)), rows] = -math.inf
        without.append(pairs.logsumexp(1) - math.log(number - 1))
    return Information(
        float((own - torch.cat(with_own)).mean()),
        float((own - torch.cat(without)).mean()),
        float(posterior.divergence(draw).sum(1).double().mean()),
    )


def active_units(means: Tensor, least: float = 0.01) -> Tensor:
    """Which latents' posterior means vary over images, bool ``[L]`` (Burda et al. 2015, sec. 5.2).

    Args:
        means: Posterior means, ``[N, L]``.
        least: Variance above which they do.
    """
    return means.double().var(0, correction=0) > least
