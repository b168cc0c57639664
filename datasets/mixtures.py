"""Vectors that are mixtures of independent sources by a known map: moebius, mlp, ar-flow and triangular-mlp.

The data of Gresele et al. 2021 (arXiv 2106.05200) and Reizinger et al. 2022 (arXiv 2206.02416).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from ..envs.factors import Factor, FactorSpace
from ..envs.registry import UsageError
from ..envs.world import World
from . import mixings
from .mixings import Chain, Linear, Mixing, Shift
from .noise import NoiseOptions
from .randomness import numpy_generator
from .registry import dataset
from .sampled import Draw, SampledDataset

Law = Literal["uniform", "gaussian", "laplace", "beta"]
LinearMap = Literal["none", "cosine", "unit-determinant", "unit-columns"]
_BETA = 3.0, 11.0
_ITEMS, _MIXING = 8, 10  # keep the streams of items and mixings apart; SampledDataset draws its items by the first


@dataclass
class SourceOptions:
    """The options of all mixtures."""

    dims: int = 3
    """Sources, and numbers in an observation."""
    n_obs: int = 60_000
    """Observations, drawn once."""
    source: Law = "uniform"
    """Law of each source: uniform in (-0.5, 0.5), standard gaussian or laplace, or beta less 0.5."""
    source_alpha: float = _BETA[0]
    """First parameter of the law beta."""
    source_beta: float = _BETA[1]
    """Second parameter of the law beta."""
    mixing_seed: int | None = None
    """Source of the mixing; None: the run's seed. With it runs of different seeds see one mixing."""


@dataclass
class MoebiusOptions(SourceOptions):
    """The options of the Moebius mixture."""

    linear_map: LinearMap = "none"
    """What comes after: nothing, a map whose columns have length 1 and --cosine with each other, or random positive
    columns, scaled to determinant 1 or to length 1."""
    cosine: float = 0.5
    """Cosine of the angle between the columns of that map."""


@dataclass
class MLPOptions(SourceOptions):
    """The options of the mixture by a network."""

    source: Law = "gaussian"
    """Law of each source: uniform in (-0.5, 0.5), standard gaussian or laplace, or beta less 0.5."""
    mixing_layers: int = 3
    """Layers, each a smooth leaky ReLU and then a matrix."""
    mixing_slope: float = 0.2
    """Slope of the smooth leaky ReLU far below 0; 1: the layers are linear."""
    orthogonal: bool = True
    """Whether the matrices are orthogonal; else their entries are uniform in (1, 3)."""


@dataclass
class FlowOptions(SourceOptions):
    """The options of the mixture by an autoregressive flow."""

    dims: int = 4
    """Sources, and numbers in an observation."""
    source: Law = "gaussian"
    """Law of each source: uniform in (-0.5, 0.5), standard gaussian or laplace, or beta less 0.5."""
    couplings: int = 2
    """Affine couplings."""
    conditioner_width: int = 10
    """Units of the hidden layer by which half of the numbers scale and shift the others."""
    alternate: bool = True
    """Let the halves take turns; else the first half stays as it is, as published."""


@dataclass
class TriangularOptions(SourceOptions):
    """The options of the mixture by a triangular network."""

    source: Law = "gaussian"
    """Law of each source: uniform in (-0.5, 0.5), standard gaussian or laplace, or beta less 0.5."""
    mixing_layers: int = 2
    """Layers, each a smooth leaky ReLU and then an upper triangular matrix."""
    mixing_slope: float = 0.2
    """Slope of the smooth leaky ReLU far below 0; 1: the layers are linear."""


class Vectors(World):
    """A world of vectors, which a model sees as images of one row: the factors are the sources. There are no actions.

    Args:
        low: Least value of each source.
        high: Largest value of each.
    """

    def __init__(self, low: NDArray[np.float64], high: NDArray[np.float64]) -> None:
        self.factors = FactorSpace(
            [
                Factor(f"source_{number}", None, "continuous", float(least), float(most))
                for number, (least, most) in enumerate(zip(low, high, strict=True))
            ]
        )
        self.actions = ()
        self.image_shape = (1, len(low), 1)

    def render(self, factors: NDArray[Any]) -> NDArray[np.uint8]:
        """Refused: vectors are no pictures of bytes."""
        raise UsageError("vectors cannot be drawn; get_img_by_latent() gives those of sources")


