"""Coloured sprites of continuous factors, seen straight or through an affine or a projective map."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .factors import Factor, FactorSpace
from .registry import UsageError
from .spriteworld.colours import hsv
from .spriteworld.shapes import TABLE, FloatArray, polygons, shape_code
from .world import WORLDS, World

IMA_SHAPES = ("triangle", "square", "pentagon")
"""The shapes; without the factor "shape" there are triangles only."""

SIZE = 64
"""The height and width that the maps are given for, in pixels."""

# Pixels (column, row, the first being 0) and where they go.
_PROJECTIVE = (((0, 0), (0, 63), (32, 0), (32, 63)), ((8, 3), (4, 47), (42, 15), (40, 38)))
_AFFINE = (((16, 16), (64, 16), (16, 48)), ((10, 32), (64, 16), (32, 64)))


@WORLDS.register("ima-sprites")
class ImaSprites(World):
    """One bright sprite on black, whose factors are continuous: place, size, hue, and angle and shape if asked for.

    The pictures of Reizinger et al. 2022 (arXiv 2206.02416), where it was tried how far a VAE finds the factors when
    the columns of the mixing's Jacobian are orthogonal (straight) and when they are less so (seen through a map). A
    map is applied to the corners of the sprite, so that its edges stay sharp. There are no actions.

    | factor | range | |
    |--------|-------|-|
    | x | [0.2, 0.75] | the centre, from left to right, as a share of the picture |
    | y | [0.2, 0.75] | from bottom to top |
    | scale | [0.11, 0.2] | the square root of the sprite's area |
    | hue | [0, 1] | from red around to red; saturation and value are 1 |
    | angle | [0, 360] | degrees counterclockwise; with ``angle`` only |
    | shape | 0, 1, 2 | triangle, square, pentagon; with ``shape`` only |

    Args:
        angle: Whether the angle is a factor; without it sprites stand upright.
        shape: Whether the shape is a factor; without it they are triangles.
        affine: Whether they are seen through the affine map.
        projective: Whether they are seen through the projective map (before the affine one, if both).
        size: Height and width of the picture in pixels.

    Raises:
        UsageError: The size is below 1.
    """

    def __init__(
        self,
        *,
        angle: bool = False,
        shape: bool = False,
        affine: bool = False,
        projective: bool = False,
        size: int = SIZE,
    ) -> None:
        if not isinstance(size, int | np.integer) or isinstance(size, bool) or size < 1:
            raise UsageError(f"ima-sprites: the image size must be a whole number, 1 or more, got {size!r}")
        factors = [
            Factor("x", None, "continuous", 0.2, 0.75),
            Factor("y", None, "continuous", 0.2, 0.75),
            Factor("scale", None, "continuous", 0.11, 0.2),
            Factor("hue", None, "continuous", 0.0, 1.0, circular=True),
        ]
        if angle:
            factors.append(Factor("angle", None, "continuous", 0.0, 360.0, circular=True))
        if shape:
            factors.append(Factor("shape", len(IMA_SHAPES), "categorical"))
        self.factors = FactorSpace(factors)
        self.actions = ()
        self.image_shape = (int(size), int(size), 3)
        self.map = np.eye(3)
        if projective:
            self.map = through(*_PROJECTIVE) @ self.map
        if affine:
            self.map = through(*_AFFINE) @ self.map

    def outlines(self, factors: ArrayLike) -> tuple[FloatArray, NDArray[np.int64]]:
        """Where the sprites' corners are seen.

        Args:
            factors: float64 [N, K].

        Returns:
            Corners in the arena [0, 1] x [0, 1], y upwards, float64 [N, V, 2], and how many each has, int64 [N].

        Raises:
            UsageError: A factor is out of its range.
        """
        rows = np.atleast_2d(self.factors.check(factors))
        columns = dict(zip(self.factors.names, rows.T, strict=True))
        codes = np.array([shape_code(name) for name in IMA_SHAPES])
        shapes = codes[columns.get("shape", np.zeros(len(rows))).astype(np.int64)]
        angles = columns.get("angle", np.zeros(len(rows)))
        corners = polygons(shapes, columns["x"], columns["y"], angles, columns["scale"])
        # In pixels of the picture that the maps are given for, the middle of the first one being 0.
        places = np.stack([corners[..., 0] * SIZE, (1 - corners[..., 1]) * SIZE], axis=-1) - 0.5
        seen = places @ self.map[:, :2].T + self.map[:, 2]
        pixels = seen[..., :2] / seen[..., 2:] + 0.5
        return np.stack([pixels[..., 0], SIZE - pixels[..., 1]], axis=-1) / SIZE, TABLE.counts[shapes - 1]

    def render(self, factors: ArrayLike) -> NDArray[np.uint8]:
        """Pictures of states.

        Args:
            factors: float64 [N, K].

        Returns:
            uint8 [N, H, W, 3].

        Raises:
            UsageError: A factor is out of its range.
        """
        from .spriteworld.rasterise import render_polygons  # brings numba

        corners, counts = self.outlines(factors)
        hue = np.atleast_2d(np.asarray(factors, dtype=np.float64))[:, self.factors.names.index("hue")]
        colours = hsv(np.stack([hue, np.ones_like(hue), np.ones_like(hue)], axis=1))
        height, width, _ = self.image_shape
        return render_polygons(corners, counts, colours, height=height, width=width)


def through(places: ArrayLike, images: ArrayLike) -> FloatArray:
    """The map of the plane that carries points to points.

    Args:
        places: Three points for the affine map, four for the projective one, float64 [3 or 4, 2].
        images: Where they go, likewise.

    Returns:
        The matrix of its homogeneous coordinates, float64 [3, 3], its last entry 1.
    """
    sources, targets = np.asarray(places, dtype=np.float64), np.asarray(images, dtype=np.float64)
    whole = np.concatenate([sources, np.ones((len(sources), 1))], axis=1)
    if len(whole) == 3:
        return np.vstack([np.linalg.solve(whole, targets).T, [0, 0, 1]])
    zero = np.zeros_like(whole)
    across = np.concatenate([whole, zero, -targets[:, :1] * sources], axis=1)
    down = np.concatenate([zero, whole, -targets[:, 1:] * sources], axis=1)
    entries = np.linalg.solve(np.concatenate([across, down]), np.concatenate([targets[:, 0], targets[:, 1]]))
    return np.append(entries, 1).reshape(3, 3)
