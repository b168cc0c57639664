"""The procrustes estimator: slowness first, then the actions solved for in closed form, then refinement on windows."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

from ...datasets.loader import Batch, WindowLoader
from ...datasets.randomness import torch_generator
from ...envs.registry import UsageError
from ..latents import EuclideanLatent
from ..networks import Decoder, Encoder, ImageShape, build_networks, change_latent_basis, initialise
from .base import ESTIMATORS, Estimator, Terms, consecutive
from .commuting import Fit, Words, fit_commuting_rotations, possible_words, predict, random_fit, simplest_angles
from .policy import PolicyNetwork
from .representations import FreeMatrix, GroupBank, Identity, Rotation, full_precision
from .subspace import count_static, slow_subspace

if TYPE_CHECKING:
    from ..group import GroupVAE

_MOST_WORDS = 4096
_RESTARTS, _SOLVE = 13, 14  # keep their random numbers apart
_IDLE_ANGLE = 0.05  # radians below which an action is taken to do nothing


@dataclass(frozen=True)
class Schedule:
    """How long each part takes, in updates.

    Attributes:
        slowness: Weight of the squared distance between the latents of consecutive images while searching.
        solve_every: Updates between attempts to solve for the actions.
        patience: Updates without a solution after which the search starts again from new weights.
        refine_steps: Updates of refinement, over which rates fall along a cosine to a hundredth.
        warm_up: Updates at the start of refinement over which rates rise.
        search_rate: Learning rate while searching, as a share of the full one.
        pairs_first: With several actions between images, the share of refinement that looks at pairs by themselves:
            a wrong guess would spoil all that follows it in a window, and at first there are many.
        tightening: By how much the weight of the dispersion has grown at the end of refinement.
    """

    slowness: float = 40.0
    solve_every: int = 100
    patience: int = 800
    refine_steps: int = 4000
    warm_up: int = 200
    search_rate: float = 1 / 3
    tightening: float = 4.0
    pairs_first: float = 0.5


@dataclass
class Solution:
    """What an attempt found.

    Attributes:
        to_code: Rows give the code's coordinates from centred search latents, ``[L + S, K]``.
        to_search: The least-squares way back, ``[K, L + S]``.
        centre: Mean search latents, ``[K]``.
        maps: What each found action does to the group latents, ``[F, L, L]``.
        accepted: Whether it passed the tests of ``Procrustes._accept``.
        report: A line for the log.
    """

    to_code: Tensor
    to_search: Tensor
    centre: Tensor
    maps: Tensor
    accepted: bool
    report: str


@ESTIMATORS.register("procrustes")
class Procrustes(Estimator):
    """Finds the actions by solving for them, and the group's decomposition with them.

    1. **Search.** A VAE with more latents than the group needs is trained with a penalty on how far the latents of
       consecutive images lie apart. The slowest functions on an orbit of a cyclic group are (cos, sin) of its phase.
       Spare latents keep the embedding from knotting.
    2. **Solve.** Every so many updates, pairs are encoded, the slowest directions kept (after those that do not move
       at all), and commuting rotations fitted by expectation-maximisation: planes, angles, and which action happened
       in each pair. A solution is accepted when two disjoint halves of the data agree on it, every action is in use
       and every action turns a single plane.
    3. **Refine.** The slow directions become the model's latents, exactly, with each plane a pair. Windows of
       consecutive images are encoded, turned back to the window's start by the inferred actions, averaged, turned
       forth again and decoded; their dispersion is the group loss. Meanwhile the policy network is distilled from
       the inferred actions.

    With ``labelled=True`` the actions are given, and only the maps are solved for.

    Args:
        image_shape: Height, width, channels.
        architecture: A name in ``ARCHITECTURES``.
        bank: The learnt actions.
        static_latents: Latents for what differs between windows and does not move.
        steps: Actions between the two images of a transition, N.
        gamma: Weight of the dispersion.
        schedule: How long each part takes.
        labelled: Whether true actions are used.
        label_count: True actions, when they are used.
        generator: Source of the initial weights.

    Raises:
        UsageError: A group structure of something else than rotations (or free 2x2 matrices, where actions are
            given), or more words than can be listed.
    """

    pairs = 4000
    restarts = 48
    fewest_windows = 64

    def __init__(
        self,
        image_shape: ImageShape,
        architecture: str,
        bank: GroupBank,
        *,
        static_latents: int,
        steps: int,
        gamma: float,
        schedule: Schedule,
        labelled: bool = False,
        label_count: int = 0,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        allowed = (Rotation, Identity, FreeMatrix) if labelled else (Rotation, Identity)
        for representation in bank.representations:
            if not isinstance(representation, allowed) or representation.width != 2:
                taken = "c, c+, c-, cn, CN, 0" + (" and m" if labelled else "")
                hint = "" if labelled else "; --estimator exact or reinforce takes the other letters"
                raise UsageError(f"this model solves for maps of latent pairs: --group-structure takes {taken}{hint}")
        moving = [not isinstance(representation, Identity) for representation in bank.representations]
        if not any(moving):
            raise UsageError("--group-structure has only identities: at least one letter must move something")
        self.labelled, self.steps, self.gamma, self.schedule = labelled, steps, gamma, schedule
        self.static_latents = static_latents
        # An action and its inverse share a generator when the structure holds both signs on each pair.
        movers = sum(moving)
        self.inverses = not labelled and {"c+", "c-"} <= {name.split()[0] for name in bank.names}
        self.idle = len(moving) > sum(moving)
        self.generators = label_count if labelled else (movers // 2 if self.inverses else movers)
        candidates = label_count if labelled else len(bank)
        if not labelled and math.comb(candidates + steps - 1, steps) > _MOST_WORDS:
            raise UsageError(
                f"{candidates} actions taken {steps} at a time give too many combinations (over {_MOST_WORDS})"
            )
        if labelled and label_count > len(bank):
            raise UsageError(
                f"the world has {label_count} actions but the group bank {len(bank)}: "
                "raise --latents or add letters to --group-structure"
            )
        wide = 2 * bank.latents + static_latents
        self.search = nn.ModuleList(
            build_networks(architecture, image_shape, EuclideanLatent(wide).posterior_size, wide, generator)
        )
        self.search.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.wide = EuclideanLatent(wide)
        self.gain = "relu" if any(isinstance(module, nn.ReLU) for module in self.search.modules()) else "selu"
        self.policy = None if labelled else PolicyNetwork(image_shape, len(bank), generator)
        self.solved_at: Tensor
        self.began_at: Tensor
        self.entries: Tensor
        self.register_buffer("solved_at", torch.tensor(-1))
        self.register_buffer("began_at", torch.tensor(0))
        self.register_buffer("entries", torch.arange(max(label_count, 1)))

    # What the model asks.

    @property
    def searching(self) -> bool:
        """Whether no solution has been accepted yet."""
        return int(self.solved_at) < 0

    @property
    def search_networks(self) -> tuple[Encoder, Decoder]:
        """The networks with spare latents, which are trained while searching."""
        encoder, decoder = self.search
        assert isinstance(encoder, Encoder) and isinstance(decoder, Decoder)
        return encoder, decoder

    def policy_parameters(self) -> Iterable[nn.Parameter]:
        return [] if self.policy is None else self.policy.parameters()

    def infer(self, model: GroupVAE, before: Tensor, after: Tensor) -> Tensor:
        if self.policy is not None:
            return self.policy(before, after).exp()
        errors = _single_errors(model.encode(before), model.encode(after), model.matrices())
        return torch.softmax(-errors, 1)

    def rate(self, step: int, group: str) -> float:
        if self.searching:
            return self.schedule.search_rate
        refined = step - int(self.solved_at)
        done = self._done(step)
        # Adam's first steps are of full size whatever the gradient, and would undo what was found.
        warm = min(1.0, (refined + 1) / self.schedule.warm_up)
        return warm * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done)))

    def warning(self) -> str | None:
        if not self.searching:
            return None
        return "no actions were found that pass the tests; the model holds the last candidate: train for more --epochs"

    def finished(self, step: int) -> bool:
        return not self.searching and step - int(self.solved_at) >= self.schedule.refine_steps

    def terms(self, model: GroupVAE, batch: Batch, step: int, generator: torch.Generator) -> Terms:
        if self.searching:
            return self._search_terms(model, batch, step, generator)
        return self._refine_terms(model, batch, step, generator)

    def advance(self, model: GroupVAE, loader: WindowLoader, step: int) -> list[str]:
        waited = step - int(self.began_at)
        if not self.searching or waited == 0 or waited % self.schedule.solve_every:
            return []
        solution = self._solve(model, loader, step)
        self._install(model, solution)
        if solution.accepted:
            self.solved_at.fill_(step)
            return [f"actions found after {step} updates: {solution.report}"]
        if waited >= self.schedule.patience:
            self.began_at.fill_(step)
            generator = torch_generator(loader.seed, _RESTARTS, step)
            for network in self.search:
                initialise(network, self.gain, generator)
            return [f"no actions found in {waited} updates, starting again: {solution.report}"]
        return [f"no actions yet: {solution.report}"]

    @torch.no_grad()
    def start_from(self, model: GroupVAE) -> None:
        encoder, decoder = self.search_networks
        size, wide = model.latent.size, self.wide.size
        encoder.trunk.load_state_dict(model.encoder.trunk.state_dict())
        decoder.body.load_state_dict(model.decoder.body.state_dict())
        for rows, taken in ((slice(0, size), slice(0, size)), (slice(wide, wide + size), slice(size, 2 * size))):
            encoder.head.weight[rows] = model.encoder.head.weight[taken]
            encoder.head.bias[rows] = model.encoder.head.bias[taken]
        decoder.stem.weight[:, :size] = model.decoder.stem.weight
        decoder.stem.bias.copy_(model.decoder.stem.bias)

    # 1. Search.

    def _search_terms(self, model: GroupVAE, batch: Batch, step: int, generator: torch.Generator) -> Terms:
        encoder, decoder = self.search_networks
        posterior = self.wide.posterior(encoder(batch.frames).float())
        chosen = _some(len(batch.frames), generator).to(batch.frames.device)
        samples = posterior.rsample(generator)[chosen]
        images = batch.frames[chosen]
        reconstruction = model.likelihood.loss(decoder(samples).float(), images).mean()
        kl = posterior.kl().sum(1)
        penalty = model.objective.penalty(kl, step)
        first, second = consecutive(batch)
        slowness = (posterior.mean[first] - posterior.mean[second]).square().sum(1).mean()
        loss = reconstruction + penalty + self.schedule.slowness * slowness
        return {
            "loss": loss,
            "reconstruction": reconstruction,
            "kl": kl.mean(),
            "penalty": penalty,
            "slowness": slowness,
        }

    # 2. Solve.

    @torch.no_grad()
    def _solve(self, model: GroupVAE, loader: WindowLoader, step: int) -> Solution:
        encoder, _ = self.search_networks
        device = encoder.head.weight.device
        generator = torch_generator(loader.seed, _SOLVE, step)
        batch = loader.sample(self.pairs, step, length=1)

        def codes_of(images: Tensor) -> Tensor:
            return _in_chunks(lambda part: encoder(part.to(device)).float().cpu()[:, : self.wide.size], images)

        codes = codes_of(batch.frames)
        before, after = codes[batch.index[:, 0]], codes[batch.index[:, 1]]
        subspace = slow_subspace(before, after, at_least=model.latent.size)
        static = 0
        if self.static_latents:
            ends = self._long_windows(loader, step)
            ends_codes = codes_of(ends.frames)
            first, last = ends_codes[ends.index[:, 0]], ends_codes[ends.index[:, -1]]
            static = count_static(subspace, first, last, len(subspace.speeds) - model.group_latents)
        latents = model.group_latents
        moving = subspace.directions[static : static + latents]
        first, second = (before - subspace.centre) @ moving.T, (after - subspace.centre) @ moving.T
        words, known = self._words(batch.actions)
        fits, agreement = self._fit_halves(first, second, words, known, generator)
        fit = max(fits, key=lambda candidate: float(candidate.score))
        fit = fit_commuting_rotations(first, second, words, fit, known, iterations=10, temperatures=(0.05, 0.05))
        fit = simplest_angles(fit, self.steps, self.inverses)
        _, word = predict(first, second, words, fit)
        use = words.counts[word].abs().mean(0)
        use = use / use.sum().clamp_min(1e-9)
        report, accepted = self._accept(fit, agreement, use, known is not None)
        speeds = ", ".join(f"{float(speed):.2f}" for speed in subspace.speeds[: static + latents + 2])
        # Of the static directions the model keeps as many as it has latents for; spare ones start empty.
        kept = torch.cat([fit.basis[0] @ moving, subspace.directions[: min(static, self.static_latents)]])
        to_code = torch.zeros(model.latent.size, self.wide.size)
        to_code[: len(kept)] = kept
        centred = codes - subspace.centre
        used = centred @ kept.T
        to_search = torch.zeros(self.wide.size, model.latent.size)
        # The default driver does not give the same digits twice.
        to_search[:, : len(kept)] = torch.linalg.lstsq(used, centred, driver="gelsd").solution.T
        maps = _rotation_maps(fit.angles[0])
        if self.inverses:
            maps = torch.stack([maps, maps.transpose(1, 2)], 1).flatten(0, 1)
        return Solution(to_code, to_search, subspace.centre, maps, accepted, f"{report}, speeds {speeds}")

    def _long_windows(self, loader: WindowLoader, step: int) -> Batch:
        """Windows long enough for what moves to have moved: of the lengths that the data has, the longest."""
        for length in (20, 10):
            starts = loader.transitions.windows(length, loader.allowed)
            if len(starts) >= self.fewest_windows:
                return loader.sample(min(len(starts), self.pairs // 8), step, length=length)
        return loader.sample(self.pairs // 8, step)

    def _words(self, actions: Tensor) -> tuple[Words, Tensor | None]:
        """What may have happened in each pair, and what did, where that is given."""
        if not self.labelled:
            return possible_words(self.generators, self.steps, self.inverses, self.idle), None
        counts = torch.nn.functional.one_hot(actions[:, 0], self.generators).sum(1).float()
        distinct, known = torch.unique(counts, dim=0, return_inverse=True)
        return Words(distinct, torch.zeros(len(distinct))), known

    def _fit_halves(
        self, first: Tensor, second: Tensor, words: Words, known: Tensor | None, generator: torch.Generator
    ) -> tuple[list[Fit], float]:
        """A fit to each half of the pairs, and the share of all pairs on whose outcome the two agree."""
        fits, outcomes = [], []
        for half in (slice(None, None, 2), slice(1, None, 2)):
            # Several actions at a time have more local optima.
            restarts = self.restarts if self.steps == 1 else 2 * self.restarts
            start = random_fit(restarts, first.shape[1], words.counts.shape[1], generator)
            given = None if known is None else known[half]
            fit = fit_commuting_rotations(first[half], second[half], words, start, given).best()
            fits.append(fit)
            outcomes.append(predict(first, second, words, fit)[0])
        distance = (outcomes[0] - outcomes[1]).square().sum(1)
        # Whitened latents have squared length D on average.
        return fits, float((distance < 0.1 * first.shape[1]).float().mean())

    def _accept(self, fit: Fit, agreement: float, use: Tensor, given: bool) -> tuple[str, bool]:
        """Whether a solution is to be trusted, and a line that says on what grounds."""
        sizes = fit.angles[0].abs().sort(1, descending=True).values
        # A given action may do nothing; a found one may not, since doing nothing is a word of its own.
        turning = sizes[:, 0] > _IDLE_ANGLE if given else torch.ones(len(sizes), dtype=torch.bool)
        sizes = sizes[turning] if bool(turning.any()) else sizes
        off_plane = float(sizes[:, 1:].max()) if sizes.shape[1] > 1 else 0.0
        smallest = float(sizes[:, 0].min())
        least_use = float(use.min()) * len(use)
        single = off_plane <= 0.2 and smallest > 2 * off_plane
        # Whitened latents have squared length D on average: what no word explains must be a small part of that.
        explained = float(fit.error) <= 0.2 * fit.basis.shape[-1]
        # Of several actions the outcomes lie closer together, and the codes of the search are only so precise.
        needed = 0.98 if self.steps == 1 else 0.95
        accepted = agreement >= needed and (given or least_use >= 0.5) and single and explained
        angles = ", ".join(f"{float(angle):.3f}" for angle in sizes[:, 0])
        report = (
            f"halves agree on {agreement:.1%}, least used action {least_use:.2f} of its share, angles {angles} rad, "
            f"up to {off_plane:.2f} in other planes, error {float(fit.error):.3f}"
        )
        return report, accepted

    @torch.no_grad()
    def _install(self, model: GroupVAE, solution: Solution) -> None:
        """Makes the found directions the model's latents and the found maps its bank."""
        device = model.encoder.head.weight.device
        change_latent_basis(
            self.search_networks,
            (model.encoder, model.decoder),
            solution.to_code.to(device),
            solution.to_search.to(device),
            solution.centre.to(device),
        )
        chosen = assign_maps(model.bank, solution.maps.to(device))
        for number, entry in enumerate(chosen):
            model.bank.fit_(entry, solution.maps[number].to(device))
            if self.labelled:
                self.entries[number] = entry

    # 3. Refine.

    def _refine_terms(self, model: GroupVAE, batch: Batch, step: int, generator: torch.Generator) -> Terms:
        if self.steps > 1 and self._done(step) < self.schedule.pairs_first:
            batch = _as_pairs(batch)
        windows, places = batch.index.shape
        posterior = model.posterior(batch.frames)
        means = posterior.mean[batch.index]  # [S, T + 1, L + S]
        forward, inverse = model.matrices(), model.matrices(power=-1)
        chosen = self._infer_words(means, forward, batch)  # [S, T, N] entries of the bank
        with full_precision(means):
            onward, back = _along_windows(forward, inverse, chosen)
            at_start = torch.einsum("stij,stj->sti", back, means)
            start = at_start.mean(1, keepdim=True)
            predicted = torch.einsum("stij,stj->sti", onward, start.expand(-1, places, -1))
        # Twice the variance is the mean squared distance between two members, counted without each with itself.
        dispersion = (at_start - start).square().sum(2).mean() * 2 * places / max(1, places - 1)
        some = _some(windows * places, generator).to(means.device)
        spread = torch.exp(0.5 * posterior.log_variance)[batch.index].reshape(windows * places, -1)[some]
        noise = torch.randn(spread.shape, generator=generator).to(spread)
        samples = predicted.reshape(windows * places, -1)[some] + spread * noise
        images = batch.frames[batch.index.reshape(-1)[some]]
        reconstruction = model.likelihood.loss(model.decoder(samples).float(), images).mean()
        kl = posterior.kl().sum(1)
        penalty = model.objective.penalty(kl, step)
        group_penalty = model.bank.penalty()
        terms = {
            "reconstruction": reconstruction,
            "kl": kl.mean(),
            "penalty": penalty,
            "prediction": dispersion,
            "group_penalty": group_penalty,
            "loss": reconstruction + penalty + self._weight(step) * dispersion + group_penalty,
        }
        if self.policy is not None:
            loss, entropy = self._distil(model, batch, chosen, means, forward, generator)
            terms |= {"policy_loss": loss, "policy_entropy": entropy, "loss": terms["loss"] + loss}
        return terms

    def _weight(self, step: int) -> float:
        """Weight of the dispersion, which grows as the rates fall.

        At first reconstruction places the codes; in the end they are to lie on their orbits exactly, or images where
        the world wraps round, whose codes are near but which look nothing alike, are decoded as mixtures.
        """
        return self.gamma * (1 + (self.schedule.tightening - 1) * self._done(step))

    def _done(self, step: int) -> float:
        """The share of refinement that is over."""
        return min(1.0, (step - int(self.solved_at)) / self.schedule.refine_steps)

    @torch.no_grad()
    def _infer_words(self, means: Tensor, matrices: Tensor, batch: Batch) -> Tensor:
        """The bank entries that best explain each transition, ``[S, T, N]``; the given ones where labels are used."""
        if self.labelled:
            return self.entries[batch.actions]
        words = torch.tensor(
            list(itertools.combinations_with_replacement(range(len(matrices)), self.steps)), device=means.device
        )
        with full_precision(means):
            products = matrices[words[:, 0]]
            for number in range(1, self.steps):
                products = matrices[words[:, number]] @ products
        before, after = means[:, :-1].flatten(0, 1), means[:, 1:].flatten(0, 1)
        likeliest = _single_errors(before, after, products).argmin(1)
        return words[likeliest].reshape(*means[:, 1:].shape[:2], self.steps)

    def _distil(
        self, model: GroupVAE, batch: Batch, chosen: Tensor, means: Tensor, matrices: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Cross-entropy of the policy against the inferred actions, and its mean entropy.

        With several actions between the images, some of them are taken first, in any order, and the policy is
        asked for one of those that remain: so it learns every number of steps from 1 to N.
        """
        assert self.policy is not None
        first, second = consecutive(batch)
        # A quarter of the transitions is plenty for so small a network, and costs a quarter.
        some = torch.randperm(len(first), generator=generator)[: max(1, len(first) // 4)].to(first.device)
        first, second = first[some], second[some]
        letters = chosen.reshape(-1, self.steps)[some]
        before = batch.frames[first]
        target = torch.nn.functional.one_hot(letters, len(matrices)).float()
        if self.steps > 1:
            before, target = self._part_way(
                model, before, means[:, :-1].flatten(0, 1)[some], letters, matrices, generator
            )
        else:
            target = target[:, 0]
        log_policy = self.policy(before, batch.frames[second])
        loss = -(target * log_policy).sum(1).mean()
        return loss, -(log_policy.detach().exp() * log_policy.detach()).sum(1).mean()

    @torch.no_grad()
    def _part_way(
        self,
        model: GroupVAE,
        images: Tensor,
        latents: Tensor,
        letters: Tensor,
        matrices: Tensor,
        generator: torch.Generator,
    ) -> tuple[Tensor, Tensor]:
        """Images after a random number of the inferred actions, and the distribution over those that remain."""
        number, steps = letters.shape
        order = torch.rand(number, steps, generator=generator).argsort(1).to(letters.device)
        letters = letters.gather(1, order)
        taken = torch.randint(steps, (number,), generator=generator).to(letters.device)
        shown = images.clone()
        remaining = torch.zeros(number, len(matrices), device=images.device)
        for place in range(steps):
            going = place < taken
            with full_precision(latents):
                moved = torch.einsum("bij,bj->bi", matrices[letters[:, place]], latents)
            latents = torch.where(going[:, None], moved, latents)
            remaining += torch.nn.functional.one_hot(letters[:, place], len(matrices)) * (~going)[:, None]
        under_way = taken > 0
        if bool(under_way.any()):
            shown[under_way] = model.decode(latents[under_way]).to(shown.dtype)
        return shown, remaining / remaining.sum(1, keepdim=True)


def _as_pairs(batch: Batch) -> Batch:
    """The transitions of all windows, each as a window of its own."""
    index = torch.stack([batch.index[:, :-1], batch.index[:, 1:]], -1).flatten(0, 1)
    return Batch(batch.frames, index, batch.actions.flatten(0, 1)[:, None])


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


def _rotation_maps(angles: Tensor) -> Tensor:
    """Block-diagonal rotations from angles ``[G, P]``, as ``[G, 2P, 2P]``."""
    cosine, sine = torch.cos(angles), torch.sin(angles)
    blocks = torch.stack([torch.stack([cosine, -sine], -1), torch.stack([sine, cosine], -1)], -2)
    return torch.stack([torch.block_diag(*generator) for generator in blocks])


def _single_errors(before: Tensor, after: Tensor, matrices: Tensor) -> Tensor:
    """Squared distance from ``after [B, L]`` to where each matrix puts ``before``, ``[B, A]``."""
    with full_precision(before):
        moved = torch.einsum("aij,bj->bai", matrices, before)
        return (moved - after[:, None]).square().sum(2)


def _along_windows(forward: Tensor, inverse: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor]:
    """Products of matrices from each window's start to each place, and their inverses, ``[S, T + 1, L, L]`` each."""
    windows, transitions, steps = chosen.shape
    identity = torch.eye(forward.shape[1], device=forward.device, dtype=forward.dtype).expand(windows, -1, -1)
    onward, back = [identity], [identity]
    for place in range(transitions):
        there, here = onward[-1], back[-1]
        for number in range(steps):
            entries = chosen[:, place, number]
            there = forward[entries] @ there
            here = here @ inverse[entries]
        onward.append(there)
        back.append(here)
    return torch.stack(onward, 1), torch.stack(back, 1)


def _some(number: int, generator: torch.Generator) -> Tensor:
    """A random half of ``number`` places: what is decoded in an update, since decoding is half of its cost."""
    return torch.randperm(number, generator=generator)[: max(1, number // 2)]


def _in_chunks(function: Callable[[Tensor], Tensor], images: Tensor, size: int = 256) -> Tensor:
    """Applies a network chunk by chunk, which keeps memory bounded."""
    return torch.cat([function(images[start : start + size]) for start in range(0, len(images), size)])
