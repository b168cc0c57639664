"""``folder:PATH``: any folder of images."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np

from ...envs.registry import UsageError
from ..noise import IMAGE_SUFFIXES, NoiseOptions
from ..registry import DatasetSpec
from .data import PUBLISHED, ImageDataset, ImageOptions, Published
from .file import ImageFile, Told, is_prepared, write_images
from .pictures import TEST, TRAINING, VALIDATION, Absent, ImageError, Pictures, Shape, from_files, numbered

_ROLES = {
    **dict.fromkeys(("train", "training"), TRAINING),
    **dict.fromkeys(("val", "valid", "validation"), VALIDATION),
    **dict.fromkeys(("test", "testing"), TEST),
}


def image_files(folder: Path) -> list[Path]:
    """The images in a folder and in the folders in it, sorted by their paths; what is hidden is passed over.

    Raises:
        Absent: There is no such folder, or it holds no images.
        OSError: One of the folders cannot be read.
    """
    if not folder.is_dir():
        raise Absent(f"there is no folder {folder}")

    def refuse(error: OSError) -> None:
        raise error

    files: list[Path] = []
    for place, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        files += [
            Path(place, name)
            for name in names
            if Path(name).suffix.lower() in IMAGE_SUFFIXES and not name.startswith(".")
        ]
    if not files:
        raise Absent(f"the folder {folder} holds no images ({', '.join(sorted(IMAGE_SUFFIXES))})")
    return sorted(files)


def read_folder(folder: Path) -> Pictures:
    """The images in a folder.

    Where all lie in folders of it, these are their classes, as in torchvision's ``ImageFolder``; folders called train,
    val and test say what the images are for, and the classes are the folders in them.

    Raises:
        UsageError: There is no such folder, or it holds no images.
    """
    try:
        files = image_files(folder)
    except Absent as error:
        raise UsageError(f"--dataset=folder:{folder}: {error}") from error
    parts = [file.relative_to(folder).parts[:-1] for file in files]
    roles = None
    tops = [_ROLES.get(part[0].lower()) if part else None for part in parts]
    if None not in tops and len({*tops}) > 1 and TRAINING in tops:
        roles = np.array(tops, dtype=np.int8)
        parts = [part[1:] for part in parts]
    labels, classes = numbered([part[0] for part in parts]) if all(parts) else (None, ())
    digest = hashlib.sha256()
    for file in files:
        state = file.stat()
        digest.update(f"{file.relative_to(folder)}\0{state.st_size}\0{state.st_mtime_ns}\n".encode())
    return from_files(files, channels=None, labels=labels, classes=classes, roles=roles, listing=digest.hexdigest())


class Folder(Published):
    """A folder of images, which may change: the file made of it is made again then."""

    def prepared(self, path: Path, shape: Shape, told: Told | None = None) -> Path:
        if is_prepared(path):
            return path
        if path.is_file():
            raise UsageError(f"--dataset=folder:{path}: it is neither a folder nor a file of prepared images")
        pictures, out = self.pictures(path), self.place(path, shape)
        if not (out.is_file() and _made_of(out, pictures)):
            write_images(out, pictures, shape, self.name, told)
        return out


def _made_of(file: Path, pictures: Pictures) -> bool:
    try:
        return ImageFile(file).listing == pictures.listing
    except ImageError:
        return False


FOLDER = Folder("folder", "no place: these are your own", "a folder of images, also in folders of it", read_folder)
PUBLISHED.register("folder")(FOLDER)


def folder_spec(path: str) -> DatasetSpec:
    """What stands behind ``folder:PATH``.

    Raises:
        UsageError: The path is empty.
    """
    if not path:
        raise UsageError("--dataset=folder:PATH needs the path of a folder of images")

    def build(options: ImageOptions, noise: NoiseOptions, seed: int) -> ImageDataset:
        return FOLDER.open(Path(path), options, noise, seed)

    def ready(options: ImageOptions, told: Told | None) -> None:
        options.check()
        FOLDER.prepared(Path(path), options.shape, told)

    return DatasetSpec(ImageOptions, build, ready=ready, acts=False)
