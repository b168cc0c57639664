"""What an agent is shown of many copies at once: pixels, true factors, or the latents of a world model."""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray

from ..datasets.randomness import torch_generator
from ..envs.factors import FactorSpace
from ..envs.registry import UsageError
from ..world_models.assembly import Base, load_base
from ..world_models.group import GroupVAE
from ..world_models.vae import VAE

CHUNK = 64
"""Images that are encoded at a time: larger batches fall out of a processor's cache."""
_SAMPLE = 71  # keeps the noise of sampled latents apart from everything else of the seed


class Observer(ABC):
    """Turns what an environment shows and tells into what an agent is shown.

    Attributes:
        space: Of one observation of the agent.
        reads: The entries of ``infos`` that it needs.
    """

    space: spaces.Space[Any]
    reads: tuple[str, ...] = ()

    @abstractmethod
    def __call__(self, observations: Any, infos: Mapping[str, Any]) -> Any:
        """What the agent is shown.

        Args:
            observations: Of the environment, a batch of N (a dict of such if its space is a ``Dict``).
            infos: What was told with them, arrays ``[N, ...]`` by name; only those in ``reads`` are looked at.

        Returns:
            A batch of N of ``space``.
        """

    def seed(self, *key: int) -> None:  # noqa: B027 (most are not random)
        """Begins anew with everything random, from a key; most have nothing of the kind."""

    def get_state(self) -> dict[str, Any]:
        """What is needed to go on from here bit by bit, as plain data."""
        return {}

    def set_state(self, state: Mapping[str, Any]) -> None:  # noqa: B027 (most have none)
        """Goes on from what ``get_state`` gave."""


class Pixels(Observer):
    """The environment's own observations, as they are: images ``uint8 [N, H, W, C]`` as a rule.

    Args:
        space: Of one observation of the environment.
    """

    def __init__(self, space: spaces.Space[Any]) -> None:
        self.space = space

    def __call__(self, observations: Any, infos: Mapping[str, Any]) -> Any:
        return observations


class Factors(Observer):
    """The true factors, and those of the goal where there is one, as ``float32 [N, D]``.

    A cyclic factor (and a continuous one that runs round a circle) is shown as the cosine and the sine of its angle, a
    categorical one by a number for each value, 1 for the one that it has and 0 for the others, every other factor by
    its place between its ends, from -1 to 1.

    Args:
        env: An environment of this library, alone or as a vector environment, within any wrappers.

    Raises:
        UsageError: Its factors, or their ranges, are not known.
    """

    def __init__(self, env: Any) -> None:
        inner = env.unwrapped
        inner = inner.envs[0].unwrapped if hasattr(inner, "envs") else inner
        simulation = getattr(inner, "simulation", None)
        if simulation is None:
            raise UsageError(f"{inner} tells no factors; pixels and the run of a world model are accepted")
        self.reads = ("factors", "goal") if "goal" in simulation.info() else ("factors",)
        self._places(simulation.columns())
        low = np.tile(self._low, len(self.reads)).astype(np.float32)
        self.space: spaces.Box = spaces.Box(low, np.ones_like(low), dtype=np.float32)

    def _places(self, columns: FactorSpace) -> None:
        """Where each column goes, and how it is scaled."""
        around, _ = columns.extents
        lines, turns, choices = [], [], []  # (column, to, low, length), (column, to, low, length), (column, to, value)
        at, low = 0, []
        for column, factor in enumerate(columns.factors):
            if factor.kind == "categorical":
                size = int(factor.size or 1)
                choices += [(column, at + value, value) for value in range(size)]
                low += [0.0] * size
            elif math.isfinite(around[column]):
                turns.append((column, at, factor.low if factor.size is None else 0.0, around[column]))
                low += [-1.0] * 2
            else:
                start = factor.low if factor.size is None else 0.0
                length = factor.high - factor.low if factor.size is None else max(1, factor.size - 1)
                lines.append((column, at, start, length))
                low += [-1.0]
            at = len(low)
        self._low = np.array(low)
        self._lines = np.array(lines, dtype=np.float64).reshape(-1, 4).T
        self._turns = np.array(turns, dtype=np.float64).reshape(-1, 4).T
        self._choices = np.array(choices, dtype=np.int64).reshape(-1, 3).T

    def __call__(self, observations: Any, infos: Mapping[str, Any]) -> NDArray[np.float32]:
        return np.concatenate([self._shown(np.asarray(infos[name])) for name in self.reads], axis=1)

    def _shown(self, factors: NDArray[Any]) -> NDArray[np.float32]:
        """Factors ``[N, K]`` as they are shown, ``[N, D]``."""
        out = np.empty((len(factors), len(self._low)), dtype=np.float32)
        if self._lines.size:
            column, to = self._lines[:2].astype(np.int64)
            out[:, to] = np.clip(2 * (factors[:, column] - self._lines[2]) / self._lines[3] - 1, -1, 1)
        if self._turns.size:
            column, to = self._turns[:2].astype(np.int64)
            angles = (factors[:, column] - self._turns[2]) * (2 * math.pi / self._turns[3])
            out[:, to], out[:, to + 1] = np.cos(angles), np.sin(angles)
        if self._choices.size:
            column, to, value = self._choices
            out[:, to] = factors[:, column] == value
        return out


