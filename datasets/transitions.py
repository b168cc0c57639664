"""What happened between pictures: states that followed each other, and the actions between them."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.utils.data import Dataset

from ..envs.factors import whole
from ..envs.registry import UsageError
from .factors import FactorDataset
from .randomness import numpy_generator, torch_generator

IntArray = NDArray[np.int64]


class TransitionDataset(Dataset[tuple[tuple[Tensor, Tensor], Tensor]]):
    """Recorded trajectories; an item is ``((image, action), next image)`` with ``offset`` actions between the images.

    Args:
        data: The pictures of the states.
        states: Indices of the states passed through, int64 [M, T + 1]: M trajectories of T steps.
        actions: Codes of the actions between them, int64 [M, T].
        offset: Steps from an image to the next one; all its actions are kept. Trajectories of no steps (T = 0) hold
            single images.

    Raises:
        UsageError: The offset is below 1 or above T (above 1 if T is 0), the shapes do not belong together, or a state
            or an action does not exist.
    """

    def __init__(self, data: FactorDataset, states: ArrayLike, actions: ArrayLike, offset: int = 1) -> None:
        self.data = data
        self.states = data.check_index(states)
        self.actions = whole(actions, "actions")
        self.offset = offset
        if self.states.ndim != 2 or self.actions.shape != (self.states.shape[0], self.states.shape[1] - 1):
            raise UsageError(
                "transitions need states [M, T + 1] and actions [M, T],"
                f" got {list(self.states.shape)} and {list(self.actions.shape)}"
            )
        _check_offset(offset, max(1, self.actions.shape[1]))  # no actions at all: single images
        count = len(data.world.actions)
        if self.actions.size and (self.actions.min() < 0 or self.actions.max() >= count):
            raise UsageError(f"action codes are 0 to {count - 1}, got {self.actions.min()} to {self.actions.max()}")

    def __len__(self) -> int:
        """The number of pairs."""
        return len(self.states) * self._starts_per_row(1)

    def __getitem__(self, index: int) -> tuple[tuple[Tensor, Tensor], Tensor]:
        """A pair of pictures and the actions between them.

        Returns:
            ``((image, action), next image)``: images float32 [C, H, W] with one background, action int64 [offset]
            (a scalar if the offset is 1).

        Raises:
            IndexError: There is no such pair.
        """
        if not -len(self) <= index < len(self):
            raise IndexError(f"there is no item {index} in a data set of {len(self)}")
        number = int(index) % len(self)
        row, start = divmod(number, self._starts_per_row(1))
        states = self.states[row, [start, start + self.offset]]
        source = torch_generator(self.data.seed, 5, number)
        before, after = self.data.images(states, source, np.zeros(2, dtype=np.int64))
        action = torch.from_numpy(self.actions[row, start : start + self.offset].copy())
        return (before, action[0] if self.offset == 1 else action), after

    def _starts_per_row(self, length: int) -> int:
        return max(0, self.states.shape[1] - length * self.offset)

    def single_steps(self, n: int, seed: int = 0) -> TransitionDataset:
        """Single actions, whatever the offset: ``n`` of them drawn uniformly, or all that were recorded.

        Args:
            n: How many, where they can be drawn.
            seed: The same seed gives the same.
        """
        return draw_uniform(self.data, n, offset=1, seed=seed)

    def windows(self, length: int, allowed: NDArray[np.bool_] | None = None) -> IntArray:
        """Where sequences of ``length + 1`` pictures, ``offset`` steps apart, can start.

        Args:
            length: Transitions in a sequence, 0 or more.
            allowed: bool [number of states]; sequences with a picture of another state are left out. (States that
                are passed between two pictures are not seen, and so do not count.)

        Returns:
            Row and step of each start, int64 [W, 2], in order.

        Raises:
            UsageError: The length is negative, or ``allowed`` does not have one value a state.
        """
        if length < 0:
            raise UsageError(f"the length of a sequence must be 0 or more, got {length}")
        count = self._starts_per_row(length)
        good = np.ones((len(self.states), count), dtype=bool)
        if allowed is not None:
            mask = np.asarray(allowed, dtype=bool)
            if mask.shape != (len(self.data),):
                raise UsageError(f"allowed needs one value for each of {len(self.data)} states, got {list(mask.shape)}")
            seen = mask[self.states]
            for step in range(length + 1 if count else 0):
                good &= seen[:, step * self.offset : step * self.offset + count]
        return np.argwhere(good).astype(np.int64)

    def gather(self, starts: ArrayLike, length: int) -> tuple[IntArray, IntArray]:
        """The sequences that begin at ``starts``.

        Args:
            starts: Row and step, int64 [S, 2], as ``windows`` gives them.
            length: Transitions in a sequence.

        Returns:
            Indices of the states, int64 [S, length + 1], and the actions, int64 [S, length, offset].

        Raises:
            UsageError: A sequence would run over the end of its trajectory.
        """
        places = whole(starts, "starts").reshape(-1, 2)
        row, step = places[:, :1], places[:, 1:]
        if len(places) and (
            places.min() < 0 or row.max() >= len(self.states) or step.max() >= self._starts_per_row(length)
        ):
            raise UsageError(f"a sequence of {length} transitions runs over the end of its trajectory")
        states = self.states[row, step + np.arange(length + 1) * self.offset]
        actions = self.actions[row, step + np.arange(length * self.offset)]
        return states, actions.reshape(len(places), length, self.offset)


def still_images(data: FactorDataset) -> TransitionDataset:
    """Every item by itself, without actions: what a model of single images reads where there is nothing more."""
    count = len(data)
    return TransitionDataset(data, np.arange(count)[:, None], np.empty((count, 0), dtype=np.int64))


def record_trajectory(data: FactorDataset, steps: int = 10_000, offset: int = 1, seed: int = 0) -> TransitionDataset:
    """One trajectory: a state drawn uniformly, then ``steps`` actions drawn uniformly.

    Args:
        data: The pictures of the states.
        steps: Its length in actions.
        offset: Steps from an image to the next one.
        seed: The same seed gives the same trajectory.

    Raises:
        UsageError: The offset is below 1 or above ``steps``, the world has no actions, or the seed is negative.
    """
    _check_offset(offset, steps)
    rng = numpy_generator(seed, 6)
    actions = _draw_actions(data, rng, (1, steps))
    path = np.empty((steps + 1, len(data.factors)), dtype=np.int64)
    path[0] = data.factors.sample(rng, 1)[0]
    for step in range(steps):
        path[step + 1] = data.world.act(path[step : step + 1], actions[:, step])[0]
    return TransitionDataset(data, data.latent_to_index(path)[None], actions, offset)


def draw_uniform(data: FactorDataset, steps: int, offset: int = 1, seed: int = 0) -> TransitionDataset:
    """Pairs that do not depend on each other: states drawn uniformly, and ``offset`` actions from each.

    Args:
        data: The pictures of the states.
        steps: The number of pairs.
        offset: Actions between the two images of a pair.
        seed: The same seed gives the same pairs.

    Raises:
        UsageError: The offset or the number of pairs is below 1, the world has no actions, or the seed is negative.
    """
    if steps < 1:
        raise UsageError(f"the number of steps must be 1 or more, got {steps}")
    _check_offset(offset, offset)
    rng = numpy_generator(seed, 7)
    actions = _draw_actions(data, rng, (steps, offset))
    path = [data.factors.sample(rng, steps)]
    for step in range(offset):
        path.append(data.world.act(path[-1], actions[:, step]))
    states = np.stack([data.latent_to_index(factors) for factors in path], axis=1)
    return TransitionDataset(data, states, actions, offset)


def _draw_actions(data: FactorDataset, rng: np.random.Generator, shape: tuple[int, int]) -> IntArray:
    if not data.world.actions:
        raise UsageError("this world has no actions, so that there are no transitions in it")
    return rng.integers(0, len(data.world.actions), size=shape)


def _check_offset(offset: int, steps: int) -> None:
    if offset < 1:
        raise UsageError(f"the offset must be 1 or more, got {offset}")
    if steps < offset:
        raise UsageError(f"{steps} steps are too few for an offset of {offset}; {offset} or more are accepted")
