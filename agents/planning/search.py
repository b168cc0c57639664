"""Search for a word that takes a code to another, breadth first, in many problems at once; nothing need commute."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class Found:
    """What a search came to.

    Attributes:
        words: For each problem the actions in their order, by their place among the matrices, int64 [T].
        distance: How far from the goal they lead, float64 [B].
        near: Whether that is near enough, bool [B].
    """

    words: list[NDArray[np.int64]]
    distance: NDArray[np.float64]
    near: NDArray[np.bool_]


@torch.no_grad()
def search(
    matrices: Tensor,
    latents: Tensor,
    goals: Tensor,
    tolerance: Tensor,
    resolution: Tensor | None = None,
    *,
    max_length: int,
    max_states: int,
) -> Found:
    """Shortest words from codes to goals, all words of one length before any longer one.

    A search ends with the first word that leads to within the resolution; otherwise with the nearest of the whole
    orbit. A longer word must lead nearer by half the resolution, or be the first that is near enough. Codes that lie in
    one cell of a grid, whose diagonal is that half, count as one, so that a finite orbit is gone through once.

    Args:
        matrices: What each action does to a code, [A, D, D].
        latents: [B, D].
        goals: [B, D].
        tolerance: The distance that is near enough, [B]; above 0.
        resolution: The distance at which there is nothing better to look for, [B]; None: the tolerance.
        max_length: The longest word.
        max_states: Codes that are looked at in each problem, on average over the problems.

    Returns:
        Where no word leads near enough, the one that leads nearest of those seen.
    """
    count, dims = latents.shape
    device = latents.device
    resolution = tolerance if resolution is None else resolution
    cells = resolution / (2 * dims**0.5)
    mixing = torch.randint(-(2**62), 2**62, (dims + 1,), generator=torch.Generator().manual_seed(0)).to(device) | 1
    problems = torch.arange(count, device=device)

    def keys(codes: Tensor, which: Tensor) -> Tensor:
        """A number for each cell of each problem; that two share one has a probability of 2^-64."""
        places = torch.cat([torch.round(codes / cells[which, None]).long(), which[:, None]], 1)
        return (places * mixing).sum(1)

    frontier, which = latents, problems
    nodes = problems
    parents = [torch.full_like(problems, -1)]
    letters = [torch.full_like(problems, -1)]
    best = torch.full((count,), float("inf"), device=device, dtype=latents.dtype)
    best_node = problems.clone()
    seen = keys(latents, problems).sort().values
    total = count
    for length in range(max_length + 1):
        apart = (frontier - goals[which]).norm(dim=1)
        # The nearest of each problem stands first among its own.
        order = apart.argsort(stable=True)
        order = order[which[order].argsort(stable=True)]
        first = order[_begins(which[order])]
        # What is there counts, however little nearer it is than what was not.
        now, known = apart[first], best[which[first]]
        nearer = now < known - resolution[which[first]] / 2
        for limit in (tolerance[which[first]], resolution[which[first]]):
            nearer |= (now <= limit) & (known > limit)
        better = first[nearer]
        best[which[better]], best_node[which[better]] = apart[better], nodes[better]
        open_ = best[which] > resolution[which]
        frontier, which, nodes = frontier[open_], which[open_], nodes[open_]
        if not len(frontier) or length == max_length or total >= max_states * count:
            break
        ahead = torch.einsum("aij,fj->fai", matrices, frontier).flatten(0, 1)
        which = which.repeat_interleave(len(matrices))
        before, done = nodes.repeat_interleave(len(matrices)), torch.arange(len(ahead), device=device) % len(matrices)
        cell = keys(ahead, which)
        order = cell.argsort(stable=True)
        new = order[_begins(cell[order])]
        new = new[~torch.isin(cell[new], seen, assume_unique=True)].sort().values
        seen = torch.cat([seen, cell[new]])
        frontier, which = ahead[new], which[new]
        nodes = torch.arange(total, total + len(new), device=device)
        parents.append(before[new])
        letters.append(done[new])
        total += len(new)
    parent, letter = torch.cat(parents).cpu().numpy(), torch.cat(letters).cpu().numpy()
    words = [_spell(int(node), parent, letter) for node in best_node.cpu().numpy()]
    return Found(words, best.double().cpu().numpy(), (best <= tolerance).cpu().numpy())


def _begins(values: Tensor) -> Tensor:
    """Where in a sorted row a new value begins, bool."""
    begins = torch.ones(len(values), dtype=torch.bool, device=values.device)
    begins[1:] = values[1:] != values[:-1]
    return begins


def _spell(node: int, parents: NDArray[np.int64], letters: NDArray[np.int64]) -> NDArray[np.int64]:
    word = []
    while parents[node] >= 0:
        word.append(letters[node])
        node = int(parents[node])
    return np.array(word[::-1], dtype=np.int64)
