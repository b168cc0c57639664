"""Planning with the learnt group: actions are matrices, so that a plan is a word in them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...envs.registry import UsageError
from ...metrics.angles import wrap_angle
from .base import Plan
from .search import search
from .words import Floats, Words, independent_words, shortest, spectrum, spelled

_FAINT = 0.05  # share of a code's largest coordinate below which a coordinate has no phase to speak of
_NEAR = 0.1  # radians: the tolerance where the group does not tell its own
_SAME = 0.02  # radians: what is so near is not looked at more closely


class Acting(Protocol):
    """What has a matrix for each action.

    That is ``world_models.group.GroupVAE``, whose actions are the learnt ones, and
    ``world_models.dynamics.group.GroupDynamics``, whose actions are the environment's.
    """

    @property
    def matrices(self) -> Callable[[], Tensor] | Tensor:
        """What each action does to a code, ``[A, L, L]``, or what gives that."""
        ...


class GroupPlanner:
    """The shortest word that takes a code to a goal's, without reward and without further training.

    **Commuting rotations.** In the common coordinates of the actions a word turns each plane by the sum of its actions'
    angles, whatever their order. Actions that share no plane are independent. For each such set all elements are
    listed once, shortest words first, with angles near a fraction of a turn taken for it; a plan is then looked up: of
    the words that bring every plane near enough to the goal's phase the shortest, and of these the nearest. So plans
    are exactly the shortest there are, also where actions come in inverse pairs or turn several planes at once.
    Amplitudes and static latents, which no word changes, are not looked at; nor is a plane in which either code has
    less than a twentieth of its largest coordinate.

    **Otherwise** (reflections, free matrices, stretching ones) words are searched breadth first from each code, with
    codes that hardly differ counting as one.

    Args:
        model: Where the matrices come from, and so what plans are written in.
        codes: The actions that can be carried out; None: all.
        tolerance: How near is near enough, in radians of every plane. ``exact``: half the way between two neighbouring
            elements of the group, so that states that differ are told apart. ``step``: half the smallest turn of an
            action; nearer one cannot always come without going round the whole circle. Where the group does not
            commute, a number stands for the distance of codes that are so far apart on a circle through the goal's;
            ``exact`` looks for the nearest code of the whole orbit, and takes it if it is within .1; ``step`` is half
            the least way that an action moves the goal.
        max_order: The largest order that an angle is taken for; where an angle has none, the most powers of it.
        max_states: Elements of the group that are listed, or codes that are searched for each problem, at most.
        max_length: The longest word that is searched where the group does not commute.

    Attributes:
        commutes: Whether plans are looked up.
        words: The elements of each set of actions that share planes; empty where plans are searched.

    Raises:
        UsageError: An option is out of its range, or no action of that number is there.
    """

    def __init__(
        self,
        model: Acting,
        *,
        codes: Sequence[int] | None = None,
        tolerance: float | Literal["exact", "step"] = "exact",
        max_order: int = 64,
        max_states: int = 65_536,
        max_length: int = 32,
    ) -> None:
        if isinstance(tolerance, str) and tolerance not in ("exact", "step"):
            raise UsageError(f"the planner's tolerance is 'exact', 'step' or a number of radians, not {tolerance!r}")
        if not isinstance(tolerance, str) and not 0 < tolerance <= math.pi:
            raise UsageError(f"the planner's tolerance must be above 0 and at most pi, got {tolerance}")
        for name, value in (("max_order", max_order), ("max_states", max_states), ("max_length", max_length)):
            if value < 1:
                raise UsageError(f"the planner's {name} must be 1 or more, got {value}")
        given = getattr(model, "matrices", None)
        if given is None:
            raise UsageError("the group planner needs a world model with a group, such as rgrvae")
        matrices = (given if isinstance(given, Tensor) else given()).detach()
        self.codes = tuple(range(len(matrices)) if codes is None else (int(code) for code in codes))
        if not self.codes:
            raise UsageError("the planner has no action to plan with")
        for code in self.codes:
            if not 0 <= code < len(matrices):
                raise UsageError(f"the model has no action {code}; its actions are 0 to {len(matrices) - 1}")
        self.matrices = matrices[list(self.codes)]
        self.tolerance = tolerance if isinstance(tolerance, str) else float(tolerance)
        self.max_states, self.max_length = max_states, max_length
        self._spectrum = spectrum(self.matrices.double().cpu().numpy(), max_order)
        self.commutes = self._spectrum is not None
        self.words: list[Words] = []
        if self._spectrum is not None:
            self.words = independent_words(self._spectrum, max_order, max_states)
        self._tolerances = [self._radians(words) for words in self.words]

    def _radians(self, words: Words) -> Floats:
        """The tolerance of each plane, [P]."""
        if not isinstance(self.tolerance, str):
            return np.full(len(words.planes), float(self.tolerance))
        halfway = np.where(words.halfway > 0, words.halfway, _NEAR)
        # A hair more, for the element that lies exactly half a step away.
        return halfway if self.tolerance == "exact" else np.maximum(halfway, words.half_step) * (1 + 1e-9)

    def plan(
        self,
        latents: Tensor,
        goals: Tensor,
        *,
        within: NDArray[np.float64] | float = 1.0,
        previous: Sequence[NDArray[Any]] | None = None,
    ) -> Plan:
        """Plans from each code to its goal.

        Args:
            latents: [B, L].
            goals: [B, L].
            within: Share of the tolerance that counts as there, for all or for each, [B]. 0: where nothing is to be
                done, the way to the next best element is given, for when the codes are known to be off.
            previous: For each problem what is left of an earlier plan. Where the group commutes and is finite it is
                kept as long as it seems to lead no further past the tolerance than to a neighbouring element: codes
                are a little off, differently in every state, and a plan that changed its mind with each of them would
                lead nowhere.

        Returns:
            The plans, in the actions of the matrices.

        Raises:
            UsageError: Codes and goals do not belong together, or are not of this model.
        """
        size = self.matrices.shape[1]
        if latents.shape != goals.shape or latents.ndim != 2 or latents.shape[1] != size:
            raise UsageError(
                f"plans lead from codes [B, {size}] to as many goals, got {[*latents.shape]} and {[*goals.shape]}"
            )
        share = np.broadcast_to(np.asarray(within, dtype=np.float64), (len(latents),))
        if not (share >= 0).all():
            raise UsageError("the share of the tolerance that counts must be 0 or more")
        if self.commutes:
            return self._look_up(latents, goals, share, previous)
        return self._search(latents, goals, share)

    def _look_up(self, latents: Tensor, goals: Tensor, within: Floats, previous: Sequence[NDArray[Any]] | None) -> Plan:
        known = self._spectrum
        assert known is not None
        here, there = (codes.detach().double().cpu().numpy() @ known.inverse.T for codes in (latents, goals))
        wanted = np.angle(there * here.conj())
        floor = [_FAINT * np.abs(codes[:, known.turned]).max(1, initial=0.0)[:, None] for codes in (here, there)]
        faint = (np.abs(here) <= floor[0]) | (np.abs(there) <= floor[1])
        counts = np.zeros((len(latents), len(self.codes)), dtype=np.int64)
        found = np.ones(len(latents), dtype=bool)
        moving = self._doubtful(wanted, faint) == np.arange(len(self.words))[:, None]
        moving &= within == 0
        for words, tolerance, doubted in zip(self.words, self._tolerances, moving, strict=True):
            planes = words.planes
            share = np.maximum(within, 1e-9)
            chosen = shortest(words, wanted[:, planes], tolerance, faint[:, planes], share, doubted)
            counts[:, words.actions] = chosen.counts
            found &= chosen.near
        kept, before = self._kept(wanted, faint, within, previous)
        counts[kept], found[kept] = before[kept], True
        led = ((here * np.exp(1j * (counts @ known.angles))) @ known.basis.T).real
        distance = np.linalg.norm(led - goals.detach().double().cpu().numpy(), axis=1)
        return Plan(spelled(counts, self.codes), found, distance)

    def _kept(
        self, wanted: Floats, faint: NDArray[np.bool_], within: Floats, previous: Sequence[NDArray[Any]] | None
    ) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        """Which earlier plans hold, bool [B], and how often each action stands in them, [B, A]."""
        counts = np.zeros((len(wanted), len(self.codes)), dtype=np.int64)
        if previous is None or not all(words.closed for words in self.words):
            return np.zeros(len(wanted), dtype=bool), counts
        for row, actions in enumerate(previous):
            counts[row] = (np.asarray(actions, dtype=np.int64)[:, None] == np.array(self.codes)).sum(0)
        kept = counts.any(1) & (within > 0)
        for words, tolerance in zip(self.words, self._tolerances, strict=True):
            gaps = np.abs(wrap_angle(counts[:, words.actions] @ words.angles - wanted[:, words.planes]))
            most = tolerance + words.halfway
            kept &= (faint[:, words.planes] | (gaps <= most)).all(1)
        return kept, counts

    def _doubtful(self, wanted: Floats, faint: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Which set of words leaves most to be desired where nothing is done, int64 [B]."""
        gaps = [
            np.where(faint[:, words.planes], 0.0, np.abs(wanted[:, words.planes]) / tolerance).max(1)
            for words, tolerance in zip(self.words, self._tolerances, strict=True)
        ]
        return np.argmax(gaps, axis=0) if gaps else np.zeros(len(wanted), dtype=np.int64)

    def _search(self, latents: Tensor, goals: Tensor, within: Floats) -> Plan:
        matrices, radius = self.matrices.to(latents), goals.norm(dim=1)
        share = torch.from_numpy(within.copy()).to(latents)
        if self.tolerance == "step":
            moved = (torch.einsum("aij,bj->abi", matrices, goals) - goals).norm(dim=2)
            moved = torch.where(moved > _NEAR * radius, moved, torch.inf)
            near = torch.minimum(moved.min(0).values, radius) / 2
        else:
            near = 2 * math.sin(self.tolerance / 2 if isinstance(self.tolerance, float) else _NEAR / 2) * radius
        near = (near * share).clamp_min(1e-6)
        same = 2 * math.sin(_SAME / 2) * radius
        resolution = torch.minimum(near, same.clamp_min(1e-6)) if self.tolerance == "exact" else near
        limits = {"max_length": self.max_length, "max_states": self.max_states}
        found = search(matrices, latents, goals, near, resolution, **limits)
        letters = np.array(self.codes, dtype=np.int64)
        return Plan([letters[word] for word in found.words], found.near, found.distance)
