"""iwae: the bound of several samples, importance-weighted (Burda et al. 2015, arXiv 1509.00519)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from ...envs.registry import UsageError
from ..likelihoods import Gaussian
from .base import OBJECTIVES, Evidence, Objective, Setting, Terms

if TYPE_CHECKING:
    from ..vae import VAE


@dataclass
class IWAEOptions:
    """Options of the objective."""

    importance_samples: int = 5
    """Samples K of each posterior; 1: the evidence lower bound, its divergence estimated by the sample."""
    decoded_at_once: int = 1024
    """Codes that are decoded at a time; where there are more, memory is saved by decoding twice."""


class IWAE(Objective):
    """``-log 1/K sum_k p(x|z_k) p(z_k) / q(z_k|x)`` with K samples of each posterior, a bound that tightens with K.

    The gradient is that of this estimate as it stands (section 3 of the paper).

    Args:
        samples: K, 1 or more.
        at_once: Codes decoded at a time, 1 or more. Of those that are decoded, no more than these are in memory: the
            backward pass decodes them again.

    Raises:
        UsageError: One of them is below 1.
    """

    def __init__(self, samples: int, at_once: int) -> None:
        super().__init__()
        for name, value in {"importance-samples": samples, "decoded-at-once": at_once}.items():
            if value < 1:
                raise UsageError(f"--{name} must be 1 or more, not {value}")
        self.samples, self.at_once = samples, at_once

    def check(self, model: VAE) -> None:
        if isinstance(model.likelihood, Gaussian) and model.likelihood.rule == "optimal":
            raise UsageError(
                "--objective iwae weighs samples, for which the mean squared error is not the optimal variance:"
                " --variance-rule fixed or learnt is accepted"
            )

    def terms(self, model: VAE, images: Tensor, step: int, generator: torch.Generator) -> Terms:
        rows = torch.arange(len(images), device=images.device).repeat_interleave(self.samples)
        draw = model.posterior(images)[rows].draw(generator)

        def explain(codes: Tensor, rows: Tensor) -> Tensor:
            return model.likelihood.loss(model.logits(codes), images[rows])

        parts = list(zip(draw.codes.split(self.at_once), rows.split(self.at_once), strict=True))
        if len(parts) == 1 or not torch.is_grad_enabled():
            found = [explain(*part) for part in parts]
        else:  # nothing in it is random, so no state of a generator is kept
            found = [checkpoint(explain, *part, use_reentrant=False, preserve_rng_state=False) for part in parts]
        by_image = (len(images), self.samples)
        return _bound(torch.cat(found).view(by_image), draw.log_ratio.sum(1).view(by_image))

    def loss(self, evidence: Evidence, step: int, generator: torch.Generator | None = None) -> Terms:
        """The bound of the one sample that there is of each image."""
        kl = evidence.kl if evidence.draw is None else evidence.draw.log_ratio
        return _bound(evidence.reconstruction[:, None], kl.sum(1)[:, None])


def _bound(reconstruction: Tensor, log_ratio: Tensor) -> Terms:
    """The terms of samples whose ``-log p(x|z)`` and ``log q(z|x) - log p(z)`` are given, each ``[B, K]``."""
    weights = -reconstruction - log_ratio
    loss = math.log(weights.shape[1]) - weights.logsumexp(1).mean()
    effective = 1 / weights.softmax(1).square().sum(1)
    return {
        "loss": loss,
        "reconstruction": reconstruction.mean(),
        "kl": log_ratio.mean(),
        "effective_samples": effective.mean(),
    }


@OBJECTIVES.part("iwae", IWAEOptions, "bound of several samples, importance-weighted (Burda et al. 2015)")
def iwae(options: IWAEOptions, setting: Setting) -> IWAE:
    """The importance-weighted bound."""
    return IWAE(options.importance_samples, options.decoded_at_once)
