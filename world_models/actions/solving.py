"""Solving for the actions in closed form: from codes of image pairs to planes, angles and a change of basis."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from ...datasets.loader import Batch, WindowLoader
from ...datasets.randomness import torch_generator
from .commuting import Fit, Words, fit_commuting_rotations, possible_words, predict, random_fit, simplest_angles
from .representations import FreeMatrix, GroupBank, Identity, Rotation
from .subspace import SlowSubspace, count_static, slow_subspace

_SOLVE = 14  # keeps its random numbers apart
_IDLE_ANGLE = 0.05  # radians below which an action is taken to do nothing
_FEWEST_WINDOWS = 64
_COLLAPSED = 1e-12  # variance below which no latent says anything


@dataclass(frozen=True)
class Problem:
    """What is known of the actions before they are found.

    Attributes:
        latents: Latents that they act on, L; even.
        static_latents: Latents that they do not, S.
        steps: Actions between the two images of a pair, N.
        generators: Actions, an action and its inverse counted once where ``inverses``.
        inverses: Whether each generator's inverse is an action too.
        idle: Whether doing nothing is an action too.
        labelled: Whether it is known which action happened; each label is then a generator.
        pairs: Image pairs to solve from.
        restarts: Random starts of the fit to each half of them.
    """

    latents: int
    static_latents: int
    steps: int
    generators: int
    inverses: bool
    idle: bool
    labelled: bool
    pairs: int = 4000
    restarts: int = 48

    @property
    def doubtful(self) -> bool:
        """Whether some of what is inferred at first is likely to be wrong."""
        return not self.labelled and (self.steps > 1 or self.static_latents > 0)

    def words(self, actions: Tensor) -> tuple[Words, Tensor | None]:
        """What may have happened in each pair, and what did where that is given, from true actions ``[n, 1, N]``."""
        if not self.labelled:
            return possible_words(self.generators, self.steps, self.inverses, self.idle), None
        counts = torch.nn.functional.one_hot(actions[:, 0], self.generators).sum(1).float()
        distinct, known = torch.unique(counts, dim=0, return_inverse=True)
        return Words(distinct, torch.zeros(len(distinct))), known


@dataclass
class Solution:
    """What an attempt found.

    Attributes:
        to_code: Rows give the code's coordinates from centred search latents, ``[L + S, K]``.
        to_search: The least-squares way back, ``[K, L + S]``.
        centre: Mean search latents, ``[K]``.
        maps: What each found action does to the group latents, ``[F, L, L]``.
        accepted: Whether it passed the tests of ``judge``.
        report: A line for the log.
    """

    to_code: Tensor
    to_search: Tensor
    centre: Tensor
    maps: Tensor
    accepted: bool
    report: str


@torch.no_grad()
def solve(encode: Callable[[Tensor], Tensor], loader: WindowLoader, problem: Problem, step: int) -> Solution:
    """One attempt: slow directions of the codes, then commuting rotations fitted to them.

    Args:
        encode: Codes ``[n, K]``, on the CPU, of images.
        loader: Where the pairs come from.
        problem: What is known of the actions.
        step: Update at which this happens; with the loader's seed it determines the outcome.
    """
    generator = torch_generator(loader.seed, _SOLVE, step)
    batch = loader.sample(problem.pairs, step, length=1)
    codes = encode(batch.frames)
    before, after = codes[batch.index[:, 0]], codes[batch.index[:, 1]]
    size, wide = problem.latents + problem.static_latents, codes.shape[1]
    if not bool(torch.isfinite(codes).all()) or float(codes.var(0).max()) < _COLLAPSED:
        nothing = torch.eye(problem.latents).repeat(problem.generators * (1 + problem.inverses), 1, 1)
        way = torch.eye(size, wide)
        return Solution(way, way.T.contiguous(), codes.new_zeros(wide), nothing, False, "the codes have collapsed")
    subspace = slow_subspace(before, after, at_least=size)
    static = _count_static(encode, loader, problem, subspace, step) if problem.static_latents else 0
    moving = subspace.directions[static : static + problem.latents]
    first, second = (before - subspace.centre) @ moving.T, (after - subspace.centre) @ moving.T
    words, known = problem.words(batch.actions)
    fits, agreement = _fit_halves(first, second, words, known, problem, generator)
    fit = max(fits, key=lambda candidate: float(candidate.score))
    fit = fit_commuting_rotations(first, second, words, fit, known, iterations=10, temperatures=(0.05, 0.05))
    fit = simplest_angles(fit, problem.steps, problem.inverses)
    _, word = predict(first, second, words, fit)
    use = words.counts[word].abs().mean(0)
    report, accepted = judge(fit, agreement, use / use.sum().clamp_min(1e-9), problem)
    speeds = ", ".join(f"{float(speed):.2f}" for speed in subspace.speeds[: static + problem.latents + 2])
    # Of the static directions the model keeps as many as it has latents for; spare ones start empty.
    kept = torch.cat([fit.basis[0] @ moving, subspace.directions[: min(static, problem.static_latents)]])
    to_code, to_search = torch.zeros(size, wide), torch.zeros(wide, size)
    to_code[: len(kept)] = kept
    centred = codes - subspace.centre
    # The default driver does not give the same digits twice.
    to_search[:, : len(kept)] = torch.linalg.lstsq(centred @ kept.T, centred, driver="gelsd").solution.T
    maps = rotation_maps(fit.angles[0])
    if problem.inverses:
        maps = torch.stack([maps, maps.transpose(1, 2)], 1).flatten(0, 1)
    return Solution(to_code, to_search, subspace.centre, maps, accepted, f"{report}, speeds {speeds}")


def judge(fit: Fit, agreement: float, use: Tensor, problem: Problem) -> tuple[str, bool]:
    """Whether a fit is to be trusted, and a line that says on what grounds.

    Args:
        fit: A single candidate.
        agreement: Share of pairs on whose outcome two fits to disjoint halves of them agree.
        use: Share of each generator in what happened.
        problem: What was solved for.
    """
    sizes = fit.angles[0].abs().sort(1, descending=True).values
    # A given action may do nothing; a found one may not, since doing nothing is a word of its own.
    turning = sizes[:, 0] > _IDLE_ANGLE if problem.labelled else torch.ones(len(sizes), dtype=torch.bool)
    sizes = sizes[turning] if bool(turning.any()) else sizes
    off_plane = float(sizes[:, 1:].max()) if sizes.shape[1] > 1 else 0.0
    smallest = float(sizes[:, 0].min())
    least_use = float(use.min()) * len(use)
    single = off_plane <= 0.2 and smallest > 2 * off_plane
    # Whitened latents have squared length D on average: what no word explains must be a small part of that.
    # Backgrounds leave less of the code to what moves, so that it tears more easily.
    explained = float(fit.error) <= (0.15 if problem.static_latents else 0.2) * fit.basis.shape[-1]
    # Of several actions the outcomes lie closer together, and the codes of the search are only so precise.
    needed = 0.98 if problem.steps == 1 else 0.95
    accepted = agreement >= needed and (problem.labelled or least_use >= 0.5) and single and explained
    angles = ", ".join(f"{float(angle):.3f}" for angle in sizes[:, 0])
    report = (
        f"halves agree on {agreement:.1%}, least used action {least_use:.2f} of its share, angles {angles} rad, "
        f"up to {off_plane:.2f} in other planes, error {float(fit.error):.3f}"
    )
    return report, accepted


def assign_maps(bank: GroupBank, maps: Tensor) -> list[int]:
    """The bank entry that each found map is to fill, one to one, by how well the entry's form can take it.

    Args:
        bank: The learnt actions.
        maps: Found maps ``[F, L, L]`` with planes on latent pairs.
    """
    cost = torch.zeros(len(maps), len(bank))
    identity = torch.eye(bank.latents, device=maps.device)
    for entry, representation in enumerate(bank.representations):
        assert isinstance(representation, Rotation | Identity | FreeMatrix)
        here = slice(bank.starts[entry], bank.starts[entry] + representation.width)
        for number, found in enumerate(maps):
            rest = (found - identity).clone()
            rest[here, here] = 0.0
            turned = torch.atan2(found[here, here][1, 0], found[here, here][0, 0])
            against = (
                isinstance(representation, Rotation) and float(turned) * (representation.low + representation.high) < 0
            )
            cost[number, entry] = rest.square().sum() + 0.01 * against
            if isinstance(representation, Identity):
                cost[number, entry] += (found - identity).square().sum() + 1.0
    rows, columns = linear_sum_assignment(cost.cpu().numpy())
    return [int(column) for _, column in sorted(zip(rows, columns, strict=True))]


def rotation_maps(angles: Tensor) -> Tensor:
    """Block-diagonal rotations from angles ``[G, P]``, as ``[G, 2P, 2P]``."""
    cosine, sine = torch.cos(angles), torch.sin(angles)
    blocks = torch.stack([torch.stack([cosine, -sine], -1), torch.stack([sine, cosine], -1)], -2)
    return torch.stack([torch.block_diag(*generator) for generator in blocks])


def _fit_halves(
    first: Tensor, second: Tensor, words: Words, known: Tensor | None, problem: Problem, generator: torch.Generator
) -> tuple[list[Fit], float]:
    """A fit to each half of the pairs, and the share of all pairs on whose outcome the two agree."""
    fits, outcomes = [], []
    for half in (slice(None, None, 2), slice(1, None, 2)):
        # Several actions at a time have more local optima.
        restarts = problem.restarts if problem.steps == 1 else 2 * problem.restarts
        start = random_fit(restarts, first.shape[1], words.counts.shape[1], generator)
        given = None if known is None else known[half]
        fit = fit_commuting_rotations(first[half], second[half], words, start, given).best()
        fits.append(fit)
        outcomes.append(predict(first, second, words, fit)[0])
    distance = (outcomes[0] - outcomes[1]).square().sum(1)
    # Whitened latents have squared length D on average.
    return fits, float((distance < 0.1 * first.shape[1]).float().mean())


def _count_static(
    encode: Callable[[Tensor], Tensor], loader: WindowLoader, problem: Problem, subspace: SlowSubspace, step: int
) -> int:
    """How many of the slowest directions do not move at all."""
    ends = _long_windows(loader, problem.pairs // 8, step)
    codes = encode(ends.frames)
    first, last = codes[ends.index[:, 0]], codes[ends.index[:, -1]]
    return count_static(subspace, first, last, len(subspace.speeds) - problem.latents)


def _long_windows(loader: WindowLoader, number: int, step: int) -> Batch:
    """Windows long enough for what moves to have moved: of the lengths that the data has, the longest."""
    for length in (20, 10):
        starts = loader.transitions.windows(length, loader.allowed)
        if len(starts) >= _FEWEST_WINDOWS:
            return loader.sample(min(len(starts), number), step, length=length)
    return loader.sample(number, step)
