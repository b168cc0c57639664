"""Linear slow-feature analysis of codes: which directions stay, which move slowly, which are noise."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class SlowSubspace:
    """Whitened directions of a code space, sorted by how fast they change.

    Attributes:
        centre: Mean code, ``[K]``.
        directions: Rows give whitened coordinates of centred codes, ``[D, K]``, D <= K.
        speeds: Half the mean squared change of each coordinate over one transition, ``[D]``, ascending. 0 for what
            never changes, 1 for what is forgotten at once, ``1 - mean cos`` for a rotating plane.
    """

    centre: Tensor
    directions: Tensor
    speeds: Tensor


def slow_subspace(before: Tensor, after: Tensor, at_least: int = 2, dead: float = 1e-4) -> SlowSubspace:
    """Sorts the directions of codes by speed (Wiskott and Sejnowski 2002, on whitened codes).

    Args:
        before: Codes ``[n, K]``.
        after: Codes one transition later, ``[n, K]``.
        at_least: Directions to keep however little they vary.
        dead: Share of the widest direction's variance below which a direction is left out: a collapsed latent
            carries nothing, yet may seem slow.
    """
    every = torch.cat([before, after]).double()
    centre = every.mean(0)
    variances, axes = torch.linalg.eigh(torch.cov((every - centre).T))
    alive = variances >= dead * variances[-1]
    alive[-at_least:] = True
    variances, axes = variances[alive].clamp_min(1e-12 * variances[-1]), axes[:, alive]
    whiten = axes.T / variances.sqrt()[:, None]
    change = (after.double() - before.double()) @ whiten.T
    speeds, rotation = torch.linalg.eigh(change.T @ change / (2 * len(change)))
    return SlowSubspace(centre.float(), (rotation.T @ whiten).float(), speeds.float())


def count_static(subspace: SlowSubspace, first: Tensor, last: Tensor, at_most: int, threshold: float = 0.3) -> int:
    """How many of the slowest directions have hardly changed even at the end of a window.

    Args:
        subspace: Directions sorted by speed.
        first: Codes at the start of windows, ``[n, K]``.
        last: Codes at their ends.
        at_most: Upper limit.
        threshold: Half mean squared change below which a direction counts as static; one that moves tends to 1.
    """
    change = (last - first) @ subspace.directions[:at_most].T
    static = change.square().mean(0) / 2 < threshold
    return int(static.long().cumprod(0).sum())
