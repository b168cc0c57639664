"""A run under evaluation: every state is encoded once, and the metrics read the codes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from .. import metrics
from ..datasets.randomness import numpy_generator, torch_generator
from ..envs.registry import UsageError
from ..world_models.assembly import Assembly
from ..world_models.group import GroupVAE

Array = NDArray[Any]

NOISE = 21
"""Keeps evaluation's noise apart from that of training."""
_CHUNK = 256  # images encoded at a time
_PIECE = 4096  # images, or pairs of them, rendered at a time
_ROWS = (10_000, 5_000)  # states to fit metrics of codes on and to test them on, at most, as published
_STATES, _TRANSITIONS = 5_000, 20_000  # test states and transitions that are looked at, at most
_GRID = 100_000  # states of a world, at most, that are all encoded for metrics that rows would do for


@dataclass
class Codes:
    """Transitions as a model sees them: codes before and after, and the true actions."""

    before: Array
    after: Array
    actions: Array


class Subject:
    """A run under evaluation: everything is encoded once, and read by the metrics.

    What is reported is of held-out states: every transition starts in a test state, so that no evaluated pair of
    images was trained on. Operators that a metric fits are fitted on training states. Of a world with many states, or
    many transitions, as many are looked at as the numbers above allow, drawn once from the run's seed.

    Args:
        assembly: The run.
        samples: Of each posterior, for importance-weighted bounds of the likelihood: one bound for each number.
    """

    def __init__(self, assembly: Assembly, samples: Sequence[int] = (50,)) -> None:
        self.assembly, self.samples = assembly, tuple(samples)
        self.model, self.data, self.world = assembly.model, assembly.data, assembly.data.world
        self.group = self.model if isinstance(self.model, GroupVAE) else None
        self.latents = self.group.group_latents if self.group else self._code_size()

    @torch.no_grad()
    def in_chunks(self, function: Callable[..., torch.Tensor], *inputs: torch.Tensor) -> torch.Tensor:
        """``function`` of the inputs, some rows at a time and without gradients."""
        pieces = range(0, len(inputs[0]), _CHUNK)
        return torch.cat([function(*(each[start : start + _CHUNK] for each in inputs)) for start in pieces])

    def _code_size(self) -> int:
        latent = getattr(self.model, "latent", None)  # a model with no more than an ``encode`` has none
        return int(latent.size) if latent is not None else self.model.encode(self.data.images(np.arange(1))).shape[1]

    def images(self, states: Array, key: int, groups: Array | None = None) -> torch.Tensor:
        """Images ``[N, C, H, W]`` of states, with the noise of stream ``key`` and the backgrounds of ``groups``."""
        generator = torch_generator(self.assembly.options.run.seed, NOISE, key)
        return self.data.images(states, generator, groups)

    def _some(self, rows: Array, number: int, key: int) -> Array:
        """All of the rows, or so many of them, in their order."""
        if len(rows) <= number:
            return rows
        drawn = numpy_generator(self.assembly.options.run.seed, NOISE, key).permutation(len(rows))[:number]
        return np.asarray(rows[np.sort(drawn)])

    @cached_property
    def tested(self) -> Array:
        """The test states that are looked at."""
        return self._some(self.assembly.split.test, _STATES, 8)

    @cached_property
    def factors(self) -> Array:
        """Of every state, int64 [N, K]."""
        return self.data.generative_factors(np.arange(len(self.data)))

    def known(self, states: Array) -> tuple[Array, list[str], list[bool]]:
        """What is known of states, to be shown: factors; of images without any the class, or nothing.

        Returns:
            Numbers [N, K], the names of the columns, and which of them go round.
        """
        try:
            rows, space = self.data.generative_factors(states), self.data.factors
        except UsageError:
            labels = getattr(self.data, "labels", None)
            if labels is None:
                return np.empty((len(states), 0), dtype=np.int64), [], []
            return labels[states][:, None], ["class"], [False]
        return rows, list(space.names), [factor.kind == "cyclic" for factor in space.factors]

    def encode(self, states: Array, function: Callable[[torch.Tensor], torch.Tensor]) -> Array:
        """A function of the images of states; one background for all, where there are backgrounds."""
        pieces = np.split(states, range(_PIECE, len(states), _PIECE))
        return np.concatenate(
            [
                self.in_chunks(function, self.images(each, 0, np.zeros(len(each), dtype=np.int64))).double().numpy()
                for each in pieces
            ]
        )

    @cached_property
    def whole_codes(self) -> Array:
        """Of every state, with what the group leaves alone [N, D]."""
        return self.encode(np.arange(len(self.data)), self.model.encode)

    @cached_property
    def rows(self) -> tuple[Array, Array | None]:
        """States to fit metrics of codes on, and others to test them on where there are enough."""
        everything = np.arange(len(self.data))
        if len(everything) <= sum(_ROWS):
            return everything, None
        drawn = numpy_generator(self.assembly.options.run.seed, NOISE, 7).permutation(everything)[: sum(_ROWS)]
        return drawn[: _ROWS[0]], drawn[_ROWS[0] :]

    @cached_property
    def states(self) -> Array:
        """All of these: every state of a small world."""
        fit, test = self.rows
        return fit if test is None else np.concatenate([fit, test])

    @cached_property
    def state_codes(self) -> Array:
        """Codes of ``states``, with what the group leaves alone [N, D]."""
        return self.whole_codes[self.states] if self.small else self.encode(self.states, self.model.encode)

    @property
    def small(self) -> bool:
        """Whether the world is small enough to encode all of it where some of it would do."""
        return len(self.data) <= _GRID

    @property
    def codes(self) -> Array:
        """Codes of ``states`` without what the group leaves alone, [N, L]."""
        return self.state_codes[:, : self.latents]

    @cached_property
    def deviations(self) -> Array:
        """Standard deviations of the posteriors of ``states``, [N, L]."""
        return self.encode(self.states, lambda images: self.model.posterior(images).deviation)[:, : self.latents]

    def transitions(self, sources: Array, targets_in: Array | None) -> tuple[Array, Array, Array]:
        """All transitions from ``sources``, or those of them that end in ``targets_in`` (bool by state).

        Of recorded rollouts, those of which it is known where they end.

        Raises:
            UsageError: The world has no actions, or there are no such transitions.
        """
        number = len(self.world.actions)
        if not number:
            raise UsageError("this world has no actions")
        states, actions = np.repeat(sources, number), np.tile(np.arange(number), len(sources))
        following = self.data.following(states, actions)
        kept = (following >= 0) & (targets_in is None or targets_in[following])
        if not kept.any():
            raise UsageError("no transitions between these states were recorded")
        return states[kept], following[kept], actions[kept]

    def _of_pairs(
        self, states: Array, following: Array, key: int, function: Callable[[torch.Tensor, torch.Tensor], Array]
    ) -> Array:
        """A function of pairs of images, each pair before one background."""
        found = []
        for start in range(0, len(states), _PIECE):
            pair = [each[start : start + _PIECE] for each in (states, following)]
            images = self.images(np.concatenate(pair), key, np.tile(np.arange(len(pair[0])), 2))
            found.append(function(*images.split(len(pair[0]))))
        return np.concatenate(found)

    def _encoded(self, states: Array, following: Array, actions: Array, key: int) -> Codes:
        def encode(*images: torch.Tensor) -> Array:
            both = [self.in_chunks(self.model.encode, each)[:, : self.latents].double().numpy() for each in images]
            return np.stack(both, axis=1)

        both = self._of_pairs(states, following, key, encode)
        return Codes(both[:, 0], both[:, 1], actions)

    def _drawn(self, sources: Array, targets_in: Array | None, key: int) -> tuple[Array, Array, Array]:
        sources = self._some(sources, _TRANSITIONS, key)
        states, following, actions = self.transitions(sources, targets_in)
        kept = self._some(np.arange(len(states)), _TRANSITIONS, key)
        return states[kept], following[kept], actions[kept]

    @cached_property
    def trained(self) -> Codes:
        """Transitions between training states."""
        role = self.assembly.split.role(len(self.data))
        return self._encoded(*self._drawn(self.assembly.split.train, role == 0, 9), key=1)

    @cached_property
    def _held_out(self) -> tuple[Array, Array, Array]:
        return self._drawn(self.tested, None, 10)

    @cached_property
    def held_out(self) -> Codes:
        """Transitions from test states."""
        return self._encoded(*self._held_out, key=2)

    @cached_property
    def inferred(self) -> Array:
        """The learnt action that the model infers for each held-out transition."""
        group = self.group
        assert group is not None

        def infer(before: torch.Tensor, after: torch.Tensor) -> Array:
            return self.in_chunks(group.infer_action, before, after).argmax(1).numpy()

        states, following, _ = self._held_out
        return self._of_pairs(states, following, 2, infer)

    @cached_property
    def nearest(self) -> Array:
        """The learnt action whose matrix puts the first code nearest to the second."""
        moved = np.einsum("aij,nj->nai", self.matrices, self.held_out.before)
        return ((moved - self.held_out.after[:, None]) ** 2).sum(2).argmin(1)

    @cached_property
    def matrices(self) -> Array:
        """Of the learnt actions on the group's latents, [A, L, L]."""
        assert self.group is not None
        with torch.no_grad():
            return self.group.bank.matrices().double().numpy()

    @cached_property
    def blocks(self) -> list[list[int]]:
        """Columns of ``block_codes`` that the learnt actions mix with each other; each left alone by itself."""
        return self._blocks[0]

    @property
    def block_codes(self) -> Array:
        """The codes in coordinates in which the learnt actions have blocks: their own, wherever they have any."""
        basis = self._blocks[1]
        return self.codes if basis is None else self.codes @ basis

    @cached_property
    def _blocks(self) -> tuple[list[list[int]], Array | None]:
        mixed = (np.abs(self.matrices) > 1e-6).any(axis=0) | np.eye(self.latents, dtype=bool)
        _, labels = connected_components(mixed, directed=False)
        blocks = [np.flatnonzero(labels == label).tolist() for label in np.unique(labels)]
        if len(blocks) > 1 or self.latents < 3:
            return blocks, None
        # Under a change of basis every latent is mixed with every other, and the planes have to be found. In whitened
        # coordinates rotations are orthogonal.
        values, vectors = np.linalg.eigh(np.cov(self.codes.T))
        scale = np.sqrt(np.maximum(values, 1e-9 * values.max()))
        whitened = (vectors / scale).T @ self.matrices @ (vectors * scale)
        found = metrics.decomposition(whitened)
        if found.reason is not None:
            return blocks, None
        turning = [list(plane) for plane in found.planes]
        still = range(self.latents - found.static_dims, self.latents)
        return turning + [[column] for column in still], (vectors / scale) @ found.basis

    @cached_property
    def mapping(self) -> dict[int, int]:
        """True action to learnt action, by what is inferred."""
        return metrics.align_actions(self.inferred, self.held_out.actions, len(self.matrices), len(self.world.actions))[
            1
        ]

    @property
    def inverses(self) -> list[int | None]:
        """For each true action the code of its inverse."""
        return [action.inverse for action in self.world.actions]

    @property
    def action_groups(self) -> list[list[int]]:
        """Codes of the actions that move the same factor."""
        moved = sorted({action.factor for action in self.world.actions})
        return [[code for code, action in enumerate(self.world.actions) if action.factor == factor] for factor in moved]
