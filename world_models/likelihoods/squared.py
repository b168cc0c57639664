"""squared: the squared error that many codes minimise, which is no likelihood."""

from __future__ import annotations

import torch
from torch import Tensor

from ..networks import ImageShape
from ..parts import NoOptions
from .base import LIKELIHOODS, Likelihood, check_range


class Squared(Likelihood):
    """Squared error between the sigmoid of the logits and the image (the research codes' "gaussian", unnormalised)."""

    normalised = False

    def loss(self, outputs: Tensor, images: Tensor) -> Tensor:
        return (torch.sigmoid(outputs) - images).square().sum((1, 2, 3))

    def mean(self, outputs: Tensor) -> Tensor:
        return torch.sigmoid(outputs)

    def check(self, images: Tensor) -> None:
        check_range("squared", images)


@LIKELIHOODS.part(
    "squared", NoOptions, "squared error, summed over pixels: no likelihood, but what many codes minimise"
)
def squared(options: NoOptions, image_shape: ImageShape) -> Squared:
    """For images in [0, 1]."""
    return Squared()
