"""Dynamics without a memory: a network gives the difference to the next code."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ...envs.registry import UsageError
from .base import Dynamics, Point, Setting, State, dynamics, layers, positive


@dataclass
class MLPOptions:
    """Options of the dynamics."""

    hidden_width: int = 128
    """Units in each hidden layer."""
    hidden_layers: int = 2
    """Hidden layers of the network that moves codes."""


class MLPDynamics(Dynamics):
    """``z' = z + s f((z - c) / s, a)``, with centre c and scale s of the codes; the identity at first.

    Args:
        latents: Numbers in a code, L.
        actions: Numbers in an action's vector, A.
        width: Units in each hidden layer.
        depth: Hidden layers.
        generator: Source of the initial weights.
    """

    def __init__(self, latents: int, actions: int, width: int, depth: int, generator: torch.Generator) -> None:
        super().__init__(latents, actions, 0, width, generator)
        self.moves = layers((latents + actions,), (*[width] * depth, latents), generator)

    def predict(self, state: State, actions: Tensor) -> tuple[Point, None]:
        moved = self.moves(torch.cat([self.normal(state.latent), actions], 1))
        return Point(state.latent + self.scale * moved, self.scale), None


@dynamics("mlp", MLPOptions, "a residual network without a memory")
def mlp(options: MLPOptions, setting: Setting) -> MLPDynamics:
    """A network for the codes and actions of the setting.

    Raises:
        UsageError: A number that there cannot be.
    """
    positive(options, "hidden_width")
    if options.hidden_layers < 0:
        raise UsageError(f"--hidden-layers must be 0 or more, not {options.hidden_layers}")
    size = setting.base.latent.size
    return MLPDynamics(size, setting.code.size, options.hidden_width, options.hidden_layers, setting.generator)
