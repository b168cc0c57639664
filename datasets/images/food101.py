"""Food-101: dishes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from .data import published
from .pictures import TEST, TRAINING, ImageError, Pictures, from_files, lines_of, need, numbered, root_of


def _names(meta: Path, part: str) -> list[str]:
    """The images of a part, ``class/number``: from the list, or else from the table by class."""
    if (meta / f"{part}.txt").is_file():
        return [row[0] for row in lines_of(meta / f"{part}.txt")]
    file = need(meta / f"{part}.json")
    try:
        return [str(name) for names in json.loads(file.read_bytes()).values() for name in names]
    except (ValueError, AttributeError, TypeError) as error:
        raise ImageError(f"{file} is damaged: {error}") from error


@published(
    "food101",
    source="https://data.vision.ee.ethz.ch/cvl/datasets_extra/food-101/",
    expected="the folder food-101 with images/CLASS/*.jpg and meta/train.txt and test.txt (or .json)",
)
def food101(path: Path) -> Pictures:
    """Dishes (Bossard et al. 2014, ECCV): 101 classes, 75,750 and 25,250 images of different sizes."""
    root = root_of(path, "food-101", holds="meta")
    parts = {role: _names(root / "meta", part) for role, part in ((TRAINING, "train"), (TEST, "test"))}
    names = [name for part in parts.values() for name in part]
    if any(name.count("/") != 1 for name in names):
        raise ImageError(f"{root / 'meta'} is damaged: its images are not named class/number")
    labels, classes = numbered([name.partition("/")[0] for name in names])
    files = [root / "images" / f"{name}.jpg" for name in names]
    roles = np.repeat(list(parts), [len(part) for part in parts.values()]).astype(np.int8)
    return from_files(files, labels=labels, classes=classes, roles=roles)
