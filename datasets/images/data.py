"""Still images as a data set: its options, binarisation, splits by class, and the sets that have a name."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, make_dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from ...envs.factors import Factor, FactorSpace
from ...envs.registry import Registry, UsageError
from ...envs.world import World
from .. import factors as factors_module
from ..factors import FactorDataset
from ..noise import Noise, NoiseOptions
from ..registry import DATASETS, DatasetSpec
from ..splits import Split, split_classes
from .file import ImageFile, Told, is_prepared, write_images
from .pictures import TEST, VALIDATION, Absent, Images, Pictures, Shape

_SHARE = 0.1  # that is held out unless told otherwise


@dataclass
class BinaryOptions:
    """How grey images become black and white."""

    threshold: float | None = None
    """White where a pixel is brighter than this share of the brightest, 0 to 1, black elsewhere; None: as it is."""
    dynamic_binarisation: bool = False
    """White with the pixel's brightness as probability, drawn anew at every pass; always the same in evaluation."""

    def check(self) -> None:
        """Refuses what cannot be used.

        Raises:
            UsageError: As the message says.
        """
        if self.threshold is not None and not 0 <= self.threshold < 1:
            raise UsageError(f"--threshold must be 0 or more and below 1, got {self.threshold}")
        if self.threshold is not None and self.dynamic_binarisation:
            raise UsageError("--threshold and --dynamic-binarisation both make images black and white: give one")


@dataclass
class ImageOptions(BinaryOptions):
    """The options of still images."""

    image_size: int | None = None
    """Height and width in pixels, which images are reduced or enlarged to; None: as they are, all of one size."""
    crop: int | None = None
    """Height and width of the middle that is kept before that; 0: the largest square; None: everything, squeezed."""
    grayscale: bool = False
    """One channel instead of three."""
    published_split: bool = True
    """Hold out what the data say is for validation and test, if they do; else shares of each class, drawn."""

    @property
    def shape(self) -> Shape:
        """What the images are made into."""
        return Shape(self.image_size, self.crop, self.grayscale)


@dataclass
class PublishedOptions(ImageOptions):
    """The options of images that are published under a name."""

    data_path: str = "data"
    """The folder of the published files, or the file made of them by python -m equiworld.datasets.prepare."""


class DynamicBinarisation(Noise):
    """Each value is 1 with itself as probability, else 0; after another noise.

    Args:
        first: The other noise.
    """

    def __init__(self, first: Noise) -> None:
        self.first = first

    def __call__(self, images: Tensor, groups: Tensor, generator: torch.Generator) -> Tensor:
        return torch.bernoulli(self.first(images, groups, generator), generator=generator)


class ImageWorld(World):
    """Still images as a world in which nothing acts.

    Args:
        factors: The factors; None: the images are numbered.
        image_shape: ``(H, W, C)``.
        count: How many there are.
        read: Gives the images with these numbers.
    """

    actions = ()

    def __init__(
        self,
        factors: FactorSpace | None,
        image_shape: tuple[int, int, int],
        count: int,
        read: Callable[[NDArray[np.int64]], Images],
    ) -> None:
        self.factors = FactorSpace([Factor("picture", count, "categorical")]) if factors is None else factors
        self.image_shape, self._read = image_shape, read

    def render(self, factors: NDArray[Any]) -> Images:
        return self._read(np.atleast_1d(self.factors.to_index(factors)))


