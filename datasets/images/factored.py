"""Sets whose images are all combinations of known factors: 3D Shapes and Cars3D."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

from ...envs.factors import Factor, FactorSpace, Kind
from .data import published
from .pictures import Absent, ImageError, Images, Pictures, arrays_of, from_arrays, need

_BYTES = 2**26  # of images that are read at a time
_SHAPES: dict[str, Kind] = {
    "floor_hue": "cyclic",
    "wall_hue": "cyclic",
    "object_hue": "cyclic",
    "scale": "ordinal",
    "shape": "categorical",
    "orientation": "ordinal",
}
_CARS: dict[str, Kind] = {"elevation": "ordinal", "azimuth": "cyclic", "object": "categorical"}


@published("shapes3d", source="https://github.com/google-deepmind/3d-shapes", expected="the file 3dshapes.h5")
def shapes3d(path: Path) -> Pictures:
    """Objects in a room (Burgess and Kim 2018), 64 x 64: 10 x 10 x 10 hues, 8 scales, 4 shapes, 15 orientations."""
    file = need(path if path.is_file() else path / "3dshapes.h5")
    try:
        with h5py.File(file, "r") as held:
            images, labels = held["images"], held["labels"][:]
            size, kind, rows = images.shape, images.dtype, (images.chunks or (1,))[0]
    except (OSError, RuntimeError, KeyError, AttributeError, TypeError) as error:
        raise ImageError(f"{file} cannot be read: {' '.join(str(error).split())[:200]}") from error
    if kind != np.uint8 or len(size) != 4 or size[3] != 3 or labels.shape != (size[0], len(_SHAPES)):
        raise ImageError(f"{file}: its images are {kind} {list(size)} and its labels {list(labels.shape)}")
    columns = [np.unique(column, return_inverse=True) for column in labels.T]
    space = FactorSpace([Factor(name, len(v), k) for (name, k), (v, _) in zip(_SHAPES.items(), columns, strict=True)])
    classes = np.stack([numbers.reshape(-1) for _, numbers in columns], axis=1)
    if space.size != size[0] or not np.array_equal(space.to_index(classes), np.arange(size[0])):
        raise ImageError(f"{file}: its labels are not every combination of the six factors in order")
    step = max(1, _BYTES // int(np.prod(size[1:])) // rows) * rows

    def arrays() -> Iterator[Images]:
        try:
            with h5py.File(file, "r") as held:
                for start in range(0, size[0], step):
                    yield held["images"][start : start + step]
        except (OSError, RuntimeError) as error:
            raise ImageError(f"{file} is damaged: {' '.join(str(error).split())[:200]}") from error

    return from_arrays(size[0], arrays, str(file), factors=space)


@published(
    "cars3d",
    source="http://www.scottreed.info/files/nips2015-analogy-data.tar.gz",
    expected="the folder data/cars with 183 .mat files",
)
def cars3d(path: Path) -> Pictures:
    """Cars (Reed et al. 2015, NeurIPS), 128 x 128: 4 elevations, 24 azimuths, 183 cars."""
    places = [path, path / "cars", path / "data" / "cars"]
    files = next((found for place in places if (found := sorted(place.glob("*.mat")))), [])
    if not files:
        raise Absent(f"there are no .mat files in {path}")

    def images_of(file: Path) -> Images:
        """Those of a car, in the order of azimuth and elevation."""
        (held,) = arrays_of(file, "im")
        if held.ndim != 5 or held.shape[2] != 3 or held.dtype != np.uint8 or not held.size:
            raise ImageError(f"{file}: its images are {held.dtype} {list(held.shape)}, not bytes [H, W, 3, 24, 4]")
        return held.transpose(3, 4, 0, 1, 2)

    first = images_of(files[0]).shape
    azimuths, elevations = first[:2]
    sizes = (elevations, azimuths, len(files))
    space = FactorSpace([Factor(name, size, kind) for (name, kind), size in zip(_CARS.items(), sizes, strict=True)])

    def arrays() -> Iterator[Images]:
        for file in files:
            found = images_of(file)
            if found.shape != first:
                raise ImageError(f"{file}: its images are not as many and as large as those of {files[0]}")
            yield np.ascontiguousarray(found.reshape(-1, *first[2:]))

    standing = np.arange(space.size).reshape(len(files), azimuths, elevations)
    order = standing.transpose(2, 1, 0).reshape(-1)
    return from_arrays(space.size, arrays, "cars3d", factors=space, order=order)
