"""Smooth, invertible maps of vectors with their inverses and Jacobians: how sources are mixed into observations."""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.nn import functional

from ..envs.registry import UsageError

_NEWTON = 40  # steps, of which the last few alone square the error
_NARROWEST = 0.5  # the pole's coordinates are at least so far from 0


class Mixing(ABC):
    """A map of vectors ``[..., d]``, differentiable by autograd and ``torch.func``.

    It computes in the type of what it is given; inverses are exact to rounding.
    """

    @abstractmethod
    def __call__(self, sources: Tensor) -> Tensor:
        """The observations of sources ``[..., d]``, ``[..., d]``."""

    @abstractmethod
    def inverse(self, observations: Tensor) -> Tensor:
        """The sources of observations ``[..., d]``, ``[..., d]``."""

    def jacobian(self, sources: Tensor) -> Tensor:
        """Derivatives of observations (rows) by sources (columns) at ``sources [N, d]``, ``[N, d, d]``."""
        found: Tensor = torch.func.vmap(torch.func.jacfwd(self))(sources)
        return found

    def log_det(self, sources: Tensor) -> Tensor:
        """Logarithm of the Jacobian's determinant, without sign, at ``sources [N, d]``, ``[N]``."""
        return torch.linalg.slogdet(self.jacobian(sources))[1]


@dataclass(frozen=True)
class Chain(Mixing):
    """Maps one after the other, the first one first."""

    parts: Sequence[Mixing]

    def __call__(self, sources: Tensor) -> Tensor:
        for part in self.parts:
            sources = part(sources)
        return sources

    def inverse(self, observations: Tensor) -> Tensor:
        for part in reversed(self.parts):
            observations = part.inverse(observations)
        return observations

    def log_det(self, sources: Tensor) -> Tensor:
        total = torch.zeros_like(sources[:, 0])
        for part in self.parts:
            total, sources = total + part.log_det(sources), part(sources)
        return total


@dataclass(frozen=True)
class Shift(Mixing):
    """``x + offset``."""

    offset: Tensor

    def __call__(self, sources: Tensor) -> Tensor:
        return sources + self.offset.to(sources)

    def inverse(self, observations: Tensor) -> Tensor:
        return observations - self.offset.to(observations)

    def log_det(self, sources: Tensor) -> Tensor:
        return torch.zeros_like(sources[:, 0])


@dataclass(frozen=True)
class Linear(Mixing):
    """``matrix x``.

    Attributes:
        matrix: float64 [d, d], invertible.
    """

    matrix: Tensor

    def __call__(self, sources: Tensor) -> Tensor:
        return sources @ self.matrix.to(sources).T

    def inverse(self, observations: Tensor) -> Tensor:
        return observations @ torch.linalg.inv(self.matrix).to(observations).T

    def log_det(self, sources: Tensor) -> Tensor:
        return torch.linalg.slogdet(self.matrix)[1].to(sources).expand(len(sources))


@dataclass(frozen=True)
class SmoothLeakyReLU(Mixing):
    """``a x + (1 - a) log(1 + exp x)`` for each coordinate.

    Attributes:
        slope: a, in (0, 1]: the slope far below 0; far above it is 1. 1: nothing is changed.
    """

    slope: float = 0.2

    def __post_init__(self) -> None:
        if not 0 < self.slope <= 1:
            raise UsageError(f"--mixing-slope must be above 0 and at most 1, not {self.slope}")

    def __call__(self, sources: Tensor) -> Tensor:
        return self.slope * sources + (1 - self.slope) * functional.softplus(sources)

    def inverse(self, observations: Tensor) -> Tensor:
        # It is convex and grows: from the right, Newton's steps come down to the root and never pass it.
        found = torch.where(observations > 0, observations, observations / self.slope)
        for _ in range(_NEWTON):
            slope = self.slope + (1 - self.slope) * torch.sigmoid(found)
            found = found - (self(found) - observations) / slope
        return found

    def log_det(self, sources: Tensor) -> Tensor:
        return torch.log(self.slope + (1 - self.slope) * torch.sigmoid(sources)).sum(-1)


@dataclass(frozen=True)
class Moebius(Mixing):
    """The inversion in a sphere, turned: ``rotation (x - pole) / |x - pole|^2``; conformal, so that c_IMA is 0.

    Attributes:
        pole: What it carries to infinity, float64 [d].
        rotation: An orthogonal matrix, float64 [d, d].
    """

    pole: Tensor
    rotation: Tensor

    def __call__(self, sources: Tensor) -> Tensor:
        return self._inverted(sources - self.pole.to(sources)) @ self.rotation.to(sources).T

    def inverse(self, observations: Tensor) -> Tensor:
        return self._inverted(observations @ self.rotation.to(observations)) + self.pole.to(observations)

    def log_det(self, sources: Tensor) -> Tensor:
        squared = (sources - self.pole.to(sources)).square().sum(-1)
        return -len(self.pole) * torch.log(squared)

    @staticmethod
    def _inverted(vectors: Tensor) -> Tensor:
        return vectors / vectors.square().sum(-1, keepdim=True)


