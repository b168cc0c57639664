"""bernoulli: the cross-entropy of grey levels, each read as a probability."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from ..networks import ImageShape
from ..parts import NoOptions
from .base import LIKELIHOODS, Likelihood, check_range


class Bernoulli(Likelihood):
    """Binary cross-entropy in nats; the decoder emits logits."""

    def loss(self, outputs: Tensor, images: Tensor) -> Tensor:
        return functional.binary_cross_entropy_with_logits(outputs, images, reduction="none").sum((1, 2, 3))

    def mean(self, outputs: Tensor) -> Tensor:
        return torch.sigmoid(outputs)

    def check(self, images: Tensor) -> None:
        check_range("bernoulli", images)


@LIKELIHOODS.part("bernoulli", NoOptions, "cross-entropy in nats, summed over pixels")
def bernoulli(options: NoOptions, image_shape: ImageShape) -> Bernoulli:
    """For images in [0, 1]."""
    return Bernoulli()
