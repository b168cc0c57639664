"""Small pictures in arrays: MNIST and what is published in its layouts (IDX, npz), and Omniglot."""

from __future__ import annotations

import gzip
import math
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .data import published
from .folder import image_files
from .pictures import (
    BLOCK,
    TEST,
    TRAINING,
    VALIDATION,
    Absent,
    ImageError,
    Images,
    Pictures,
    arrays_of,
    from_arrays,
    from_files,
    numbered,
)

_IDX = {"train": TRAINING, "t10k": TEST}
_NPZ = {
    TRAINING: ("train",),
    VALIDATION: ("val", "valid", "validation"),
    TEST: ("test",),
}
_ALONE = (("images", "labels"), ("x", "y"), ("data", "targets"))
_BYTES = 0x08  # the type of numbers in an IDX file

Part = tuple[int, NDArray[Any], NDArray[Any] | None]
"""What images are for, the images, and their classes if these are known."""


def read_idx(path: Path) -> NDArray[np.uint8]:
    """The array of bytes in an IDX file, packed with gzip or not.

    Raises:
        ImageError: It is damaged, or none.
    """
    try:
        content = path.read_bytes()
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ImageError(f"{path} cannot be unpacked: {error}") from error
    if len(content) < 4 or content[:3] != bytes([0, 0, _BYTES]) or len(content) < 4 + 4 * content[3]:
        raise ImageError(f"{path} is no IDX file of bytes")
    begin = 4 + 4 * content[3]
    shape = np.frombuffer(content[4:begin], dtype=">u4").tolist()
    if len(content) - begin != math.prod(shape):
        raise ImageError(f"{path} is damaged: it has {len(content) - begin} bytes where {shape} are announced")
    return np.frombuffer(content, dtype=np.uint8, offset=begin).reshape(shape)


def _idx_parts(folder: Path) -> list[Part]:
    parts: list[Part] = []
    for name, role in _IDX.items():
        found = {}
        for what in ("images", "labels"):
            files = [*sorted(folder.glob(f"{name}-{what}[-.]idx?-ubyte")), *sorted(folder.glob(f"{name}-{what}*.gz"))]
            found[what] = read_idx(files[0]) if files else None
        if found["images"] is not None:
            parts.append((role, found["images"], found["labels"]))
    return parts


def _npz_parts(path: Path) -> list[Part]:
    try:
        with path.open("rb") as stream, np.lib.npyio.NpzFile(stream, allow_pickle=False) as held:
            names = set(held.files)
            parts: list[Part] = []
            for role, words in _NPZ.items():
                for word in words:
                    images = [name for name in (f"x_{word}", f"{word}_images", word) if name in names]
                    labels = [name for name in (f"y_{word}", f"{word}_labels") if name in names]
                    if images:
                        classes = np.asarray(held[labels[0]]) if labels else None
                        parts.append((role, np.asarray(held[images[0]]), classes))
            for image, label in _ALONE:
                if not parts and image in names:
                    parts.append((-1, np.asarray(held[image]), np.asarray(held[label]) if label in names else None))
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise ImageError(f"{path} cannot be read: {' '.join(str(error).split())[:200]}") from error
    if not parts:
        known = "x_train, y_train, x_test, y_test; train_images, train_labels, ...; images, labels"
        raise ImageError(f"{path} holds no images under a known name ({known}): {', '.join(sorted(names))}")
    return parts


def _mat_parts(path: Path) -> list[Part]:
    """Omniglot at 28 x 28 as Burda et al. publish it: an image a column, itself column by column."""
    names = ("data", "targetchar", "target", "testdata", "testtargetchar", "testtarget")
    data, char, alphabet, test, test_char, test_alphabet = arrays_of(path, *names)
    parts: list[Part] = []
    for role, columns, chars, alphabets in ((TRAINING, data, char, alphabet), (TEST, test, test_char, test_alphabet)):
        side = math.isqrt(len(columns))
        if columns.ndim != 2 or side * side != len(columns) or alphabets.ndim != 2:
            raise ImageError(f"{path}: its images are {list(columns.shape)}, not [784, N]")
        if not chars.size == alphabets.shape[1] == columns.shape[1]:
            raise ImageError(f"{path}: it has {chars.size} labels for {columns.shape[1]} images")
        labels = alphabets.argmax(axis=0) * 10_000 + chars.reshape(-1).astype(np.int64)
        parts.append((role, columns.T.reshape(-1, side, side).transpose(0, 2, 1), labels))
    return parts


