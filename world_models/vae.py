"""The variational auto-encoder that composes networks, latent space, likelihood and objective."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..datasets.loader import Batch, WindowLoader
from .latents import Draw, EuclideanLatent, LatentSpace, Posterior
from .likelihoods import LIKELIHOODS
from .networks import ImageShape, build_networks
from .objectives import Objective

Terms = dict[str, Tensor]


class VAE(nn.Module):
    """A world model of single images, and the base of those that act.

    A subclass changes what a step of training minimises (``terms``) and may add what the hooks below describe.

    Args:
        image_shape: Height, width, channels.
        latents: The latent space, or the number of latents L of a Euclidean one.
        architecture: A name in ``ARCHITECTURES``.
        likelihood: A name in ``LIKELIHOODS``.
        objective: The divergence's part of the loss.
        learning_rate: Adam's rate.
        generator: Source of the initial weights.
    """

    window = 0
    """Transitions that follow one another in a training window; 0 asks for single images."""

    def __init__(
        self,
        image_shape: ImageShape,
        latents: int | LatentSpace,
        architecture: str,
        likelihood: str,
        objective: Objective,
        learning_rate: float,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.image_shape = image_shape
        self.latent = latents if isinstance(latents, LatentSpace) else EuclideanLatent(latents)
        self.likelihood = LIKELIHOODS[likelihood]()
        self.objective = objective
        self.learning_rate = learning_rate
        self.encoder, self.decoder = build_networks(
            architecture, image_shape, self.latent.posterior_size, self.latent.feature_size, generator
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
        """What the likelihood reads of codes ``[B, L]``: one map a channel, ``[B, C, H, W]``."""
        return self.decoder(self.latent.features(latents)).float()

    # What the trainer calls.

    def terms(self, batch: Batch, step: int, generator: torch.Generator) -> Terms:
        """The terms of the loss on a batch; ``"loss"`` is their weighted sum, which is minimised."""
        posterior = self.posterior(batch.frames)
        return self.bound(posterior, posterior.draw(generator), batch.frames, step)

    def bound(self, posterior: Posterior, samples: Tensor | Draw, images: Tensor, step: int) -> Terms:
        """Reconstruction of ``images`` from ``samples``, and the objective's penalty on ``posterior``.

        Where the divergence has no closed form it is estimated from a ``Draw``'s own densities.
        """
        codes, divergence = (
            (samples.codes, posterior.divergence(samples)) if isinstance(samples, Draw) else (samples, posterior.kl())
        )
        reconstruction = self.likelihood.loss(self.logits(codes), images).mean()
        kl = divergence.sum(1)
        penalty = self.objective.penalty(kl, step)
        return {"loss": reconstruction + penalty, "reconstruction": reconstruction, "kl": kl.mean(), "penalty": penalty}

    def parameter_groups(self) -> list[dict[str, object]]:
        """Groups for the optimiser, each with its ``name`` and ``lr``."""
        return [{"name": "networks", "params": list(self.parameters()), "lr": self.learning_rate}]

    def rate(self, step: int, group: str) -> float:
        """Multiplier of the learning rate of a parameter group at an update."""
        return 1.0

    def advance(self, loader: WindowLoader, step: int) -> list[str]:
        """Called after each update, for what is not a gradient step; returns lines for the log."""
        return []

    def warning(self) -> str | None:
        """What the user should know about the outcome of training, in one line; None if all is well."""
        return None

    def expected_updates(self, step: int, most: int) -> int:
        """How many updates there will be as far as is known after ``step`` of them, ``most`` at most."""
        return most

    def finished(self, step: int) -> bool:
        """Whether training has nothing left to do, whatever the number of epochs."""
        return False
