"""What every likelihood offers, and the table of their names."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn

from ...envs.registry import UsageError
from ..parts import Parts


class Likelihood(nn.Module, ABC):
    """Scores images against what the decoder emits for them.

    Attributes:
        channels: Channels that the decoder emits; None: as many as the images have.
        normalised: Whether ``loss`` is the negative logarithm of a density or probability.
    """

    channels: int | None = None
    normalised = True

    @abstractmethod
    def loss(self, outputs: Tensor, images: Tensor) -> Tensor:
        """``-log p(image | outputs)`` summed over pixels, one number an image, ``[B]``.

        Args:
            outputs: Of the decoder, ``[B, channels, H, W]``.
            images: ``[B, C, H, W]``.
        """

    @abstractmethod
    def mean(self, outputs: Tensor) -> Tensor:
        """The mean image, ``[B, C, H, W]``."""

    def check(self, images: Tensor) -> None:
        """Refuses data that it gives no density of; whatever is finite is accepted, unless said.

        Args:
            images: Some of the data, ``[B, C, H, W]``.

        Raises:
            UsageError: As the message says.
        """


def check_range(name: str, images: Tensor) -> None:
    """Refuses images outside [0, 1] for the likelihood called ``name``.

    Raises:
        UsageError: There are some.
    """
    low, high = float(images.min()), float(images.max())
    if low < 0 or high > 1:
        raise UsageError(
            f"--likelihood {name} takes images in [0, 1], and the data has numbers from {low:.3g} to {high:.3g}: "
            "gaussian is accepted"
        )


LIKELIHOODS = Parts("likelihood")
"""The names that ``--likelihood`` takes; what builds one takes its options and the images' shape."""
