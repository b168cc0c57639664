"""What every kind of latent dynamics offers, and the table of their names."""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn

from ...envs.registry import UsageError
from ..networks import initialise
from ..parts import Parts
from .actions import ActionCode

if TYPE_CHECKING:
    from ..vae import VAE


@dataclass(frozen=True)
class State:
    """Where B imagined worlds stand.

    ``dataclasses.replace(state, latent=codes)`` tells what was really seen, and leaves the memory of what went before.

    Attributes:
        latent: Codes, [B, L].
        memory: What is remembered beside them, [B, H]; None for dynamics without a memory.
    """

    latent: Tensor
    memory: Tensor | None = None

    def __len__(self) -> int:
        return len(self.latent)

    def __getitem__(self, rows: Tensor | slice) -> State:
        """Some of the worlds: int64 ``[N]`` (as often as they occur), bool ``[B]``, or a slice."""
        return State(self.latent[rows], None if self.memory is None else self.memory[rows])

    def where(self, chosen: Tensor, other: State) -> State:
        """These worlds where ``chosen``, bool ``[B]``, and those of ``other`` elsewhere."""
        rows = chosen[:, None]
        memory = self.memory
        if memory is not None and other.memory is not None:
            memory = torch.where(rows, memory, other.memory)
        return State(torch.where(rows, self.latent, other.latent), memory)


@dataclass(frozen=True)
class Outcome:
    """What a step led to.

    Attributes:
        state: Where the worlds stand now.
        reward: The reward that is expected for the step, [B].
        continues: Probability that the episode has not ended with it, [B].
    """

    state: State
    reward: Tensor
    continues: Tensor


class Prediction(Protocol):
    """A batch of B distributions over the next code.

    Attributes:
        certain: Whether each is a point.
    """

    certain: bool

    def draw(self, generator: torch.Generator | None = None, temperature: float = 1.0) -> Tensor:
        """A code of each, [B, L].

        Args:
            generator: Source of the sample; None: the likeliest code instead of a sample.
            temperature: 1 draws from the distribution itself, less from a narrower one; 0 gives what None gives.
        """
        ...

    def error(self, target: Tensor) -> Tensor:
        """How wrong each was if the next codes were ``target [B, L]``, [B]; what training minimises."""
        ...


@dataclass(frozen=True)
class Point:
    """The next code itself, with the squared error as a share of the codes' variance: 1 for their mean.

    Attributes:
        mean: [B, L].
        scale: Standard deviation of each number of the codes, [L].
    """

    mean: Tensor
    scale: Tensor
    certain = True

    def draw(self, generator: torch.Generator | None = None, temperature: float = 1.0) -> Tensor:
        """The code, whatever the arguments."""
        return self.mean

    def error(self, target: Tensor) -> Tensor:
        """The squared distance from ``target [B, L]`` over the codes' variance, [B]."""
        return (self.mean - target).square().sum(1) / self.scale.square().sum()


class Dynamics(nn.Module, ABC):
    """Where actions lead in a latent space, and what they are rewarded with.

    A subclass says what it predicts (``predict``); ``step`` adds the reward and whether the episode goes on.

    Args:
        latents: Numbers in a code, L.
        actions: Numbers in an action's vector, A; see ``ActionCode``.
        memory: Numbers that are remembered beside the code, H.
        width: Units of the hidden layers of the heads.
        generator: Source of the initial weights.

    Attributes:
        centre: Mean of the codes that it was fitted to, [L].
        scale: Their standard deviation, [L]; what hardly varies has at least a hundredth of the largest.
        symlog: Whether the reward's head predicts ``symlog`` of the reward.
    """

    centre: Tensor
    scale: Tensor
    symlog = True
    teacher_forcing = 0.0
    """Share of the steps in training that begin from the true code instead of the predicted one."""
    context = 0
    """Steps that begin from true codes before anything is imagined, so that there is something to remember."""

    def __init__(self, latents: int, actions: int, memory: int, width: int, generator: torch.Generator) -> None:
        super().__init__()
        self.latents, self.actions, self.memory = latents, actions, memory
        self.register_buffer("centre", torch.zeros(latents))
        self.register_buffer("scale", torch.ones(latents))
        self.heads = layers((2 * latents + actions, *[memory] * bool(memory)), (width, width, 2), generator)

    # What agents and planners call.

    def initial(self, latents: Tensor) -> State:
        """Worlds that begin at codes ``[B, L]``, with nothing to remember."""
        memory = latents.new_zeros(len(latents), self.memory) if self.memory else None
        return State(latents, memory)

    def step(
        self,
        state: State,
        actions: Tensor,
        generator: torch.Generator | None = None,
        temperature: float = 1.0,
    ) -> Outcome:
        """One step of each world.

        Args:
            state: Where the worlds stand.
            actions: What is done in each, vectors ``[B, A]`` as ``ActionCode`` makes them.
            generator: Source of chance, where there is any; None: the likeliest codes.
            temperature: How much chance: 1 as it was learnt, 0 none.
        """
        prediction, memory = self.predict(state, actions)
        after = State(prediction.draw(generator, temperature), memory)
        reward, ends = self.judge(state, actions, after)
        return Outcome(after, symexp(reward) if self.symlog else reward, torch.sigmoid(-ends))

    # What training calls.

    @abstractmethod
    def predict(self, state: State, actions: Tensor) -> tuple[Prediction, Tensor | None]:
        """The next codes after actions ``[B, A]``, and the memory then, ``[B, H]``."""

    def judge(self, state: State, actions: Tensor, after: State) -> tuple[Tensor, Tensor]:
        """What the heads say of a step.

        Returns:
            The reward (``symlog`` of it where ``symlog`` says so), [B], and the logit that the episode ends, [B].
        """
        parts = [self.normal(state.latent), actions, self.normal(after.latent)]
        read = torch.cat(parts if after.memory is None else [*parts, after.memory], 1)
        return self.heads(read).unbind(1)

    def normal(self, latents: Tensor) -> Tensor:
        """Codes ``[B, L]`` in units of their spread."""
        return (latents - self.centre) / self.scale

    @torch.no_grad()
    def prepare(self, before: Tensor, actions: Tensor, after: Tensor) -> None:
        """Takes from a recording what is not learnt by gradients: here centre and scale.

        Args:
            before: Codes before the recorded steps, [N, L].
            actions: What was done, vectors [N, A].
            after: Codes after them, [N, L].
        """
        deviation = before.std(0, correction=0)
        self.centre.copy_(before.mean(0))
        self.scale.copy_(deviation.clamp_min(float(deviation.max()) / 100 or 1.0))


