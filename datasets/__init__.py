"""What learners read: the states of a world, and the transitions between them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any

from ..envs.registry import UsageError
from .breakout import BreakoutOptions
from .dsprites import DSprites, DSpritesOptions
from .factors import FactorDataset
from .flatland import FlatLandOptions
from .ima_sprites import ImaSpritesDataset, ImaSpritesOptions
from .images import ImageDataset, ImageOptions
from .loader import Batch, WindowLoader
from .mixings import Mixing
from .mixtures import MixtureDataset
from .noise import Noise, NoiseOptions, make_noise
from .recorded import RecordedDataset, RecordedTransitions, RecordedWorld, RolloutOptions
from .registry import DATASETS, DatasetSpec, dataset
from .rollouts import Rollouts, RolloutWriter
from .sampled import SampledDataset
from .splits import Split, split_states
from .sprites import SpritesOptions
from .transitions import TransitionDataset, draw_uniform, record_trajectory, still_images

__all__ = [
    "DATASETS",
    "Batch",
    "BreakoutOptions",
    "DSprites",
    "DSpritesOptions",
    "DatasetSpec",
    "FactorDataset",
    "FlatLandOptions",
    "ImaSpritesDataset",
    "ImaSpritesOptions",
    "ImageDataset",
    "ImageOptions",
    "Mixing",
    "MixtureDataset",
    "Noise",
    "NoiseOptions",
    "RecordedDataset",
    "RecordedTransitions",
    "RecordedWorld",
    "RolloutOptions",
    "RolloutWriter",
    "Rollouts",
    "SampledDataset",
    "Split",
    "SpritesOptions",
    "TransitionDataset",
    "WindowLoader",
    "build_dataset",
    "dataset",
    "draw_uniform",
    "load",
    "make_noise",
    "make_ready",
    "record_trajectory",
    "split_states",
    "still_images",
]


def build_dataset(
    name: str, options: Any = None, noise_options: NoiseOptions | None = None, seed: int = 0
) -> FactorDataset:
    """The data set registered under ``name``.

    Args:
        name: A name in ``DATASETS``.
        options: An instance of that data set's options; its defaults if not given.
        noise_options: The noise; none if not given.
        seed: The source of the noise.

    Raises:
        UsageError: There is no such data set, or an option is out of its range.
    """
    spec = DATASETS[name]
    chosen = spec.options() if options is None else options
    return spec.build(chosen, NoiseOptions() if noise_options is None else noise_options, seed)


def make_ready(name: str, options: Any, told: Callable[[int, int], object] | None = None) -> None:
    """Makes what a data set makes only once, if it is not there: files of images, recorded games.

    Args:
        name: A name in ``DATASETS``.
        options: An instance of that data set's options.
        told: Called now and then with how much of it is done, and of how much.

    Raises:
        UsageError: Something is not there, or cannot be used.
        OSError: A file is damaged, or cannot be written.
    """
    ready = DATASETS[name].ready
    if ready is not None:
        ready(options, told)


def load(name: str = "flatland", *, seed: int = 0, **options: Any) -> FactorDataset:
    """The data set registered under ``name``, with its options and those of the noise as keywords.

    Args:
        name: A name in ``DATASETS``.
        seed: The source of the noise.
        **options: Options of that data set (``radius=10``) and of the noise (``noise_name="salt"``).

    Raises:
        UsageError: There is no such data set, it has no such option, or an option is out of its range.

    Example:
        >>> len(load("flatland", period=20))
        400
    """
    kind = DATASETS[name].options
    own, shared = ({field.name for field in fields(part)} for part in (kind, NoiseOptions))
    for option in options:
        if option not in own | shared:
            accepted = ", ".join(sorted(own | shared))
            raise UsageError(f"the data set {name!r} has no option {option!r}; it takes: {accepted}")
    return build_dataset(
        name,
        kind(**{key: value for key, value in options.items() if key in own}),
        NoiseOptions(**{key: value for key, value in options.items() if key not in own}),
        seed,
    )
