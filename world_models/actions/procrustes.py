"""The procrustes estimator: slowness first, then the actions solved for in closed form, then refinement on windows."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ...datasets.loader import Batch, WindowLoader
from ...datasets.randomness import torch_generator
from ...envs.registry import UsageError
from ..latents import EuclideanLatent
from ..networks import Architecture, Decoder, Encoder, ImageShape, build_networks, change_latent_basis, initialise
from .base import Estimator, Terms, consecutive
from .distillation import distil
from .policy import PolicyNetwork
from .representations import FreeMatrix, GroupBank, Identity, Rotation
from .solving import Problem, Solution, assign_maps, solve
from .windows import align, as_pairs, likeliest_words, outcome_errors, unevenness

if TYPE_CHECKING:
    from ..group import GroupVAE

_MOST_WORDS = 4096
_RESTARTS = 13  # keeps its random numbers apart


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
        pairs_first: With several unknown actions between images, or static latents, the share of refinement that
            looks at pairs by themselves: a wrong guess would spoil all that follows it in a window.
        evenness: Weight, during that share, of how unevenly codes are spread round their circles. Several actions at a
            time can explain a jump of the code, and a jump where the world wraps round is what reconstruction likes.
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
    evenness: float = 200.0


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
        architecture: The networks, or their name in ``ARCHITECTURES``.
        bank: The learnt actions.
        static_latents: Latents for what differs between windows and does not move.
        steps: Actions between the two images of a transition, N.
        gamma: Weight of the dispersion.
        schedule: How long each part takes.
        labelled: Whether true actions are used.
        label_count: True actions, when they are used.
        distilled: Whether a policy network learns to infer actions, where they are not given.
        generator: Source of the initial weights.

    Raises:
        UsageError: A group structure of something else than rotations (or free 2x2 matrices, where actions are
            given), or more words than can be listed.
    """

    def __init__(
        self,
        image_shape: ImageShape,
        architecture: str | Architecture,
        bank: GroupBank,
        *,
        static_latents: int,
        steps: int,
        gamma: float,
        schedule: Schedule,
        labelled: bool = False,
        label_count: int = 0,
        distilled: bool = True,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.problem = _problem(bank, static_latents, steps, label_count if labelled else None)
        self.gamma, self.schedule = gamma, schedule
        self.attempts = 0
        wide = 2 * bank.latents + static_latents
        self.search = nn.ModuleList(
            build_networks(architecture, image_shape, EuclideanLatent(wide).posterior_size, wide, generator)
        )
        self.search.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.wide = EuclideanLatent(wide)
        self.gain = "relu" if any(isinstance(module, nn.ReLU) for module in self.search.modules()) else "selu"
        self.policy = PolicyNetwork(image_shape, len(bank), generator) if distilled and not labelled else None
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
        errors = outcome_errors(model.encode(before), model.encode(after), model.matrices())
        return torch.softmax(-errors, 1)

    def rate(self, step: int, group: str) -> float:
        if self.searching:
            return self.schedule.search_rate
        refined = self._refined(step)
        done = self._done(step)
        # Adam's first steps are of full size whatever the gradient, and would undo what was found.
        warm = min(1.0, (refined + 1) / self.schedule.warm_up)
        return warm * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done)))

    def warning(self) -> str | None:
        if not self.searching:
            return None
        held = "holds the last candidate" if self.attempts else "is untrained, as none was tried yet"
        return f"no actions were found that pass the tests; the model {held}: train for more --epochs"

    def expected_updates(self, step: int, most: int) -> int:
        # Training ends with the first epoch after refinement.
        begun = max(step, self.schedule.solve_every) if self.searching else int(self.solved_at)
        return min(most, begun + self.schedule.refine_steps)

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
        self.attempts += 1
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
        chosen = some_of(len(batch.frames), generator).to(batch.frames.device)
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

    def _solve(self, model: GroupVAE, loader: WindowLoader, step: int) -> Solution:
        encoder, _ = self.search_networks
        device = encoder.head.weight.device

        def encode(images: Tensor) -> Tensor:
            return in_chunks(lambda part: encoder(part.to(device)).float().cpu()[:, : self.wide.size], images)

        return solve(encode, loader, self.problem, step)

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
            if self.problem.labelled:
                self.entries[number] = entry

    # 3. Refine.

    def _refine_terms(self, model: GroupVAE, batch: Batch, step: int, generator: torch.Generator) -> Terms:
        # Where a guess may be wrong, codes find their places pair by pair first.
        loose = self.problem.doubtful and self._done(step) < self.schedule.pairs_first
        windows = batch.index
        if loose:
            batch = as_pairs(batch)
        posterior = model.posterior(batch.frames)
        means = posterior.mean[batch.index]
        forward = model.matrices()
        chosen = self._chosen(means, forward, batch)
        aligned = align(means, forward, model.matrices(power=-1), chosen)
        some = some_of(batch.index.numel(), generator).to(means.device)
        spread = posterior.deviation[batch.index].flatten(0, 1)[some]
        noise = torch.randn(spread.shape, generator=generator).to(spread)
        samples = aligned.predicted.flatten(0, 1)[some] + spread * noise
        images = batch.frames[batch.index.reshape(-1)[some]]
        reconstruction = model.likelihood.loss(model.decoder(samples).float(), images).mean()
        kl = posterior.kl().sum(1)
        penalty = self._penalty(model, kl, step)
        group_penalty = model.bank.penalty()
        terms = {
            "reconstruction": reconstruction,
            "kl": kl.mean(),
            "penalty": penalty,
            "prediction": aligned.dispersion,
            "group_penalty": group_penalty,
            "loss": reconstruction + penalty + self._weight(step) * aligned.dispersion + group_penalty,
        }
        if loose:
            terms["unevenness"] = unevenness(posterior.mean[windows][..., : model.group_latents])
            terms["loss"] = terms["loss"] + self.schedule.evenness * terms["unevenness"]
        if self.policy is not None:
            loss, entropy = distil(model, self.policy, batch, chosen, means, forward, generator)
            terms |= {"policy_loss": loss, "policy_entropy": entropy, "loss": terms["loss"] + loss}
        return terms

    def _penalty(self, model: GroupVAE, kl: Tensor, step: int) -> Tensor:
        """What refinement makes of the divergence ``[B]``."""
        return model.objective.penalty(kl, step)

    def _chosen(self, means: Tensor, matrices: Tensor, batch: Batch) -> Tensor:
        """Bank entries for each transition, ``[S, T, N]``: the given ones with labels, else the likeliest."""
        if self.problem.labelled:
            return self.entries[batch.actions]
        return likeliest_words(means, matrices, self.problem.steps)

    def _weight(self, step: int) -> float:
        """Weight of the dispersion, which grows as the rates fall.

        At first reconstruction places the codes; in the end they are to lie on their orbits exactly, or images where
        the world wraps round, whose codes are near but which look nothing alike, are decoded as mixtures.
        """
        return self.gamma * (1 + (self.schedule.tightening - 1) * self._done(step))

    def _done(self, step: int) -> float:
        """The share of refinement that is over."""
        return min(1.0, self._refined(step) / self.schedule.refine_steps)

    def _refined(self, step: int) -> int:
        """Updates since refinement began."""
        return step - int(self.solved_at)