@dataclass(frozen=True)
class Coupling(Mixing):
    """An affine coupling: some coordinates scale and shift the others, and stay (Dinh et al. 2017, arXiv 1605.08803).

    Attributes:
        kept: The coordinates that stay, in order.
        moved: The others, in order.
        hidden: Weights [h, kept] and bias [h] of the conditioner's hidden layer, LeakyReLU of slope 0.2.
        last: Weights [2 moved, h] and bias [2 moved] of its last layer: log-scales, then shifts.
    """

    kept: Sequence[int]
    moved: Sequence[int]
    hidden: tuple[Tensor, Tensor]
    last: tuple[Tensor, Tensor]

    def _conditions(self, kept: Tensor) -> tuple[Tensor, Tensor]:
        inner = functional.leaky_relu(functional.linear(kept, *(each.to(kept) for each in self.hidden)), 0.2)
        log_scale, shift = functional.linear(inner, *(each.to(kept) for each in self.last)).chunk(2, -1)
        return log_scale, shift

    def _joined(self, kept: Tensor, moved: Tensor) -> Tensor:
        order = np.argsort([*self.kept, *self.moved]).tolist()
        return torch.cat([kept, moved], -1)[..., order]

    def __call__(self, sources: Tensor) -> Tensor:
        kept = sources[..., self.kept]
        log_scale, shift = self._conditions(kept)
        return self._joined(kept, sources[..., self.moved] * torch.exp(log_scale) + shift)

    def inverse(self, observations: Tensor) -> Tensor:
        kept = observations[..., self.kept]
        log_scale, shift = self._conditions(kept)
        return self._joined(kept, (observations[..., self.moved] - shift) * torch.exp(-log_scale))

    def log_det(self, sources: Tensor) -> Tensor:
        return self._conditions(sources[..., self.kept])[0].sum(-1)


def rotation(rng: np.random.Generator, dims: int) -> Tensor:
    """A matrix drawn uniformly from the orthogonal group, float64 [d, d]."""
    q, r = np.linalg.qr(rng.standard_normal((dims, dims)))
    return torch.from_numpy(q * np.sign(np.diag(r)))


def moebius(rng: np.random.Generator, dims: int) -> Moebius:
    """An inversion at a random pole outside the cube [-0.5, 0.5]^d, then a random rotation.

    Each coordinate of the pole is standard normal, drawn until it is more than 0.5 from 0.
    """
    turn, pole = rotation(rng, dims), rng.standard_normal(dims)
    while (close := np.abs(pole) <= _NARROWEST).any():
        pole[close] = rng.standard_normal(int(close.sum()))
    return Moebius(torch.from_numpy(pole), turn)


def equiangular(cosine: float, dims: int) -> NDArray[np.float64]:
    """The symmetric matrix whose columns have length 1 and this cosine with each other, float64 [d, d].

    Its contrast is ``-((d - 1) log(1 - c) + log(1 + (d - 1) c)) / 2``.

    Raises:
        UsageError: There is none.
    """
    least = -1 / (dims - 1) if dims > 1 else -1.0
    if not least < cosine < 1:
        raise UsageError(f"--cosine must lie between {least:.3g} and 1 for {dims} dimensions, not {cosine}")
    gram = np.full((dims, dims), cosine) + (1 - cosine) * np.eye(dims)
    values, vectors = np.linalg.eigh(gram)
    return np.asarray((vectors * np.sqrt(values)) @ vectors.T)


def uneven(rng: np.random.Generator, dims: int, unit_columns: bool) -> NDArray[np.float64]:
    """A matrix of uniform entries in (0, 1), scaled as a whole to determinant 1 or -1, or to columns of length 1."""
    drawn = rng.uniform(size=(dims, dims))
    if unit_columns:
        return np.asarray(drawn / np.linalg.norm(drawn, axis=0))
    return np.asarray(drawn / abs(np.linalg.det(drawn)) ** (1 / dims))


def layers(matrices: Sequence[ArrayLike | Tensor], slope: float) -> Chain:
    """An invertible network: for each matrix [d, d] a smooth leaky ReLU, and then the matrix."""
    parts = [(SmoothLeakyReLU(slope), Linear(torch.as_tensor(each, dtype=torch.float64))) for each in matrices]
    return Chain(tuple(itertools.chain.from_iterable(parts)))


def triangular(rng: np.random.Generator, dims: int) -> NDArray[np.float64]:
    """An upper triangular matrix: standard normal above the diagonal, on it uniform in (0.5, 1.5)."""
    return np.asarray(np.triu(rng.standard_normal((dims, dims)), 1) + np.diag(rng.uniform(0.5, 1.5, dims)))


def flow(rng: np.random.Generator, dims: int, number: int, width: int = 10, alternate: bool = True) -> Chain:
    """Affine couplings with random conditioners.

    Args:
        rng: The source; weights and biases are uniform in +-1 / sqrt(inputs).
        dims: Coordinates d, 2 or more. The first d // 2 move the others.
        number: Couplings.
        width: Units of the hidden layer.
        alternate: Whether in every second coupling the others move these; else these stay as they are.
    """

    def linear(inputs: int, outputs: int) -> tuple[Tensor, Tensor]:
        bound = 1 / math.sqrt(inputs)
        weight, bias = rng.uniform(-bound, bound, (outputs, inputs)), rng.uniform(-bound, bound, outputs)
        return torch.from_numpy(weight), torch.from_numpy(bias)

    halves = [list(range(dims // 2)), list(range(dims // 2, dims))]
    parts = []
    for turn in range(number):
        kept, moved = halves[::-1] if alternate and turn % 2 else halves
        parts.append(Coupling(kept, moved, linear(len(kept), width), linear(width, 2 * len(moved))))
    return Chain(tuple(parts))
