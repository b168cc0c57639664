"""What it costs to prepare images, and to read batches of them at random, 64 x 64 x 3.

The images are smooth shades with grain, as incompressible as photographs. They are prepared from JPEG files of CelebA's
size (178 x 218) and from an array of their own size, and read in batches of 64 without the cache, beside h5py used
plainly on the same file. Everything is per second of CPU time (user and system, all threads). Raw results go to
results/images.json.

    python benchmarks/images.py
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import h5py
import numpy as np
from PIL import Image

from equiworld.datasets import ImageDataset, factors
from equiworld.datasets.images import Shape, from_arrays, write_images
from equiworld.datasets.images.folder import read_folder

RESULTS = Path(__file__).resolve().parent / "results"
BATCH, BATCHES, SIZE = 64, 100, (64, 64)


def pictures(count: int, height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """Cut-outs of a large picture, uint8 [count, height, width, 3]."""
    shades = Image.fromarray(rng.integers(0, 256, (300, 300, 3)).astype(np.uint8)).resize((1200, 1200))
    grain = rng.normal(0, 6, (1200, 1200, 3))
    large = np.clip(np.asarray(shades) + grain, 0, 255).astype(np.uint8)
    places = np.stack([rng.integers(0, 1200 - height, count), rng.integers(0, 1200 - width, count)], axis=1)
    return np.stack([large[top : top + height, left : left + width] for top, left in places])


def measure(work: Callable[[], int]) -> float:
    """How many of what ``work`` counts it does in a second of CPU time."""
    began = time.process_time()
    done = work()
    return done / (time.process_time() - began)


def main() -> None:
    """Measures, prints and writes what came out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=20_000, help="images in the file (default: 20,000)")
    parser.add_argument("--files", type=int, default=1_000, help="JPEG files (default: 1,000)")
    parser.add_argument("--rounds", type=int, default=5, help="times that everything is measured (default: 5)")
    asked = parser.parse_args()
    rng = np.random.default_rng(0)
    factors.CACHE_BYTES = 0
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        (place / "jpeg").mkdir()
        for number, pixels in enumerate(pictures(asked.files, 218, 178, rng)):
            Image.fromarray(pixels).save(place / "jpeg" / f"{number:06d}.jpg", quality=90)
        images, path = pictures(asked.images, *SIZE, rng), place / "images.h5"

        def from_files() -> int:
            write_images(place / "files.h5", read_folder(place / "jpeg"), Shape(64), "folder")
            return asked.files

        def from_array() -> int:
            blocks = from_arrays(len(images), lambda: iter(np.array_split(images, 80)), "array")
            write_images(path, blocks, Shape(), "folder")
            return len(images)

        def read(batch: Callable[[np.ndarray], object], batches: int = BATCHES) -> Callable[[], int]:
            def work() -> int:
                done = 0
                for _ in range(batches):
                    numbers = np.unique(rng.integers(0, len(images), BATCH))
                    batch(numbers)
                    done += len(numbers)
                return done

            return work

        from_array()
        data = ImageDataset(path)
        data.frames([0])  # where the chunks lie is asked once
        with h5py.File(path) as held:
            ways = {
                "prepare JPEG files 178 x 218": from_files,
                "read a batch, uint8": read(data.frames),
                "read a batch, float32 as models take it": read(data.images),
                "read a batch, h5py alone": read(lambda numbers: held["images"][numbers], 10),
            }
            seen = {what: [measure(work) for _ in range(asked.rounds)] for what, work in ways.items()}
        del data
        seen["prepare an array"] = [measure(from_array) for _ in range(asked.rounds)]
        size = path.stat().st_size
    rows = {what: {"median": statistics.median(rates), "all": rates} for what, rates in seen.items()}
    for what, row in rows.items():
        print(f"{what:<42}{row['median']:>10.0f} images/s")
    content = {
        "unit": "images per second of CPU time; medians",
        "images": asked.images,
        "files": asked.files,
        "batch": BATCH,
        "bytes_of_file_by_bytes_of_images": size / images.nbytes,
        "python": platform.python_version(),
        "versions": {each: metadata.version(each) for each in ("h5py", "hdf5plugin", "numpy", "pillow")},
        "rows": rows,
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "images.json").write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
