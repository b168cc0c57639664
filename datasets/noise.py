"""Visual noise, as an option of any data set."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from ..envs.registry import UsageError, nearest
from .randomness import torch_generator

NoiseName = Literal["none", "gaussian", "uniform", "salt", "background"]
DEFAULT_LEVEL = 0.1
IMAGE_SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})
# A texture: grids of normal numbers, from coarse to fine, and the weight of each.
TEXTURE_GRIDS = ((4, 1.0), (8, 0.6), (16, 0.4), (32, 0.3))
TEXTURE_MEAN, TEXTURE_STD = 0.45, 0.22


class Noise(ABC):
    """A kind of noise: ``noise(images, groups, generator)``.

    Attributes:
        independent: Whether two pictures of one state differ, so that each has to be encoded by itself.
    """

    independent = True

    @abstractmethod
    def __call__(self, images: Tensor, groups: Tensor, generator: torch.Generator) -> Tensor:
        """Noisy copies of pictures.

        Args:
            images: float32 [B, C, H, W] in [0, 1].
            groups: int64 [B]; pictures of one group (the frames of one transition) have one background.
            generator: The source of what is drawn, on the device of the pictures.

        Returns:
            float32 [B, C, H, W] in [0, 1].
        """


class NoNoise(Noise):
    """The pictures as they are."""

    independent = False

    def __call__(self, images: Tensor, groups: Tensor, generator: torch.Generator) -> Tensor:
        return images


@dataclass(frozen=True)
class GaussianNoise(Noise):
    """Adds normal numbers of standard deviation ``level`` to every value."""

    level: float

    def __call__(self, images: Tensor, groups: Tensor, generator: torch.Generator) -> Tensor:
        drawn = torch.randn(images.shape, generator=generator, device=images.device)
        return (images + self.level * drawn).clamp_(0, 1)


@dataclass(frozen=True)
class UniformNoise(Noise):
    """Adds numbers from U(0, ``level``) to every value (earlier work on FlatLand calls this Gaussian)."""

    level: float

    def __call__(self, images: Tensor, groups: Tensor, generator: torch.Generator) -> Tensor:
        drawn = torch.rand(images.shape, generator=generator, device=images.device)
        return (images + self.level * drawn).clamp_(0, 1)


@dataclass(frozen=True)
class SaltNoise(Noise):
    """Turns each pixel white, in all its channels, with probability ``level``."""

    level: float

    def __call__(self, images: Tensor, groups: Tensor, generator: torch.Generator) -> Tensor:
        pixels = (len(images), 1, *images.shape[2:])
        white = torch.rand(pixels, generator=generator, device=images.device) < self.level
        return torch.where(white, images.new_ones(()), images)


class BackgroundNoise(Noise):
    """Puts a background behind the pictures: ``1 - (1 - x) (1 - (background - level))``, clamped.

    Args:
        backgrounds: float32 [count, C, H, W] in [0, 1]; each group gets one of them, drawn uniformly.
        level: How much darker than itself a background becomes.
    """

    def __init__(self, backgrounds: Tensor, level: float) -> None:
        self.backgrounds = backgrounds
        self.level = level

    def __call__(self, images: Tensor, groups: Tensor, generator: torch.Generator) -> Tensor:
        _, member = torch.unique(groups.to(images.device), return_inverse=True)
        groups_there = int(member.max()) + 1 if len(member) else 0
        chosen = torch.randint(len(self.backgrounds), (groups_there,), generator=generator, device=images.device)
        behind = self.backgrounds.to(images.device)[chosen[member]]
        return (1 - (1 - images) * (1 - (behind - self.level))).clamp_(0, 1)


def make_noise(
    name: str,
    level: float | None = None,
    backgrounds: str | Path | None = None,
    count: int = 10,
    *,
    image_shape: tuple[int, int, int],
    seed: int = 0,
) -> Noise:
    """The noise of that name.

    Args:
        name: ``none``, ``gaussian``, ``uniform``, ``salt`` or ``background``.
        level: The strength of it, 0.1 unless given: standard deviation, width, probability, or darkening.
        backgrounds: A folder of images for ``background``; without one, textures are made.
        count: How many backgrounds: the first of the folder in the order of their names, or as many textures.
        image_shape: ``(H, W, C)`` of the pictures.
        seed: The source of the textures.

    Raises:
        UsageError: The name is unknown, or an argument is out of its range or does not belong to this noise, or the
            folder holds no readable image.
    """
    known = list(get_args(NoiseName))
    if name not in known:
        raise UsageError(f"unknown noise {name!r}{nearest(name, known)}; there are: {', '.join(known)}")
    if name == "none" and level is not None:
        raise UsageError("the noise level needs a noise: none was chosen")
    if name != "background" and backgrounds is not None:
        raise UsageError(f"a folder of backgrounds belongs to the noise 'background', not to {name!r}")
    strength = DEFAULT_LEVEL if level is None else level
    highest = 1.0 if name in ("salt", "background") else math.inf
    if not (math.isfinite(strength) and 0 <= strength <= highest):
        accepted = "between 0 and 1" if highest == 1 else "0 or more"
        raise UsageError(f"the level of the noise {name!r} must be {accepted}, got {strength}")
    if name == "gaussian":
        return GaussianNoise(strength)
    if name == "uniform":
        return UniformNoise(strength)
    if name == "salt":
        return SaltNoise(strength)
    if name == "background":
        if count < 1:
            raise UsageError(f"the number of backgrounds must be 1 or more, got {count}")
        if backgrounds is not None:
            return BackgroundNoise(read_backgrounds(Path(backgrounds), count, image_shape), strength)
        return BackgroundNoise(make_textures(count, image_shape, torch_generator(seed, 1)), strength)
    return NoNoise()


def make_textures(count: int, image_shape: tuple[int, int, int], generator: torch.Generator) -> Tensor:
    """Smooth random textures, each with mean 0.45 and standard deviation 0.22 before it is clamped.

    Args:
        count: How many.
        image_shape: ``(H, W, C)``.
        generator: The source of them, on the CPU.

    Returns:
        float32 [count, C, H, W] in [0, 1].
    """
    height, width, channels = image_shape
    textures = torch.zeros(count, channels, height, width)
    for cells, weight in TEXTURE_GRIDS:
        grid = torch.randn(count, channels, cells, cells, generator=generator)
        textures += weight * interpolate(grid, size=(height, width), mode="bilinear", align_corners=False)
    flat = textures.flatten(1)
    spread = flat.std(dim=1, correction=0).clamp_min(1e-6)
    standard = (flat - flat.mean(dim=1, keepdim=True)) / spread[:, None]
    return (standard * TEXTURE_STD + TEXTURE_MEAN).clamp_(0, 1).reshape(textures.shape)


def background_files(folder: Path) -> list[Path]:
    """The images of a folder, in the order of their names; files that are no images by their suffix are passed over.

    Raises:
        UsageError: There is no such folder, or it holds no images.
    """
    if not folder.is_dir():
        raise UsageError(f"there is no folder of backgrounds {str(folder)!r}")
    files = sorted(file for file in folder.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES and file.is_file())
    if not files:
        accepted = ", ".join(sorted(IMAGE_SUFFIXES))
        raise UsageError(f"the folder of backgrounds {str(folder)!r} holds no images ({accepted})")
    return files


def read_backgrounds(folder: Path, count: int, image_shape: tuple[int, int, int]) -> Tensor:
    """The first images of a folder, in the order of their names, resized to the nearest pixel.

    Args:
        folder: Where they are; files that are no images by their suffix are passed over.
        count: How many at most.
        image_shape: ``(H, W, C)``, with 1 channel (they become grey) or 3.

    Returns:
        float32 [up to count, C, H, W] in [0, 1].

    Raises:
        UsageError: There is no such folder, it holds no images, or one cannot be read; or C is neither 1 nor 3.
    """
    height, width, channels = image_shape
    if channels not in (1, 3):
        raise UsageError(f"backgrounds from a folder need pictures of 1 or 3 channels, got {channels}")
    images = []
    for file in background_files(folder)[:count]:
        try:
            with Image.open(file) as opened:
                picture = opened.convert("L" if channels == 1 else "RGB")
                resized = picture.resize((width, height), Image.Resampling.NEAREST)
        except (OSError, ValueError, Image.DecompressionBombError) as error:
            raise UsageError(f"the background {str(file)!r} cannot be read as an image") from error
        images.append(np.asarray(resized, dtype=np.float32).reshape(height, width, channels) / 255)
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).contiguous()


@dataclass
class NoiseOptions:
    """The noise options of every data set."""

    noise_name: NoiseName = "none"
    """Visual noise: normal (gaussian), U(0, level) (uniform), white pixels (salt), or a picture behind (background)."""
    noise_level: float | None = None
    """Strength of the noise: standard deviation, width, probability of white, or darkening; 0.1 unless given."""
    backgrounds: str | None = None
    """Folder of images for the noise 'background'; without one, textures are made."""
    background_count: int = 10
    """Number of backgrounds."""

    def make(self, image_shape: tuple[int, int, int], seed: int = 0) -> Noise:
        """The noise of these options for pictures of that shape; errors as in ``make_noise``."""
        return make_noise(
            self.noise_name,
            self.noise_level,
            self.backgrounds,
            self.background_count,
            image_shape=image_shape,
            seed=seed,
        )