class MixtureDataset(SampledDataset):
    """Vectors ``mixing(sources)``, as float32 images of one row [1, 1, d], not confined to [0, 1].

    Their mean is 0: the last part of the mixing subtracts that of all items.

    Args:
        mixing: Mixes the sources, before the mean is subtracted.
        draw: Draws them.
        bounds: The interval that they lie in; None: that of the items.
        dims: How many there are.
        items: How many vectors are drawn.
        seed: The source of the items.

    Attributes:
        mixing: What maps sources to observations, differentiable, with inverse and Jacobian.
        observations: float32 [N, d].

    Raises:
        UsageError: There would be no item, or the seed is negative.
    """

    def __init__(
        self, mixing: Mixing, draw: Draw, bounds: tuple[float, float] | None, dims: int, items: int, seed: int = 0
    ) -> None:
        if bounds is None and items > 0:
            first = draw(numpy_generator(seed, _ITEMS), items)
            low, high = first.min(0), np.nextafter(first.max(0), np.inf)
        else:
            low, high = (np.full(dims, bound) for bound in bounds or (-1.0, 1.0))
        super().__init__(Vectors(low, high), draw, items, seed=seed)
        mixed = mixing(torch.from_numpy(self._rows.copy()))
        offset = -mixed.mean(0)
        self.mixing = Chain((mixing, Shift(offset)))
        self.observations = (mixed + offset).float()
        if not bool(self.observations.isfinite().all()):
            raise UsageError("this mixing makes numbers that are not finite; another --seed, or fewer layers, may not")

    def frames(self, index: ArrayLike) -> NDArray[np.uint8]:
        """Refused: vectors have no pictures of bytes."""
        raise UsageError("vectors have no pictures of bytes; images() gives them as floats")

    def images(
        self, index: ArrayLike, generator: torch.Generator | None = None, groups: ArrayLike | Tensor | None = None
    ) -> Tensor:
        """Vectors as models take them.

        Args:
            index: Items, int64 [N], or one.
            generator: Not read: there is no noise.
            groups: Not read.

        Returns:
            float32 [N, 1, 1, d] (or [1, 1, d] for one index).

        Raises:
            UsageError: There is no such item.
        """
        found = self.observations[torch.from_numpy(self.check_index(index))]
        return found[..., None, None, :]

    def get_img_by_latent(self, latent: ArrayLike) -> Tensor:
        """The vectors of these sources, float32 [N, 1, 1, d] (or [1, 1, d] for one row).

        Raises:
            UsageError: They are not of that shape.
        """
        rows = np.asarray(latent, dtype=np.float64)
        if rows.ndim not in (1, 2) or rows.shape[-1] != len(self.factors):
            raise UsageError(f"sources need the shape [N, {len(self.factors)}], got {list(rows.shape)}")
        mixed: Tensor = self.mixing(torch.from_numpy(rows)).float()
        return mixed[..., None, None, :]


def _law(options: SourceOptions) -> tuple[Draw, tuple[float, float] | None]:
    """How sources are drawn, and the interval that they lie in, if there is one.

    Raises:
        UsageError: As the message says.
    """
    dims, alpha, beta = options.dims, options.source_alpha, options.source_beta
    if options.source != "beta" and (alpha, beta) != _BETA:
        raise UsageError(f"--source-alpha and --source-beta are not read by --source {options.source}")
    if not (alpha > 0 and beta > 0):
        raise UsageError(f"--source-alpha and --source-beta must be above 0, not {alpha} and {beta}")
    laws: dict[Law, tuple[Draw, tuple[float, float] | None]] = {
        "uniform": (lambda rng, n: rng.uniform(-0.5, 0.5, (n, dims)), (-0.5, 0.5)),
        "gaussian": (lambda rng, n: rng.standard_normal((n, dims)), None),
        "laplace": (lambda rng, n: rng.laplace(size=(n, dims)), None),
        "beta": (lambda rng, n: rng.beta(alpha, beta, (n, dims)) - 0.5, (-0.5, 0.5)),
    }
    return laws[options.source]


