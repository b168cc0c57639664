"""VAEs whose latent space carries a group: actions move latents by learnt matrices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..datasets.loader import Batch, WindowLoader
from .actions.representations import GroupBank
from .latents import EuclideanLatent, LatentSpace
from .likelihoods import Likelihood
from .networks import Architecture, ImageShape
from .objectives import Divergence
from .objectives.base import Terms
from .vae import VAE

if TYPE_CHECKING:
    from .actions.base import Estimator


class GroupVAE(VAE):
    """A VAE with a bank of actions, and an estimator that says which of them happened between two images.

    A code is ``[group latents | static latents]``: the bank acts on the first, nothing moves the others.

    Args:
        image_shape: Height, width, channels.
        latents: Latents that the group acts on, L; even.
        static_latents: Latents that no action moves, S (what differs between scenes but not within one).
        structure: Group structure letters, applied to each pair of latents.
        use_cob: Whether each action has a learnable change of basis.
        num_action_steps: Actions between the two images of a transition, N.
        window: Transitions in a training window.
        group_learning_rate: Adam's rate for the bank.
        policy_learning_rate: Adam's rate for the policy network.
        architecture: The networks, or their name in ``ARCHITECTURES``.
        likelihood: The likelihood, or its name in ``LIKELIHOODS``.
        objective: The divergence's part of the loss.
        learning_rate: Adam's rate for everything else.
        generator: Source of the initial weights.
        latent: The latent space, in which the actions' matrices must be maps; None: a Euclidean one.
    """

    estimator: Estimator
    objective: Divergence

    def __init__(
        self,
        image_shape: ImageShape,
        *,
        latents: int,
        static_latents: int,
        structure: Sequence[str],
        use_cob: bool,
        num_action_steps: int,
        window: int,
        group_learning_rate: float,
        policy_learning_rate: float,
        architecture: str | Architecture,
        likelihood: str | Likelihood,
        objective: Divergence,
        learning_rate: float,
        generator: torch.Generator,
        latent: LatentSpace | None = None,
    ) -> None:
        space = EuclideanLatent(latents + static_latents) if latent is None else latent
        super().__init__(image_shape, space, architecture, likelihood, objective, learning_rate, generator)
        self.group_latents = latents
        self.num_action_steps = num_action_steps
        self.window = window
        self.group_learning_rate = group_learning_rate
        self.policy_learning_rate = policy_learning_rate
        self.bank = GroupBank(structure, latents, use_cob, generator)

    @property
    def num_actions(self) -> int:
        """Learnt actions, A."""
        return len(self.bank)

    def matrices(self, power: int = 1) -> Tensor:
        """What each learnt action does to a whole code, ``[A, L + S, L + S]``; static latents stay."""
        moved = self.bank.matrices(power)
        full = torch.eye(self.latent.size, device=moved.device, dtype=moved.dtype).repeat(len(moved), 1, 1)
        full[:, : self.group_latents, : self.group_latents] = moved
        return full

    def act(self, latents: Tensor, actions: Tensor, power: int = 1) -> Tensor:
        """Moves codes ``[B, L + S]`` by learnt actions, int ``[B]``, each taken ``power`` times."""
        moved = self.bank.act(latents[:, : self.group_latents], actions, power)
        return torch.cat([moved, latents[:, self.group_latents :]], 1)

    def infer_action(self, before: Tensor, after: Tensor) -> Tensor:
        """Probabilities ``[B, A]`` of the learnt actions that lead from image ``before`` towards ``after``."""
        return self.estimator.infer(self, before, after)

    def terms(self, batch: Batch, step: int, generator: torch.Generator) -> Terms:
        return self.estimator.terms(self, batch, step, generator)

    def parameter_groups(self) -> list[dict[str, object]]:
        bank = list(self.bank.parameters())
        policy = list(self.estimator.policy_parameters())
        apart = {id(parameter) for parameter in [*bank, *policy]}
        rest = [parameter for parameter in self.parameters() if id(parameter) not in apart]
        groups: list[dict[str, object]] = [
            {"name": "networks", "params": rest, "lr": self.learning_rate},
            {"name": "bank", "params": bank, "lr": self.group_learning_rate},
        ]
        return [*groups, {"name": "policy", "params": policy, "lr": self.policy_learning_rate}] if policy else groups

    def rate(self, step: int, group: str) -> float:
        return self.estimator.rate(step, group)

    def advance(self, loader: WindowLoader, step: int) -> list[str]:
        return self.estimator.advance(self, loader, step)

    def warning(self) -> str | None:
        return self.estimator.warning()

    def expected_updates(self, step: int, most: int) -> int:
        return self.estimator.expected_updates(step, most)

    def finished(self, step: int) -> bool:
        return self.estimator.finished(step)
