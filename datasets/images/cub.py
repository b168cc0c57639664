"""CUB-200-2011: birds."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .data import published
from .pictures import TEST, TRAINING, ImageError, Pictures, from_files, lines_of, root_of


def _column(file: Path, ids: list[str] | None = None) -> dict[str, str]:
    """The second word of each line by the first; of these ids, if they are given."""
    rows = lines_of(file)
    found = {row[0]: row[1] for row in rows if len(row) == 2}
    if len(found) != len(rows) or (ids is not None and found.keys() != {*ids}):
        raise ImageError(f"{file} is damaged: it does not have a line of two words for each number")
    return found


@published(
    "cub",
    source="https://www.vision.caltech.edu/datasets/cub_200_2011/",
    expected="the folder CUB_200_2011 with images/, images.txt, image_class_labels.txt, train_test_split.txt and"
    " classes.txt",
)
def cub(path: Path) -> Pictures:
    """Birds (Wah et al. 2011): 200 species, 5,994 and 5,794 images of different sizes."""
    root = root_of(path, "CUB_200_2011", holds="images.txt")
    files, names = _column(root / "images.txt"), _column(root / "classes.txt")
    ids = list(files)
    kinds, training = (_column(root / f"{name}.txt", ids) for name in ("image_class_labels", "train_test_split"))
    numbers = {number: place for place, number in enumerate(names)}
    if not numbers.keys() >= {*kinds.values()}:
        raise ImageError(f"{root / 'image_class_labels.txt'} is damaged: it names classes that are not in classes.txt")
    return from_files(
        [root / "images" / files[each] for each in ids],
        labels=np.array([numbers[kinds[each]] for each in ids], dtype=np.int64),
        classes=tuple(names.values()),
        roles=np.array([TRAINING if training[each] == "1" else TEST for each in ids], dtype=np.int8),
    )
