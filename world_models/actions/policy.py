"""The policy network: from two images to the action between them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ...envs.registry import UsageError
from ..networks import ImageShape, initialise


class PolicyNetwork(nn.Module):
    """Log-probabilities of the learnt actions, from the images before and after.

    Three strided convolutions (32, 16, 16 channels, 3x3, no padding) and a linear layer (Painter et al. 2020). The
    last layer starts at zero, so that the first policy is exactly uniform.

    Args:
        image_shape: Height, width, channels.
        actions: Number of learnt actions A.
        generator: Source of the initial weights.
    """

    def __init__(self, image_shape: ImageShape, actions: int, generator: torch.Generator) -> None:
        super().__init__()
        height, width, channels = image_shape
        for _ in range(3):
            height, width = (height - 1) // 2, (width - 1) // 2
        if min(height, width) < 1:
            raise UsageError(
                f"images of {image_shape[0]}x{image_shape[1]} are too small for the policy network: at least 15x15"
            )
        self.features = nn.Sequential(
            nn.Conv2d(2 * channels, 32, 3, 2),
            nn.ReLU(),
            nn.Conv2d(32, 16, 3, 2),
            nn.ReLU(),
            nn.Conv2d(16, 16, 3, 2),
            nn.ReLU(),
            nn.Flatten(),
        )
        self.last = nn.Linear(16 * height * width, actions)
        initialise(self.features, "relu", generator)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, before: Tensor, after: Tensor) -> Tensor:
        """Log-probabilities ``[B, A]`` for images ``[B, C, H, W]`` in [0, 1]."""
        logits = self.last(self.features(torch.cat([before, after], 1)))
        return torch.log_softmax(logits.float(), 1)
