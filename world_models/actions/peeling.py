"""The peeling estimator: factors are found one after another in codes, taught to the model, then refined on windows."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ...datasets.loader import Batch, WindowLoader
from ...datasets.randomness import torch_generator
from ...envs.registry import UsageError
from ..networks import Architecture, ImageShape, change_latent_basis
from .base import Terms
from .circles import CircleReader, Effort, Peeled, peel
from .procrustes import Procrustes, Schedule, in_chunks, some_of
from .representations import GroupBank
from .windows import likeliest_words, outcome_errors

if TYPE_CHECKING:
    from ..group import GroupVAE

_PEEL = 15  # keeps its random numbers apart
_DRAWN = 5000  # pairs whose images are held at a time


@dataclass(frozen=True)
class PeelingSchedule:
    """How long each part takes, in updates, and what it weighs.

    Attributes:
        search_steps: Updates of the auto-encoder before factors are looked for.
        again: Further updates before each next look.
        pairs: Pairs of codes that are looked at.
        lightness: Share of the divergence's weight: codes are to keep what changes few pixels.
        teach_steps: Updates in which the model learns the circles that were found.
        radius: Of the circles that it is taught.
        teaching: Weight of the squared distance to them.
        effort: How much is spent on finding each of them.
    """

    search_steps: int = 3000
    again: int = 1000
    pairs: int = 50_000
    lightness: float = 0.1
    teach_steps: int = 4000
    radius: float = 2.0
    teaching: float = 20.0
    effort: Effort = field(default_factory=Effort)


class Peeling(Procrustes):
    """Finds factors one after another, as many as there are, and gives each a latent pair; the other pairs rest.

    1. **Search.** A VAE with more latents than the group needs and little weight on its divergence is trained on single
       images.
    2. **Peel.** In its codes, factors are found by what moves in some pairs and rests in the others (see ``circles``).
    3. **Teach.** The model's encoder learns the places on the circles, its decoder to draw from them.
    4. **Refine**, as ``Procrustes`` does, with less and less weight on these places.

    Actions are inferred from the codes, not by a policy network: which of two ways round a small change goes is easier
    told from codes.

    Neither the number of factors has to be known nor need they be slow. The divergence has little weight throughout: at
    its full weight a VAE gives up what changes few pixels.

    Args:
        image_shape: Height, width, channels.
        architecture: The networks, or their name in ``ARCHITECTURES``.
        bank: The learnt actions: one of each sign on every latent pair.
        gamma: Weight of the dispersion.
        refine_steps: Updates of refinement.
        schedule: How long the other parts take.
        generator: Source of the initial weights.

    Raises:
        UsageError: Another group structure than ``c+ c-``.
    """

    def __init__(
        self,
        image_shape: ImageShape,
        architecture: str | Architecture,
        bank: GroupBank,
        *,
        gamma: float,
        refine_steps: int,
        schedule: PeelingSchedule,
        generator: torch.Generator,
    ) -> None:
        if sorted(name.split()[0] for name in bank.names) != ["c+"] * (bank.latents // 2) + ["c-"] * (
            bank.latents // 2
        ):
            raise UsageError("--estimator peeling takes --group-structure c+ c-")
        super().__init__(
            image_shape,
            architecture,
            bank,
            static_latents=0,
            steps=1,
            gamma=gamma,
            schedule=Schedule(slowness=0.0, refine_steps=refine_steps),
            distilled=False,
            generator=generator,
        )
        self.peeling = schedule
        self.readers = nn.ModuleList(
            CircleReader(self.wide.size, schedule.effort.hidden) for _ in range(bank.latents // 2)
        )
        self.readers.requires_grad_(False)
        for parameter in self.readers.parameters():
            parameter.zero_()  # until one is found
        self.code_centre: Tensor
        self.code_scale: Tensor
        self.in_use: Tensor
        self.register_buffer("code_centre", torch.zeros(self.wide.size))
        self.register_buffer("code_scale", torch.ones(self.wide.size))
        self.register_buffer("in_use", torch.ones(len(bank), dtype=torch.bool))

    # What the model asks.

    def rate(self, step: int, group: str) -> float:
        if self.searching or self._taught(step) < 0:
            return self.schedule.search_rate
        # At the full rate refinement would begin by undoing what was taught.
        return self.schedule.search_rate * super().rate(step, group)

    def infer(self, model: GroupVAE, before: Tensor, after: Tensor) -> Tensor:
        errors = outcome_errors(model.encode(before), model.encode(after), model.matrices())
        return torch.softmax(-errors.masked_fill(~self.in_use, torch.inf), 1)

    def warning(self) -> str | None:
        if not self.searching:
            return None
        return "no factors were found that explain the pairs, so the model is untrained: train for more --epochs"

    def expected_updates(self, step: int, most: int) -> int:
        begun = max(step, self.peeling.search_steps) if self.searching else int(self.solved_at)
        return min(most, begun + self.peeling.teach_steps + self.schedule.refine_steps)

    def finished(self, step: int) -> bool:
        return not self.searching and self._taught(step) >= self.schedule.refine_steps

    def terms(self, model: GroupVAE, batch: Batch, step: int, generator: torch.Generator) -> Terms:
        if self.searching:
            return self._code_terms(model, batch, step, generator)
        if self._taught(step) < 0:
            return self._teach_terms(model, batch, step, generator)
        terms = self._refine_terms(model, batch, step, generator)
        distance = self._distance(batch.frames, model.posterior(batch.frames).mean)
        weight = self.peeling.teaching * 0.5 * (1 + math.cos(math.pi * self._done(step)))
        return terms | {"distance": distance, "loss": terms["loss"] + weight * distance}

    def advance(self, model: GroupVAE, loader: WindowLoader, step: int) -> list[str]:
        waited = step - self.peeling.search_steps
        if not self.searching or waited < 0 or waited % self.peeling.again:
            return []
        self.attempts += 1
        found = self._peel(model, loader, step)
        if not found.accepted:
            return [f"no actions yet: {found.report}"]
        self.solved_at.fill_(step)
        return [f"actions found after {step} updates: {found.report}"]

    def start_from(self, model: GroupVAE) -> None:
        raise UsageError("--estimator peeling starts from new weights: leave out --base-model-path")

    # 1. Search.

    def _code_terms(self, model: GroupVAE, batch: Batch, step: int, generator: torch.Generator) -> Terms:
        encoder, decoder = self.search_networks
        images = batch.frames
        posterior = self.wide.posterior(encoder(images).float())
        reconstruction = model.likelihood.loss(decoder(posterior.rsample(generator)).float(), images).mean()
        kl = posterior.kl().sum(1)
        penalty = self._penalty(model, kl, step)
        return {
            "loss": reconstruction + penalty,
            "reconstruction": reconstruction,
            "kl": kl.mean(),
            "penalty": penalty,
        }

    # 2. Peel.

    def _codes(self, images: Tensor) -> Tensor:
        encoder, _ = self.search_networks
        device = encoder.head.weight.device
        return in_chunks(lambda part: encoder(part.to(device)).float()[:, : self.wide.size].cpu(), images)

    def _pairs(self, loader: WindowLoader, step: int) -> tuple[Tensor, Tensor]:
        """Codes of image pairs, a part at a time: the images of all of them may not fit into memory."""
        before, after = [], []
        for part in range(max(1, min(self.peeling.pairs, len(loader.starts)) // _DRAWN)):
            batch = loader.sample(min(_DRAWN, len(loader.starts)), step + part, length=1)
            codes = self._codes(batch.frames)
            before.append(codes[batch.index[:, 0]])
            after.append(codes[batch.index[:, 1]])
        return torch.cat(before), torch.cat(after)

    def _peel(self, model: GroupVAE, loader: WindowLoader, step: int) -> Peeled:
        with torch.no_grad():
            before, after = self._pairs(loader, step)
        centre, scale = before.mean(0), before.std(0).clamp_min(1e-6)
        first, second = (before - centre) / scale, (after - centre) / scale
        found = peel(first, second, len(self.readers), torch_generator(loader.seed, _PEEL, step), self.peeling.effort)
        if not found.accepted:
            return found
        device = self.code_centre.device
        self.code_centre.copy_(centre)
        self.code_scale.copy_(scale)
        angles = torch.zeros(len(self.readers))
        for place, reader in enumerate(found.readers):
            self.readers[place].load_state_dict(reader.state_dict())
            angles[place] = reader.angle
        self.in_use.fill_(False)
        with torch.no_grad():
            for entry, start in enumerate(model.bank.starts):
                place = int(start) // 2
                turn = angles[place] if model.bank.names[entry].startswith("c+") else -angles[place]
                block = torch.eye(model.bank.latents, device=device)
                here = slice(2 * place, 2 * place + 2)
                cosine, sine = torch.cos(turn), torch.sin(turn)
                block[here, here] = torch.tensor([[cosine, -sine], [sine, cosine]])
                model.bank.fit_(entry, block)
                self.in_use[entry] = place < len(found.readers)
            self._start_model(model, before, first)
        return found

    def _start_model(self, model: GroupVAE, codes: Tensor, scaled: Tensor) -> None:
        """The model starts from the search networks and the linear map that comes nearest to the circles."""
        device = self.code_centre.device
        targets = self._targets(scaled.to(device)).cpu()
        centred = codes - self.code_centre.cpu()
        to_new = torch.linalg.lstsq(centred, targets, driver="gelsd").solution.T
        to_old = torch.linalg.lstsq(targets, centred, driver="gelsd").solution.T
        change_latent_basis(
            self.search_networks,
            (model.encoder, model.decoder),
            to_new.to(device),
            to_old.to(device),
            self.code_centre,
        )

    def _targets(self, scaled: Tensor) -> Tensor:
        """Places on the circles of the factors, 0 for pairs at rest, ``[n, L]``."""
        targets = torch.zeros(len(scaled), 2 * len(self.readers), device=scaled.device)
        for place in range(int(self.in_use.sum()) // 2):
            reader = self.readers[place]
            assert isinstance(reader, CircleReader)
            targets[:, 2 * place : 2 * place + 2] = self.peeling.radius * reader(scaled)
        return targets

    # 3. Teach.

    def _distance(self, images: Tensor, means: Tensor) -> Tensor:
        """Mean squared distance of posterior means from where the readers put the images."""
        encoder, _ = self.search_networks
        with torch.no_grad():
            codes = encoder(images).float()[:, : self.wide.size]
            targets = self._targets((codes - self.code_centre) / self.code_scale)
        return (means - targets).square().sum(1).mean()

    def _teach_terms(self, model: GroupVAE, batch: Batch, step: int, generator: torch.Generator) -> Terms:
        images = batch.frames[some_of(len(batch.frames), generator).to(batch.frames.device)]
        posterior = model.posterior(images)
        reconstruction = model.likelihood.loss(model.decoder(posterior.rsample(generator)).float(), images).mean()
        kl = posterior.kl().sum(1)
        penalty = self._penalty(model, kl, step)
        distance = self._distance(images, posterior.mean)
        return {
            "loss": reconstruction + penalty + self.peeling.teaching * distance,
            "reconstruction": reconstruction,
            "kl": kl.mean(),
            "penalty": penalty,
            "distance": distance,
        }

    # 4. Refine.

    def _penalty(self, model: GroupVAE, kl: Tensor, step: int) -> Tensor:
        return self.peeling.lightness * model.objective.penalty(kl, step)

    def _chosen(self, means: Tensor, matrices: Tensor, batch: Batch) -> Tensor:
        used = self.in_use.nonzero()[:, 0]
        return used[likeliest_words(means, matrices[used], self.problem.steps)]

    def _taught(self, step: int) -> int:
        """Updates since the model has learnt the circles; negative before."""
        return step - int(self.solved_at) - self.peeling.teach_steps

    def _refined(self, step: int) -> int:
        return self._taught(step)
