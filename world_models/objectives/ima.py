"""ima: the evidence lower bound where decoders are nearly deterministic (Reizinger et al. 2022, arXiv 2206.02416)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ...envs.registry import UsageError
from ..likelihoods import Gaussian
from .base import OBJECTIVES, Evidence, Objective, Setting, Terms
from .beta import BetaOptions

if TYPE_CHECKING:
    from ..vae import VAE


class Ima(Objective):
    """``-log p(x|z) + beta * KL`` under a Gaussian likelihood of precision gamma^2, which is logged.

    As gamma^2 grows, the bound at the best posterior tends to ``log p(x) - c_IMA``, the log-likelihood less the
    contrast of the decoder at the code: the evidence lower bound itself prefers decoders whose columns are orthogonal
    (Reizinger et al. 2022). So nothing is added to it. The divergence is the closed form where there is one, else the
    estimate at the sample that is decoded.

    Args:
        beta: The weight; 1 gives the evidence lower bound.

    Raises:
        UsageError: The weight is negative.
    """

    def __init__(self, beta: float = 1.0) -> None:
        super().__init__()
        if not beta >= 0:
            raise UsageError(f"--beta must be 0 or more, not {beta}")
        self.beta = beta

    def check(self, model: VAE) -> None:
        if not isinstance(model.likelihood, Gaussian):
            raise UsageError("--objective ima needs a precision: --likelihood gaussian is accepted")

    def terms(self, model: VAE, images: Tensor, step: int, generator: torch.Generator) -> Terms:
        assert isinstance(model.likelihood, Gaussian)
        return super().terms(model, images, step, generator) | {"gamma2": model.likelihood.gamma2}

    def loss(self, evidence: Evidence, step: int, generator: torch.Generator | None = None) -> Terms:
        reconstruction, kl = evidence.reconstruction.mean(), evidence.kl.sum(1).mean()
        return {
            "loss": reconstruction + self.beta * kl,
            "reconstruction": reconstruction,
            "kl": kl,
            "posterior_variance": evidence.posterior.deviation.detach().square().mean(),
        }


@OBJECTIVES.part("ima", BetaOptions, "the bound of nearly deterministic decoders, IMA-VAE (Reizinger et al. 2022)")
def ima(options: BetaOptions, setting: Setting) -> Ima:
    """The evidence lower bound with a weight, for Gaussian likelihoods."""
    return Ima(options.beta)
