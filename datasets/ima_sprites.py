"""The coloured sprites of the IMA-VAE work: its options, its Beta distributions, and how it is built."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..envs.ima_sprites import IMA_SHAPES, ImaSprites
from ..envs.registry import UsageError
from .noise import Noise, NoiseOptions
from .randomness import numpy_generator
from .registry import dataset
from .sampled import SampledDataset

_BETA = 2.0, 15.0  # the parameters of the Beta distributions are drawn from this interval


@dataclass
class ImaSpritesOptions:
    """The options of the coloured sprites."""

    items: int = 10_000
    """Pictures, drawn once."""
    classes: int = 1
    """Classes, each with distributions of its own; a picture is of each with the same probability."""
    angle: bool = False
    """Vary the angle too."""
    shape: bool = False
    """Vary the shape too: triangle, square, pentagon; else triangles."""
    affine: bool = False
    """Show them through an affine map."""
    projective: bool = False
    """Show them through a projective map."""
    image_size: int = 64
    """Height and width of the picture in pixels."""


class ImaSpritesDataset(SampledDataset):
    """Coloured sprites whose continuous factors follow Beta distributions (Reizinger et al. 2022, arXiv 2206.02416).

    A continuous factor is ``low + (high - low) B`` with B ~ Beta(a, b); a and b are drawn from U(2, 15) for each class
    and factor, and the probabilities of the shapes uniformly from the simplex.

    Args:
        world: What they look like.
        items: How many are drawn.
        classes: How many classes there are.
        noise: Noise on the pictures.
        seed: The source of everything random.

    Attributes:
        betas: a and b of each class and factor, float64 [classes, K, 2]; 0 for the shape.
        shape_probabilities: float64 [classes, 3].
        labels: The class of each item, int64 [N].

    Raises:
        UsageError: There would be no item or no class, or the seed is negative.
    """

    def __init__(
        self, world: ImaSprites, items: int = 10_000, classes: int = 1, noise: Noise | None = None, seed: int = 0
    ) -> None:
        if classes < 1:
            raise UsageError(f"ima-sprites: the number of classes must be 1 or more, got {classes}")
        factors = world.factors.factors
        continuous = np.array([factor.size is None for factor in factors])
        source = numpy_generator(seed, 9)
        self.betas = np.where(continuous[:, None], source.uniform(*_BETA, (classes, len(factors), 2)), 0.0)
        self.shape_probabilities = source.dirichlet(np.ones(len(IMA_SHAPES)), classes)
        self.labels = source.integers(0, classes, max(0, items))
        self._low = np.array([factor.low for factor in factors])
        self._width = np.array([factor.high for factor in factors]) - self._low
        self._shape = world.factors.names.index("shape") if "shape" in world.factors.names else None
        super().__init__(world, lambda rng, n: self.draw(rng, self.labels[:n]), items, noise, seed)
        self._draw = lambda rng, n: self.draw(rng, rng.integers(0, classes, n))

    def draw(self, rng: np.random.Generator, labels: ArrayLike) -> NDArray[np.float64]:
        """Factors of pictures of these classes.

        Args:
            rng: The source.
            labels: int64 [N].

        Returns:
            float64 [N, K].
        """
        kinds = np.asarray(labels)
        a, b = np.moveaxis(self.betas[kinds], -1, 0)
        rows = self._low + self._width * rng.beta(np.maximum(a, 1), np.maximum(b, 1))
        if self._shape is not None:
            ends = self.shape_probabilities[kinds].cumsum(axis=1)
            rows[:, self._shape] = np.minimum((rng.random((len(kinds), 1)) >= ends).sum(axis=1), len(IMA_SHAPES) - 1)
        return rows


@dataset("ima-sprites", options=ImaSpritesOptions)
def ima_sprites(options: ImaSpritesOptions, noise: NoiseOptions, seed: int) -> ImaSpritesDataset:
    """Coloured sprites with continuous factors, drawn once.

    Raises:
        UsageError: An option is out of its range.
    """
    world = ImaSprites(
        angle=options.angle,
        shape=options.shape,
        affine=options.affine,
        projective=options.projective,
        size=options.image_size,
    )
    made = noise.make(world.image_shape, seed)
    return ImaSpritesDataset(world, options.items, options.classes, made, seed)
