"""Every state of a world as a data set, with the way between indices, factors and pictures."""

from __future__ import annotations

import zlib
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.utils.data import Dataset

from ..envs.registry import UsageError
from ..envs.world import World
from .noise import Noise, NoNoise
from .randomness import numpy_generator, torch_generator
from .splits import Split, split_states

CACHE_BYTES = 256 * 2**20


class FactorDataset(Dataset[tuple[Tensor, NDArray[np.int64]]]):
    """All states of a world; item ``i`` is the picture of state ``i`` and its factors.

    Every method takes one index (or one row of factors), or a batch of them, and answers in kind.

    Args:
        world: The world; its factors must all be discrete.
        noise: Noise on the pictures.
        seed: The source of the noise and of ``sample_latent``.

    Attributes:
        world: The world.
        factors: Its factor space.
        noise: The noise (``NoNoise`` when none was given).
        seed: The seed.

    Raises:
        UsageError: A factor is continuous, or the seed is negative.

    Example:
        >>> from equiworld.envs import FlatLand
        >>> data = FactorDataset(FlatLand())
        >>> image, factors = data[34]
        >>> tuple(image.shape), factors.tolist()
        ((1, 64, 64), [1, 1])
    """

    def __init__(self, world: World, noise: Noise | None = None, seed: int = 0) -> None:
        self.world = world
        self.factors = world.factors
        self.noise = NoNoise() if noise is None else noise
        self.seed = seed
        self._size = self._count()
        self._rng = numpy_generator(seed, 2)

    def _count(self) -> int:
        """The number of items."""
        return self.factors.size

    def split(self, validation: float = 0.1, test: float = 0.1, seed: int = 0) -> Split:
        """Training, validation and test items; see ``split_states``."""
        return split_states(len(self), validation, test, seed)

    @property
    def fingerprint(self) -> int | None:
        """A number that other data would hardly have; None where the options of the data say all about them."""
        return None

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, index: int) -> tuple[Tensor, NDArray[np.int64]]:
        """The picture of a state, float32 [C, H, W] in [0, 1], and its factors, int64 [K].

        Raises:
            IndexError: There is no such state.
        """
        if not -self._size <= index < self._size:
            raise IndexError(f"there is no item {index} in a data set of {self._size}")
        number = int(index) % self._size
        return self.images(number), self.generative_factors(number)

    @cached_property
    def _cache(self) -> NDArray[np.uint8] | None:
        """The pictures of all states, uint8 [size, H, W, C], or None where they would take too much memory."""
        if self._size * int(np.prod(self.world.image_shape)) > CACHE_BYTES:
            return None
        return self.world.render(self.generative_factors(np.arange(self._size)))

    def check_index(self, index: ArrayLike) -> NDArray[np.int64]:
        """``index`` as int64 in its own shape, refused (UsageError) where there is no such item."""
        return self.factors.check_index(index)

    def frames(self, index: ArrayLike) -> NDArray[np.uint8]:
        """Pictures without noise, uint8 [N, H, W, C] (or [H, W, C] for one index).

        They are rendered once where all of them fit into 256 MB, and on demand otherwise.

        Raises:
            UsageError: There is no such state.
        """
        numbers = self.check_index(index)
        if self._cache is not None:
            return self._cache[numbers]
        images = self.world.render(self.generative_factors(numbers.reshape(-1)))
        return images.reshape(*numbers.shape, *self.world.image_shape)

    def images(
        self, index: ArrayLike, generator: torch.Generator | None = None, groups: ArrayLike | Tensor | None = None
    ) -> Tensor:
        """Pictures as models take them, with the noise of the data set.

        Args:
            index: States, int64 [N], or one.
            generator: The source of the noise. Without one, a state's noise comes from the seed and its index: the
                same in every call (with ``groups``, from the seed and all of ``index``).
            groups: int64 [N]; pictures of one group have one background. Without it, each has its own.

        Returns:
            float32 [N, C, H, W] in [0, 1] (or [C, H, W] for one index).

        Raises:
            UsageError: There is no such state, or groups and index differ in their number.
        """
        numbers = self.check_index(index)
        flat = numbers.reshape(-1)
        # Channels stay last in memory, which is the layout that convolutions are fastest with.
        clean = torch.from_numpy(self.frames(flat)).permute(0, 3, 1, 2).to(torch.float32).div_(255)
        noisy = self._disturb(clean, flat, generator, groups) if self.noise.independent else clean
        return noisy.reshape(*numbers.shape, *noisy.shape[1:]) if numbers.ndim != 1 else noisy

    def _disturb(
        self,
        images: Tensor,
        index: NDArray[np.int64],
        generator: torch.Generator | None,
        groups: ArrayLike | Tensor | None,
    ) -> Tensor:
        if groups is None:
            if generator is None:
                own = torch.zeros(1, dtype=torch.int64)
                for place, number in enumerate(index):
                    source = torch_generator(self.seed, 3, int(number))
                    images[place : place + 1] = self.noise(images[place : place + 1], own, source)
                return images
            groups = np.arange(len(index))
        members = torch.as_tensor(np.asarray(groups), dtype=torch.int64).reshape(-1)
        if len(members) != len(index):
            raise UsageError(f"{len(members)} groups do not belong to {len(index)} images")
        source = torch_generator(self.seed, 4, *index.tolist()) if generator is None else generator
        return self.noise(images, members, source)

    def generative_factors(self, index: ArrayLike) -> NDArray[np.int64]:
        """The factors of states, int64 [N, K] (or [K] for one index).

        Raises:
            UsageError: There is no such state.
        """
        return self.factors.from_index(index)

    def index_to_latent(self, index: ArrayLike) -> NDArray[np.int64]:
        """The factors of states: ``generative_factors`` by the name that is the inverse of ``latent_to_index``."""
        return self.generative_factors(index)

    def latent_to_index(self, latents: ArrayLike) -> Any:
        """The indices of states with these factors, int64 [N] (or one, for one row [K]).

        Raises:
            UsageError: A factor is out of its range.
        """
        return self.factors.to_index(latents)

    def following(self, states: NDArray[np.int64], actions: NDArray[np.int64]) -> NDArray[np.int64]:
        """The states after one action each, int64 [N]; -1 where that is not known.

        Args:
            states: Indices, [N].
            actions: Codes, [N].
        """
        return np.asarray(self.latent_to_index(self.world.act(self.generative_factors(states), actions)))

    def get_img_by_latent(self, latent: ArrayLike) -> Tensor:
        """The pictures of states with these factors, float32 [N, C, H, W] (or [C, H, W] for one row [K]).

        Raises:
            UsageError: A factor is out of its range.
        """
        return self.images(self.latent_to_index(latent))

    def sample_latent(self, n: int | None = None, rng: np.random.Generator | None = None) -> NDArray[np.int64]:
        """Factors drawn uniformly.

        Args:
            n: How many rows; one row without the leading axis if not given.
            rng: The source; the data set's own generator, seeded when it was made, if not given.

        Returns:
            int64 [n, K], or [K].
        """
        drawn: NDArray[np.int64] = self.factors.sample(self._rng if rng is None else rng, 1 if n is None else n)
        return drawn[0] if n is None else drawn


def fingerprint_of(data: FactorDataset, looked_at: int = 16) -> int:
    """The CRC-32 of how many items there are and of some of their pictures, without noise.

    Args:
        data: The data.
        looked_at: How many pictures, spread over all.
    """
    frames = data.frames(np.linspace(0, len(data) - 1, looked_at).round().astype(np.int64))
    return zlib.crc32(np.ascontiguousarray(frames).tobytes(), len(data))
