"""Pictures out of observations, goals among them, and codes out of pictures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray
from torch import Tensor

from ...envs.registry import UsageError
from ...world_models.vae import VAE

_CHUNK = 64  # pictures encoded at a time; more of them leave the cache


@torch.inference_mode()
def encode_pictures(model: VAE, pictures: NDArray[np.uint8]) -> Tensor:
    """Posterior means of pictures, on the model's device.

    Args:
        model: A world model of images.
        pictures: uint8 [N, H, W, C].

    Returns:
        float32 [N, L].

    Raises:
        UsageError: They are not of the size that the model was trained on.
    """
    if pictures.dtype != np.uint8 or pictures.shape[1:] != tuple(model.image_shape):
        shape = " x ".join(map(str, pictures.shape[1:]))
        raise UsageError(
            f"the model was trained on images {' x '.join(map(str, model.image_shape))} of bytes, these are"
            f" {shape} {pictures.dtype}"
        )
    device = next(model.parameters()).device
    chunks = [pictures[begin : begin + _CHUNK] for begin in range(0, len(pictures), _CHUNK)]
    codes = [model.encode(torch.from_numpy(part).to(device).permute(0, 3, 1, 2).float().div_(255)) for part in chunks]
    return torch.cat(codes).clone() if codes else torch.zeros(0, model.latent.size, device=device)


def seen(observations: Any) -> NDArray[np.uint8]:
    """The pictures of what is there, uint8 [N, H, W, C], of observations that may hold others too.

    Raises:
        UsageError: There is no picture.
    """
    pictures = observations.get("image") if isinstance(observations, Mapping) else observations
    if not isinstance(pictures, np.ndarray) or pictures.ndim != 4:
        raise UsageError("planning in a latent space needs observations that are images, or have one named 'image'")
    return pictures


def goal_pictures(env: VectorEnv[Any, Any, Any], observations: Any, infos: Mapping[str, Any]) -> NDArray[np.uint8]:
    """The pictures that there would be at the goals: those shown, or else drawn by the world.

    Args:
        env: Where they were seen.
        observations: The first of the episodes.
        infos: What was told with them.

    Raises:
        UsageError: There is no goal, or it is drawn into the picture of what is there.
    """
    if isinstance(observations, Mapping) and "goal" in observations:
        return np.asarray(observations["goal"])
    simulation = getattr(env.unwrapped, "simulation", None)
    world, task = getattr(simulation, "world", None), getattr(simulation, "task", None)
    if world is None or task is None or "goal" not in infos:
        raise UsageError("the environment has no goal to plan for: it shows none, and its world can draw none")
    if task.shown == "image":
        raise UsageError(
            "the goal is drawn into the picture, which the model has never seen: make the environment with"
            " shown='observation' or shown='hidden'"
        )
    return np.asarray(world.render(infos["goal"]))
