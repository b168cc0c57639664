"""info: the aggregate posterior pulled to the prior, InfoVAE with MMD (Zhao et al. 2017, arXiv 1706.02262)."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ...envs.registry import UsageError
from ..latents import LatentSpace
from .base import OBJECTIVES, Evidence, Objective, Setting, Terms
from .mmd import Kernel, KernelOptions, mmd


@dataclass
class InfoOptions(KernelOptions):
    """Options of the objective."""

    alpha: float = 0.5
    """What is taken off the weight of the divergence; at most 1. 0 with lambda-prior 1: the evidence lower bound."""
    lambda_prior: float = 1.0
    """Lambda: the discrepancy of codes and prior weighs alpha + lambda - 1, times mmd-scale."""
    mmd_scale: float = 1e4
    """The discrepancy, which is below 2, counts so many times."""
    bandwidth: str | float = "dim-squared"
    """h: dim (numbers in a code), dim-squared, median (of the squared distances in a batch), or a number."""


class Info(Objective):
    """``reconstruction + (1 - alpha) KL + (alpha + lambda - 1) scale MMD``, eq. 6 of the paper.

    MMD is the squared maximum mean discrepancy of a batch of codes, one of each posterior, from as many of the prior.

    Args:
        space: Whose prior the codes are compared with.
        alpha: Taken off the divergence's weight; at most 1.
        lambda_prior: The paper's lambda; ``alpha + lambda_prior`` is at least 1.
        scale: Of the discrepancy, above 0.
        kernel: Of the discrepancy.
        unbiased: Its U-statistic, not its V-statistic.

    Raises:
        UsageError: A weight would be negative.
    """

    def __init__(
        self, space: LatentSpace, alpha: float, lambda_prior: float, scale: float, kernel: Kernel, unbiased: bool
    ) -> None:
        super().__init__()
        if not alpha <= 1:
            raise UsageError(f"--alpha must be 1 or less (the divergence weighs 1 - alpha), not {alpha}")
        if not alpha + lambda_prior >= 1:
            raise UsageError(
                f"--lambda-prior must be {1 - alpha:g} or more with --alpha {alpha:g}, not {lambda_prior:g}:"
                " the discrepancy weighs alpha + lambda - 1"
            )
        if not scale > 0:
            raise UsageError(f"--mmd-scale must be above 0, not {scale}")
        self.space = (space,)  # not a part of the objective: its parameters are the model's
        self.kl_weight, self.mmd_weight = 1 - alpha, (alpha + lambda_prior - 1) * scale
        self.kernel, self.unbiased = kernel, unbiased

    def loss(self, evidence: Evidence, step: int, generator: torch.Generator | None = None) -> Terms:
        prior = self.space[0].prior_sample(len(evidence.codes), generator).detach()
        discrepancy = mmd(evidence.codes, prior, self.kernel, self.unbiased)
        reconstruction, kl = evidence.reconstruction.mean(), evidence.kl.sum(1).mean()
        loss = reconstruction + self.kl_weight * kl + self.mmd_weight * discrepancy
        return {"loss": loss, "reconstruction": reconstruction, "kl": kl, "mmd": discrepancy}


@OBJECTIVES.part("info", InfoOptions, "codes compared with the prior by MMD, InfoVAE (Zhao et al. 2017)")
def info(options: InfoOptions, setting: Setting) -> Info:
    """A lower weight on the divergence, and one on the discrepancy."""
    kernel = Kernel(options.kernel, options.bandwidth)
    return Info(setting.space, options.alpha, options.lambda_prior, options.mmd_scale, kernel, options.unbiased)
