"""How likely an image is under what the decoder emits: the reconstruction terms, by name."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional

from .networks import ImageShape
from .parts import NoOptions, Parts


class Likelihood(nn.Module, ABC):
    """Scores images against what the decoder emits for them.

    Attributes:
        channels: Numbers that the decoder emits for each pixel of one channel.
        normalised: Whether ``loss`` is the negative logarithm of a density or probability.
    """

    channels: int = 1
    normalised: bool = True

    @abstractmethod
    def loss(self, outputs: Tensor, images: Tensor) -> Tensor:
        """``-log p(image | outputs)`` summed over pixels, one number an image, ``[B]``.

        Args:
            outputs: Of the decoder, ``[B, C * channels, H, W]``.
            images: ``[B, C, H, W]``.
        """

    @abstractmethod
    def mean(self, outputs: Tensor) -> Tensor:
        """The mean image, ``[B, C, H, W]``."""


LIKELIHOODS = Parts("likelihood")
"""The names that ``--likelihood`` takes; what builds one takes its options and the images' shape."""


class Bernoulli(Likelihood):
    """Binary cross-entropy in nats; the decoder emits logits."""

    def loss(self, outputs: Tensor, images: Tensor) -> Tensor:
        return functional.binary_cross_entropy_with_logits(outputs, images, reduction="none").sum((1, 2, 3))

    def mean(self, outputs: Tensor) -> Tensor:
        return torch.sigmoid(outputs)


class Squared(Likelihood):
    """Squared error between the sigmoid of the logits and the image (the research codes' "gaussian", unnormalised)."""

    normalised = False

    def loss(self, outputs: Tensor, images: Tensor) -> Tensor:
        return (torch.sigmoid(outputs) - images).square().sum((1, 2, 3))

    def mean(self, outputs: Tensor) -> Tensor:
        return torch.sigmoid(outputs)


@LIKELIHOODS.part("bernoulli", NoOptions, "cross-entropy in nats, summed over pixels")
def bernoulli(options: NoOptions, image_shape: ImageShape) -> Bernoulli:
    """For images in [0, 1]."""
    return Bernoulli()


@LIKELIHOODS.part(
    "squared", NoOptions, "squared error, summed over pixels: no likelihood, but what many codes minimise"
)
def squared(options: NoOptions, image_shape: ImageShape) -> Squared:
    """For images in [0, 1]."""
    return Squared()
