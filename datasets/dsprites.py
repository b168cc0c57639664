"""The published dSprites file as a world and a data set, read from a place that the user names."""

from __future__ import annotations

import math
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from ..envs.factors import IntArray
from ..envs.registry import UsageError
from ..envs.sprites import sprite_factors, wheel_actions
from ..envs.world import World
from .factors import FactorDataset
from .noise import NoiseOptions
from .registry import dataset

FILE = "dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz"
"""The file's published name."""

SOURCE = "https://github.com/google-deepmind/dsprites-dataset"
"""Where it is published."""

_ROWS = 4096  # pictures that are unpacked at a time


class DSpritesError(OSError):
    """The published file cannot be read; the message is one line."""


@dataclass
class DSpritesOptions:
    """The options of dSprites."""

    data_path: str = FILE
    """The published file, or the folder that it lies in; https://github.com/google-deepmind/dsprites-dataset has it."""
    stride: int = 4
    """Values that an action moves its factor by, at most (n - 1) // 2 of n; --offset sets it too."""


class DSprites(World):
    """The pictures of dSprites (Matthey et al. 2017), with the actions of the world "sprites".

    Each state's picture is looked up, none is drawn. The file numbers y from top to bottom, so "y +" moves down. Its
    orientations run from 0 to a full turn inclusive, so the last one looks like the first.

    Args:
        path: The published npz file, or the folder that it lies in.
        stride: By how many values an action moves its factor, around its circle; a factor of n values moves by at
            most ``(n - 1) // 2``.

    Raises:
        DSpritesError: There is no such file, or it is damaged or another one.
        UsageError: The stride is below 1.
    """

    def __init__(self, path: str | Path = FILE, *, stride: int = 4) -> None:
        if not isinstance(stride, int | np.integer) or isinstance(stride, bool) or stride < 1:
            raise UsageError(f"dsprites: stride must be a whole number, 1 or more, got {stride!r}")
        place = Path(path)
        file = place / FILE if place.is_dir() else place
        if not file.is_file():
            raise DSpritesError(
                f"there is no file {str(file)!r}: {FILE} is published at {SOURCE}; --data-path names it"
            )
        try:
            sizes, self._bits, shape = _read(file)
        except (OSError, EOFError, ValueError, KeyError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
            raise DSpritesError(f"{str(file)!r} cannot be read as {FILE} ({SOURCE}): {error}") from error
        self.factors = sprite_factors(sizes)
        self.actions = wheel_actions(self.factors, int(stride))
        self.image_shape = (*shape, 1)

    def render(self, factors: IntArray) -> NDArray[np.uint8]:
        """Pictures of states, 0 (black) and 255 (white).

        Args:
            factors: shape, scale, orientation, x and y, int64 [N, 5].

        Returns:
            uint8 [N, H, W, 1].

        Raises:
            UsageError: A row is no state.
        """
        height, width, _ = self.image_shape
        rows = np.atleast_1d(self.factors.to_index(factors))
        pixels = np.unpackbits(self._bits[rows], axis=1, count=height * width)
        np.multiply(pixels, 255, out=pixels)
        return pixels.reshape(-1, *self.image_shape)


def _read(file: Path) -> tuple[list[int], NDArray[np.uint8], tuple[int, int]]:
    """The sizes of the factors, the pictures at a bit a pixel [N, bytes], and their height and width.

    The member "metadata" of the file is a pickle, and is never opened; 3 GB of pixels are never unpacked at once.
    """
    with zipfile.ZipFile(file) as archive:
        with archive.open("latents_classes.npy") as stream:
            shape, dtype = _header(stream)
            if dtype.kind not in "iu" or len(shape) != 2 or shape[1] != 6 or not shape[0]:
                raise ValueError(f"its latents_classes are {dtype} {list(shape)}, not whole numbers [N, 6]")
        with archive.open("latents_classes.npy") as stream:
            classes = npy.read_array(stream, allow_pickle=False)
        sizes = [int(size) for size in classes.max(axis=0) + 1]
        # Colour has one value; the others run through all combinations, the last one fastest.
        whole = sizes[0] == 1 and math.prod(sizes) == len(classes)
        if not whole or (classes != np.stack(np.unravel_index(np.arange(len(classes)), sizes), axis=1)).any():
            raise ValueError("its latents_classes are not every combination of the six factors in order")
        with archive.open("imgs.npy") as stream:
            shape, dtype = _header(stream)
            if dtype not in (np.uint8, np.bool_) or len(shape) != 3 or shape[0] != len(classes) or not all(shape):
                raise ValueError(f"its imgs are {dtype} {list(shape)}, not bytes [{len(classes)}, H, W]")
            count, height, width = shape
            bits = np.empty((count, (height * width + 7) // 8), dtype=np.uint8)
            for start in range(0, count, _ROWS):
                rows = min(_ROWS, count - start)
                content = stream.read(rows * height * width)
                if len(content) < rows * height * width:
                    raise ValueError("its imgs end too early")
                pixels = np.frombuffer(content, dtype=np.uint8).reshape(rows, -1)
                if pixels.max() > 1:
                    raise ValueError(f"its imgs have a pixel {pixels.max()}; 0 and 1 are accepted")
                bits[start : start + rows] = np.packbits(pixels, axis=1)
            if stream.read(1):
                raise ValueError("its imgs go on after their end")
    return sizes[1:], bits, (height, width)


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """The shape and the type of numbers that the header of a member tells; the stream is left at the numbers."""
    read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}.get(npy.read_magic(stream))
    if read is None:
        raise ValueError("it is of a version of the npy format that is not known")
    shape, by_columns, dtype = read(stream)
    if by_columns and len(shape) > 1:
        raise ValueError("its arrays lie column by column")
    return tuple(int(size) for size in shape), dtype


@dataset("dsprites", options=DSpritesOptions, offset="stride")
def dsprites(options: DSpritesOptions, noise: NoiseOptions, seed: int) -> FactorDataset:
    """Every state of dSprites.

    Raises:
        DSpritesError: There is no such file, or it is damaged or another one.
        UsageError: The stride is below 1.
    """
    world = DSprites(options.data_path, stride=options.stride)
    return FactorDataset(world, noise.make(world.image_shape, seed), seed)
