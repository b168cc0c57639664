"""The data sets by name: for each its options, and the function that builds it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from ..envs.registry import Registry, UsageError
from .factors import FactorDataset
from .noise import NoiseOptions

Options = TypeVar("Options")


@dataclass(frozen=True)
class DatasetSpec:
    """A data set that can be asked for by name.

    Attributes:
        options: The dataclass of its options, all with defaults; what stands below an attribute is its help text.
        build: ``build(options, noise, seed)`` makes it.
        offset: The option that ``--offset`` sets, where actions of this data set become longer by it instead of more.
        ready: ``ready(options, told)`` makes what is made only once (files of images, recorded games), and calls
            ``told`` now and then with how much of it is done, and of how much; ``build`` does so by itself, in silence.
        acts: Whether there may be actions in it: what is made once need not be made to know that there are none.
    """

    options: type[Any]
    build: Callable[[Any, NoiseOptions, int], FactorDataset]
    offset: str | None = None
    ready: Callable[[Any, Callable[[int, int], object] | None], None] | None = None
    acts: bool = True


class DatasetRegistry(Registry[DatasetSpec]):
    """The data sets by name; and those that lie in rollout files or in folders of images, by their path."""

    def __getitem__(self, name: str) -> DatasetSpec:
        if name.startswith(FOLDER):
            from .images.folder import folder_spec

            return folder_spec(name.removeprefix(FOLDER))
        if not is_path(name):
            try:
                return super().__getitem__(name)
            except UsageError as error:
                raise UsageError(
                    f"{error}, and the paths of recorded rollouts (FILE.h5, a folder/) or of images ({FOLDER}PATH)"
                ) from None
        from .recorded import RolloutOptions, recorded

        return DatasetSpec(RolloutOptions, partial(recorded, name))

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or (isinstance(name, str) and (is_path(name) or name.startswith(FOLDER)))


FOLDER = "folder:"
"""Before the path of a folder of images."""


def is_path(name: str) -> bool:
    """Whether a data set's name is the path of a rollout file, of a folder of them, or a pattern."""
    return not name.startswith(FOLDER) and (name.endswith((".h5", ".hdf5")) or "/" in name or os.sep in name)


def absolute(name: str) -> str:
    """A data set's name as it is, but for a path in it, which becomes absolute."""
    if name.startswith(FOLDER):
        path = name.removeprefix(FOLDER)
        return FOLDER + (path and os.path.abspath(path))  # no path is none, not the working directory
    return os.path.abspath(name) if is_path(name) else name


DATASETS = DatasetRegistry("data set")


def dataset(
    name: str, options: type[Options], offset: str | None = None
) -> Callable[
    [Callable[[Options, NoiseOptions, int], FactorDataset]], Callable[[Options, NoiseOptions, int], FactorDataset]
]:
    """Registers the decorated builder as the data set ``name``.

    Args:
        name: What ``--dataset`` takes.
        options: The dataclass of its options.
        offset: The option that ``--offset`` sets, if it is not the number of actions between two images.

    Raises:
        UsageError: The name is taken.
    """

    def enter(
        build: Callable[[Options, NoiseOptions, int], FactorDataset],
    ) -> Callable[[Options, NoiseOptions, int], FactorDataset]:
        DATASETS.register(name)(DatasetSpec(options, build, offset))
        return build

    return enter
