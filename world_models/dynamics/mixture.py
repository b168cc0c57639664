"""Dynamics with a memory and with chance: a mixture of Gaussians on the next code (Ha and Schmidhuber 2018)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from .base import Setting, State, dynamics, positive
from .gru import GRUDynamics, GRUOptions, check_recurrent

_NARROWEST = 0.01
"""Smallest standard deviation of a component, in units of the codes' own."""


@dataclass
class MixtureOptions(GRUOptions):
    """Options of the dynamics."""

    teacher_forcing: float = 1.0
    """Share of the steps in training that begin from the true code instead of a sample of the predicted ones."""
    components: int = 5
    """Gaussians in the mixture."""


@dataclass(frozen=True)
class Mixture:
    """A mixture of K Gaussians with diagonal covariances over codes.

    The error is the negative log-likelihood in units of the codes' spread, in nats for each of the L numbers.

    Attributes:
        logits: Log-weights of the components, which need not be normalised, [B, K].
        mean: [B, K, L].
        spread: Any numbers, from which the deviations are made; see ``deviation``. [B, K, L].
        scale: Standard deviation of each number of the codes, [L].
    """

    logits: Tensor
    mean: Tensor
    spread: Tensor
    scale: Tensor
    certain = False

    @property
    def deviation(self) -> Tensor:
        """Standard deviations of the components, ``s (softplus(r) + 0.01)``, [B, K, L]."""
        return self._deviation(self.spread)

    def _deviation(self, spread: Tensor) -> Tensor:
        return self.scale * (functional.softplus(spread) + _NARROWEST)

    def draw(self, generator: torch.Generator | None = None, temperature: float = 1.0) -> Tensor:
        """A code of each, [B, L]: the component's logits divided by the temperature, its variance multiplied by it.

        Without a generator, or at temperature 0, the mean of the component that weighs most. Noise is drawn where the
        generator is, so that a seed means the same on every device.
        """
        device = self.mean.device
        if generator is None or temperature == 0:
            return self._of(self.mean, self.logits.argmax(1))
        chance = torch.rand(self.logits.shape, generator=generator, device=generator.device).to(device)
        noise = torch.randn(self.mean[:, 0].shape, generator=generator, device=generator.device).to(device)
        component = (self.logits / temperature - torch.log(-torch.log(chance))).argmax(1)  # Gumbel's trick
        # Of the components that were drawn alone: softplus costs more than all else here.
        deviation = self._deviation(self._of(self.spread, component))
        return self._of(self.mean, component) + math.sqrt(temperature) * deviation * noise

    def error(self, target: Tensor) -> Tensor:
        """Nats for each number of ``target [B, L]``, in units of the codes' spread, [B]."""
        return (-self.log_prob(target) - self.scale.log().sum()) / target.shape[1]

    def log_prob(self, codes: Tensor) -> Tensor:
        """Log-density of ``codes [B, L]`` in nats, [B]."""
        deviation = self.deviation
        distance = (codes[:, None] - self.mean) / deviation
        each = -0.5 * (distance.square() + math.log(2 * math.pi)) - deviation.log()
        return torch.logsumexp(self.logits.log_softmax(1) + each.sum(2), 1)

    @staticmethod
    def _of(values: Tensor, component: Tensor) -> Tensor:
        """Those ``[B, L]`` of ``values [B, K, L]`` that belong to one component each, int64 ``[B]``."""
        return values[torch.arange(len(values), device=values.device), component]


class MixtureDynamics(GRUDynamics):
    """The memory of ``GRUDynamics``, of which a mixture for the next code is read.

    A component's mean is a difference to the code. Components span all numbers of a code together, so that what belongs
    together is drawn together.

    Args:
        latents: Numbers in a code, L.
        actions: Numbers in an action's vector, A.
        memory: Numbers that are remembered, H.
        width: Units in each hidden layer.
        components: Gaussians in the mixture, K.
        generator: Source of the initial weights.
    """

    def __init__(
        self, latents: int, actions: int, memory: int, width: int, components: int, generator: torch.Generator
    ) -> None:
        # Not from 0: components that begin as one would stay one.
        super().__init__(latents, actions, memory, width, generator, components * (1 + 2 * latents), last=0.5)
        self.components = components

    def predict(self, state: State, actions: Tensor) -> tuple[Mixture, Tensor | None]:
        read, memory = self.remember(state, actions)
        parts = read.view(len(read), self.components, -1)
        logits, moved, spread = parts.split((1, self.latents, self.latents), 2)
        mean = state.latent[:, None] + self.scale * moved
        return Mixture(logits[..., 0], mean, spread, self.scale), memory


@dynamics("mdn-gru", MixtureOptions, "a mixture of Gaussians on a recurrent unit (Ha and Schmidhuber 2018)")
def mixture(options: MixtureOptions, setting: Setting) -> MixtureDynamics:
    """A recurrent unit with a mixture for the codes and actions of the setting."""
    check_recurrent(options)
    positive(options, "components")
    size, code = setting.base.latent.size, setting.code
    made = MixtureDynamics(size, code.size, options.memory, options.hidden_width, options.components, setting.generator)
    made.teacher_forcing, made.context = options.teacher_forcing, options.context
    return made