class StillImages(FactorDataset):
    """Images, some of which have factors, or classes, or neither; item ``i`` is an image and what is known of it.

    Args:
        count: How many there are.
        image_shape: ``(H, W, C)``.
        factors: Where the images are all combinations of factors: these.
        options: How they become black and white.
        noise: Options of the noise on the images, before they do.
        seed: Source of the noise.

    Attributes:
        labels: The classes of the images, int64 [N], or None.
        classes: Names of the classes.

    Raises:
        UsageError: The options cannot be used.
    """

    labels: NDArray[np.int64] | None = None
    classes: tuple[str, ...] = ()

    def __init__(
        self,
        count: int,
        image_shape: tuple[int, int, int],
        factors: FactorSpace | None = None,
        options: BinaryOptions | None = None,
        noise: NoiseOptions | None = None,
        seed: int = 0,
    ) -> None:
        chosen = BinaryOptions() if options is None else options
        chosen.check()
        self.threshold, self._known = chosen.threshold, factors is not None
        first = (NoiseOptions() if noise is None else noise).make(image_shape, seed)
        made = DynamicBinarisation(first) if chosen.dynamic_binarisation else first
        super().__init__(ImageWorld(factors, image_shape, count, self._shown), made, seed)

    @property
    def fingerprint(self) -> int:
        return factors_module.fingerprint_of(self)

    @abstractmethod
    def read(self, numbers: NDArray[np.int64]) -> Images:
        """Images as they are stored, uint8 [n, H, W, C]; ``numbers`` int64 [n] has been checked."""

    def _shown(self, numbers: NDArray[np.int64]) -> Images:
        return binarised(self.read(numbers), self.threshold)

    @cached_property
    def _cache(self) -> Images | None:
        if len(self) * int(np.prod(self.world.image_shape)) > factors_module.CACHE_BYTES:
            return None
        return self._shown(np.arange(len(self)))

    def frames(self, index: ArrayLike) -> Images:
        numbers = self.check_index(index)
        if self._cache is not None:
            return self._cache[numbers]
        return self._shown(numbers.reshape(-1)).reshape(*numbers.shape, *self.world.image_shape)

    def __getitem__(self, index: int) -> tuple[Tensor, NDArray[np.int64]]:
        """An image, float32 [C, H, W] in [0, 1], and its factors, int64 [K]; else its class [1]; else nothing [0].

        Raises:
            IndexError: There is no such image.
        """
        if self._known:
            return super().__getitem__(index)
        if not -len(self) <= index < len(self):
            raise IndexError(f"there is no item {index} in a data set of {len(self)}")
        number = int(index) % len(self)
        known = np.empty(0, dtype=np.int64) if self.labels is None else self.labels[number : number + 1]
        return self.images(number), known

    def _check_factors(self) -> None:
        if not self._known:
            raise UsageError("these images have no factors")

    def generative_factors(self, index: ArrayLike) -> NDArray[np.int64]:
        self._check_factors()
        return super().generative_factors(index)

    def latent_to_index(self, latents: ArrayLike) -> Any:
        self._check_factors()
        return super().latent_to_index(latents)

    def sample_latent(self, n: int | None = None, rng: np.random.Generator | None = None) -> NDArray[np.int64]:
        self._check_factors()
        return super().sample_latent(n, rng)


def binarised(images: Images, threshold: float | None) -> Images:
    """255 where ``images`` are brighter than a share of 255, else 0; without a threshold as they are."""
    return images if threshold is None else np.multiply(images > threshold * 255, 255, dtype=np.uint8)


class ImageDataset(StillImages):
    """The images of a prepared file.

    Args:
        file: The file.
        options: How they become black and white, and whether the published split is taken.
        noise: Options of the noise on the images.
        seed: Source of the noise.

    Attributes:
        file: The file.

    Raises:
        UsageError: The options cannot be used.
        ImageError: The file is damaged.
    """

    def __init__(
        self, file: Path | str, options: ImageOptions | None = None, noise: NoiseOptions | None = None, seed: int = 0
    ) -> None:
        chosen = ImageOptions() if options is None else options
        self.file = ImageFile(Path(file))
        self.labels, self.classes = self.file.labels, self.file.classes
        self._roles = self.file.roles if chosen.published_split else None
        super().__init__(len(self.file), self.file.shape, self.file.factors, chosen, noise, seed)

    def read(self, numbers: NDArray[np.int64]) -> Images:
        return self.file.read(numbers)

    def split(self, validation: float = _SHARE, test: float = _SHARE, seed: int = 0) -> Split:
        """Training, validation and test images: as published, and what is not is drawn from each class alike.

        Args:
            validation: The share of what is published for training (or of all), in (0, 1); none but the usual one where
                the data say what is for validation.
            test: Likewise.
            seed: The same seed gives the same split.

        Raises:
            UsageError: A share is not in (0, 1) or would not be read, or a part would be empty.
        """
        for name, role, share in (("validation", VALIDATION, validation), ("test", TEST, test)):
            if self._roles is not None and share != _SHARE and (self._roles == role).any():
                raise UsageError(
                    f"--{name}-split {share} is not read: the data say which images are for {name};"
                    " --no-published-split draws the split"
                )
        labels = np.zeros(len(self), dtype=np.int64) if self.labels is None else self.labels
        return split_classes(labels, self._roles, validation, test, seed)