class Latents(Observer):
    """A world model's codes of the images, ``float32 [N, L]``.

    All images of a step are encoded together. Of a ``Dict`` of observations every image is encoded, and the other
    entries are appended as they are, in the order of the keys.

    Args:
        model: The world model. Its encoder is copied: training the one does not change the other.
        space: Of one observation of the environment.
        sample: Whether the codes are samples of the posteriors; False: their means.
        seed: Source of the samples.
        device: Where to encode.

    Raises:
        UsageError: The images are not of the size or the channels that the model takes, or an entry is no array.
    """

    def __init__(
        self,
        model: VAE,
        space: spaces.Space[Any],
        *,
        sample: bool = False,
        seed: int = 0,
        device: str | torch.device = "cpu",
    ) -> None:
        leaves = dict(space.spaces) if isinstance(space, spaces.Dict) else {"": space}
        for name, leaf in leaves.items():
            if not isinstance(leaf, spaces.Box):
                raise UsageError(
                    f"the observation {name!r} is none of numbers ({leaf}): an agent on latents needs a Box"
                )
        self._images = [name for name, leaf in leaves.items() if is_image(leaf)]
        self._others = [name for name in leaves if name not in self._images]
        check_images(model, [leaves[name] for name in self._images])
        self.sample, self.device = sample, torch.device(device)
        self.encoder = frozen(model.encoder, model.image_shape).to(self.device)
        self.latent = copy.deepcopy(model.latent).to(self.device).eval().requires_grad_(False)
        self._whole = "" in leaves
        self.generator = torch_generator(seed, _SAMPLE)
        low, high = (np.full(self.latent.size * len(self._images), end, np.float32) for end in self.latent.bounds)
        self._clip = self.latent.bounds if all(map(math.isfinite, self.latent.bounds)) else None
        boxes: list[Any] = [leaves[name] for name in self._others]
        self.space: spaces.Box = spaces.Box(
            np.concatenate([low, *(box.low.ravel().astype(np.float32) for box in boxes)]),
            np.concatenate([high, *(box.high.ravel().astype(np.float32) for box in boxes)]),
            dtype=np.float32,
        )

    def __call__(self, observations: Any, infos: Mapping[str, Any]) -> NDArray[np.float32]:
        if self._whole:
            return self.encode(observations)
        images = [np.asarray(observations[name]) for name in self._images]
        number = len(images[0])
        codes = self.encode(np.concatenate(images) if len(images) > 1 else images[0])
        parts = [codes[at : at + number] for at in range(0, len(codes), number)]
        others = [np.asarray(observations[name], dtype=np.float32).reshape(number, -1) for name in self._others]
        return np.concatenate([*parts, *others], axis=1) if len(parts) + len(others) > 1 else codes

    @torch.inference_mode()
    def encode(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Codes ``[N, L]`` of images ``uint8 [N, H, W, C]``."""
        parts = []
        for at in range(0, len(images), CHUNK):
            # The memory of [N, H, W, C], read as [N, C, H, W], is what torch calls channels last.
            batch = torch.from_numpy(images[at : at + CHUNK]).to(self.device).permute(0, 3, 1, 2)
            posterior = self.latent.posterior(self.encoder(batch.float().div_(255)).float())
            parts.append(posterior.rsample(self.generator) if self.sample else posterior.mean)
        codes: NDArray[np.float32] = (torch.cat(parts) if len(parts) > 1 else parts[0]).cpu().numpy()
        # A unit vector may be longer than 1 by a rounding.
        return codes if self._clip is None else np.clip(codes, *self._clip)

    def seed(self, *key: int) -> None:
        self.generator = torch_generator(*key, _SAMPLE)

    def get_state(self) -> dict[str, Any]:
        return {"generator": self.generator.get_state()} if self.sample else {}

    def set_state(self, state: Mapping[str, Any]) -> None:
        if self.sample:
            self.generator.set_state(torch.as_tensor(state["generator"]))


def is_image(space: Any) -> bool:
    """Whether a space is one of images, uint8 [H, W, C]."""
    return isinstance(space, spaces.Box) and space.dtype == np.uint8 and len(space.shape) == 3


def frozen(network: torch.nn.Module, image_shape: tuple[int, int, int]) -> torch.nn.Module:
    """A copy of an encoder that is not trained, and whose activations overwrite what they read.

    Without new memory for every activation an encoder takes about half the time on a CPU, for the same numbers. One in
    which something else reads what they overwrite is copied as it is.

    Args:
        network: The encoder.
        image_shape: Height, width, channels of its images.
    """
    plain = copy.deepcopy(network).eval().requires_grad_(False)
    quick = copy.deepcopy(plain)
    layers: list[Any] = list(quick.modules())
    for layer in layers:
        if hasattr(layer, "inplace"):
            layer.inplace = True
    height, width, channels = image_shape
    device = next((parameter.device for parameter in plain.parameters()), torch.device("cpu"))
    image = torch.linspace(0, 1, channels * height * width, device=device).view(1, channels, height, width)
    with torch.inference_mode():
        return quick if torch.equal(plain(image.clone()), quick(image.clone())) else plain


def check_images(model: VAE, shown: list[Any]) -> None:
    """Refuses a world model that takes other images than these.

    Raises:
        UsageError: Size or channels differ, or there are no images.
    """
    if not shown:
        raise UsageError("the environment shows no images, which a world model needs; pixels and factors are accepted")
    for space in shown:
        if tuple(space.shape) != tuple(model.image_shape):
            raise UsageError(
                f"the world model takes {_named(model.image_shape)}, and the environment shows {_named(space.shape)}"
            )


def _named(shape: Any) -> str:
    height, width, channels = shape
    kind = {1: " (grey)", 3: " (colour)"}.get(channels, "")
    return f"images of {height}x{width} with {channels} channel{'s' * (channels != 1)}{kind}"


def load_world_model(run: Path, action_space: spaces.Space[Any]) -> tuple[Base, VAE]:
    """The model of a run (of a run of dynamics the one underneath), for an environment with these actions.

    Args:
        run: A run directory, or a checkpoint in one.
        action_space: Of one copy of the environment.

    Returns:
        What the model was built for, and the model.

    Raises:
        UsageError: There is no such run, it is none of a world model, or the model has learnt the group of another
            number of actions.
        RunError: It is damaged.
    """
    base, model = load_base(run)
    check_group(run, model, base.actions, action_space)
    return base, model


def check_group(run: Path, model: VAE, known: int, action_space: spaces.Space[Any]) -> None:
    """Refuses a model that has learnt the group of another number of actions than an environment has.

    Raises:
        UsageError: As the message says.
    """
    count = int(action_space.n) if isinstance(action_space, spaces.Discrete) else None
    if isinstance(model, GroupVAE) and known != count:
        raise UsageError(
            f"{run} has learnt the group of {known} actions, and the environment has"
            f" {action_space if count is None else count}: a model of"
            " single images (vae, betavae ...) or of as many actions is accepted"
        )
