"""Images that lie somewhere: how they are opened, cut and reduced, block by block."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.io import loadmat

from ...envs.factors import FactorSpace
from ...envs.registry import UsageError

Images = NDArray[np.uint8]

TRAINING, VALIDATION, TEST = 0, 1, 2
"""What an image is for, where the data say so."""
BLOCK = 256
"""Images that are opened at a time."""
_GREY, _COLOUR, _ALPHA = ("1", "L"), ("RGB", "P", "CMYK", "YCbCr"), ("LA", "PA", "RGBA")


class ImageError(OSError):
    """Image data that are damaged, or not what they should be; the message is one line."""


class Absent(UsageError):
    """Something that a data set consists of is not there; the message says what."""


@dataclass(frozen=True)
class Shape:
    """What images are made into.

    Attributes:
        image_size: Height and width in pixels (bilinear, over the whole area where it shrinks); None: as they are.
        crop: Height and width of the middle that is kept before that; 0: the largest square; None: everything.
        grayscale: One channel.

    Raises:
        UsageError: A size is out of its range.
    """

    image_size: int | None = None
    crop: int | None = None
    grayscale: bool = False

    def __post_init__(self) -> None:
        if self.image_size is not None and not 1 <= self.image_size <= 4096:
            raise UsageError(f"--image-size must be between 1 and 4096, got {self.image_size}")
        if self.crop is not None and self.crop < 0:
            raise UsageError(f"--crop must be 0 (the largest square) or more, got {self.crop}")

    @property
    def tag(self) -> str:
        """A short name of it, for files."""
        parts = ["full" if self.image_size is None else str(self.image_size)]
        if self.crop is not None:
            parts.append(f"crop{self.crop}")
        return "-".join([*parts, "grey"] if self.grayscale else parts)

    def fit(self, image: Image.Image, name: str) -> Images:
        """An image of mode L or RGB in this shape, uint8 [H, W, C].

        Raises:
            UsageError: It is smaller than what is to be cut out of it.
        """
        if self.grayscale and image.mode != "L":
            image = image.convert("L")
        if self.crop is not None:
            width, height = image.size
            side = self.crop or min(width, height)
            if side > min(width, height):
                raise UsageError(f"--crop {side}: {name} has {width} x {height} pixels only")
            left, top = (width - side) // 2, (height - side) // 2
            image = image.crop((left, top, left + side, top + side))
        if self.image_size is not None and image.size != (self.image_size, self.image_size):
            image = image.resize((self.image_size, self.image_size), Image.Resampling.BILINEAR)
        pixels = np.asarray(image)
        return pixels[..., None] if pixels.ndim == 2 else pixels


@dataclass
class Pictures:
    """The images of a data set, found but not opened.

    Attributes:
        count: How many there are, N.
        blocks: Given a shape, yields them in order, uint8 [n, H, W, C]; errors as in ``from_files``.
        labels: Their classes, int64 [N].
        classes: Names of the classes.
        roles: What the data say that each is for (``TRAINING``, ``VALIDATION`` or ``TEST``), int8 [N].
        factors: Where the images are all combinations of factors: these.
        order: Where the image of each state stands among the blocks, int64 [N]; None: in the order of the numbers.
        listing: What changes when the files do, where they are not expected to stay the same.
    """

    count: int
    blocks: Callable[[Shape], Iterator[Images]]
    labels: NDArray[np.int64] | None = None
    classes: tuple[str, ...] = ()
    roles: NDArray[np.int8] | None = None
    factors: FactorSpace | None = None
    order: NDArray[np.int64] | None = None
    listing: str = ""


def from_files(files: Sequence[Path], channels: int | None = 3, inverted: bool = False, **about: Any) -> Pictures:
    """Images in files of their own.

    Reading them raises ImageError where one cannot be read, and UsageError where sizes or channels differ.

    Args:
        files: Where they are.
        channels: 1 or 3, which they are converted to; None: as they are, which must be the same for all.
        inverted: Turn black to white.
        **about: The other attributes of ``Pictures``.
    """

    def blocks(shape: Shape) -> Iterator[Images]:
        def read(file: Path) -> Images:
            pixels = shape.fit(open_image(file, 1 if shape.grayscale else channels), str(file))
            return np.subtract(255, pixels) if inverted else pixels

        first = None
        with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
            for start in range(0, len(files), BLOCK):
                named = files[start : start + BLOCK]
                found = list(pool.map(read, named))
                first = found[0].shape if first is None else first
                for file, pixels in zip(named, found, strict=True):
                    if pixels.shape != first:
                        raise UsageError(
                            f"{file} is {_size(pixels.shape)}, but {files[0]} {_size(first)}: images of one size and"
                            " mode are accepted, or --image-size, and --grayscale where only some are grey"
                        )
                yield np.stack(found)

    return Pictures(len(files), blocks, **about)


def from_arrays(count: int, arrays: Callable[[], Iterator[Images]], name: str, **about: Any) -> Pictures:
    """Images in arrays.

    Args:
        count: How many there are.
        arrays: Yields them in order, uint8 [n, H, W] or [n, H, W, C] with C = 1 or 3.
        name: What they are called in messages.
        **about: The other attributes of ``Pictures``.
    """

    def blocks(shape: Shape) -> Iterator[Images]:
        with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
            for block in arrays():
                images = block[..., None] if block.ndim == 3 else block
                _, height, width, channels = images.shape
                size = shape.image_size or height, shape.image_size or width
                if (height, width) == size and shape.crop is None and not (shape.grayscale and channels == 3):
                    yield images
                    continue
                flat = images[..., 0] if channels == 1 else images
                yield np.stack(list(pool.map(lambda each: shape.fit(Image.fromarray(each), name), flat)))

    return Pictures(count, blocks, **about)


def open_image(file: Path, channels: int | None) -> Image.Image:
    """An image file as mode L or RGB.

    Args:
        file: Where it is.
        channels: 1 or 3, which it is converted to; None: as it is.

    Raises:
        ImageError: It cannot be read, has more than 8 bits a channel, or pixels that are transparent.
    """
    try:
        with Image.open(file) as opened:
            mode = opened.mode
            alpha = mode in _ALPHA or "transparency" in opened.info
            if mode not in _GREY + _COLOUR + _ALPHA:
                raise ImageError(f"its mode is {mode}; grey and colours of 8 bits are accepted")
            if alpha and np.asarray(opened.convert("RGBA"))[..., 3].min() < 255:
                raise ImageError("it has transparent pixels")
            grey = channels == 1 or (channels is None and mode in (*_GREY, "LA"))
            return opened.convert("L" if grey else "RGB")
    except MemoryError:
        raise
    except Exception as error:  # whatever a decoder says of what is in a file
        raise ImageError(f"{file} cannot be read as an image: {' '.join(str(error).split())[:200]}") from error


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]} x {shape[0]} pixels with {shape[2]} channel{'s' if shape[2] > 1 else ''}"


def need(path: Path) -> Path:
    """``path``, if there is something.

    Raises:
        Absent: There is not.
    """
    if not path.exists():
        raise Absent(f"there is no {path}")
    return path


def root_of(path: Path, *names: str, holds: str) -> Path:
    """The folder with a file or folder called ``holds``: ``path`` itself, or one of those names in it.

    Raises:
        Absent: There is none.
    """
    for folder in (path, *(path / name for name in names)):
        if (folder / holds).exists():
            return folder
    raise Absent(f"there is no {path / holds}")


def arrays_of(path: Path, *names: str) -> list[NDArray[Any]]:
    """Arrays of numbers in a MATLAB file.

    Raises:
        Absent: There is no such file.
        ImageError: It cannot be read, or has no such arrays.
    """
    need(path)
    try:
        held = loadmat(str(path), variable_names=names)
    except MemoryError:
        raise
    except Exception as error:  # whatever the reader says of what is in a file
        raise ImageError(f"{path} cannot be read as a MATLAB file: {' '.join(str(error).split())[:200]}") from error
    for name in names:
        if name not in held or held[name].dtype.kind not in "uif":
            raise ImageError(f"{path} holds no array of numbers called {name!r}")
    return [held[name] for name in names]


def lines_of(path: Path) -> list[list[str]]:
    """The words of each line of a text file that is not empty.

    Raises:
        Absent: There is none.
        ImageError: It is no text.
    """
    try:
        return [line.split() for line in need(path).read_text(encoding="utf-8").splitlines() if line.strip()]
    except (UnicodeDecodeError, IsADirectoryError) as error:
        raise ImageError(f"{path} cannot be read as text: {error}") from error


def numbered(names: Sequence[str]) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """The number of each name among all that differ, int64 [N], and these, sorted."""
    classes, numbers = np.unique(np.array(names, dtype=np.str_), return_inverse=True)
    return numbers.astype(np.int64), tuple(classes.tolist())
