"""What reads an agent's observations: the encoder of a world model that learns along, or SB3's own networks."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from gymnasium import spaces
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import Tensor, nn

from ..envs.registry import UsageError
from ..world_models.vae import VAE
from .observers import check_images, is_image

LEAST = 36
"""Pixels that NatureCNN's three convolutions need on each side."""


class EncoderExtractor(BaseFeaturesExtractor):
    """The encoder of a world model, which goes on learning with the policy; it gives posterior means ``[B, k L]``.

    Args:
        observation_space: Images ``[k C, H, W]``, k of them one after the other in the channels, or a ``Dict`` of such.
        model: The world model; its encoder is copied.
    """

    def __init__(self, observation_space: spaces.Space[Any], model: VAE) -> None:
        leaves = observation_space.spaces if isinstance(observation_space, spaces.Dict) else {"": observation_space}
        self._frames = {name: leaf.shape[0] // model.image_shape[2] for name, leaf in leaves.items() if leaf.shape}
        super().__init__(observation_space, sum(self._frames.values()) * model.latent.size)
        self.encoder, self.latent = copy.deepcopy(model.encoder), copy.deepcopy(model.latent)

    def forward(self, observations: Any) -> Tensor:
        """Codes of images in [0, 1]."""
        leaves = observations if isinstance(observations, dict) else {"": observations}
        codes = []
        for name, frames in self._frames.items():
            images = leaves[name].unflatten(1, (frames, -1)).flatten(0, 1)
            images = images.contiguous(memory_format=torch.channels_last)
            means = self.latent.posterior(self.encoder(images).float()).mean
            codes.append(means.unflatten(0, (-1, frames)).flatten(1))
        return torch.cat(codes, 1)

    def apply(self, fn: Callable[[nn.Module], None]) -> EncoderExtractor:
        """Leaves the weights as they are: policies initialise all their parts so, and these have been learnt."""
        return self


def policy_for(space: spaces.Space[Any], model: VAE | None) -> tuple[str, dict[str, Any]]:
    """The policy of stable-baselines3 for observations, by name, and its options.

    Args:
        space: Of one observation of the agent.
        model: The world model whose encoder is to be trained along; None: there is none.

    Raises:
        UsageError: The images are too small for NatureCNN, not those that the model takes, or stacked too high.
    """
    leaves: list[Any] = list(space.spaces.values()) if isinstance(space, spaces.Dict) else [space]
    images = [leaf for leaf in leaves if is_image(leaf)]
    options: dict[str, Any] = {}
    for height, width, depth in (leaf.shape for leaf in images):
        if depth >= min(height, width):  # stable-baselines3 takes the shortest side for that of the channels
            raise UsageError(
                f"--stack makes {depth} channels of images of {height}x{width}; fewer than that are accepted"
            )
    if model is not None:
        channels = model.image_shape[2]
        shown = [
            spaces.Box(0, 255, (*leaf.shape[:2], channels), leaf.dtype.type) if not leaf.shape[2] % channels else leaf
            for leaf in images
        ]
        check_images(model, shown)
        if len(images) < len(leaves):
            raise UsageError("--encoder finetuned takes observations of images alone; --encoder frozen is accepted")
        options = {"features_extractor_class": EncoderExtractor, "features_extractor_kwargs": {"model": model}}
    for leaf in images if model is None else ():
        if min(leaf.shape[:2]) < LEAST:
            raise UsageError(
                f"NatureCNN takes images of {LEAST}x{LEAST} pixels or more, not {leaf.shape[0]}x{leaf.shape[1]};"
                " --world-model RUN or factors are accepted"
            )
    if isinstance(space, spaces.Dict):
        return "MultiInputPolicy", options
    return "CnnPolicy" if images and model is None else "MlpPolicy", options