def _source(name: str, options: SourceOptions, noise: NoiseOptions, seed: int) -> np.random.Generator:
    """The source of a mixing, once its options are looked at.

    Raises:
        UsageError: As the message says.
    """
    if options.dims < 2:
        raise UsageError(f"--dims must be 2 or more, not {options.dims}")
    if options.n_obs < 1:
        raise UsageError(f"--n-obs must be 1 or more, not {options.n_obs}")
    if noise.noise_name != "none":
        raise UsageError(f"--noise-name {noise.noise_name} is for pictures: --dataset {name} takes none")
    for option, kind in (("source", Law), ("linear_map", LinearMap)):
        if (chosen := getattr(options, option, None)) not in (None, *get_args(kind)):
            accepted = ", ".join(get_args(kind))
            raise UsageError(f"--{option.replace('_', '-')} {chosen!r} is none; accepted: {accepted}")
    for option in ("mixing_layers", "couplings", "conditioner_width"):
        if getattr(options, option, 1) < 1:
            raise UsageError(f"--{option.replace('_', '-')} must be 1 or more, not {getattr(options, option)}")
    return numpy_generator(seed if options.mixing_seed is None else options.mixing_seed, _MIXING)


def _mixture(options: SourceOptions, mixing: Mixing, seed: int) -> MixtureDataset:
    draw, bounds = _law(options)
    return MixtureDataset(mixing, draw, bounds, options.dims, options.n_obs, seed)


@dataset("moebius", options=MoebiusOptions)
def moebius(options: MoebiusOptions, noise: NoiseOptions, seed: int) -> MixtureDataset:
    """Sources through a Moebius transformation, whose Jacobian has orthogonal columns, and a linear map if asked for.

    Raises:
        UsageError: An option is out of its range.
    """
    rng, dims = _source("moebius", options, noise, seed), options.dims
    if options.linear_map != "cosine" and options.cosine != MoebiusOptions.cosine:
        raise UsageError(f"--cosine is not read by --linear-map {options.linear_map}: cosine is accepted")
    mixing: Mixing = mixings.moebius(rng, dims)
    if options.linear_map != "none":
        if options.linear_map == "cosine":
            matrix = mixings.equiangular(options.cosine, dims)
        else:
            matrix = mixings.uneven(rng, dims, options.linear_map == "unit-columns")
        mixing = Chain((mixing, Linear(torch.from_numpy(matrix))))
    return _mixture(options, mixing, seed)


@dataset("mlp", options=MLPOptions)
def mlp(options: MLPOptions, noise: NoiseOptions, seed: int) -> MixtureDataset:
    """Sources through an invertible network of smooth leaky ReLUs and square matrices.

    Raises:
        UsageError: An option is out of its range.
    """
    rng, dims = _source("mlp", options, noise, seed), options.dims
    drawn = [
        mixings.rotation(rng, dims) if options.orthogonal else rng.uniform(1, 3, (dims, dims))
        for _ in range(options.mixing_layers)
    ]
    return _mixture(options, mixings.layers(drawn, options.mixing_slope), seed)


@dataset("ar-flow", options=FlowOptions)
def ar_flow(options: FlowOptions, noise: NoiseOptions, seed: int) -> MixtureDataset:
    """Sources through affine couplings with random conditioners (as in Khemakhem et al. 2021, arXiv 2011.02268).

    Raises:
        UsageError: An option is out of its range.
    """
    rng = _source("ar-flow", options, noise, seed)
    mixing = mixings.flow(rng, options.dims, options.couplings, options.conditioner_width, options.alternate)
    return _mixture(options, mixing, seed)


@dataset("triangular-mlp", options=TriangularOptions)
def triangular_mlp(options: TriangularOptions, noise: NoiseOptions, seed: int) -> MixtureDataset:
    """Sources through an invertible network whose Jacobian is triangular, so that its columns are far from orthogonal.

    Raises:
        UsageError: An option is out of its range.
    """
    rng = _source("triangular-mlp", options, noise, seed)
    drawn = [mixings.triangular(rng, options.dims) for _ in range(options.mixing_layers)]
    return _mixture(options, mixings.layers(drawn, options.mixing_slope), seed)
