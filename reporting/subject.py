"""A run under evaluation: every state is encoded once, and the metrics read the codes."""

from __future__ import annotations

from collections.abc import Callable
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
_CHUNK = 256
_MOST_STATES = 20_000  # of a world with more states so many are drawn
_MOST_TRANSITIONS = 10_000  # likewise of transitions, of those between training states and of those from test states


@dataclass
class Codes:
    """Transitions as a model sees them: codes before and after, and the true actions."""

    before: Array
    after: Array
    actions: Array


class Subject:
    """A run under evaluation: everything is encoded once, and read by the metrics.

    What is reported is of held-out states: every transition starts in a test state, so that no evaluated pair of
    images was trained on. Operators that a metric fits are fitted on training states. Of a world with very many
    states, some that are drawn with the run's seed stand for all.

    Args:
        assembly: The run.
    """

    def __init__(self, assembly: Assembly) -> None:
        self.assembly = assembly
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

    def drawn(self, states: Array, most: int, key: int) -> Array:
        """At most so many of some states, in order."""
        if len(states) <= most:
            return states
        rng = numpy_generator(self.assembly.options.run.seed, NOISE, key)
        return np.sort(rng.choice(states, most, replace=False))

    @cached_property
    def states(self) -> Array:
        """The states whose factors and codes are compared: all, or so many that are drawn where there are too many."""
        return self.drawn(np.arange(len(self.data)), _MOST_STATES, 8)

    @cached_property
    def test(self) -> Array:
        """The test states that transitions start in: all, or so many that are drawn where there are too many."""
        return self.drawn(self.assembly.split.test, _MOST_TRANSITIONS // max(1, len(self.world.actions)), 9)

    @cached_property
    def factors(self) -> Array:
        """Of ``states``, [N, K]."""
        return self.data.generative_factors(self.states)

    @cached_property
    def whole_codes(self) -> Array:
        """Of ``states``, with what the group leaves alone; one background for all, where there are backgrounds."""
        images = self.images(self.states, 0, np.zeros(len(self.states), dtype=np.int64))
        return self.in_chunks(self.model.encode, images).double().numpy()

    @cached_property
    def codes(self) -> Array:
        """The same without what the group leaves alone, [N, L]."""
        return self.whole_codes[:, : self.latents]

    def transitions(self, sources: Array, targets_in: Array | None) -> tuple[Array, Array, Array]:
        """All transitions from ``sources``, or those of them that end in ``targets_in`` (bool by state).

        Raises:
            UsageError: The world has no actions.
        """
        number = len(self.world.actions)
        if not number:
            raise UsageError("this world has no actions")
        states, actions = np.repeat(sources, number), np.tile(np.arange(number), len(sources))
        following = self.data.latent_to_index(self.world.act(self.data.generative_factors(states), actions))
        kept = np.ones(len(states), bool) if targets_in is None else targets_in[following]
        return states[kept], following[kept], actions[kept]

    def _pair_images(self, states: Array, following: Array, key: int) -> tuple[torch.Tensor, torch.Tensor]:
        both = self.images(np.concatenate([states, following]), key, np.tile(np.arange(len(states)), 2))
        return both[: len(states)], both[len(states) :]

    def _encoded(self, states: Array, following: Array, actions: Array, key: int) -> Codes:
        before, after = (
            self.in_chunks(self.model.encode, images)[:, : self.latents].double().numpy()
            for images in self._pair_images(states, following, key)
        )
        return Codes(before, after, actions)

    @cached_property
    def trained(self) -> Codes:
        """Transitions between training states."""
        role = self.assembly.split.role(len(self.data))
        sources = self.drawn(self.assembly.split.train, _MOST_TRANSITIONS // max(1, len(self.world.actions)), 10)
        return self._encoded(*self.transitions(sources, role == 0), key=1)

    @cached_property
    def held_out(self) -> Codes:
        """Transitions from test states."""
        return self._encoded(*self.transitions(self.test, None), key=2)

    @cached_property
    def inferred(self) -> Array:
        """The learnt action that the model infers for each held-out transition."""
        assert self.group is not None
        states, following, _ = self.transitions(self.test, None)
        return self.in_chunks(self.group.infer_action, *self._pair_images(states, following, 2)).argmax(1).numpy()

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
        """Latents that the learnt actions mix with each other; each that they leave alone by itself."""
        mixed = (np.abs(self.matrices) > 1e-6).any(axis=0) | np.eye(self.latents, dtype=bool)
        _, labels = connected_components(mixed, directed=False)
        return [np.flatnonzero(labels == label).tolist() for label in np.unique(labels)]

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
