"""The data sets by name: for each its options, and the function that builds it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from ..envs.registry import Registry
from .factors import FactorDataset
from .noise import NoiseOptions

Options = TypeVar("Options")


@dataclass(frozen=True)
class DatasetSpec:
    """A data set that can be asked for by name.

    Attributes:
        options: The dataclass of its options, all with defaults; what stands below an attribute is its help text.
        build: ``build(options, noise, seed)`` makes it.
    """

    options: type[Any]
    build: Callable[[Any, NoiseOptions, int], FactorDataset]


DATASETS: Registry[DatasetSpec] = Registry("data set")


def dataset(
    name: str, options: type[Options]
) -> Callable[
    [Callable[[Options, NoiseOptions, int], FactorDataset]], Callable[[Options, NoiseOptions, int], FactorDataset]
]:
    """Registers the decorated builder as the data set ``name``.

    Args:
        name: What ``--dataset`` takes.
        options: The dataclass of its options.

    Raises:
        UsageError: The name is taken.
    """

    def enter(
        build: Callable[[Options, NoiseOptions, int], FactorDataset],
    ) -> Callable[[Options, NoiseOptions, int], FactorDataset]:
        DATASETS.register(name)(DatasetSpec(options, build))
        return build

    return enter
