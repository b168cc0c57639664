"""The variational auto-encoder that composes networks, latent space, likelihood and objective."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..datasets.loader import Batch
from .latents import Draw, EuclideanLatent, LatentSpace, Posterior
from .likelihoods import LIKELIHOODS, Likelihood
from .networks import Architecture, ImageShape, build_networks
from .objectives import Evidence, Objective
from .objectives.base import Terms

__all__ = ["VAE", "Terms"]


class VAE(nn.Module):
    """A world model of single images, and the base of those that act.

    A subclass changes what a step of training minimises (``terms``) and may add what the hooks below describe.

    Args:
        image_shape: Height, width, channels.
        latents: The latent space, or the number of latents L of a Euclidean one.
        architecture: The networks, or their name in ``ARCHITECTURES``.
        likelihood: The likelihood, or its name in ``LIKELIHOODS``.
        objective: What is minimised.
        learning_rate: Adam's rate.
        generator: Source of the initial weights.
    """

    window = 0
    """Transitions that follow one another in a training window; 0 asks for single images."""
    adam_beta1 = 0.9
    """Adam's decay of the mean gradient, of all groups that do not say otherwise."""

    def __init__(
        self,
        image_shape: ImageShape,
        latents: int | LatentSpace,
        architecture: str | Architecture,
        likelihood: str | Likelihood,
        objective: Objective,
        learning_rate: float,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.image_shape = image_shape
        self.latent = latents if isinstance(latents, LatentSpace) else EuclideanLatent(latents)
        if isinstance(likelihood, str):
            named = LIKELIHOODS[likelihood]
            likelihood = named.build(named.options(), image_shape)
        assert isinstance(likelihood, Likelihood)
        self.likelihood = likelihood
        self.objective = objective
        self.learning_rate = learning_rate
        self.encoder, self.decoder = build_networks(
            architecture,
            image_shape,
            self.latent.posterior_size,
            self.latent.feature_size,
            generator,
            self.likelihood.channels,
        )
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    # What users call.

    def posterior(self, images: Tensor) -> Posterior:
        """The posterior over codes of images ``[B, C, H, W]`` in [0, 1]."""
        return self.latent.posterior(self.encoder(images).float())

    def encode(self, images: Tensor) -> Tensor:
        """Posterior means, codes of the latent space, ``[B, L]``."""
        return self.posterior(images).mean

    def decode(self, latents: Tensor) -> Tensor:
        """Mean images ``[B, C, H, W]`` in [0, 1] of codes ``[B, L]``."""
        return self.likelihood.mean(self.logits(latents))

    def logits(self, latents: Tensor) -> Tensor:
        """What the likelihood reads of codes ``[B, L]``, ``[B, channels, H, W]``."""
        return self.decoder(self.latent.features(latents)).float()

    def evidence(self, images: Tensor, generator: torch.Generator | None = None) -> Evidence:
        """Posteriors of images ``[B, C, H, W]``, a sample of each, and how well it explains its image."""
        posterior = self.posterior(images)
        return self.explained(posterior, posterior.draw(generator), images)

    def explained(self, posterior: Posterior, samples: Tensor | Draw, images: Tensor) -> Evidence:
        """The same of posteriors and samples that are there already: codes ``[B, L]``, or draws with their densities.

        Where the divergence has no closed form it is estimated from a ``Draw``'s own densities.
        """
        draw = samples if isinstance(samples, Draw) else None
        codes = samples.codes if isinstance(samples, Draw) else samples
        reconstruction = self.likelihood.loss(self.logits(codes), images)
        kl = posterior.kl() if draw is None else posterior.divergence(draw)
        return Evidence(images, posterior, codes, reconstruction, kl, draw)

    # What the trainer calls.

    def terms(self, batch: Batch, step: int, generator: torch.Generator) -> Terms:
        """The terms of the loss on a batch; ``"loss"`` is their weighted sum, which is minimised."""
        return self.objective.terms(self, batch.frames, step, generator)

    def bound(
        self,
        posterior: Posterior,
        samples: Tensor | Draw,
        images: Tensor,
        step: int,
        generator: torch.Generator | None = None,
    ) -> Terms:
        """What the objective makes of ``images``, their posteriors and samples of these."""
        return self.objective.loss(self.explained(posterior, samples, images), step, generator)

    def parameter_groups(self) -> list[dict[str, object]]:
        """Groups for the optimiser, each with its ``name`` and ``lr``."""
        own = {id(parameter) for parameter in self.objective.parameters()}
        rest = [parameter for parameter in self.parameters() if id(parameter) not in own]
        return [{"name": "networks", "params": rest, "lr": self.learning_rate}, *self.objective.parameter_groups()]

    def rate(self, step: int, group: str) -> float:
        """Multiplier of the learning rate of a parameter group at an update."""
        return 1.0

    def advance(self, loader: Any, step: int) -> list[str]:
        """Called after each update, for what is not a gradient step; returns lines for the log."""
        return self.objective.advance(step)

    def warning(self) -> str | None:
        """What the user should know about the outcome of training, in one line; None if all is well."""
        return self.objective.warning()

    def expected_updates(self, step: int, most: int) -> int:
        """How many updates there will be as far as is known after ``step`` of them, ``most`` at most."""
        return most

    def finished(self, step: int) -> bool:
        """Whether training has nothing left to do, whatever the number of epochs."""
        return False
