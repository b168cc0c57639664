"""Actions of an environment as vectors, which is how dynamics read them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from ...envs.registry import UsageError


class ActionCode:
    """Vectors for the actions of a space.

    A ``Discrete`` action is one-hot, a ``MultiDiscrete`` one a one-hot vector for each of its numbers, side by side. A
    ``Box`` is flattened, each number with finite bounds scaled to [-1, 1].

    Args:
        space: The action space.

    Attributes:
        space: The same.
        size: Numbers in a vector, A.
        choices: Lengths of the one-hot vectors; empty for a ``Box``.

    Raises:
        UsageError: A space of another kind.
    """

    def __init__(self, space: spaces.Space[Any]) -> None:
        self.space = space
        self.choices: tuple[int, ...] = ()
        if isinstance(space, spaces.Discrete):
            self.choices, self._start = (int(space.n),), np.array([int(space.start)])
        elif isinstance(space, spaces.MultiDiscrete):
            self.choices, self._start = tuple(space.nvec.reshape(-1).tolist()), space.start.reshape(-1).astype(np.int64)
        elif isinstance(space, spaces.Box):
            low, high = space.low.reshape(-1).astype(np.float64), space.high.reshape(-1).astype(np.float64)
            bounded = np.isfinite(low) & np.isfinite(high) & (high > low)
            low, high = np.where(bounded, low, -1.0), np.where(bounded, high, 1.0)
            self._centre, self._scale = (low + high) / 2, (high - low) / 2
        else:
            raise UsageError(
                f"dynamics take actions of Discrete, MultiDiscrete and Box spaces, not of {type(space).__name__}"
            )
        self.size = sum(self.choices) if self.choices else len(self._centre)

    @property
    def discrete(self) -> bool:
        """Whether actions are choices."""
        return bool(self.choices)

    def encode(self, actions: ArrayLike) -> Tensor:
        """Vectors, float32 [N, A], of N actions as the environment takes them.

        Raises:
            UsageError: An action is not one of the space.
        """
        given = np.asarray(actions)
        rows = given.reshape(len(given), -1)
        if not self.discrete:
            if rows.shape[1] != self.size or not np.isfinite(rows).all():
                raise UsageError(f"actions are {self.size} finite numbers each, got an array {list(given.shape)}")
            return torch.from_numpy(((rows - self._centre) / self._scale).astype(np.float32))
        with np.errstate(invalid="ignore"):  # what no integer holds differs from its code
            codes = rows.astype(np.int64) - self._start
        fits = codes.shape[1] == len(self.choices) and bool((codes + self._start == rows).all())
        if not fits or (codes < 0).any() or (codes >= np.array(self.choices)).any():
            raise UsageError(f"actions are of {self.space}, which the ones given are not")
        vectors = torch.zeros(len(rows), self.size)
        begins = np.cumsum((0, *self.choices[:-1]))
        vectors.scatter_(1, torch.from_numpy(codes + begins), 1.0)
        return vectors

    def decode(self, vectors: Tensor) -> NDArray[Any]:
        """The inverse of ``encode``: actions [N, ...] for vectors [N, A].

        Of vectors that stand for no action the nearest is given: the largest number of each part, or the bounds.
        """
        rows = vectors.detach().cpu()
        if not self.discrete:
            assert isinstance(self.space, spaces.Box)
            values = rows.double().numpy() * self._scale + self._centre
            found = values.reshape(len(rows), *self.space.shape)
            if self.space.dtype is not None and self.space.dtype.kind in "iu":
                found = np.rint(found)  # a whole number that was scaled may come back a hair below itself
            return np.clip(found, self.space.low, self.space.high).astype(self.space.dtype)
        codes = np.stack([part.argmax(1).numpy() for part in rows.split(self.choices, 1)], 1) + self._start
        return codes[:, 0] if isinstance(self.space, spaces.Discrete) else codes.reshape(len(rows), *self.space.shape)  # type: ignore[misc]