def _as_bytes(images: NDArray[Any], path: Path) -> Images:
    if images.ndim not in (3, 4) or not images.size or (images.ndim == 4 and images.shape[3] not in (1, 3)):
        raise ImageError(f"{path}: its images are {list(images.shape)}, not [N, H, W] or [N, H, W, 1 or 3]")
    if images.dtype.kind not in "uifb":
        raise ImageError(f"{path}: its images are of type {images.dtype}")
    top = images.max()
    if images.dtype.kind == "f" and not (images.min() >= 0 and top <= 1):
        raise ImageError(f"{path}: its images have values from {images.min():g} to {top:g}; 0 to 1 are accepted")
    if images.dtype.kind in "ui" and not (images.min() >= 0 and top <= 255):
        raise ImageError(f"{path}: its images have values from {images.min()} to {top}; 0 to 255 are accepted")
    if images.dtype.kind == "f" or top <= 1:  # shares of white, or black and white
        return np.rint(images * np.float32(255)).astype(np.uint8)
    return images.astype(np.uint8, copy=False)


def _joined(parts: Sequence[Part], path: Path, name: str) -> Pictures:
    images = [_as_bytes(each, path) for _, each, _ in parts]
    if len({each.shape[1:] for each in images}) > 1:
        raise ImageError(f"{path}: its images are of different sizes")
    count = sum(map(len, images))
    roles = np.repeat([role for role, _, _ in parts], list(map(len, images))).astype(np.int8)
    labels: NDArray[np.int64] | None = None
    classes: tuple[str, ...] = ()
    known = [each.reshape(-1) for _, _, each in parts if each is not None]
    if len(known) == len(parts):
        if [len(each) for each in known] != [len(each) for each in images]:
            raise ImageError(f"{path}: it has {sum(map(len, known))} labels for {count} images")
        values, labels = np.unique(np.concatenate(known), return_inverse=True)
        classes = tuple(map(str, values.tolist()))

    def arrays() -> Iterator[Images]:
        for part in images:
            for start in range(0, len(part), 16 * BLOCK):
                yield part[start : start + 16 * BLOCK]

    published = roles.min() == TRAINING and roles.max() > TRAINING
    return from_arrays(count, arrays, name, labels=labels, classes=classes, roles=roles if published else None)


def _parts(path: Path) -> list[Part]:
    """The parts of a set in one of these layouts; empty where there is none of them."""
    if path.is_file():
        return _npz_parts(path) if path.suffix == ".npz" else [(-1, read_idx(path), None)]
    found = _idx_parts(path)
    files = sorted(path.glob("*.npz"))
    return _npz_parts(files[0]) if files and not found else found


@published(
    "mnist",
    source="http://yann.lecun.com/exdb/mnist/ (and other sets in its layout elsewhere)",
    expected="train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte (.gz),"
    " or an .npz with x_train, y_train, x_test, y_test",
    image_size=None,
)
def mnist(path: Path) -> Pictures:
    """Digits (LeCun et al. 1998), 28 x 28, 60,000 and 10,000; and whatever else lies in IDX or npz files."""
    parts = _parts(path)
    if not parts:
        raise Absent(f"there is no IDX or npz file in {path}")
    return _joined(parts, path, "mnist")


@published(
    "omniglot",
    source="https://github.com/brendenlake/omniglot (at 28 x 28: https://github.com/yburda/iwae)",
    expected="the folders images_background and images_evaluation, or chardata.mat, or IDX or npz files as of mnist",
    image_size=28,
)
def omniglot(path: Path) -> Pictures:
    """Characters (Lake et al. 2015, Science 350), white on black, a class each; 24,345 and 8,070 in chardata.mat."""
    file = path if path.suffix == ".mat" else path / "chardata.mat"
    if file.is_file():
        return _joined(_mat_parts(file), file, "omniglot")
    names = {"images_background": TRAINING, "images_evaluation": TEST}
    files, roles = [], []
    for name, role in names.items():
        if (path / name).is_dir():
            found = image_files(path / name)
            files += found
            roles += [role] * len(found)
    if files:
        labels, classes = numbered(["/".join(file.parts[-3:-1]) for file in files])
        known = np.array(roles, dtype=np.int8) if len({*roles}) > 1 else None
        return from_files(files, channels=1, inverted=True, labels=labels, classes=classes, roles=known)
    parts = _parts(path)
    if not parts:
        raise Absent(f"there is nothing of it in {path}")
    return _joined(parts, path, "omniglot")
