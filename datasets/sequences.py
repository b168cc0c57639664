"""Windows of encoded episodes: codes, actions, rewards and terminations, as latent dynamics are fitted to them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..envs.registry import UsageError
from .randomness import numpy_generator, torch_generator

IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Recording:
    """Episodes whose pictures have been encoded, one row after another.

    A row is a picture; action, reward and termination in it belong to the step to the next row, and mean nothing in the
    last row of an episode.

    Attributes:
        means: Codes of the different pictures, float32 [N, L].
        features: What the encoder says of them, from which codes can be sampled, float32 [N, P].
        pictures: Which picture each row shows, int64 [rows].
        actions: Vectors, float32 [rows, A].
        rewards: float32 [rows].
        ends: 1 where the step ended the episode for good (a limit of time does not), float32 [rows].
        lengths: Rows of each episode, 2 or more, int64 [E].
    """

    means: Tensor
    features: Tensor
    pictures: Tensor
    actions: Tensor
    rewards: Tensor
    ends: Tensor
    lengths: IntArray

    def latents(self, rows: Tensor | IntArray) -> Tensor:
        """Codes of rows of any shape, [..., L]."""
        return self.means[self.pictures[rows]]

    def steps(self) -> tuple[IntArray, IntArray]:
        """Rows before and after every step, int64 [M] each."""
        before = np.delete(np.arange(self.lengths.sum()), self.last)
        return before, before + 1

    @property
    def last(self) -> IntArray:
        """The last row of each episode, int64 [E]."""
        return np.asarray(np.cumsum(self.lengths) - 1)


@dataclass
class Sequences:
    """S windows of T steps.

    Attributes:
        latents: Codes, [S, T + 1, L].
        actions: Vectors of the actions between them, [S, T, A].
        rewards: [S, T].
        ends: 1 where the step ended the episode, [S, T].
        mask: 1 where there is a step, 0 behind the end of an episode, [S, T].
    """

    latents: Tensor
    actions: Tensor
    rewards: Tensor
    ends: Tensor
    mask: Tensor

    @property
    def frames(self) -> Tensor:
        """The codes one by one, [S (T + 1), L]."""
        return self.latents.flatten(0, 1)

    def to(self, device: torch.device | str) -> Sequences:
        """The same windows on another device."""
        return Sequences(*(each.to(device) for each in vars(self).values()))


class SequenceLoader:
    """Batches of windows, in an order that the seed fixes and that can be resumed anywhere.

    A window begins at any step. One that would run over the end of its episode ends there: what it lacks is masked, so
    that terminations are seen however short the episodes are.

    Args:
        recording: What was recorded.
        length: Steps in a window, T.
        batch_size: Steps in a batch: it holds ``max(1, batch_size // length)`` windows.
        seed: Source of the order, and of sampled codes.
        draw: Samples codes [n, L] of features [n, P]; None: the means are shown.
        most: Take no more windows than these, evenly spread over all; None: all.

    Raises:
        UsageError: There is no step, or a number is below 1.
    """

    def __init__(
        self,
        recording: Recording,
        length: int,
        batch_size: int,
        seed: int = 0,
        draw: Callable[[Tensor, torch.Generator], Tensor] | None = None,
        most: int | None = None,
    ) -> None:
        for name, number in (("the length of a window", length), ("the batch size", batch_size)):
            if number < 1:
                raise UsageError(f"{name} must be 1 or more, got {number}")
        self.recording, self.length, self.seed, self.draw = recording, length, seed, draw
        self._last = np.repeat(recording.last, recording.lengths)
        starts = recording.steps()[0]
        if not len(starts):
            raise UsageError("there is no step in these episodes")
        # Each step is seen about once an epoch, though windows overlap.
        self.windows = max(1, len(starts) // length)
        if most is not None and len(starts) > most:
            starts = starts[np.linspace(0, len(starts) - 1, most).astype(np.int64)]
            self.windows = most
        self.starts = starts
        self.windows_per_batch = min(max(1, batch_size // length), self.windows)

    def __len__(self) -> int:
        """Batches an epoch."""
        return self.windows // self.windows_per_batch

    def epoch(self, number: int, skip: int = 0) -> Iterator[Sequences]:
        """The batches of one epoch.

        Args:
            number: Which epoch; each has its own windows in its own order.
            skip: Batches to leave out at the beginning; those that follow are as they would be without it.
        """
        order = numpy_generator(self.seed, number).permutation(len(self.starts))
        for batch in range(skip, len(self)):
            chosen = order[batch * self.windows_per_batch : (batch + 1) * self.windows_per_batch]
            yield self.gather(self.starts[chosen], torch_generator(self.seed, number, batch))

    def gather(self, starts: IntArray, generator: torch.Generator) -> Sequences:
        """The windows that begin at rows ``starts``, int64 [S]."""
        rows = starts[:, None] + np.arange(self.length + 1)
        mask = torch.from_numpy((rows[:, :-1] < self._last[starts][:, None]).astype(np.float32))
        rows = np.minimum(rows, self._last[starts][:, None])
        found, steps = self.recording, rows[:, :-1]
        if self.draw is None:
            latents = found.latents(rows)
        else:
            features = found.features[found.pictures[rows.reshape(-1)]]
            latents = self.draw(features, generator).view(*rows.shape, -1)
        return Sequences(latents, found.actions[steps], found.rewards[steps], found.ends[steps], mask)