@dataclass(frozen=True)
class Dream:
    """What was imagined of S windows of T steps.

    Attributes:
        latents: Codes after each step, [S, T, L].
        rewards: [S, T].
        continues: Probabilities that the episode has not ended with each step, [S, T].
    """

    latents: Tensor
    rewards: Tensor
    continues: Tensor


@torch.no_grad()
def imagine(dynamics: Dynamics, latents: Tensor, actions: Tensor, generator: torch.Generator | None = None) -> Dream:
    """What recorded actions lead to in imagination.

    The first step begins from the first code, each other one from the code that the one before led to. The steps of the
    dynamics' ``context``, and the one after these, begin from the true codes.

    Args:
        dynamics: What imagines.
        latents: The true codes before each step, [S, T, L]; all but the first ``context + 1`` may be missing.
        actions: Vectors, [S, T, A].
        generator: Source of chance; None: the likeliest codes.
    """
    state = dynamics.initial(latents[:, 0])
    outcomes = []
    for place in range(actions.shape[1]):
        if 0 < place <= dynamics.context:
            state = replace(state, latent=latents[:, place])
        outcomes.append(dynamics.step(state, actions[:, place], generator))
        state = outcomes[-1].state
    codes, rewards, continues = zip(
        *((each.state.latent, each.reward, each.continues) for each in outcomes), strict=True
    )
    return Dream(torch.stack(codes, 1), torch.stack(rewards, 1), torch.stack(continues, 1))


def symlog(values: Tensor) -> Tensor:
    """``sign(x) log(1 + |x|)`` (Hafner et al. 2023, arXiv 2301.04104, equation 9)."""
    return values.sign() * values.abs().log1p()


def symexp(values: Tensor) -> Tensor:
    """``sign(x) (exp(|x|) - 1)``, the inverse of ``symlog``."""
    return values.sign() * values.abs().expm1()


def layers(parts: Sequence[int], widths: Sequence[int], generator: torch.Generator, last: float = 0.0) -> nn.Sequential:
    """Linear layers with SiLU between them.

    Args:
        parts: Numbers that the parts of the input have. They are heard equally loud at first, however many numbers
            each has: a code of four would be drowned by a memory of a hundred.
        widths: Outputs of each layer.
        generator: Source of the initial weights.
        last: Share of the usual size that the last layer's weights begin with.
    """
    inputs = sum(parts)
    made: list[nn.Module] = []
    for before, after in itertools.pairwise((inputs, *widths)):
        made += [nn.Linear(before, after), nn.SiLU()]
    network = nn.Sequential(*made[:-1])
    initialise(network, "relu", generator)
    first, final = network[0], network[-1]
    assert isinstance(first, nn.Linear) and isinstance(final, nn.Linear)
    with torch.no_grad():
        for columns in first.weight.split(list(parts), 1):
            columns.mul_(math.sqrt(inputs / (len(parts) * columns.shape[1])))
        final.weight.mul_(last)
    return network


def positive(options: Any, *names: str) -> None:
    """Refuses options that must be above 0.

    Raises:
        UsageError: One is not.
    """
    for name in names:
        if not getattr(options, name) > 0:
            raise UsageError(f"--{name.replace('_', '-')} must be above 0, not {getattr(options, name)}")


@dataclass(frozen=True)
class Setting:
    """What dynamics are made for.

    Attributes:
        base: The world model whose codes they move.
        code: How actions are written.
        generator: Source of the initial weights.
    """

    base: VAE
    code: ActionCode
    generator: torch.Generator


DYNAMICS = Parts("dynamics")
"""The names that ``--dynamics`` takes; what builds one takes its options and a ``Setting``."""

dynamics = DYNAMICS.part
