"""ima: the evidence lower bound where decoders are nearly deterministic (Reizinger et al. 2022, arXiv 2206.02416)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ...envs.registry import UsageError
from ..likelihoods import Gaussian
from .base import OBJECTIVES, Evidence, Objective, Setting, Terms

if TYPE_CHECKING:
    from ..vae import VAE


@dataclass
class ImaOptions:
    """Options of the objective."""

    beta: float = 1.0
    """Weight of the divergence in the end; 1: the evidence lower bound."""
    beta_start: float | None = None
    """Its weight at first, from which it goes to beta evenly in its logarithm; None: beta."""
    beta_steps: int = 4000
    """Updates until it is there."""


class Ima(Objective):
    """``-log p(x|z) + beta * KL`` under a Gaussian likelihood of precision gamma^2, which is logged.

    As gamma^2 grows, the bound at the best posterior tends to ``log p(x) - c_IMA``, the log-likelihood less the
    contrast of the decoder at the code: the evidence lower bound itself prefers decoders whose columns are orthogonal
    (Reizinger et al. 2022). So nothing is added to it. The divergence is the closed form where there is one, else the
    estimate at the sample that is decoded.

    Where gamma^2 is large from the beginning, codes are held so fast that they hardly turn any more. A divergence that
    weighs more at first is a smaller gamma^2 at first: ``gamma^2 / beta`` is what counts.

    Args:
        beta: The weight in the end; 1 gives the evidence lower bound.
        start: The weight at first.
        steps: Updates from the one to the other.

    Raises:
        UsageError: A weight is out of its range.
    """

    def __init__(self, beta: float = 1.0, start: float | None = None, steps: int = 4000) -> None:
        super().__init__()
        if not beta >= 0:
            raise UsageError(f"--beta must be 0 or more, not {beta}")
        if start is not None and not (start > 0 and beta > 0):
            raise UsageError(f"--beta-start needs weights above 0, not {start} and --beta {beta}")
        if steps < 1:
            raise UsageError(f"--beta-steps must be 1 or more, not {steps}")
        self.beta, self.start, self.steps = beta, start, steps

    def weight(self, step: int) -> float:
        """Weight of the divergence after ``step`` updates."""
        if self.start is None or step >= self.steps:
            return self.beta
        return float(self.start * (self.beta / self.start) ** (step / self.steps))

    def check(self, model: VAE) -> None:
        if not isinstance(model.likelihood, Gaussian):
            raise UsageError("--objective ima needs a precision: --likelihood gaussian is accepted")

    def terms(self, model: VAE, images: Tensor, step: int, generator: torch.Generator) -> Terms:
        assert isinstance(model.likelihood, Gaussian)
        return super().terms(model, images, step, generator) | {"gamma2": model.likelihood.gamma2}

    def loss(self, evidence: Evidence, step: int, generator: torch.Generator | None = None) -> Terms:
        reconstruction, kl = evidence.reconstruction.mean(), evidence.kl.sum(1).mean()
        return {
            "loss": reconstruction + self.weight(step) * kl,
            "reconstruction": reconstruction,
            "kl": kl,
            "posterior_variance": evidence.posterior.deviation.detach().square().mean(),
        }


@OBJECTIVES.part("ima", ImaOptions, "the bound of nearly deterministic decoders, IMA-VAE (Reizinger et al. 2022)")
def ima(options: ImaOptions, setting: Setting) -> Ima:
    """The evidence lower bound with a weight, for Gaussian likelihoods."""
    if options.beta_start is None and options.beta_steps != ImaOptions.beta_steps:
        raise UsageError("--beta-steps is not read without --beta-start")
    return Ima(options.beta, options.beta_start, options.beta_steps)
