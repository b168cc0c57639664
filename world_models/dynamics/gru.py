"""Dynamics with a memory: a gated recurrent unit over codes and actions (Cho et al. 2014, arXiv 1406.1078)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ...envs.registry import UsageError
from .base import Dynamics, Point, Prediction, Setting, State, dynamics, layers, positive


@dataclass
class GRUOptions:
    """Options of the dynamics."""

    memory: int = 128
    """Numbers that are remembered."""
    hidden_width: int = 128
    """Units in each hidden layer."""
    teacher_forcing: float = 0.0
    """Share of the steps in training that begin from the true code instead of the predicted one."""
    context: int = 0
    """First steps of a window that begin from true codes, so that there is something to remember."""


class GRUDynamics(Dynamics):
    """``h' = GRU(h, n, a)`` and ``z' = z + s f(h', n, a)``; n = (z - c) / s, with centre c and scale s of the codes.

    Code and action are read beside the memory: what the one does to the other need not pass through it.

    Args:
        latents: Numbers in a code, L.
        actions: Numbers in an action's vector, A.
        memory: Numbers that are remembered, H.
        width: Units in each hidden layer.
        generator: Source of the initial weights.
        outputs: Numbers that are read; None: L.
        last: Share of the usual size that the weights of the layer that gives them begin with.
    """

    def __init__(
        self,
        latents: int,
        actions: int,
        memory: int,
        width: int,
        generator: torch.Generator,
        outputs: int | None = None,
        last: float = 0.0,
    ) -> None:
        super().__init__(latents, actions, memory, width, generator)
        self.cell = nn.GRUCell(latents + actions, memory)
        for name, parameter in self.cell.named_parameters():
            reach = 1 / math.sqrt(latents + actions if name == "weight_ih" else memory)
            nn.init.uniform_(parameter, -reach, reach, generator=generator)
        outputs = latents if outputs is None else outputs
        self.read = layers((memory, latents + actions), (width, width, outputs), generator, last)

    def predict(self, state: State, actions: Tensor) -> tuple[Prediction, Tensor | None]:
        read, memory = self.remember(state, actions)
        return Point(state.latent + self.scale * read, self.scale), memory

    def remember(self, state: State, actions: Tensor) -> tuple[Tensor, Tensor]:
        """What is read after actions ``[B, A]``, ``[B, outputs]``, and the memory then, ``[B, H]``."""
        step = torch.cat([self.normal(state.latent), actions], 1)
        memory = self.cell(step, state.memory)
        return self.read(torch.cat([memory, step], 1)), memory


def check_recurrent(options: GRUOptions) -> None:
    """Refuses what no recurrent dynamics can be made of.

    Raises:
        UsageError: As the message says.
    """
    positive(options, "memory", "hidden_width")
    if not 0 <= options.teacher_forcing <= 1:
        raise UsageError(f"--teacher-forcing must be between 0 and 1, not {options.teacher_forcing}")
    if options.context < 0:
        raise UsageError(f"--context must be 0 or more, not {options.context}")


@dynamics("gru", GRUOptions, "a gated recurrent unit")
def gru(options: GRUOptions, setting: Setting) -> GRUDynamics:
    """A recurrent unit for the codes and actions of the setting."""
    check_recurrent(options)
    size = setting.base.latent.size
    made = GRUDynamics(size, setting.code.size, options.memory, options.hidden_width, setting.generator)
    made.teacher_forcing, made.context = options.teacher_forcing, options.context
    return made
