"""Planning by shooting: action sequences are drawn and imagined, and the law that draws them is fitted anew."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from torch import Tensor

from ...envs.registry import UsageError
from ...world_models.dynamics.actions import ActionCode
from ...world_models.dynamics.base import Outcome, State
from .base import Plan

_FAILED = 1e9  # the cost where imagination fails whatever is done


class Imagined(Protocol):
    """What sequences are imagined with, such as ``world_models.dynamics.base.Dynamics``."""

    def initial(self, latents: Tensor) -> State:
        """Worlds that begin at codes ``[B, L]``."""
        ...

    def step(self, state: State, actions: Tensor, /) -> Outcome:
        """One step of each world with actions ``[B, A]``: where it leads, its reward, whether the episode goes on."""
        ...


class Law(ABC):
    """For each of B problems a law over sequences of T actions, all of whose steps are independent.

    Sequences are vectors ``[.., T, A]`` as ``ActionCode`` writes them.
    """

    @abstractmethod
    def draw(self, number: int, generator: torch.Generator) -> Tensor:
        """So many sequences for each problem, ``[B, S, T, A]``."""

    @abstractmethod
    def centre(self) -> Tensor:
        """The sequence in the middle of each law (of choices the most probable), ``[B, T, A]``."""

    @abstractmethod
    def fit(self, sequences: Tensor, weights: Tensor, keep: float) -> None:
        """Becomes the law of weighted sequences.

        Args:
            sequences: ``[B, S, T, A]``.
            weights: ``[B, S]``, of sum 1.
            keep: Share of the old law that stays.
        """


class Categorical(Law):
    """Independent choices, as one-hot vectors side by side; the cross-entropy method's law for finite sets.

    Args:
        guess: Probabilities at first, ``[B, T, A]``.
        choices: Lengths of the one-hot vectors, of sum A.
        floor: The least probability of a choice, as a share of the even one; 0 lets choices die out.
    """

    def __init__(self, guess: Tensor, choices: Sequence[int], floor: float) -> None:
        self.choices, self.floor = tuple(choices), floor
        self.probabilities = self._floored(guess)

    def _floored(self, probabilities: Tensor) -> Tensor:
        parts = probabilities.split(self.choices, -1)
        return torch.cat([self.floor / part.shape[-1] + (1 - self.floor) * part for part in parts], -1)

    def draw(self, number: int, generator: torch.Generator) -> Tensor:
        drawn = []
        for part in self.probabilities.split(self.choices, -1):
            rows = part.flatten(0, 1)
            chosen = torch.multinomial(rows.cpu(), number, True, generator=generator).to(part.device)
            chosen = chosen.view(*part.shape[:2], number).permute(0, 2, 1)
            drawn.append(torch.nn.functional.one_hot(chosen, part.shape[-1]).to(part.dtype))
        return torch.cat(drawn, -1)

    def centre(self) -> Tensor:
        parts = self.probabilities.split(self.choices, -1)
        return torch.cat([torch.nn.functional.one_hot(part.argmax(-1), part.shape[-1]).to(part) for part in parts], -1)

    def fit(self, sequences: Tensor, weights: Tensor, keep: float) -> None:
        fresh = torch.einsum("bs,bsta->bta", weights, sequences)
        self.probabilities = self._floored(keep * self.probabilities + (1 - keep) * fresh)


class Gaussian(Law):
    """Independent normal numbers, brought back to their bounds.

    Args:
        guess: Means at first, ``[B, T, A]``.
        deviation: Standard deviation at first.
        bounded: Which numbers lie in [-1, 1], bool ``[A]``.
        refit: Whether deviations are fitted too; means alone otherwise.
        least: The least standard deviation.
    """

    def __init__(self, guess: Tensor, deviation: float, bounded: Tensor, refit: bool, least: float) -> None:
        self.mean, self.deviation = guess, torch.full_like(guess, deviation)
        self.limit = torch.where(bounded, 1.0, torch.inf).to(guess)
        self.refit, self.least = refit, least

    def draw(self, number: int, generator: torch.Generator) -> Tensor:
        count, length, size = self.mean.shape
        noise = torch.randn(count, number, length, size, generator=generator).to(self.mean)
        drawn = self.mean[:, None] + self.deviation[:, None] * noise
        return torch.maximum(torch.minimum(drawn, self.limit), -self.limit)

    def centre(self) -> Tensor:
        return self.mean

    def fit(self, sequences: Tensor, weights: Tensor, keep: float) -> None:
        mean = torch.einsum("bs,bsta->bta", weights, sequences)
        if self.refit:
            spread = torch.einsum("bs,bsta->bta", weights, (sequences - mean[:, None]).square()).sqrt()
            self.deviation = (keep * self.deviation + (1 - keep) * spread).clamp_min(self.least)
        self.mean = keep * self.mean + (1 - keep) * mean


class ShootingPlanner(ABC):
    """What planners by sampled sequences have in common; a subclass says how sequences are weighted.

    With goals, a plan may end at any step: its cost is the least distance to the goal's code on its way (with the cost
    of the steps until then), and its actions are those until then. Without goals, its cost is minus the sum of rewards,
    each discounted, and weighted by the probability that the episode has not ended before it. The best sequence that
    was seen is the plan; the middle of the law is among those that are looked at in every round.

    Args:
        dynamics: Imagines what sequences lead to. All B problems and their sequences are one batch; a
            ``torch.inference_mode`` is around it.
        space: The environment's actions: Discrete, MultiDiscrete or Box.
        horizon: Steps that are looked ahead, T.
        samples: Sequences that are drawn in a round, S.
        rounds: How often they are drawn.
        keep: Share of the old law that stays at each round, in [0, 1).
        deviation: Standard deviation of continuous actions at first, in units of half their interval.
        least: Their least standard deviation later on.
        floor: The least probability of a choice, as a share of the even one.
        discount: Of rewards, in (0, 1].
        step_cost: What a step on the way to a goal costs, in units of the distance.
        tolerance: The distance from the goal that is near enough.
        seed: Seeds what is drawn.

    Raises:
        UsageError: An option is out of its range.
    """

    refit = True
    """Whether deviations are fitted, or means alone."""

    def __init__(
        self,
        dynamics: Imagined,
        space: spaces.Space[Any],
        *,
        horizon: int = 12,
        samples: int = 256,
        rounds: int = 5,
        keep: float = 0.1,
        deviation: float = 0.5,
        least: float = 0.02,
        floor: float = 0.05,
        discount: float = 1.0,
        step_cost: float = 0.0,
        tolerance: float = 0.1,
        seed: int = 0,
    ) -> None:
        for name, value in (("horizon", horizon), ("samples", samples), ("rounds", rounds)):
            if value < 1:
                raise UsageError(f"the planner's {name} must be 1 or more, got {value}")
        for name, share in (("keep", keep), ("floor", floor)):
            if not 0 <= share < 1:
                raise UsageError(f"the planner's {name} must be in [0, 1), got {share}")
        for name, number in (("deviation", deviation), ("least", least), ("tolerance", tolerance)):
            if not number > 0:
                raise UsageError(f"the planner's {name} must be above 0, got {number}")
        if not step_cost >= 0:
            raise UsageError(f"the planner's step_cost must be 0 or more, got {step_cost}")
        if not 0 < discount <= 1:
            raise UsageError(f"the planner's discount must be above 0 and at most 1, got {discount}")
        self.dynamics, self.code = dynamics, ActionCode(space)
        self.horizon, self.samples, self.rounds = horizon, samples, rounds
        self.keep, self.deviation, self.least, self.floor = keep, deviation, least, floor
        self.discount, self.step_cost, self.tolerance = discount, step_cost, tolerance
        self.generator = torch.Generator().manual_seed(seed)
        bounded = np.ones(self.code.size, dtype=bool)
        if isinstance(space, spaces.Box):
            bounded = (np.isfinite(space.low) & np.isfinite(space.high)).reshape(-1)
        self._bounded = torch.from_numpy(bounded)

    @abstractmethod
    def weights(self, costs: Tensor) -> Tensor:
        """How much each sequence counts for the next law, of sum 1: ``[B, S]`` of finite costs ``[B, S]``."""

    @torch.inference_mode()
    def plan(
        self,
        latents: Tensor,
        goals: Tensor | None = None,
        *,
        within: NDArray[np.float64] | float = 1.0,
        previous: Sequence[NDArray[Any]] | None = None,
    ) -> Plan:
        """Plans from each code, to its goal or for reward.

        Args:
            latents: [B, L].
            goals: [B, L]; None: for reward.
            within: Share of the tolerance that counts as there, for all or for each, [B].
            previous: For each problem the actions that an earlier plan still holds, with which the law begins (a warm
                start); shorter ones are filled up.

        Returns:
            The plans, in actions of the environment. None of them is empty. Without goals ``found`` is True throughout.
        """
        count = len(latents)
        law = self._first_law(latents, previous)
        best = torch.full((count,), float("inf"), device=latents.device)
        chosen = law.centre().clone()
        lengths = torch.full((count,), self.horizon, device=latents.device)
        for _ in range(self.rounds):
            sequences = torch.cat([law.centre()[:, None], law.draw(self.samples, self.generator)], 1)
            costs, ends = self._imagine(latents, goals, sequences)
            least, place = costs.min(1)
            rows = torch.arange(count, device=latents.device)
            better = least < best
            best = torch.where(better, least, best)
            chosen = torch.where(better[:, None, None], sequences[rows, place], chosen)
            lengths = torch.where(better, ends[rows, place], lengths)
            law.fit(sequences, self.weights(costs), self.keep)
        actions = self.code.decode(chosen.flatten(0, 1))
        actions = actions.reshape(count, self.horizon, *actions.shape[1:])
        plans = [row[:length] for row, length in zip(actions, lengths.tolist(), strict=True)]
        if goals is None:
            return Plan(plans, np.ones(count, dtype=bool), np.full(count, np.nan))
        distance = (best - self.step_cost * lengths).double().cpu().numpy()
        return Plan(plans, distance <= self.tolerance * np.asarray(within), distance)

    def _first_law(self, latents: Tensor, previous: Sequence[NDArray[Any]] | None) -> Law:
        shape = (len(latents), self.horizon, self.code.size)
        if self.code.discrete:
            even = torch.cat([torch.full((number,), 1.0 / number) for number in self.code.choices])
            guess = even.to(latents).expand(shape).clone()
        else:
            guess = latents.new_zeros(shape)
        for row, actions in enumerate(previous or []):
            known = actions[: self.horizon]
            if len(known):
                vectors = self.code.encode(known).to(latents)
                # Halfway between what was planned and not knowing, where a choice must stay open.
                share = 0.5 if self.code.discrete else 1.0
                guess[row, : len(known)] = share * vectors + (1 - share) * guess[row, : len(known)]
        if self.code.discrete:
            return Categorical(guess, self.code.choices, self.floor)
        return Gaussian(guess, self.deviation, self._bounded.to(latents.device), self.refit, self.least)

    def _imagine(self, latents: Tensor, goals: Tensor | None, sequences: Tensor) -> tuple[Tensor, Tensor]:
        """Costs ``[B, S]`` of sequences ``[B, S, T, A]``, and how many of their actions it takes, int64 ``[B, S]``."""
        count, number = sequences.shape[:2]
        state = self.dynamics.initial(latents.repeat_interleave(number, 0))
        targets = None if goals is None else goals.repeat_interleave(number, 0)
        costs = latents.new_zeros(count * number) if goals is None else latents.new_full((count * number,), torch.inf)
        ends = torch.full((count * number,), self.horizon, device=latents.device)
        alive = torch.ones_like(costs)
        for step in range(self.horizon):
            outcome = self.dynamics.step(state, sequences[:, :, step].flatten(0, 1))
            state = outcome.state
            if targets is None:
                costs = costs - self.discount**step * alive * outcome.reward
                alive = alive * outcome.continues
            else:
                cost = (state.latent - targets).norm(dim=1) + self.step_cost * (step + 1)
                better = cost < costs
                costs, ends = torch.where(better, cost, costs), torch.where(better, step + 1, ends)
        costs = costs.view(count, number)
        # Where imagination fails, a sequence counts as the worst of the others.
        fine = costs.isfinite()
        worst = torch.where(fine, costs, -torch.inf).max(1, keepdim=True).values.nan_to_num(neginf=_FAILED)
        return torch.where(fine, costs, worst), ends.view(count, number)
