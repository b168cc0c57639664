"""The exact estimator: the expectation over the finite set of actions, in place of a sample of it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ...datasets.loader import Batch
from ..networks import ImageShape
from .base import Estimator, Terms, consecutive
from .policy import PolicyNetwork
from .representations import Rotation, full_precision

if TYPE_CHECKING:
    from ..group import GroupVAE


class Exact(Estimator):
    """Minimises the expected latent prediction error under the policy, and has no sampling variance.

    Two things keep it from the solutions that use one near-identity action for everything. The entropy
    of the mean policy is raised, so that all actions are used (and, with a lower weight, that of each decision, so that
    it is not made too early). And rotations
    start large, at 1.2 to 1.4 rad, and hardly move until the policy has decided: too large an angle makes distinct
    states collide, which reconstruction forbids at once, while too small a one leaves an open arc, which is a local
    optimum.

    Args:
        image_shape: Height, width, channels.
        bank: The learnt actions; the angles of its rotations are set.
        gamma: Weight of the expected latent prediction error.
        entropy_weight: Weight of the policy's mean entropy, which is raised.
        information_weight: Weight of the entropy of the mean policy, which is raised.
        generator: Source of the initial weights.
    """

    decided = 0.5  # nats of mean entropy, below which the angles are let go
    held = 0.05  # share of the group learning rate until then

    def __init__(
        self,
        image_shape: ImageShape,
        bank: nn.Module,
        *,
        gamma: float,
        entropy_weight: float,
        information_weight: float,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        actions = len(bank.representations)  # type: ignore[arg-type]
        self.policy = PolicyNetwork(image_shape, actions, generator)
        self.gamma, self.entropy_weight, self.information_weight = gamma, entropy_weight, information_weight
        self.has_decided: Tensor
        self.register_buffer("has_decided", torch.tensor(False))
        for number, representation in enumerate(bank.representations):  # type: ignore[arg-type]
            if isinstance(representation, Rotation):
                size = 1.2 + 0.2 * float(torch.rand((), generator=generator))
                negative = representation.low + representation.high < 0 or (representation.high == 0 and number % 2)
                nn.init.constant_(representation.angle, -size if negative else size)

    def policy_parameters(self) -> Iterable[nn.Parameter]:
        return self.policy.parameters()

    def rate(self, step: int, group: str) -> float:
        return self.held if group == "bank" and not bool(self.has_decided) else 1.0

    def infer(self, model: GroupVAE, before: Tensor, after: Tensor) -> Tensor:
        return self.policy(before, after).exp()

    def terms(self, model: GroupVAE, batch: Batch, step: int, generator: torch.Generator) -> Terms:
        first, second = consecutive(batch)
        posterior = model.posterior(batch.frames)
        terms = model.bound(posterior, posterior.rsample(generator), batch.frames, step)
        matrices = model.matrices()
        log_policy = self.policy(batch.frames[first], batch.frames[second])
        policy = log_policy.exp()
        with full_precision(posterior.mean):
            every = torch.einsum("aij,bj->bai", matrices, posterior.mean[first])
            errors = (every - posterior.mean[second][:, None]).square().sum(2)
        mean_policy = policy.mean(0)
        entropy = -(policy * log_policy).sum(1).mean()
        spread = -(mean_policy * mean_policy.clamp_min(1e-12).log()).sum()
        prediction = (policy * errors).sum(1).mean()
        if self.training and float(entropy.detach()) <= self.decided * min(1.0, math.log(policy.shape[1])):
            self.has_decided.fill_(True)
        terms |= {
            "prediction": prediction,
            "policy_entropy": entropy,
            "policy_spread": spread,
            "group_penalty": model.bank.penalty(),
        }
        terms["loss"] = (
            terms["loss"]
            + self.gamma * prediction
            - self.entropy_weight * entropy
            - self.information_weight * spread
            + terms["group_penalty"]
        )
        return terms