def _problem(bank: GroupBank, static_latents: int, steps: int, label_count: int | None) -> Problem:
    """What there is to solve for, read off the group structure; refused if it cannot be solved for."""
    labelled = label_count is not None
    allowed = (Rotation, Identity, FreeMatrix) if labelled else (Rotation, Identity)
    for representation in bank.representations:
        if not isinstance(representation, allowed) or representation.width != 2:
            taken = "c, c+, c-, cn, CN, 0" + (" and m" if labelled else "")
            hint = "" if labelled else "; --estimator exact or reinforce takes the other letters"
            raise UsageError(f"this model solves for maps of latent pairs: --group-structure takes {taken}{hint}")
    movers = sum(not isinstance(representation, Identity) for representation in bank.representations)
    if not movers:
        raise UsageError("--group-structure has only identities: at least one letter must move something")
    if label_count is None and math.comb(len(bank) + steps - 1, steps) > _MOST_WORDS:
        raise UsageError(f"{len(bank)} actions taken {steps} at a time give too many combinations (over {_MOST_WORDS})")
    if label_count is not None and label_count > len(bank):
        raise UsageError(
            f"the world has {label_count} actions but the group bank {len(bank)}: "
            "raise --latents or add letters to --group-structure"
        )
    # An action and its inverse share a generator when the structure holds both signs on each pair.
    inverses = not labelled and {"c+", "c-"} <= {name.split()[0] for name in bank.names}
    return Problem(
        latents=bank.latents,
        static_latents=static_latents,
        steps=steps,
        generators=label_count if label_count is not None else (movers // 2 if inverses else movers),
        inverses=inverses,
        idle=len(bank) > movers,
        labelled=labelled,
    )


def some_of(number: int, generator: torch.Generator) -> Tensor:
    """A random half of ``number`` places: what is decoded in an update, since decoding is half of its cost."""
    return torch.randperm(number, generator=generator)[: max(1, number // 2)]


def in_chunks(function: Callable[[Tensor], Tensor], images: Tensor, size: int = 256) -> Tensor:
    """Applies a network chunk by chunk, which keeps memory bounded."""
    return torch.cat([function(images[start : start + size]) for start in range(0, len(images), size)])
