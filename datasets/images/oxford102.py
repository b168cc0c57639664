"""Oxford-102: flowers."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .data import published
from .pictures import TEST, TRAINING, VALIDATION, ImageError, Pictures, arrays_of, from_files, need, root_of


@published(
    "oxford102",
    source="https://www.robots.ox.ac.uk/~vgg/data/flowers/102/",
    expected="the folder jpg with image_00001.jpg to image_08189.jpg, imagelabels.mat and setid.mat",
)
def oxford102(path: Path) -> Pictures:
    """Flowers (Nilsback and Zisserman 2008): 102 classes, 1,020, 1,020 and 6,149 images of different sizes."""
    root = root_of(path, "flowers-102", holds="jpg")
    (labels,) = arrays_of(root / "imagelabels.mat", "labels")
    parts = arrays_of(root / "setid.mat", "trnid", "valid", "tstid")
    kinds = labels.reshape(-1).astype(np.int64)
    roles = np.full(len(kinds), -1, dtype=np.int8)
    for role, numbers in zip((TRAINING, VALIDATION, TEST), parts, strict=True):
        places = numbers.reshape(-1).astype(np.int64) - 1
        if len(places) and not (places.min() >= 0 and places.max() < len(kinds)):
            raise ImageError(f"{root / 'setid.mat'} is damaged: it names images that have no label")
        roles[places] = role
    if (roles < 0).any() or kinds.min() < 1:
        raise ImageError(f"{root / 'setid.mat'} and imagelabels.mat do not say of each image what it is")
    files = [need(root / "jpg") / f"image_{number + 1:05d}.jpg" for number in range(len(kinds))]
    classes = tuple(str(number) for number in range(1, int(kinds.max()) + 1))
    return from_files(files, labels=kinds - 1, classes=classes, roles=roles)
