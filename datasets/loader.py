"""Batches of sequences, in an order that the seed fixes and that can be resumed anywhere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from ..envs.factors import whole
from ..envs.registry import UsageError
from .randomness import numpy_generator, torch_generator
from .transitions import TransitionDataset


@dataclass
class Batch:
    """Some sequences of T transitions.

    Attributes:
        frames: The pictures that occur, float32 [F, C, H, W] in [0, 1], channels last in memory.
        index: Which picture stands at each place of each sequence, int64 [S, T + 1].
        actions: The actions between the places, int64 [S, T, N].
    """

    frames: Tensor
    index: Tensor
    actions: Tensor

    def to(self, device: torch.device | str) -> Batch:
        """The same batch on another device."""
        return Batch(self.frames.to(device), self.index.to(device), self.actions.to(device))


class WindowLoader:
    """Batches of the sequences that begin at given places.

    Without noise a picture that occurs several times in a batch is there once, so that it is encoded once. With
    noise every place has a picture of its own, and the places of one sequence have one background.

    Args:
        transitions: What was recorded.
        starts: Where the sequences begin, int64 [W, 2], as ``transitions.windows`` gives them.
        length: Transitions in a sequence.
        batch_size: Transitions in a batch: it holds ``max(1, batch_size // max(1, length))`` sequences.
        seed: The source of the order and of the noise.
        allowed: bool [number of states]; what the starts were restricted to, for ``sample`` with another length.

    Raises:
        UsageError: There is no start, the batch size is below 1, or the seed is negative.
    """

    def __init__(
        self,
        transitions: TransitionDataset,
        starts: ArrayLike,
        length: int,
        batch_size: int,
        seed: int = 0,
        allowed: NDArray[np.bool_] | None = None,
    ) -> None:
        self.transitions = transitions
        self.starts = whole(starts, "starts").reshape(-1, 2)
        self.length = length
        self.seed = seed
        self.allowed = allowed
        if batch_size < 1:
            raise UsageError(f"the batch size must be 1 or more, got {batch_size}")
        if seed < 0:
            raise UsageError(f"a seed must be 0 or more, got {seed}")
        _check_starts(self.starts, length)
        self.windows_per_batch = min(max(1, batch_size // max(1, length)), len(self.starts))

    def __len__(self) -> int:
        """Batches an epoch. What is left over at its end is dropped, unless there is no whole batch."""
        return len(self.starts) // self.windows_per_batch

    def epoch(self, number: int, skip: int = 0) -> Iterator[Batch]:
        """The batches of one epoch.

        Args:
            number: Which epoch; each has its own order.
            skip: Batches to leave out at the beginning; those that follow are as they would be without it.
        """
        order = numpy_generator(self.seed, number).permutation(len(self.starts))
        for batch in range(skip, len(self)):
            chosen = order[batch * self.windows_per_batch : (batch + 1) * self.windows_per_batch]
            yield self._collate(self.starts[chosen], self.length, torch_generator(self.seed, number, batch))

    def sample(self, n: int, key: int, length: int | None = None) -> Batch:
        """Some sequences drawn uniformly, each at most once while there are enough.

        Args:
            n: How many.
            key: Which draw: the same key gives the same sequences and the same noise.
            length: Transitions in a sequence; the loader's if not given.

        Raises:
            UsageError: ``n`` is below 1, or there is no sequence of that length.
        """
        if n < 1:
            raise UsageError(f"the number of sequences must be 1 or more, got {n}")
        if length is None or length == self.length:
            starts, length = self.starts, self.length
        else:
            starts = self.transitions.windows(length, self.allowed)
            _check_starts(starts, length)
        # The third number keeps these draws apart from those of the epochs.
        rng = numpy_generator(self.seed, key, 1)
        chosen = rng.choice(len(starts), n, replace=n > len(starts))
        return self._collate(starts[chosen], length, torch_generator(self.seed, key, 0, 1))

    def _collate(self, starts: NDArray[np.int64], length: int, generator: torch.Generator) -> Batch:
        states, actions = self.transitions.gather(starts, length)
        data = self.transitions.data
        if data.noise.independent:
            index = np.arange(states.size).reshape(states.shape)
            groups = np.repeat(np.arange(len(states)), length + 1)
            frames = data.images(states.reshape(-1), generator, groups)
        else:
            unique, inverse = np.unique(states, return_inverse=True)
            index = inverse.reshape(states.shape)
            frames = data.images(unique)
        return Batch(
            frames.contiguous(memory_format=torch.channels_last),
            torch.from_numpy(index.astype(np.int64)),
            torch.from_numpy(actions),
        )


def _check_starts(starts: NDArray[np.int64], length: int) -> None:
    if not len(starts):
        raise UsageError(
            f"there is no sequence of {length} transitions to be had; accepted: more steps, shorter sequences,"
            " or a larger part of the states"
        )
