"""How likely an image is under the decoder's logits: the reconstruction terms."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from ..envs.registry import Registry


class Likelihood:
    """Scores images against logits. Subclasses give the loss; the mean image is the sigmoid of the logits."""

    def loss(self, logits: Tensor, images: Tensor) -> Tensor:
        """Summed over pixels: one number an image, ``[B]``."""
        raise TypeError(f"{type(self).__name__} has no loss of its own")

    def mean(self, logits: Tensor) -> Tensor:
        """The decoded image in [0, 1]."""
        return torch.sigmoid(logits)


LIKELIHOODS = Registry[type[Likelihood]]("likelihood")


@LIKELIHOODS.register("bernoulli")
class Bernoulli(Likelihood):
    """Binary cross-entropy in nats."""

    def loss(self, logits: Tensor, images: Tensor) -> Tensor:
        return functional.binary_cross_entropy_with_logits(logits, images, reduction="none").sum((1, 2, 3))


@LIKELIHOODS.register("squared")
class Squared(Likelihood):
    """Squared error between the sigmoid of the logits and the image (the research codes' "gaussian", unnormalised)."""

    def loss(self, logits: Tensor, images: Tensor) -> Tensor:
        return (torch.sigmoid(logits) - images).square().sum((1, 2, 3))
