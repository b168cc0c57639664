"""gaussian: independent normal pixels of one variance, which is fixed, learnt, or optimal."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from ...envs.registry import UsageError
from ..networks import ImageShape
from .base import LIKELIHOODS, Likelihood

Rule = Literal["fixed", "learnt", "optimal"]
_LEAST = 1e-10  # of an optimal variance: perfect reconstructions have a density all the same
_LEAST_FIXED = 1e-20  # of a variance that is given; errors over it, and their gradients, are numbers in float32
_MEMORY = 0.01  # the last batch's share in the variance that is kept


@dataclass
class GaussianOptions:
    """Options of the likelihood."""

    decoder_mean: Literal["identity", "sigmoid"] = "identity"
    """What of the decoder's output is the mean: the output itself, or its sigmoid."""
    variance_rule: Rule = "fixed"
    """The variance: fixed, learnt by gradient, or optimal (the mean squared error of the batch)."""
    decoder_variance: float = 1.0
    """Variance of each pixel (fixed), or where it starts."""


class Gaussian(Likelihood):
    """``N(mean, variance)`` for each pixel and channel, with its normalising constant.

    The optimal variance is that of sigma-VAE (Rybkin et al. 2021, arXiv 2006.13202): in training the mean squared error
    of the batch itself. In validation and evaluation it is what training left, a running mean over batches, and stays.

    Args:
        variance: The variance, or where it starts.
        rule: Whether it is fixed, learnt (as its logarithm, so that it stays above 0) or optimal.
        sigmoid: Whether the mean is the sigmoid of the decoder's output.

    Raises:
        UsageError: A variance that is not above 0, or out of what float32 holds.
    """

    log_variance: Tensor
    batches: Tensor

    def __init__(self, variance: float = 1.0, rule: Rule = "fixed", sigmoid: bool = False) -> None:
        super().__init__()
        if not _LEAST_FIXED <= variance <= 1 / _LEAST_FIXED:
            raise UsageError(
                f"--decoder-variance must be from {_LEAST_FIXED:g} to {1 / _LEAST_FIXED:g}, not {variance}"
            )
        self.rule, self.sigmoid = rule, sigmoid
        start = torch.tensor(math.log(variance))
        if rule == "learnt":
            self.log_variance = nn.Parameter(start)
        else:
            self.register_buffer("log_variance", start, persistent=rule == "optimal")
        if rule == "optimal":
            self.register_buffer("batches", torch.zeros((), dtype=torch.int64))

    @property
    def variance(self) -> Tensor:
        """The variance of each pixel, a scalar."""
        return torch.exp(self.log_variance)

    @property
    def gamma2(self) -> Tensor:
        """The precision, 1 over the variance, a scalar without gradient."""
        return torch.exp(-self.log_variance.detach())

    def mean(self, outputs: Tensor) -> Tensor:
        return torch.sigmoid(outputs) if self.sigmoid else outputs

    def loss(self, outputs: Tensor, images: Tensor) -> Tensor:
        squared = (self.mean(outputs) - images).square()
        log_variance = self.log_variance
        if self.rule == "optimal" and self.training:
            # At the optimum the loss does not depend on the variance: no gradient is lost.
            log_variance = self._follow(squared.detach().mean())
        constant = 0.5 * images[0].numel() * (math.log(2 * math.pi) + log_variance)
        return 0.5 * torch.exp(-log_variance) * squared.sum((1, 2, 3)) + constant

    @torch.no_grad()
    def _follow(self, variance: Tensor) -> Tensor:
        """Takes the variance of a batch into the running mean; returns its logarithm."""
        variance = variance.clamp(min=_LEAST)
        self.batches += 1
        share = (1 / self.batches).clamp(min=_MEMORY)
        self.log_variance.copy_(torch.log(torch.lerp(self.variance, variance, share)))
        return torch.log(variance)


@LIKELIHOODS.part(
    "gaussian", GaussianOptions, "normal, in nats, normalised; optimal variance: sigma-VAE (arXiv 2006.13202)"
)
def gaussian(options: GaussianOptions, image_shape: ImageShape) -> Gaussian:
    """For any data."""
    return Gaussian(options.decoder_variance, options.variance_rule, options.decoder_mean == "sigmoid")
