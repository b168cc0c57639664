"""Teaching the policy network which actions were inferred from codes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ...datasets.loader import Batch
from .base import consecutive
from .policy import PolicyNetwork
from .representations import full_precision

if TYPE_CHECKING:
    from ..group import GroupVAE

# A quarter of the transitions is plenty for so small a network, and costs a quarter.
_SHARE = 4


def distil(
    model: GroupVAE,
    policy: PolicyNetwork,
    batch: Batch,
    chosen: Tensor,
    means: Tensor,
    matrices: Tensor,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Cross-entropy of the policy against the inferred actions, and its mean entropy.

    With several actions between the images, some of them are taken first, in any order, and the policy is asked for
    one of those that remain: so it learns every number of steps from 1 to N.

    Args:
        model: Draws the images part of the way.
        policy: Who is taught.
        batch: Windows of images.
        chosen: Inferred actions ``[S, T, N]``.
        means: Codes ``[S, T + 1, L]``.
        matrices: What each action does to a code, ``[A, L, L]``.
        generator: Source of the choice of transitions and of the parts of the way.
    """
    first, second = consecutive(batch)
    steps = chosen.shape[2]
    some = torch.randperm(len(first), generator=generator)[: max(1, len(first) // _SHARE)].to(first.device)
    first, second = first[some], second[some]
    letters = chosen.reshape(-1, steps)[some]
    before = batch.frames[first]
    if steps > 1:
        before, target = part_way(model, before, means[:, :-1].flatten(0, 1)[some], letters, matrices, generator)
    else:
        target = torch.nn.functional.one_hot(letters[:, 0], len(matrices)).float()
    log_policy = policy(before, batch.frames[second])
    loss = -(target * log_policy).sum(1).mean()
    return loss, -(log_policy.detach().exp() * log_policy.detach()).sum(1).mean()


@torch.no_grad()
def part_way(
    model: GroupVAE, images: Tensor, latents: Tensor, letters: Tensor, matrices: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Images after a random number of the inferred actions, and the distribution over those that remain.

    Args:
        model: Decodes the latents on the way.
        images: Before any action, ``[B, C, H, W]``.
        latents: Their codes ``[B, L]``.
        letters: Actions to take ``[B, N]``, in any order.
        matrices: What each action does, ``[A, L, L]``.
        generator: Source of the order and of how many are taken.

    Returns:
        Images ``[B, C, H, W]`` and probabilities ``[B, A]``.
    """
    number, steps = letters.shape
    order = torch.rand(number, steps, generator=generator).argsort(1).to(letters.device)
    letters = letters.gather(1, order)
    taken = torch.randint(steps, (number,), generator=generator).to(letters.device)
    shown = images.clone()
    remaining = torch.zeros(number, len(matrices), device=images.device)
    for place in range(steps):
        going = place < taken
        with full_precision(latents):
            moved = torch.einsum("bij,bj->bi", matrices[letters[:, place]], latents)
        latents = torch.where(going[:, None], moved, latents)
        remaining += torch.nn.functional.one_hot(letters[:, place], len(matrices)) * (~going)[:, None]
    under_way = taken > 0
    if bool(under_way.any()):
        shown[under_way] = model.decode(latents[under_way]).to(shown.dtype)
    return shown, remaining / remaining.sum(1, keepdim=True)
