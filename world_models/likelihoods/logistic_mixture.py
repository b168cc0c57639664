"""logistic-mixture: the discretised mixture of logistics for images of 8 bits (PixelCNN++, arXiv 1701.05517)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from ...envs.registry import UsageError
from ..networks import ImageShape
from .base import LIKELIHOODS, Likelihood

_LOG_SCALES = -7.0, 20.0  # the least as published, a fraction of a level; the most is as good as flat


@dataclass
class LogisticMixtureOptions:
    """Options of the likelihood."""

    mixture_components: int = 10
    """Logistics in the mixture of each pixel."""


class LogisticMixture(Likelihood):
    """A mixture of logistics for each pixel, whose mass is cut into levels (Salimans et al. 2017, arXiv 1701.05517).

    Values lie in [-1, 1]; a level has the mass of its interval, and the two at the ends that of all beyond. The
    channels of a pixel share the component. Within it, the mean of a channel is shifted by a linear function of the
    channels before it.

    For each pixel the decoder emits, component by component, the logits, then for each channel mean and log-scale (at
    least -7), then the coefficients of the shifts: ``K (1 + 2 C + C (C - 1) / 2)`` numbers.

    Args:
        image_channels: C.
        components: K.
        levels: Values that a channel can take.

    Raises:
        UsageError: No component.
    """

    channels: int

    def __init__(self, image_channels: int, components: int = 10, levels: int = 256) -> None:
        super().__init__()
        if components < 1:
            raise UsageError(f"--mixture-components must be 1 or more, not {components}")
        self.image_channels, self.components, self.levels = image_channels, components, levels
        pairs = image_channels * (image_channels - 1) // 2
        self.channels = components * (1 + 2 * image_channels + pairs)

    def _read(self, outputs: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Logits ``[B, K, H, W]``, means and log-scales ``[B, C, K, H, W]``, coefficients ``[B, pairs, K, H, W]``."""
        number = self.image_channels
        parts = outputs.unflatten(1, (-1, self.components))
        logits, means, log_scales, shifts = parts.split([1, number, number, parts.shape[1] - 1 - 2 * number], 1)
        return logits[:, 0], means, log_scales.clamp(*_LOG_SCALES), torch.tanh(shifts)

    def _shifted(self, means: Tensor, shifts: Tensor, known: Tensor | None) -> Tensor:
        """The means of all channels, given the values of those before them; where unknown, these are at their means."""
        found, place = means[:, :1], 0
        for channel in range(1, self.image_channels):
            before = found if known is None else known[:, :channel, None]
            shift = (shifts[:, place : place + channel] * before).sum(1, keepdim=True)
            found = torch.cat([found, means[:, channel : channel + 1] + shift], 1)
            place += channel
        return found

    def loss(self, outputs: Tensor, images: Tensor) -> Tensor:
        logits, means, log_scales, shifts = self._read(outputs)
        values = 2 * images - 1
        centred = values[:, :, None] - self._shifted(means, shifts, values)
        half = 1 / (self.levels - 1)
        rate = torch.exp(-log_scales)
        upper, lower = (centred + half) * rate, (centred - half) * rate
        # sigmoid(b) - sigmoid(a) = sigmoid(b) sigmoid(-a) (1 - exp(a - b)), where b - a is known without cancellation.
        inner = torch.log(-torch.expm1(-2 * half * rate))
        inner = inner + functional.logsigmoid(upper) + functional.logsigmoid(-lower)
        below, above = (values < half - 1)[:, :, None], (values > 1 - half)[:, :, None]
        ends = torch.where(below, functional.logsigmoid(upper), functional.logsigmoid(-lower))
        mass = torch.where(below | above, ends, inner).sum(1)
        return -torch.logsumexp(mass + torch.log_softmax(logits, 1), 1).sum((1, 2))

    def mean(self, outputs: Tensor) -> Tensor:
        """The mixture of the components' means, each cut off at black and white."""
        logits, means, _, shifts = self._read(outputs)
        found = self._shifted(means, shifts, None).clamp(-1, 1)
        return 0.5 + 0.5 * (torch.softmax(logits, 1)[:, None] * found).sum(2)

    def check(self, images: Tensor) -> None:
        levels = images * (self.levels - 1)
        odd = (images < 0) | (images > 1) | ((levels - levels.round()).abs() > 1e-3)
        if odd.any():
            raise UsageError(
                "--likelihood logistic-mixture takes images of 8 bits, 0 to 255 as shares of 1, and the data has "
                f"{float(images[odd][0]):.6g}: gaussian is accepted"
            )


@LIKELIHOODS.part(
    "logistic-mixture",
    LogisticMixtureOptions,
    "discretised mixture of logistics, in nats (Salimans et al. 2017, arXiv 1701.05517)",
)
def logistic_mixture(options: LogisticMixtureOptions, image_shape: ImageShape) -> LogisticMixture:
    """For images of 8 bits."""
    return LogisticMixture(image_shape[2], options.mixture_components)
