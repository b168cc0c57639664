"""Fits commuting rotations to pairs of latents whose actions are unknown: the planes, and the angles in them."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Words:
    """What may have happened between the two latents of a pair.

    Attributes:
        counts: How often each generator acted (its inverse counts -1), ``[W, G]``.
        log_prior: Log-probability of each row when every action is equally likely, ``[W]``.
    """

    counts: Tensor
    log_prior: Tensor


def possible_words(generators: int, steps: int, inverses: bool, idle: bool = False) -> Words:
    """All outcomes of ``steps`` uniform draws from ``generators`` actions, as net counts.

    Args:
        generators: G.
        steps: Actions in a word.
        inverses: Whether each generator's inverse is an action too.
        idle: Whether doing nothing is an action too.
    """
    chances = Counter({(0,) * generators: 1.0})
    for _ in range(steps):
        following: Counter[tuple[int, ...]] = Counter()
        for counts, chance in chances.items():
            for generator, sign in itertools.product(range(generators), (1, -1) if inverses else (1,)):
                moved = list(counts)
                moved[generator] += sign
                following[tuple(moved)] += chance
            if idle:
                following[counts] += chance
        chances = following
    keys = sorted(chances)
    weights = torch.tensor([float(chances[key]) for key in keys])
    return Words(torch.tensor(keys, dtype=torch.float32), (weights / weights.sum()).log())


@dataclass
class Fit:
    """Commuting rotations, one candidate a row.

    Attributes:
        basis: Orthonormal rows; rows 2p and 2p + 1 span plane p. ``[R, D, D]``.
        angles: Of each generator in each plane, radians, ``[R, G, P]`` with ``P = D / 2``.
        score: Mean log-likelihood of a pair up to constants; the higher the better, ``[R]``.
        error: Mean squared distance from the second latent to where the best word puts the first, ``[R]``.
    """

    basis: Tensor
    angles: Tensor
    score: Tensor
    error: Tensor

    def best(self) -> Fit:
        """The candidate of the highest score, kept as a row of its own."""
        row = self.score.argmax()[None]
        return Fit(self.basis[row], self.angles[row], self.score[row], self.error[row])


def polar(matrices: Tensor) -> Tensor:
    """The nearest orthogonal matrices (the Procrustes solution), for ``[..., D, D]``."""
    left, _, right = torch.linalg.svd(matrices)
    return left @ right


def random_fit(restarts: int, dimensions: int, generators: int, generator: torch.Generator) -> Fit:
    """Starting points: random orthonormal bases and random angles."""
    basis = polar(torch.randn(restarts, dimensions, dimensions, generator=generator))
    angles = (2 * torch.rand(restarts, generators, dimensions // 2, generator=generator) - 1) * math.pi
    nothing = torch.full((restarts,), -math.inf)
    return Fit(basis, angles, nothing, -nothing)


def fit_commuting_rotations(
    before: Tensor,
    after: Tensor,
    words: Words,
    start: Fit,
    known: Tensor | None = None,
    iterations: int = 60,
    temperatures: tuple[float, float] = (1.0, 0.05),
) -> Fit:
    """Expectation-maximisation over the words, annealed, from many starts at once.

    All maps share their planes, so a pair's fit is ``sum_p Re(conj(w_p) v_p exp(i counts . angles_p))`` with ``v, w``
    the complex coordinates of the two latents in plane p. The maximisation is closed for the basis (a Procrustes step
    on a bound that touches the objective) and a Newton step for the angles.

    Args:
        before: Centred, whitened latents ``[n, D]``, D even.
        after: The latents that followed, in the same coordinates.
        words: What may have happened.
        start: Candidates to start from.
        known: Which word it was for each pair, int ``[n]``, when that is known; the expectation is then given.
        iterations: Of EM.
        temperatures: First and last noise variance of the annealing.

    Returns:
        As many candidates as ``start`` has.
    """
    basis, angles = start.basis, start.angles
    number, dimensions = before.shape
    energy = (before.square().sum() + after.square().sum()) / (2 * dimensions)
    norms = before.square().sum(1) + after.square().sum(1)
    ridge = 1e-2 * number * torch.eye(words.counts.shape[1])
    hottest, coldest = temperatures
    given = None if known is None else torch.nn.functional.one_hot(known, len(words.counts)).to(before.dtype)
    for iteration in range(iterations):
        heat = hottest * (coldest / hottest) ** (iteration / max(1, iterations - 1))
        first, second = _plane_coordinates(before, basis), _plane_coordinates(after, basis)
        turned = first.conj() * second
        fits = _word_fits(turned, words, angles)
        shares = torch.softmax(fits / heat + words.log_prior, -1) if given is None else given.expand(len(basis), -1, -1)
        mass = torch.einsum("rnw,rnp->rwp", shares.to(turned.dtype), turned)
        residual = mass * _phases(words, -angles)
        slope = torch.einsum("rwp,wg->rpg", residual.imag, words.counts)
        curvature = torch.einsum("rwp,wg,wh->rpgh", residual.real.clamp_min(0), words.counts, words.counts) + ridge
        step = torch.linalg.solve(curvature, slope[..., None])[..., 0]
        angles = angles + step.transpose(1, 2).clamp(-0.5, 0.5)
        expected = torch.einsum("rnw,rwp->rnp", shares.to(turned.dtype), _phases(words, angles))
        forward = _real(first * expected).transpose(1, 2) @ after
        backward = _real(second * expected.conj()).transpose(1, 2) @ before
        # The multiple of the basis makes the bound concave, so the step never lowers the objective.
        basis = polar(forward + backward + energy * basis)
    turned = _plane_coordinates(before, basis).conj() * _plane_coordinates(after, basis)
    fits = _word_fits(turned, words, angles)
    if given is not None:
        chosen = (fits * given).sum(-1)
        score = chosen.mean(1)
    else:
        chosen = fits.max(-1).values
        score = coldest * torch.logsumexp(fits / coldest + words.log_prior, -1).mean(1)
    error = (norms - 2 * chosen).mean(1)
    return Fit(basis, torch.remainder(angles + math.pi, 2 * math.pi) - math.pi, score, error)


def predict(before: Tensor, after: Tensor, words: Words, fit: Fit) -> tuple[Tensor, Tensor]:
    """Where the likeliest word puts each first latent, ``[n, D]``, and which word that is, ``[n]`` (one candidate)."""
    first, second = _plane_coordinates(before, fit.basis), _plane_coordinates(after, fit.basis)
    word = _word_fits(first.conj() * second, words, fit.angles)[0].argmax(1)
    moved = first[0] * _phases(words, fit.angles)[0][word]
    return _real(moved[None])[0] @ fit.basis[0], word


def simplest_angles(fit: Fit, steps: int, inverses: bool) -> Fit:
    """Of the solutions that pairs ``steps`` apart cannot tell from each other, the one that turns least.

    Adding the same angle to all generators in a plane changes no product of ``steps`` actions where ``steps`` times
    that angle is a full turn. With inverses, which would turn the other way, only a half turn is left, and only for
    an even number of steps.
    """
    parts = (2 if steps % 2 == 0 else 1) if inverses else steps
    best = fit.angles
    for part in range(1, parts):
        other = torch.remainder(fit.angles + 2 * math.pi * part / parts + math.pi, 2 * math.pi) - math.pi
        turns_less = other.abs().sum(1, keepdim=True) < best.abs().sum(1, keepdim=True) - 1e-6
        best = torch.where(turns_less, other, best)
    return Fit(fit.basis, best, fit.score, fit.error)


def _plane_coordinates(latents: Tensor, basis: Tensor) -> Tensor:
    """Complex coordinates in each plane of each candidate, ``[R, n, P]``."""
    rotated = latents @ basis.transpose(1, 2)
    return torch.view_as_complex(rotated.reshape(len(basis), len(latents), -1, 2).contiguous())


def _real(coordinates: Tensor) -> Tensor:
    return torch.view_as_real(coordinates).reshape(*coordinates.shape[:2], -1)


def _phases(words: Words, angles: Tensor) -> Tensor:
    """``exp(i counts . angles)`` of each word in each plane, ``[R, W, P]``."""
    total = torch.einsum("wg,rgp->rwp", words.counts, angles)
    return torch.polar(torch.ones_like(total), total)


def _word_fits(turned: Tensor, words: Words, angles: Tensor) -> Tensor:
    """Inner product of the second latent with the moved first, for each word, ``[R, n, W]``."""
    phases = _phases(words, angles)
    # Re(turned * conj(phase)) summed over planes, as one real matrix product.
    return _real(turned) @ _real(phases).transpose(1, 2)
