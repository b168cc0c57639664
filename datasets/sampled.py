"""States of a world that were drawn once, as a data set: for worlds whose factors are continuous."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from ..envs.factors import whole
from ..envs.registry import UsageError
from ..envs.world import World
from .factors import FactorDataset
from .noise import Noise
from .randomness import numpy_generator

Draw = Callable[[np.random.Generator, int], NDArray[Any]]


class SampledDataset(FactorDataset):
    """States drawn from a world, each an item. It is read like a ``FactorDataset``.

    Factors are float64 [N, K] where one of them is continuous. An index is an item's number and says nothing of its
    factors, so ``latent_to_index`` has no answer; ``get_img_by_latent`` renders any state of the world.

    Args:
        world: The world.
        draw: ``draw(rng, n)`` gives the factors of n states, [n, K].
        items: How many are drawn.
        noise: Noise on the pictures.
        seed: The source of the items, of the noise and of ``sample_latent``.

    Raises:
        UsageError: There would be no item, or the seed is negative.
    """

    def __init__(self, world: World, draw: Draw, items: int, noise: Noise | None = None, seed: int = 0) -> None:
        if items < 1:
            raise UsageError(f"the number of items must be 1 or more, got {items}")
        self._draw = draw
        self._rows = np.asarray(world.factors.check(draw(numpy_generator(seed, 8), items)))
        self._rows.setflags(write=False)
        super().__init__(world, noise, seed)

    def _count(self) -> int:
        return len(self._rows)

    def check_index(self, index: ArrayLike) -> NDArray[np.int64]:
        numbers = whole(index, "item")
        wrong = (numbers < 0) | (numbers >= len(self._rows))
        if wrong.any():
            raise UsageError(
                f"there is no item {numbers[wrong].flat[0]}; items are numbered 0 to {len(self._rows) - 1}"
            )
        return numbers

    def generative_factors(self, index: ArrayLike) -> NDArray[Any]:
        """The factors of items, [N, K] (or [K] for one index).

        Raises:
            UsageError: There is no such item.
        """
        return self._rows[self.check_index(index)]

    def latent_to_index(self, latents: ArrayLike) -> Any:
        """Refused: a state need not be among the items.

        Raises:
            UsageError: Always.
        """
        raise UsageError("items were drawn at random: a state has no index here; get_img_by_latent renders any state")

    def get_img_by_latent(self, latent: ArrayLike) -> torch.Tensor:
        """The pictures of states with these factors, without noise, float32 [N, C, H, W] (or [C, H, W] for one row).

        Raises:
            UsageError: A factor is out of its range.
        """
        rows = self.factors.check(latent)
        images = (
            torch.from_numpy(self.world.render(np.atleast_2d(rows))).permute(0, 3, 1, 2).to(torch.float32).div_(255)
        )
        return images[0] if rows.ndim == 1 else images

    def sample_latent(self, n: int | None = None, rng: np.random.Generator | None = None) -> NDArray[Any]:
        """Factors drawn as those of the items were.

        Args:
            n: How many rows; one row without the leading axis if not given.
            rng: The source; the data set's own generator, seeded when it was made, if not given.

        Returns:
            [n, K], or [K].
        """
        drawn = self._draw(self._rng if rng is None else rng, 1 if n is None else n)
        return drawn[0] if n is None else drawn
