"""Prepared images: one HDF5 file, from which any batch is read quickly and without the others."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import json
import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ...envs.factors import Factor, FactorSpace
from ...envs.registry import UsageError
from ..rollouts.codec import filters
from ..rollouts.layout import RolloutError
from ..rollouts.reader import Chunks
from ..rollouts.transaction import TransactionalFile
from .pictures import TEST, TRAINING, ImageError, Images, Pictures, Shape

FORMAT, VERSION = "equiworld-images", 1
_CHUNK_BYTES = 16_384  # about: what one image costs to read
Told = Callable[[int, int], object]
"""Called now and then with how many are done, and of how many."""


class ImageFile:
    """Images that ``write_images`` wrote. It can be pickled and used after a fork.

    Args:
        path: The file.

    Attributes:
        path: The file.
        name: Of the data set.
        shape: Of an image, ``(H, W, C)``.
        settings: What the images were made into.
        labels: Their classes, int64 [N], or None.
        classes: Names of the classes.
        roles: As in ``Pictures``, int8 [N], or None.
        factors: Likewise, or None.
        listing: Likewise.

    Raises:
        ImageError: It is damaged, or another kind of file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._chunks: Chunks | None = None
        self._pid = os.getpid()
        try:
            with h5py.File(path, "r") as file:
                if file.attrs.get("format") != FORMAT or file.attrs.get("version") != VERSION:
                    raise ValueError("it is no file of prepared images, or of another version")
                images = file["images"]
                if images.dtype != np.uint8 or images.ndim != 4 or not all(images.shape) or images.chunks is None:
                    raise ValueError(f"its images are {images.dtype} {list(images.shape)}")
                if images.chunks[1:] != images.shape[1:]:
                    raise ValueError("its chunks do not hold whole images")
                about = json.loads(file["about"][()])
                self.count, height, width, channels = (int(side) for side in images.shape)
                self.shape = height, width, channels
                self.labels: NDArray[np.int64] | None = self._row(file, "labels", np.int64)
                self.roles: NDArray[np.int8] | None = self._row(file, "roles", np.int8)
                self._order: NDArray[np.int64] | None = self._row(file, "order", np.int64)
            self.name, self.listing = str(about["name"]), str(about["listing"])
            self.settings, self.classes = Shape(**about["settings"]), tuple(map(str, about["classes"]))
            factors = [Factor(**each) for each in about["factors"]]
            self.factors = FactorSpace(factors) if factors else None
            if self.factors is not None and self.factors.size != self.count:
                raise ValueError(f"it has {self.count} images of {self.factors.size} states")
            if self.labels is not None and (self.labels.min() < 0 or self.labels.max() >= len(self.classes)):
                raise ValueError("its labels are no classes")
            if self.roles is not None and (self.roles.min() < TRAINING or self.roles.max() > TEST):
                raise ValueError("its roles are not 0, 1 and 2")
            if self._order is not None and not np.array_equal(np.sort(self._order), np.arange(self.count)):
                raise ValueError("its order is none")
        except PermissionError:
            raise
        except (OSError, RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:
            why = "it is damaged or no HDF5 file" if isinstance(error, OSError) else " ".join(str(error).split())[:200]
            raise ImageError(f"{path} cannot be read: {why}; remove it, and it is made again") from error

    def _row(self, file: h5py.File, name: str, dtype: Any) -> Any:
        if name not in file:
            return None
        values = file[name][:]
        if values.shape != (self.count,) or values.dtype != dtype:
            raise ValueError(f"its {name} are {values.dtype} {list(values.shape)}")
        return values

    def __len__(self) -> int:
        """The number of images N."""
        return self.count

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_chunks": None}

    def read(self, numbers: NDArray[np.int64]) -> Images:
        """Images.

        Args:
            numbers: Which, int64 [n], each from 0 to N - 1.

        Returns:
            uint8 [n, H, W, C], an array of its own.

        Raises:
            ImageError: The file is damaged there, or gone.
        """
        out = np.empty((len(numbers), *self.shape), dtype=np.uint8)
        if not len(numbers):
            return out
        try:
            if self._chunks is None or self._pid != os.getpid():
                self._chunks, self._pid = Chunks(h5py.File(self.path, "r")["images"], self.path), os.getpid()
            self._chunks.gather(numbers if self._order is None else self._order[numbers], out)
        except RolloutError as error:
            raise ImageError(str(error)) from error
        except (OSError, KeyError) as error:
            raise ImageError(f"{self.path} cannot be read any more: {error}") from error
        return out


def is_prepared(path: Path) -> bool:
    """Whether a path is a file of prepared images, as far as its first attribute says.

    Raises:
        ImageError: It is an HDF5 file, but a damaged one; or it cannot be read.
    """
    if not path.is_file():
        return False
    try:
        if not h5py.is_hdf5(path):
            return False
        with h5py.File(path, "r") as file:
            return bool(file.attrs.get("format") == FORMAT)
    except (OSError, RuntimeError) as error:
        why = "Permission denied" if isinstance(error, PermissionError) else " ".join(str(error).split())[:200]
        raise ImageError(f"{path} cannot be read: {why}") from error


def write_images(path: Path, pictures: Pictures, shape: Shape, name: str, told: Told | None = None) -> None:
    """Writes images into a file, which appears once it is whole; one that is there is replaced.

    Args:
        path: The file.
        pictures: The images.
        shape: What they are made into.
        name: Of the data set.
        told: How far it is.

    Raises:
        UsageError: There are none, they differ in size or mode, or another process writes them.
        ImageError: One cannot be read.
        OSError: The file cannot be written.
    """
    if not pictures.count:
        raise UsageError(f"{name}: there are no images")
    about = {
        "name": name,
        "settings": dataclasses.asdict(shape),
        "classes": pictures.classes,
        "factors": [] if pictures.factors is None else [dataclasses.asdict(each) for each in pictures.factors.factors],
        "listing": pictures.listing,
    }
    with _whole(path) as stream, h5py.File(stream, "w") as file:
        file.attrs["format"], file.attrs["version"] = FORMAT, VERSION
        file["about"] = json.dumps(about)
        columns = {"labels": (pictures.labels, np.int64), "roles": (pictures.roles, np.int8)}
        for column, (values, dtype) in {**columns, "order": (pictures.order, np.int64)}.items():
            if values is not None:
                file[column] = np.asarray(values, dtype=dtype)
        done, target = 0, None
        for block in pictures.blocks(shape):
            if target is None:
                size = block.shape[1:]
                rows = min(pictures.count, max(1, _CHUNK_BYTES // math.prod(size)))
                target = file.create_dataset(
                    "images", (pictures.count, *size), np.uint8, chunks=(rows, *size), **filters("lz4")
                )
                held = np.empty((0, *size), dtype=np.uint8)
            # Whole chunks alone are written, so that none is compressed twice.
            held = np.concatenate([held, block])
            whole = len(held) - len(held) % target.chunks[0]
            target[done : done + whole] = held[:whole]
            stream.check()
            done, held = done + whole, held[whole:]
            if told is not None:
                told(done + len(held), pictures.count)
        if target is not None and len(held):
            target[done:] = held
        if target is None or done + len(held) != pictures.count:
            raise ImageError(f"{name}: {done} images were found where there should be {pictures.count}")


@contextlib.contextmanager
def _whole(path: Path) -> Iterator[TransactionalFile]:
    """What is written into it becomes the file at ``path`` at the end, or is gone where that is not reached."""
    try:
        stream = TransactionalFile(path, new=True, replace=True)
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR):
            raise
        raise UsageError(
            f"{path} cannot be written ({error.strerror}): python -m equiworld.datasets.prepare makes it with"
            " --out FILE elsewhere, and --data-path FILE names it then"
        ) from error
    with contextlib.closing(stream):
        try:
            yield stream
            stream.commit()
        except (OSError, RuntimeError) as error:
            failed = stream.error or error  # HDF5 may stumble over what could not be written
            if isinstance(failed, ImageError) or (isinstance(failed, OSError) and failed.filename):
                raise
            number = failed.errno if isinstance(failed, OSError) and failed.errno else errno.EIO
            raise OSError(number, os.strerror(number), str(path)) from error
