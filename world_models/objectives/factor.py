"""factor: a total correlation that a discriminator tells, FactorVAE (Kim and Mnih 2018, arXiv 1802.05983)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from ...envs.registry import UsageError
from ..latents import LatentSpace
from ..networks import initialise
from .base import OBJECTIVES, Evidence, Objective, Setting, Terms

if TYPE_CHECKING:
    from ..vae import VAE

_BETAS = (0.5, 0.9)  # of the discriminator's Adam, as published
_SLOPE = 0.2
_LEAST = 4  # images in a batch of which half can be permuted


@dataclass
class FactorOptions:
    """Options of the objective."""

    gamma: float = 6.4
    """Weight of the total correlation."""
    discriminator_layers: int = 6
    """Hidden layers of the discriminator."""
    discriminator_width: int = 1000
    """Units in each of them."""
    discriminator_learning_rate: float = 1e-4
    """The discriminator's learning rate; its Adam has betas 0.5 and 0.9."""


class Factor(Objective):
    """The evidence lower bound, and ``gamma`` times the total correlation of the codes.

    The total correlation, the divergence of the aggregate posterior from the product of its factors, is read off a
    discriminator that is trained to tell codes from codes whose factors were permuted across a batch (algorithm 2 of
    the paper). A batch is split at random: one half trains the networks and gives the discriminator its codes, the
    other half is permuted. The networks take the discriminator's weights as constants, and the discriminator the
    codes, so that one backward pass trains both, each by its own loss alone.

    Args:
        space: Whose codes these are; what is permuted are its factors.
        gamma: The weight, 0 or more.
        layers: Hidden layers of the discriminator.
        width: Units in each.
        learning_rate: Of the discriminator.
        generator: Source of its initial weights.

    Raises:
        UsageError: An option is out of its range, or the space has a single factor.
    """

    def __init__(
        self,
        space: LatentSpace,
        gamma: float,
        layers: int,
        width: int,
        learning_rate: float,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        if not gamma >= 0:
            raise UsageError(f"--gamma must be 0 or more, not {gamma}")
        for name, value in {"layers": layers, "width": width, "learning-rate": learning_rate}.items():
            if not value > 0:
                raise UsageError(f"--discriminator-{name} must be above 0, not {value}")
        if space.factors < 2:
            raise UsageError("--objective factor needs two factors or more: --latents or --factor-size makes just one")
        self.gamma, self.factors, self.learning_rate = gamma, space.factors, learning_rate
        hidden: list[nn.Module] = []
        for inputs in [space.size, *[width] * (layers - 1)]:
            hidden += [nn.Linear(inputs, width), nn.LeakyReLU(_SLOPE)]
        self.discriminator = nn.Sequential(*hidden, nn.Linear(width, 2))
        initialise(self.discriminator, "relu", generator)

    def terms(self, model: VAE, images: Tensor, step: int, generator: torch.Generator) -> Terms:
        # A batch may be in the order of the data, so its halves are drawn.
        order = torch.randperm(len(images), generator=generator).to(images.device)
        first, second = images[order].tensor_split([(len(images) + 1) // 2])
        evidence = model.evidence(first, generator)
        terms = self.loss(evidence, step)
        if len(second) < 2:  # nothing to permute: the discriminator waits
            return terms
        with torch.no_grad():
            mixed = self.permuted(model.posterior(second).rsample(generator), generator)
        logits = self.discriminator(torch.cat([evidence.codes.detach(), mixed])).float()
        truth = (torch.arange(len(logits), device=logits.device) >= len(first)).long()
        each = functional.cross_entropy(logits, truth, reduction="none")
        wrong = 0.5 * (each[: len(first)].mean() + each[len(first) :].mean())
        accuracy = (logits.argmax(1) == truth).float().mean()
        return terms | {"discriminator": wrong, "accuracy": accuracy, "loss": terms["loss"] + wrong}

    def loss(self, evidence: Evidence, step: int, generator: torch.Generator | None = None) -> Terms:
        """What the networks minimise; the discriminator learns nothing from it."""
        reconstruction, kl = evidence.reconstruction.mean(), evidence.kl.sum(1).mean()
        correlation = self.total_correlation(evidence.codes)
        loss = reconstruction + kl + self.gamma * correlation
        return {"loss": loss, "reconstruction": reconstruction, "kl": kl, "total_correlation": correlation}

    def total_correlation(self, codes: Tensor) -> Tensor:
        """As the discriminator reads it off codes ``[B, D]``, in nats; differentiable in these alone."""
        frozen = {name: weight.detach() for name, weight in self.discriminator.named_parameters()}
        logits = functional_call(self.discriminator, frozen, (codes,)).float()
        return (logits[:, 0] - logits[:, 1]).mean()

    def permuted(self, codes: Tensor, generator: torch.Generator) -> Tensor:
        """Codes ``[B, D]`` with each factor permuted across the batch by itself (algorithm 1 of the paper)."""
        split = codes.unflatten(1, (self.factors, -1))
        order = torch.rand(split.shape[:2], generator=generator).argsort(0).to(codes.device)
        return split.gather(0, order[..., None].expand_as(split)).flatten(1)

    def parameter_groups(self) -> list[dict[str, object]]:
        parameters = list(self.discriminator.parameters())
        return [{"name": "discriminator", "params": parameters, "lr": self.learning_rate, "betas": _BETAS}]


@OBJECTIVES.part("factor", FactorOptions, "total correlation by a discriminator, FactorVAE (Kim and Mnih 2018)")
def factor(options: FactorOptions, setting: Setting) -> Factor:
    """The evidence lower bound and a weight on the total correlation."""
    if 0 < setting.batch < _LEAST:
        raise UsageError(f"--objective factor permutes half a batch: --batch-size {_LEAST} or more is accepted")
    return Factor(
        setting.space,
        options.gamma,
        options.discriminator_layers,
        options.discriminator_width,
        options.discriminator_learning_rate,
        setting.generator,
    )
