"""Windows of codes under inferred actions: which words happened, products along them, codes brought into agreement."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor

from ...datasets.loader import Batch
from .representations import full_precision


@dataclass(frozen=True)
class Aligned:
    """Windows of codes turned back to where they began.

    Attributes:
        predicted: The mean of each window's turned-back codes, turned forth to every place, ``[S, T + 1, L]``.
        dispersion: Mean squared distance between two turned-back codes of a window, a scalar; 0 when actions and
            codes agree.
    """

    predicted: Tensor
    dispersion: Tensor


def align(means: Tensor, forward: Tensor, inverse: Tensor, chosen: Tensor) -> Aligned:
    """Turns windows of codes back by their actions, averages them, and turns the mean forth again.

    Args:
        means: Codes ``[S, T + 1, L]``.
        forward: What each action does, ``[A, L, L]``.
        inverse: What undoes it.
        chosen: Actions between the codes, ``[S, T, N]``.
    """
    places = means.shape[1]
    with full_precision(means):
        onward, back = products(forward, inverse, chosen)
        at_start = torch.einsum("stij,stj->sti", back, means)
        start = at_start.mean(1, keepdim=True)
        predicted = torch.einsum("stij,stj->sti", onward, start.expand(-1, places, -1))
    # Twice the variance is the mean squared distance between two members, counted without each with itself.
    dispersion = (at_start - start).square().sum(2).mean() * 2 * places / max(1, places - 1)
    return Aligned(predicted, dispersion)


def products(forward: Tensor, inverse: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor]:
    """Products of matrices from each window's start to each place, and their inverses, ``[S, T + 1, L, L]`` each."""
    windows, transitions, steps = chosen.shape
    identity = torch.eye(forward.shape[1], device=forward.device, dtype=forward.dtype).expand(windows, -1, -1)
    onward, back = [identity], [identity]
    for place in range(transitions):
        there, here = onward[-1], back[-1]
        for number in range(steps):
            entries = chosen[:, place, number]
            there = forward[entries] @ there
            here = here @ inverse[entries]
        onward.append(there)
        back.append(here)
    return torch.stack(onward, 1), torch.stack(back, 1)


def unevenness(codes: Tensor) -> Tensor:
    """How unevenly windows of codes are spread round the circle of each latent pair; a scalar, 0 when evenly.

    The estimate of ``sum_pairs |E u|^2 + |E u^2|^2``, with ``u`` the phase of a code as a unit complex number, is free
    of bias: it takes products of codes of different windows only. Uniform visits of a cyclic group have both moments
    0 (orthogonality of characters).

    Args:
        codes: Codes ``[S, T + 1, L]``, L even.
    """
    windows, places = codes.shape[:2]
    if windows < 2:
        return codes.new_zeros(())
    plane = torch.view_as_complex(codes.reshape(windows, places, -1, 2).contiguous())
    phase = plane / plane.abs().clamp_min(1e-3)
    total = codes.new_zeros(())
    for moment in (phase, phase.square()):
        sums = moment.sum(1)
        total = total + (sums.sum(0).abs().square() - sums.abs().square().sum(0)).sum()
    return total / (windows * (windows - 1) * places**2)


@torch.no_grad()
def likeliest_words(means: Tensor, matrices: Tensor, steps: int) -> Tensor:
    """The actions that best explain each transition of windows of codes, whatever their order.

    Args:
        means: Codes ``[S, T + 1, L]``.
        matrices: What each action does, ``[A, L, L]``.
        steps: Actions in a transition, N.

    Returns:
        Int ``[S, T, N]``.
    """
    words = torch.tensor(
        list(itertools.combinations_with_replacement(range(len(matrices)), steps)), device=means.device
    )
    with full_precision(means):
        outcomes = matrices[words[:, 0]]
        for number in range(1, steps):
            outcomes = matrices[words[:, number]] @ outcomes
    before, after = means[:, :-1].flatten(0, 1), means[:, 1:].flatten(0, 1)
    likeliest = outcome_errors(before, after, outcomes).argmin(1)
    return words[likeliest].reshape(*means[:, 1:].shape[:2], steps)


def outcome_errors(before: Tensor, after: Tensor, matrices: Tensor) -> Tensor:
    """Squared distance from ``after [B, L]`` to where each matrix puts ``before``, ``[B, A]``."""
    with full_precision(before):
        moved = torch.einsum("aij,bj->bai", matrices, before)
        return (moved - after[:, None]).square().sum(2)


def as_pairs(batch: Batch) -> Batch:
    """The transitions of all windows, each as a window of its own."""
    index = torch.stack([batch.index[:, :-1], batch.index[:, 1:]], -1).flatten(0, 1)
    return Batch(batch.frames, index, batch.actions.flatten(0, 1)[:, None])
