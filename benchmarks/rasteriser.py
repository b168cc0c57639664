"""What drawing sprites costs and how exact it is, beside Pillow's way: five times too large, then a Lanczos resize.

Costs are CPU time of one thread, in medians over rounds that take turns. Errors are grey levels of a white sprite on
black against the area of the sprite's polygon cut to each pixel, which is found here by clipping (Sutherland and
Hodgman 1974). Raw results go to results/rasteriser.json; with --pictures the pictures of docs/worlds/sprites.md are
drawn instead.

    python benchmarks/rasteriser.py
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from equiworld.datasets import load
from equiworld.envs import ImaSprites, Sprites
from equiworld.envs.spriteworld.rasterise import Canvas, render
from equiworld.envs.spriteworld.shapes import SHAPE_NAMES, area, polygon

RESULTS = Path(__file__).resolve().parent / "results"
IMAGES = Path(__file__).resolve().parent.parent / "docs" / "images"
SIZE, FINER, PICTURES = 64, 5, 500
SHAPES_USED = (1, 2, 6)  # triangle, square, circle: those of Spriteworld's goal-finding

Array = NDArray[Any]


def outline(sprite: Array) -> Array:
    """The corners of a sprite (x, y, shape, angle, scale) in the arena."""
    return polygon(SHAPE_NAMES[int(sprite[2]) - 1], sprite[0], sprite[1], sprite[3], sprite[4])


def pillow(sprites: Array, colours: Array) -> Array:
    """One picture of sprites, from back to front, as Spriteworld draws it."""
    large = SIZE * FINER
    canvas = Image.new("RGB", (large, large))
    pen = ImageDraw.Draw(canvas)
    for sprite, colour in zip(sprites, colours, strict=True):
        corners = outline(sprite) * [large, -large] + [0, large]
        pen.polygon([tuple(corner) for corner in corners.tolist()], fill=tuple(colour.tolist()))
    return np.asarray(canvas.resize((SIZE, SIZE), Image.Resampling.LANCZOS))


def clipped(corners: list[tuple[float, float]], axis: int, bound: float, sign: int) -> list[tuple[float, float]]:
    """What is left of a polygon on one side of a line."""
    kept: list[tuple[float, float]] = []
    for start, end in zip(corners, corners[1:] + corners[:1], strict=True):
        starts_in, ends_in = sign * (start[axis] - bound) >= 0, sign * (end[axis] - bound) >= 0
        if starts_in:
            kept.append(start)
        if starts_in != ends_in:
            share = (bound - start[axis]) / (end[axis] - start[axis])
            kept.append((start[0] + share * (end[0] - start[0]), start[1] + share * (end[1] - start[1])))
    return kept


def exact(sprite: Array) -> Array:
    """The share of each pixel that a sprite covers."""
    pixels = [(x * SIZE, (1 - y) * SIZE) for x, y in outline(sprite).tolist()]
    shares = np.zeros((SIZE, SIZE))
    for column in range(SIZE):
        strip = clipped(clipped(pixels, 0, column, 1), 0, column + 1, -1)
        for row in range(SIZE if strip else 0):
            cell = clipped(clipped(strip, 1, row, 1), 1, row + 1, -1)
            shares[row, column] = abs(area(cell)) if cell else 0.0
    return shares


def errors(sprites_a_shape: int) -> dict[str, dict[str, float]]:
    """Mean and largest error in grey levels, over all shapes at random places, angles and scales."""
    rng = np.random.default_rng(0)
    drawn: dict[str, list[Array]] = {"equiworld": [], "pillow": []}
    white = np.full((1, 3), 255, dtype=np.uint8)
    for code in range(1, len(SHAPE_NAMES) + 1):
        for _ in range(sprites_a_shape):
            x, y = rng.uniform(0, 1, 2)
            sprite = np.array([x, y, code, rng.uniform(0, 360), rng.uniform(0.05, 0.5)])
            want = 255 * exact(sprite)
            drawn["equiworld"].append(np.abs(render(sprite[None, None], white[None])[0, ..., 0] - want))
            drawn["pillow"].append(np.abs(pillow(sprite[None], white)[..., 0] - want))
    return {name: {"mean": float(np.mean(each)), "max": float(np.max(each))} for name, each in drawn.items()}


def scenes(rng: np.random.Generator, sprites: int, scale: float) -> tuple[Array, Array]:
    """Sprites [PICTURES, S, 5] and colours of as many pictures."""
    shape = (PICTURES, sprites)
    columns = [
        rng.uniform(0.1, 0.9, shape),
        rng.uniform(0.1, 0.9, shape),
        rng.choice(SHAPES_USED, shape),
        np.zeros(shape),
        np.full(shape, scale),
    ]
    return np.stack(columns, axis=-1), rng.integers(0, 256, (*shape, 3)).astype(np.uint8)


def moving(sprites: int, scale: float) -> Callable[[], int]:
    """All sprites of all pictures somewhere else at each call."""
    rng = np.random.default_rng(sprites)
    (first, colours), (second, _) = scenes(rng, sprites, scale), scenes(rng, sprites, scale)
    canvas, images = Canvas(PICTURES, SIZE, SIZE), np.zeros((PICTURES, SIZE, SIZE, 3), dtype=np.uint8)
    turns = [first, second]

    def draw() -> int:
        turns.reverse()
        assert canvas.draw(images, turns[0], colours) == PICTURES
        return PICTURES

    return draw


def resting(sprites: int, scale: float) -> Callable[[], int]:
    """Pictures in which nothing has changed."""
    rows, colours = scenes(np.random.default_rng(sprites), sprites, scale)
    canvas, images = Canvas(PICTURES, SIZE, SIZE), np.zeros((PICTURES, SIZE, SIZE, 3), dtype=np.uint8)
    canvas.draw(images, rows, colours)

    def draw() -> int:
        assert canvas.draw(images, rows, colours) == 0
        return PICTURES

    return draw


def through_pillow(sprites: int, scale: float) -> Callable[[], int]:
    """The same by Pillow, a few pictures a call."""
    rows, colours = scenes(np.random.default_rng(sprites), sprites, scale)

    def draw() -> int:
        for row, paint in zip(rows[:20], colours[:20], strict=True):
            pillow(row, paint)
        return 20

    return draw


def of_world(world: Sprites | ImaSprites) -> Callable[[], int]:
    """New pictures of random states of a world."""
    states = world.factors.sample(np.random.default_rng(0), PICTURES)

    def draw() -> int:
        return len(world.render(states))

    return draw


def tiled(rows: list[Array], path: Path, gap: int = 2) -> None:
    """Writes rows of pictures [N, H, W, C] as one picture, white between them."""
    most = max(len(row) for row in rows)
    sheet = np.full((len(rows) * (SIZE + gap) - gap, most * (SIZE + gap) - gap, 3), 255, dtype=np.uint8)
    for number, row in enumerate(rows):
        for place, picture in enumerate(row):
            top, left = number * (SIZE + gap), place * (SIZE + gap)
            sheet[top : top + SIZE, left : left + SIZE] = picture
    Image.fromarray(sheet).save(path, optimize=True)


def draw_pictures() -> None:
    """What the actions of the grid do, and the coloured sprites straight and through the maps."""
    world = Sprites(shapes=["heart"])
    rows = []
    for code in (0, 2, 4, 6):
        states = [np.array([[0, 0 if code == 0 else 5, 0, 2, 2]])]
        action = world.actions[code]
        for _ in range(int(world.factors.sizes[action.factor]) // action.amount):
            states.append(world.act(states[-1], [code]))
        rows.append(world.render(np.concatenate(states)))
    tiled(rows, IMAGES / "sprites-actions.png")
    whole = Sprites()
    rows = [whole.render([[shape, k % 6, 3 * k, 15, 15] for k in range(11)]) for shape in range(3)]
    tiled(rows, IMAGES / "sprites-shapes.png")
    rows = []
    for options in ({}, {"affine": True}, {"projective": True}, {"angle": True, "shape": True}):
        data = load("ima-sprites", items=11, seed=1, **options)
        rows.append(data.frames(np.arange(11)))
    tiled(rows, IMAGES / "ima-sprites.png")


def main() -> None:
    """Prints the figures and writes them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--sprites", type=int, default=10, help="of each shape, for the errors")
    parser.add_argument("--pictures", action="store_true", help="draw the pictures of the documentation instead")
    asked = parser.parse_args()
    if asked.pictures:
        draw_pictures()
        return
    variants = {
        "1 sprite of 0.13, moving": moving(1, 0.13),
        "2 sprites of 0.13, moving": moving(2, 0.13),
        "4 sprites of 0.13, moving": moving(4, 0.13),
        "2 sprites of 0.13, resting": resting(2, 0.13),
        "2 sprites of 0.13, Pillow": through_pillow(2, 0.13),
        "4 sprites of 0.13, Pillow": through_pillow(4, 0.13),
        "world sprites, black and white": of_world(Sprites()),
        "world sprites, anti-aliased": of_world(Sprites(antialias=True)),
        "world ima-sprites, projective": of_world(ImaSprites(projective=True)),
    }
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for turn in range(asked.rounds + 2):
        for name, draw in variants.items():
            began = time.process_time()
            pictures = draw()
            if turn >= 2:
                seconds[name].append((time.process_time() - began) / pictures)
    rows = {
        name: {"microseconds": 1e6 * statistics.median(each), "pictures_per_second": 1 / statistics.median(each)}
        for name, each in seconds.items()
    }
    for name, row in rows.items():
        print(f"{name:<32} {row['microseconds']:9.3f} µs a picture  {row['pictures_per_second']:12,.0f} a CPU-second")
    found = errors(asked.sprites)
    for name, each in found.items():
        print(f"error of {name:<10} mean {each['mean']:.4f}  max {each['max']:.2f} grey levels")
    versions = {"numba": numba.__version__, "numpy": np.__version__, "pillow": PIL.__version__}
    content = {
        "size": SIZE,
        "rounds": asked.rounds,
        "machine": platform.machine(),
        "python": platform.python_version(),
        "versions": versions,
        "rows": rows,
        "errors": found,
        "sprites_a_shape": asked.sprites,
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "rasteriser.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
