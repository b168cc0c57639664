"""What every latent space offers, and the table of their names."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cached_property

import torch
from torch import Tensor, nn

from ...envs.registry import UsageError
from ..parts import Parts

Densities = tuple[Tensor, Tensor]


class Draw:
    """One reparameterised sample of each posterior of a batch.

    The densities are found from the noise that the sample was made of and not from its coordinates: far out, or where a
    posterior is narrow, coordinates in float32 no longer tell where in its posterior a sample lies.

    Args:
        codes: The samples, ``[B, D]``.
        densities: Gives the log-densities of posterior and prior at the samples, each ``[B, F]`` in nats; called
            when they are first asked for.
    """

    def __init__(self, codes: Tensor, densities: Callable[[], Densities]) -> None:
        self.codes = codes
        self._densities = densities

    @cached_property
    def densities(self) -> Densities:
        """Log-densities of posterior and prior at the samples by factor, each ``[B, F]`` in nats."""
        return self._densities()

    @property
    def log_ratio(self) -> Tensor:
        """``log q(z|x) - log p(z)`` by factor, ``[B, F]``: the same-sample estimate of the divergence."""
        posterior, prior = self.densities
        return posterior - prior


class Posterior(ABC):
    """A batch of distributions over codes, and what the space's prior makes of them.

    Densities are taken with respect to the space's own volume (Lebesgue's where the space is flat), so that they
    integrate to 1 over the space.

    Attributes:
        mean: The codes that stand for the posteriors (their centres on a curved space), ``[B, D]``.
    """

    mean: Tensor
    closed_form: bool = False
    """Whether ``kl`` is a closed form; it is a Monte Carlo estimate otherwise."""

    @property
    @abstractmethod
    def deviation(self) -> Tensor:
        """How far samples spread around ``mean``, as a standard deviation for each number of a code, ``[B, D]``."""

    @abstractmethod
    def noise(self, generator: torch.Generator | None = None) -> Tensor:
        """What a sample is made of, ``[B, ...]``; drawn on the CPU, so that a seed means the same on every device."""

    @abstractmethod
    def at(self, noise: Tensor) -> Draw:
        """The sample that ``noise`` makes, differentiable in the posterior's parameters."""

    @abstractmethod
    def log_prob(self, codes: Tensor) -> Tensor:
        """Log-density of ``codes [B, D]`` in nats, ``[B]``."""

    @abstractmethod
    def __getitem__(self, rows: Tensor) -> Posterior:
        """The posteriors of some rows of the batch, int64 ``[N]``, in that order and as often as they occur."""

    def pairwise_log_prob(self, codes: Tensor) -> Tensor:
        """Log-density of each of ``codes [N, D]`` under each posterior of the batch, in nats, ``[N, B]``."""
        number, batch = len(codes), len(self.mean)
        rows = torch.arange(batch, device=codes.device).repeat(number)
        return self[rows].log_prob(codes.repeat_interleave(batch, 0)).view(number, batch)

    def draw(self, generator: torch.Generator | None = None) -> Draw:
        """A sample of each posterior with its densities."""
        return self.at(self.noise(generator))

    def rsample(self, generator: torch.Generator | None = None) -> Tensor:
        """Reparameterised samples ``[B, D]``."""
        return self.draw(generator).codes

    def kl(self) -> Tensor:
        """Divergence from the prior by factor in nats, ``[B, F]``.

        A closed form where ``closed_form`` says so; otherwise ``kl_estimate`` with a stream of its own, the same for
        the same posterior.
        """
        return self.kl_estimate(torch.Generator().manual_seed(0), 32)

    def kl_estimate(self, generator: torch.Generator | None = None, samples: int = 1) -> Tensor:
        """The Monte Carlo estimate of the divergence by factor: the mean of ``log q - log p``, ``[B, F]``."""
        return torch.stack([self.draw(generator).log_ratio for _ in range(samples)]).mean(0)

    def divergence(self, draw: Draw) -> Tensor:
        """For training: the closed form where there is one, else the same-sample estimate at ``draw``, ``[B, F]``."""
        return self.kl() if self.closed_form else draw.log_ratio


