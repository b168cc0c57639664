"""Still images from files: folders of them and published sets, one file a set; and frames of Breakout."""

from importlib import import_module
from pkgutil import iter_modules

from .data import PUBLISHED, ImageDataset, ImageOptions, Published, StillImages, published
from .file import ImageFile, write_images
from .pictures import ImageError, Pictures, Shape, from_arrays, from_files

for _found in iter_modules(__path__):
    import_module(f".{_found.name}", __name__)  # each enters what it has into the table of names

__all__ = [
    "PUBLISHED",
    "ImageDataset",
    "ImageError",
    "ImageFile",
    "ImageOptions",
    "Pictures",
    "Published",
    "Shape",
    "StillImages",
    "from_arrays",
    "from_files",
    "published",
    "write_images",
]
