"""What every objective offers, and the table of their names."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ..latents import Draw, LatentSpace, Posterior
from ..parts import Parts

if TYPE_CHECKING:
    from ..vae import VAE

Terms = dict[str, Tensor]


@dataclass(frozen=True)
class Setting:
    """What an objective is built for.

    Attributes:
        space: The latent space.
        images: How many images there are to train on.
        generator: Source of initial weights.
        batch: Images in a batch of training, at most; 0 if that is not known.
    """

    space: LatentSpace
    images: int
    generator: torch.Generator
    batch: int = 0


@dataclass(frozen=True)
class Evidence:
    """A batch of images, their posteriors, and how well samples of these explain them.

    Attributes:
        images: ``[B, C, H, W]``.
        posterior: Of each image.
        codes: A sample of each posterior, ``[B, D]``.
        reconstruction: ``-log p(x|z)`` of each image at its sample, in the likelihood's unit, ``[B]``.
        kl: Divergence of each posterior from the prior by factor in nats, ``[B, F]``: the closed form where there is
            one, else the same-sample estimate.
        draw: The sample with its densities; None where the codes were not drawn from the posteriors.
    """

    images: Tensor
    posterior: Posterior
    codes: Tensor
    reconstruction: Tensor
    kl: Tensor
    draw: Draw | None = None


class Objective(nn.Module, ABC):
    """Says what training minimises.

    An objective may have parameters of its own (a discriminator), learnt at rates of their own, and state that changes
    between updates (multipliers). State is kept in buffers, so that a checkpoint holds it.
    """

    def check(self, model: VAE) -> None:
        """Refuses a model that it makes no sense for.

        Raises:
            UsageError: As the message says.
        """

    def terms(self, model: VAE, images: Tensor, step: int, generator: torch.Generator) -> Terms:
        """The terms of the loss on images ``[B, C, H, W]``; ``"loss"`` is minimised, the others are logged.

        Args:
            model: Whose posterior and decoder are trained.
            images: A batch.
            step: Training updates made so far. Validation does not advance it.
            generator: Source of everything random.
        """
        return self.loss(model.evidence(images, generator), step, generator)

    @abstractmethod
    def loss(self, evidence: Evidence, step: int, generator: torch.Generator | None = None) -> Terms:
        """The terms of the loss of one sample for each image; ``"loss"`` is minimised."""

    def parameter_groups(self) -> list[dict[str, object]]:
        """Groups for the optimiser that hold all parameters of the objective, each with its ``name`` and ``lr``."""
        return []

    def advance(self, step: int) -> list[str]:
        """Called after each update, for what is not a gradient step of the model; returns lines for the log."""
        return []

    def warning(self) -> str | None:
        """What the user should know about the outcome, in one line; None if all is well."""
        return None


class Divergence(Objective):
    """An objective that weighs nothing but the divergence: what models that act can be trained with too."""

    @abstractmethod
    def penalty(self, kl: Tensor, step: int) -> Tensor:
        """The term for a batch.

        Args:
            kl: Divergence of each image's posterior from the prior in nats, ``[B]``.
            step: Training updates made so far.
        """

    def loss(self, evidence: Evidence, step: int, generator: torch.Generator | None = None) -> Terms:
        reconstruction, kl = evidence.reconstruction.mean(), evidence.kl.sum(1)
        penalty = self.penalty(kl, step)
        return {"loss": reconstruction + penalty, "reconstruction": reconstruction, "kl": kl.mean(), "penalty": penalty}


OBJECTIVES = Parts("objective", aliases={"H": "beta", "B": "capacity"})
"""The names that ``--objective`` takes; what builds one takes its options and a ``Setting``."""