class LatentSpace(nn.Module, ABC):
    """A space of codes: what an encoder's features mean in it, its prior, its distances, and what a decoder reads.

    Attributes:
        size: Numbers in a code, D.
        factors: Terms that the divergence splits into, F.
        posterior_size: Numbers that the encoder emits for an image.
        feature_size: Numbers that the decoder reads of a code.
    """

    _place: Tensor

    def __init__(self, size: int, factors: int, posterior_size: int, feature_size: int | None = None) -> None:
        super().__init__()
        self.size = size
        self.factors = factors
        self.posterior_size = posterior_size
        self.feature_size = size if feature_size is None else feature_size
        self.register_buffer("_place", torch.empty(0), persistent=False)

    @abstractmethod
    def posterior(self, features: Tensor) -> Posterior:
        """The posteriors that encoder features ``[B, posterior_size]`` stand for."""

    @abstractmethod
    def prior_sample(self, number: int, generator: torch.Generator | None = None) -> Tensor:
        """Codes drawn from the prior, ``[number, D]``; on the space's device, drawn on the CPU."""

    @abstractmethod
    def prior_log_prob(self, codes: Tensor) -> Tensor:
        """Log-density of the prior at ``codes [B, D]`` in nats, ``[B]``."""

    @abstractmethod
    def distance(self, first: Tensor, second: Tensor) -> Tensor:
        """Length of the shortest geodesic between codes ``[B, D]``, ``[B]``."""

    @abstractmethod
    def interpolate(self, first: Tensor, second: Tensor, share: Tensor | float) -> Tensor:
        """The code at ``share`` of the way along the geodesic between codes ``[B, D]``.

        Args:
            first: Where ``share`` is 0.
            second: Where it is 1.
            share: A number, or one for each code, ``[B]``.
        """

    def features(self, codes: Tensor) -> Tensor:
        """What the decoder reads of ``codes [B, D]``, ``[B, feature_size]``.

        The codes themselves, unless said. Numbers that are no code (where a traversal leaves the space) are read as the
        nearest one.
        """
        return codes

    def levels(self, codes: Tensor) -> Tensor:
        """How far each factor of ``codes [B, D]`` stands from the prior's centre, ``[B, F]``.

        In a tree laid out in the space, the distance from its root.
        """
        return torch.linalg.vector_norm(self.split(codes), dim=-1)

    @property
    def bounds(self) -> tuple[float, float]:
        """The least and the largest number that a code can hold; infinite unless said."""
        return -math.inf, math.inf

    @property
    def device(self) -> torch.device:
        """Where the space lies, and its samples with it."""
        return self._place.device

    def split(self, codes: Tensor) -> Tensor:
        """Codes by factor, ``[B, F, D / F]``."""
        return codes.unflatten(-1, (self.factors, -1))


def by_row(share: Tensor | float, like: Tensor) -> Tensor:
    """``share``, a number or ``[B]``, in the shape that broadcasts against ``like [B, ...]``."""
    share = torch.as_tensor(share, dtype=like.dtype, device=like.device)
    return share.reshape(-1, *[1] * (like.dim() - 1))


def check_factors(latents: int, size: int, what: str | None = None) -> int:
    """How many factors of ``size`` numbers there are in ``latents``; ``what`` names them in the message.

    Raises:
        UsageError: Not a whole number of them.
    """
    if size < 1 or latents < size or latents % size:
        kind = what or f"factors of --factor-size {size}"
        raise UsageError(f"--latents {latents} cannot be split into {kind}: multiples of {max(size, 1)} are accepted")
    return latents // size


LATENTS = Parts("latent space")
"""The names that ``--latent`` takes; what builds one takes its options and the number of latents."""

latent = LATENTS.part