# Sets that have a name


@dataclass(frozen=True)
class Published:
    """Images that are published.

    Attributes:
        name: Of the data set.
        source: Where.
        expected: Which files.
        read: Finds the images, given the folder of these files.
        options: The dataclass of its options.
    """

    name: str
    source: str
    expected: str
    read: Callable[[Path], Pictures]
    options: type[ImageOptions] = ImageOptions

    def pictures(self, path: Path) -> Pictures:
        """The images below a path.

        Raises:
            UsageError: Something is not there; the message says where it is published and what is expected.
            ImageError: Something is damaged.
        """
        try:
            return self.read(path)
        except Absent as error:
            raise UsageError(
                f"{self.name}: {error}; expected: {self.expected}, published at {self.source};"
                " --data-path names the place"
            ) from error

    def prepared(self, path: Path, shape: Shape, told: Told | None = None) -> Path:
        """The file made of the images below a path; it is made if it is not there.

        Args:
            path: The folder of the published files; or a file made of them, whatever the shape.
            shape: What the images are made into.
            told: How far it is.

        Raises:
            UsageError: Something is not there or cannot be used, or the file cannot be written.
            ImageError: Something is damaged.
        """
        if is_prepared(path):
            return path
        out = self.place(path, shape)
        if not out.is_file():
            write_images(out, self.pictures(path), shape, self.name, told)
        return out

    def place(self, path: Path, shape: Shape) -> Path:
        """Where the file made of the images below a path is looked for: in the folder, or beside the file."""
        if path.is_dir():
            return path / f"{self.name}-{shape.tag}.h5"
        return path.parent / f"{self.name}-{path.stem}-{shape.tag}.h5"

    def open(self, path: Path, options: ImageOptions, noise: NoiseOptions, seed: int) -> ImageDataset:
        """The data set, prepared if it is not.

        Raises:
            UsageError: As for ``prepared``; or a file that was made with other options is named.
            ImageError: As for ``prepared``.
        """
        options.check()
        file = self.prepared(path, options.shape)
        found = ImageFile(file)
        if self.name not in (found.name, "folder"):  # as a folder of images, any is read
            raise UsageError(f"{file} was prepared as {found.name!r}, not as {self.name!r}")
        if file == path:
            usual = type(options)()
            for name in ("image_size", "crop", "grayscale"):
                asked, made = getattr(options, name), getattr(found.settings, name)
                if asked not in (made, getattr(usual, name)):
                    raise UsageError(f"{file} was prepared with {name} {made}, not {asked}: name the published files")
        return ImageDataset(file, options, noise, seed)


PUBLISHED: Registry[Published] = Registry("set of images")
"""The sets of images by name."""

Reader = Callable[[Path], Pictures]


def published(name: str, *, source: str, expected: str, image_size: int | None = 64) -> Callable[[Reader], Reader]:
    """Registers the decorated function, which finds the images of a published set, as the data set ``name``.

    Args:
        name: What ``--dataset`` takes.
        source: Where it is published.
        expected: Which files there must be.
        image_size: Height and width that the images are reduced to unless other ones are asked for.

    Raises:
        UsageError: The name is taken.
    """

    def enter(read: Reader) -> Reader:
        options = make_dataclass(
            f"{name.title()}Options",
            [("data_path", str, f"data/{name}"), ("image_size", int | None, image_size)],
            bases=(PublishedOptions,),
            namespace={"__doc__": f"The options of {name}."},
        )
        kind = Published(name, source, expected, read, options)

        def build(options: PublishedOptions, noise: NoiseOptions, seed: int) -> ImageDataset:
            return kind.open(Path(options.data_path), options, noise, seed)

        def ready(options: PublishedOptions, told: Told | None) -> None:
            options.check()
            kind.prepared(Path(options.data_path), options.shape, told)

        PUBLISHED.register(name)(kind)
        DATASETS.register(name)(DatasetSpec(options, build, ready=ready, acts=False))
        return read

    return enter
