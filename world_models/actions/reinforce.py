"""The policy-gradient estimator of RGrVAE (Painter et al. 2020), with its logarithms in stable form."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn

from ...datasets.loader import Batch
from ..networks import ImageShape
from .base import Estimator, Terms, consecutive
from .policy import PolicyNetwork
from .representations import full_precision

if TYPE_CHECKING:
    from ..group import GroupVAE

_LEAST_LOG = -30.0  # keeps the gradient of a saturated policy finite


def log_one_minus_exp(log_probability: Tensor) -> Tensor:
    """``log(1 - p)`` from ``log p <= 0``, without losing digits at either end (Maechler 2012)."""
    log_probability = log_probability.clamp(_LEAST_LOG, -1e-7)
    near_one = log_probability > -0.6931472
    # Each branch is given a harmless number where the other is used, or its gradient would be NaN there.
    small = torch.where(near_one, log_probability, torch.full_like(log_probability, -0.5))
    large = torch.where(near_one, torch.full_like(log_probability, -1.0), log_probability)
    return torch.where(near_one, torch.log(-torch.expm1(small)), torch.log1p(-torch.exp(large)))


def policy_loss(log_probability: Tensor, reward: Tensor) -> Tensor:
    """RGrVAE's rule: raise the log-probability of what helped, and of *not* doing what harmed.

    Args:
        log_probability: Of the actions taken, ``[B]``.
        reward: How much nearer they brought the latent to its target, ``[B]``.

    Returns:
        A scalar: ``mean(-|R| log p)`` where ``R >= 0``, ``mean(-|R| log(1 - p))`` elsewhere.
    """
    helped = reward >= 0
    log_chance = torch.where(helped, log_probability.clamp(min=_LEAST_LOG), log_one_minus_exp(log_probability))
    return -(reward.abs() * log_chance).mean()


class Reinforce(Estimator):
    """Samples an action, rewards it by how much nearer the latent came, and follows the policy gradient.

    Args:
        image_shape: Height, width, channels.
        actions: Learnt actions A.
        steps: Actions between the two images.
        gamma: Weight of the latent prediction error.
        entropy_weight: Weight of the policy's entropy, which is raised.
        strategy: ``reward`` credits each action with its own reward, ``returns`` with the discounted sum so far.
        discount: Of ``returns``.
        use_regret: Subtract the mean regret (best possible reward minus the one had) from rewards.
        policy_weight: Chance that an action is drawn from the policy rather than uniformly.
        policy_epsilon: Share of the remaining chance that is moved to the policy at each draw.
        generator: Source of the initial weights.
    """

    def __init__(
        self,
        image_shape: ImageShape,
        actions: int,
        *,
        steps: int,
        gamma: float,
        entropy_weight: float,
        strategy: Literal["reward", "returns"],
        discount: float,
        use_regret: bool,
        policy_weight: float,
        policy_epsilon: float,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.policy = PolicyNetwork(image_shape, actions, generator)
        self.steps, self.gamma, self.entropy_weight = steps, gamma, entropy_weight
        self.strategy, self.discount, self.use_regret, self.epsilon = strategy, discount, use_regret, policy_epsilon
        self.policy_weight: Tensor
        self.register_buffer("policy_weight", torch.tensor(float(policy_weight)))

    def policy_parameters(self) -> Iterable[nn.Parameter]:
        return self.policy.parameters()

    def infer(self, model: GroupVAE, before: Tensor, after: Tensor) -> Tensor:
        return self.policy(before, after).exp()

    def terms(self, model: GroupVAE, batch: Batch, step: int, generator: torch.Generator) -> Terms:
        first, second = consecutive(batch)
        posterior = model.posterior(batch.frames)
        samples = posterior.rsample(generator)
        terms = model.bound(posterior, samples, batch.frames, step)
        target = posterior.mean[second]
        latents, shown = samples[first], batch.frames[first]
        losses, entropies, rewards, helped = [], [], [], []
        total_return = torch.zeros(len(first), device=latents.device)
        for number in range(self.steps):
            log_policy = self.policy(shown, batch.frames[second])
            actions = self._choose(log_policy, generator)
            moved = model.act(latents, actions)
            reward = self._rewards(model, latents, moved, target)
            rewards.append(reward.mean())
            helped.append((reward >= 0).float().mean())
            total_return = total_return + self.discount**number * reward
            credit = total_return if self.strategy == "returns" else reward
            losses.append(policy_loss(log_policy.gather(1, actions[:, None])[:, 0], credit))
            entropies.append(-(log_policy.exp() * log_policy).sum(1).mean())
            latents = moved
            if number + 1 < self.steps:
                shown = model.decode(latents.detach()).detach()
        prediction = (latents - target).square().sum(1).mean()
        terms["policy_loss"] = torch.stack(losses).sum()
        terms["policy_entropy"] = torch.stack(entropies).mean()
        terms["reward"] = torch.stack(rewards).mean()
        terms["returns"] = total_return.mean()
        terms["reward_count"] = torch.stack(helped).sum()
        terms["prediction"] = prediction
        terms["group_penalty"] = model.bank.penalty()
        terms["policy_weight"] = self.policy_weight.clone()
        terms["loss"] = (
            terms["loss"]
            + self.gamma * prediction
            + terms["policy_loss"]
            - self.entropy_weight * torch.stack(entropies).sum()
            + terms["group_penalty"]
        )
        return terms

    @torch.no_grad()
    def _choose(self, log_policy: Tensor, generator: torch.Generator) -> Tensor:
        """Actions ``[B]``: drawn when training, the likeliest otherwise."""
        if not self.training:
            return log_policy.argmax(1)
        weight = float(self.policy_weight)
        chances = weight * log_policy.exp().cpu() + (1 - weight) / log_policy.shape[1]
        self.policy_weight.fill_(weight + (1 - weight) * self.epsilon)
        return torch.multinomial(chances, 1, generator=generator)[:, 0].to(log_policy.device)

    @torch.no_grad()
    def _rewards(self, model: GroupVAE, latents: Tensor, moved: Tensor, target: Tensor) -> Tensor:
        """How much nearer the target (in squared distance) each latent came, ``[B]``."""
        before = (latents - target).square().sum(1)
        reward = before - (moved - target).square().sum(1)
        if self.use_regret:
            with full_precision(latents):
                every = torch.einsum("aij,bj->bai", model.matrices(), latents)
            best = (before[:, None] - (every - target[:, None]).square().sum(2)).max(1).values
            reward = reward - (best - reward).mean()
        return reward
