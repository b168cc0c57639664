"""3D Chairs: renderings of chairs."""

from __future__ import annotations

from pathlib import Path

from .data import published
from .folder import image_files
from .pictures import Pictures, from_files, numbered


@published(
    "chairs3d",
    source="https://www.di.ens.fr/willow/research/seeing3Dchairs/",
    expected="the folder rendered_chairs with 86,366 images in MODEL/renders/, or a folder with the images alone",
)
def chairs3d(path: Path) -> Pictures:
    """Chairs (Aubry et al. 2014, CVPR), 600 x 600: 1,393 models, 62 views of each; the models are the classes."""
    root = path / "rendered_chairs" if (path / "rendered_chairs").is_dir() else path
    files = image_files(root)
    if not all(file.parent.name == "renders" for file in files):
        return from_files(files)
    labels, classes = numbered([file.parent.parent.name for file in files])
    return from_files(files, labels=labels, classes=classes)
