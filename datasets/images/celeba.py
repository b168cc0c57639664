"""CelebA: faces."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .data import published
from .folder import image_files
from .pictures import Absent, ImageError, Pictures, from_files, lines_of, root_of

_IMAGES, _LIST = "img_align_celeba", "list_eval_partition.txt"


@published(
    "celeba",
    source="https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html",
    expected=f"the folder {_IMAGES} with 202,599 .jpg files and, for the published split, {_LIST} (also in Eval/)",
)
def celeba(path: Path) -> Pictures:
    """Aligned faces (Liu et al. 2015, arXiv 1411.7766), 178 x 218: 162,770, 19,867 and 19,962."""
    root = root_of(path, "CelebA", "celeba", holds=_IMAGES)
    lists = [place for place in (root / _LIST, root / "Eval" / _LIST) if place.is_file()]
    files = image_files(root / _IMAGES)
    if not lists:
        return from_files(files)
    rows = lines_of(lists[0])
    if any(len(row) != 2 or row[1] not in ("0", "1", "2") for row in rows):
        raise ImageError(f"{lists[0]} is damaged: its lines are not 'image part', with 0, 1 or 2 for the part")
    known = {file.name: file for file in files}
    missing = [name for name, _ in rows if name not in known]
    if missing:
        raise Absent(f"{len(missing)} images that {lists[0]} names are not there, such as {missing[0]}")
    roles = np.array([int(role) for _, role in rows], dtype=np.int8)
    return from_files([known[name] for name, _ in rows], roles=roles if len({*roles.tolist()}) > 1 else None)
