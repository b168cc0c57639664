"""The commutative Lie group VAE: codes are coordinates of a learnt group (Zhu, Xu and Tao 2021, arXiv 2106.03375)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from ..datasets.loader import Batch
from ..envs.registry import UsageError
from .actions.representations import full_precision
from .latents.euclidean import DiagonalGaussian, EuclideanLatent
from .networks import initialise
from .objectives import Evidence, Objective
from .objectives.base import Terms
from .vae import VAE
from .zoo import Context, VAEOptions, model, vae


@dataclass
class LieOptions(VAEOptions):
    """Options of the model."""

    architecture: str = "higgins"
    """Networks; train.py --help lists them."""
    learning_rate: float = 1e-4
    """Adam's learning rate."""
    batch_size: int = 256
    """Images in a batch."""
    epochs: int = 70
    """Passes over the training data, at most."""
    subgroup_sizes: tuple[int, ...] = (100,)
    """Numbers in a matrix of each subgroup, squares: 100 is 10 x 10."""
    subspace_sizes: tuple[int, ...] | None = None
    """Latents that are coordinates of each subgroup; None: equally many."""
    hy_rec: float = 0.1
    """Weight of the squared distance of the encoder's group feature and the group element of the code."""
    hy_hes: float = 40.0
    """Weight of the squared products of different basis matrices."""
    hy_commute: float = 0.0
    """Weight of the squared commutators of basis matrices."""
    forward_eg_prob: float = 0.2
    """Probability that a training batch is decoded from the encoder's group feature instead of the code's."""
    lie_alg_init_scale: float = 0.001
    """Standard deviation of the basis matrices' entries at first."""
    exp_map: bool = True
    """The exponential map; without it two linear layers stand for the group, a baseline."""


class LieGroupLatent(EuclideanLatent):
    """Real coordinates ``t`` of which the decoder reads the group element ``exp(sum_i t_i A_i)``.

    The group is a product of subgroups of matrices. Each has coordinates, and a basis ``A_i`` of its algebra, of its
    own. The encoder emits a group feature, as large as the group's matrices; two linear layers with ReLU make the
    posterior's means of it, and two more its log-variances, each subgroup for itself.

    Args:
        sizes: Rows of the matrices and number of coordinates, for each subgroup.
        scale: Standard deviation of the basis' entries at first.
        exp_map: Whether there is a group; two linear layers stand for it otherwise.
        generator: Source of the initial weights.
    """

    def __init__(
        self, sizes: Sequence[tuple[int, int]], scale: float, exp_map: bool, generator: torch.Generator
    ) -> None:
        latents = sum(count for _, count in sizes)
        super().__init__(latents)
        self.rows, self.counts = [rows for rows, _ in sizes], [count for _, count in sizes]
        self.posterior_size = self.feature_size = sum(rows**2 for rows in self.rows)
        self.means, self.log_variances = (
            nn.ModuleList(_layers(rows**2, count, generator) for rows, count in sizes) for _ in range(2)
        )
        self.bases, self.stand_in = nn.ParameterList(), None
        if not exp_map:
            self.stand_in = _layers(latents, self.feature_size, generator)
            return
        for rows, count in sizes:
            self.bases.append(nn.Parameter(scale * torch.randn(count, rows, rows, generator=generator)))

    def posterior(self, features: Tensor) -> DiagonalGaussian:
        parts = features.split([rows**2 for rows in self.rows], 1)
        with full_precision(features):
            mean, log_variance = (
                torch.cat([layers(part) for layers, part in zip(heads, parts, strict=True)], 1)
                for heads in (self.means, self.log_variances)
            )
        return DiagonalGaussian(mean, log_variance)

    def features(self, codes: Tensor) -> Tensor:
        with full_precision(codes):
            if self.stand_in is not None:
                return cast(Tensor, self.stand_in(codes))
            return torch.cat([element.flatten(1) for element in self.elements(codes)], 1)

    def elements(self, codes: Tensor) -> list[Tensor]:
        """The matrix ``[B, n, n]`` of each subgroup that ``codes [B, L]`` are coordinates of."""
        parts = codes.split(self.counts, 1)
        return [
            torch.matrix_exp(torch.tensordot(part, basis, 1)) for part, basis in zip(parts, self.bases, strict=True)
        ]

    def algebra(self) -> tuple[Tensor, Tensor]:
        """How far the bases are from products and from commutators of 0, sums over the subgroups.

        Returns:
            The mean over pairs of basis matrices of ``||A_i A_j||^2``, where a matrix with itself counts 0, and of
            ``||A_i A_j - A_j A_i||^2`` (Frobenius norms).
        """
        products, commutators = [], []
        for basis in self.bases:
            pairs = basis[:, None] @ basis[None]
            apart = ~torch.eye(len(basis), dtype=torch.bool, device=basis.device)
            products.append((pairs.square().sum((2, 3)) * apart).mean())
            commutators.append((pairs - pairs.transpose(0, 1)).square().sum((2, 3)).mean())
        return torch.stack(products).sum(), torch.stack(commutators).sum()


def _layers(inputs: int, outputs: int, generator: torch.Generator) -> nn.Sequential:
    """Two linear layers, four times the inputs between them."""
    layers = nn.Sequential(nn.Linear(inputs, 4 * inputs), nn.ReLU(), nn.Linear(4 * inputs, outputs))
    initialise(layers, "relu", generator)
    return layers


class LieVAE(VAE):
    """The objective, and that encoder and code agree on the group element, and that the group commutes.

    A code's group element is ``g(z) = exp(sum_i z_i A_i)``, the encoder's group feature ``f(x)``. To the objective
    are added ``hy_rec ||f - g||^2`` (summed, mean over the batch), ``hy_hes mean ||A_i A_j||^2`` over all pairs of
    basis matrices, of which one with itself counts 0, and ``hy_commute mean ||A_i A_j - A_j A_i||^2``. The
    published code takes ``A_i A_j - (A_i A_j)^T`` for the last, which is the commutator only of matrices that are all
    symmetric or all skew; its weight is 0 there.
    """

    latent: LieGroupLatent
    lie = LieOptions()
    """Weights and probability of the further terms."""

    def terms(self, batch: Batch, step: int, generator: torch.Generator) -> Terms:
        images, options = batch.frames, self.lie
        feature = self.encoder(images).float()
        posterior = self.latent.posterior(feature)
        draw = posterior.draw(generator)
        element = self.latent.features(draw.codes)
        given = self.training and float(torch.rand((), generator=generator)) < options.forward_eg_prob
        outputs = self.decoder(feature if given else element).float()
        evidence = Evidence(
            images, posterior, draw.codes, self.likelihood.loss(outputs, images), posterior.divergence(draw), draw
        )
        terms = dict(self.objective.loss(evidence, step, generator))
        agreement = (feature - element).square().sum(1).mean()
        loss = terms["loss"] + options.hy_rec * agreement
        terms["group-agreement"] = agreement
        if self.latent.stand_in is None:
            products, commutators = self.latent.algebra()
            loss = loss + options.hy_hes * products + options.hy_commute * commutators
            terms |= {"group-products": products, "group-commutators": commutators}
        return terms | {"loss": loss}


def _sizes(options: LieOptions) -> list[tuple[int, int]]:
    """Rows of the matrices and number of coordinates, for each subgroup.

    Raises:
        UsageError: As the message says.
    """
    rows = [math.isqrt(max(0, size)) for size in options.subgroup_sizes]
    if not rows or any(row < 1 or row**2 != size for row, size in zip(rows, options.subgroup_sizes, strict=True)):
        given = " ".join(map(str, options.subgroup_sizes))
        raise UsageError(f"--subgroup-sizes takes squares, such as 100 for 10 x 10, not {given or 'nothing'}")
    counts = options.subspace_sizes or (options.latents // len(rows),) * len(rows)
    if len(counts) != len(rows) or min(counts) < 1 or sum(counts) != options.latents:
        raise UsageError(
            f"--subspace-sizes must split --latents {options.latents} into {len(rows)} (one for each of"
            f" --subgroup-sizes), not {' '.join(map(str, counts))}"
        )
    return list(zip(rows, counts, strict=True))


@model("lievae", LieOptions, "commutative Lie group VAE (Zhu et al. 2021, arXiv 2106.03375)")
def lievae(options: LieOptions, context: Context) -> LieVAE:
    """A latent space with a group, and the terms that shape it."""
    if options.latent != "euclidean":
        raise UsageError(f"lievae has a latent space of its own: --latent {options.latent} is not accepted here")
    for name in ("hy_rec", "hy_hes", "hy_commute"):
        if not getattr(options, name) >= 0:
            raise UsageError(f"--{name.replace('_', '-')} must be 0 or more, not {getattr(options, name)}")
    if not 0 <= options.forward_eg_prob <= 1:
        raise UsageError(f"--forward-eg-prob must be between 0 and 1, not {options.forward_eg_prob}")
    if not options.lie_alg_init_scale > 0:
        raise UsageError(f"--lie-alg-init-scale must be above 0, not {options.lie_alg_init_scale}")
    for name in () if options.exp_map else ("hy_hes", "hy_commute", "lie_alg_init_scale"):
        if getattr(options, name) != getattr(LieOptions, name):
            raise UsageError(f"--{name.replace('_', '-')} is not read with --no-exp-map")
    space = LieGroupLatent(_sizes(options), options.lie_alg_init_scale, options.exp_map, context.generator)
    built = vae(options, context, LieVAE, space)
    assert isinstance(built, LieVAE)
    if type(built.objective).terms is not Objective.terms:
        raise UsageError(
            f"--objective {options.objective} decodes more than a sample of each image, which lievae does not; accepted"
            " are those that do not, such as beta"
        )
    built.lie = options
    return built
