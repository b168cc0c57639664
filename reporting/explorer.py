"""The latent explorer's pictures, decoded beforehand: a grid over the latents, and the orbit of the actions."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..metrics import closure_errors, commutator_error, nearest_order, rotation_angles
from .subject import Array, Subject

_REACH = 2.0  # two standard deviations of the prior, where the codes do not reach as far
_MAX_ORDER = 64
_CLOSED = 0.15  # largest closure error of a map that counts as of finite order
_SAME = 0.02  # largest distance at which a map counts as a power of another
_COMMUTING = 0.05  # largest commutator error with which actions may be taken in any order
_OPEN = 8  # times that an action of no finite order may be taken, either way


@dataclass(frozen=True)
class Axis:
    """One thing that moves.

    Attributes:
        name: What moves.
        size: The number of positions.
        base: The position at which it is when something else moves.
        cyclic: Whether the first position follows the last.
    """

    name: str
    size: int
    base: int
    cyclic: bool


@dataclass
class Table:
    """Pictures of a state for every position of its axes, as far as there is room.

    Of the axes at most ``arity`` are away from their base at a time. For each set of so many axes the table holds a
    full grid; the grids follow one another as the sets do, the last axis of a set changes fastest.

    Attributes:
        axes: What moves.
        arity: How many axes can be away from their base at once.
        codes: What was decoded, float32 [M, L].
        images: uint8 [M, H, W, C].
    """

    axes: list[Axis]
    arity: int
    codes: Array
    images: NDArray[np.uint8]

    @property
    def subsets(self) -> list[tuple[int, ...]]:
        """The sets of axes, in the order of their grids."""
        return list(combinations(range(len(self.axes)), self.arity))

    def index(self, positions: Sequence[int]) -> int:
        """The row of a state.

        Raises:
            ValueError: More axes are away from their base than the table has room for.
        """
        away = {number for number, axis in enumerate(self.axes) if positions[number] != axis.base}
        start = 0
        for subset in self.subsets:
            sizes = [self.axes[number].size for number in subset]
            if away <= set(subset):
                return start + int(np.ravel_multi_index([positions[number] for number in subset], sizes))
            start += math.prod(sizes)
        raise ValueError(f"only {self.arity} of the axes can be away from their base at once")


def arity(sizes: Sequence[int], room: int) -> int:
    """The largest number of axes whose grids, over all sets of so many, hold at most ``room`` states; at least 1."""
    fits = [
        number
        for number in range(1, len(sizes) + 1)
        if sum(math.prod(sizes[axis] for axis in subset) for subset in combinations(range(len(sizes)), number)) <= room
    ]
    return max(fits, default=1)


def positions(axes: Sequence[Axis], number: int) -> Iterator[tuple[int, ...]]:
    """The states of a table, in its order."""
    for subset in combinations(range(len(axes)), number):
        for place in np.ndindex(*(axes[axis].size for axis in subset)):
            state = [axis.base for axis in axes]
            for axis, position in zip(subset, place, strict=True):
                state[axis] = position
            yield tuple(state)


def code_ranges(subject: Subject) -> tuple[Array, Array]:
    """From where to where each latent is moved: as far as codes go, and two standard deviations of the prior."""
    codes = subject.state_codes
    return np.minimum(codes.min(0), -_REACH), np.maximum(codes.max(0), _REACH)


@torch.no_grad()
def decoded(model: Any, codes: torch.Tensor, chunk: int = 256) -> NDArray[np.uint8]:
    """Codes ``[N, L]`` as pictures, uint8 [N, H, W, C]."""
    pieces = [model.decode(part).float().clamp(0, 1) for part in codes.split(chunk)]
    levels = (torch.cat(pieces) * 255).round().to(torch.uint8)
    return levels.permute(0, 2, 3, 1).contiguous().cpu().numpy()


def latent_values(base: float, low: float, high: float, size: int) -> Array:
    """Evenly spaced values from low to high, of those between the one nearest to ``base`` replaced by it."""
    values = np.linspace(min(low, base), max(high, base), size)
    values[1 + np.argmin(np.abs(values[1:-1] - base))] = base
    return values


def latent_table(model: Any, code: Array, lows: Array, highs: Array, room: int = 2500) -> tuple[Table, list[Array]]:
    """Pictures over a grid of the latents around a code, and the values of each latent on the grid.

    Args:
        model: Decodes.
        code: The state at the base of all axes [L].
        lows: Where each latent starts [L].
        highs: Where it ends [L].
        room: The most pictures.
    """
    count = len(code)
    # All latents at once where that leaves a slider of some use; else pairs, else one at a time.
    choices = [(size, number) for number in (count, 2, 1) if number <= count for size in (21, 15, 11, 9, 7)]
    size, number = next(
        ((size, number) for size, number in choices if math.comb(count, number) * size**number <= room), (5, 1)
    )
    values = [latent_values(*each, size) for each in zip(code, lows, highs, strict=True)]
    axes = [
        Axis(f"latent {latent}", size, int(np.argmin(np.abs(row - code[latent]))), False)
        for latent, row in enumerate(values)
    ]
    states = np.array(list(positions(axes, number)))
    codes = np.stack([row[states[:, latent]] for latent, row in enumerate(values)], axis=1).astype(np.float32)
    return Table(axes, number, codes, decoded(model, torch.from_numpy(codes))), values


def order_of(matrix: Array) -> int | None:
    """The order that fits a map's angles, or else that to which it closes best; None where it closes to none."""
    orders = [nearest_order(float(angle), _MAX_ORDER)[1] for angle in rotation_angles(matrix)]
    every = range(2, _MAX_ORDER + 1)
    gaps = np.array([closure_errors(matrix[None], order)[0] for order in every])
    # What hardly moves is near where it began whatever the order: it must come much nearer than one step is long.
    most = min(_CLOSED, float(closure_errors(matrix[None], 1)[0]) / 2)
    for order in (math.lcm(*orders), orders[0], every[int(gaps.argmin())]):
        if order in every and gaps[order - 2] < most:
            return order
    return None


def powers(matrix: Array, times: Sequence[int]) -> Array:
    """A map taken so many times each, [T, D, D]; a negative number stands for its inverse."""
    return np.stack([np.linalg.matrix_power(matrix, time) for time in times])


def orbit_axes(matrices: Array) -> tuple[list[Axis], list[tuple[int, int]]]:
    """The circles (or lines) on which the learnt maps move, and for each map its axis and its step on it.

    A map that is about a power of an earlier one moves on the same axis.

    Args:
        matrices: Maps [A, D, D].
    """
    axes: list[Axis] = []
    generators: list[Array] = []
    moves: list[tuple[int, int]] = []
    width = math.sqrt(matrices.shape[1])
    for number, matrix in enumerate(matrices):
        for place, (axis, generator) in enumerate(zip(axes, generators, strict=True)):
            steps = list(range(axis.size)) if axis.cyclic else [-1, 1]
            gaps = np.linalg.norm(powers(generator, steps) - matrix, axis=(1, 2)) / width
            if gaps.min() <= _SAME:
                step = steps[int(gaps.argmin())]
                moves.append((place, step - axis.size if axis.cyclic and step > axis.size // 2 else step))
                break
        else:
            order = order_of(matrix)
            invertible = np.linalg.cond(matrix) < 1e6
            base = _OPEN if order is None and invertible else 0
            size = base + _OPEN + 1 if order is None else order
            axes.append(Axis(f"action {number}", size, base, order is not None))
            generators.append(matrix)
            moves.append((len(axes) - 1, 1))
    return axes, moves


def axis_actions(moves: Sequence[tuple[int, int]]) -> list[int]:
    """The action that each axis was made for: the first on it."""
    first: dict[int, int] = {}
    for action, (axis, _) in enumerate(moves):
        first.setdefault(axis, action)
    return [first[axis] for axis in sorted(first)]


def orbit_table(model: Any, code: Array, room: int = 1600) -> tuple[Table, list[tuple[int, int]]]:
    """Pictures of what the learnt actions make of a code, and for each action its axis and its step on it.

    Args:
        model: Acts and decodes.
        code: Where the orbit starts [L].
        room: The most pictures; and where actions do not commute, only one of them is followed at a time.
    """
    matrices = model.matrices().detach().double().numpy()
    axes, moves = orbit_axes(matrices)
    chosen = matrices[axis_actions(moves)]
    number = arity([axis.size for axis in axes], room)
    if len(chosen) > 1 and commutator_error(chosen) > _COMMUTING:
        number = 1
    moved = [
        powers(matrix, [position - axis.base for position in range(axis.size)])
        for matrix, axis in zip(chosen, axes, strict=True)
    ]
    states = np.array(list(positions(axes, number)))
    codes = np.broadcast_to(np.asarray(code, dtype=np.float64), (len(states), len(code)))
    for axis, maps in enumerate(moved):
        codes = np.einsum("nij,nj->ni", maps[states[:, axis]], codes)
    codes = codes.astype(np.float32)
    return Table(axes, number, codes, decoded(model, torch.from_numpy(codes))), moves


@dataclass
class Explorer:
    """Everything that the page's explorer shows of one run.

    Attributes:
        latents: Pictures over the latents.
        values: The values of each latent on that grid.
        orbit: Pictures over the actions; None for a model without.
        actions: For each action its name, its axis and its step.
    """

    latents: Table
    values: list[Array]
    orbit: Table | None
    actions: list[tuple[str, int, int]]


def explore(subject: Subject, names: Sequence[str], share: float = 1.0) -> Explorer | None:
    """The explorer of a run, from its first test state; None for a model that cannot decode.

    Args:
        subject: The run.
        names: Of the learnt actions.
        share: Of the room for pictures.
    """
    model = subject.model
    if not hasattr(model, "decode"):
        return None
    image = subject.images(subject.assembly.split.test[:1], 6)
    code = subject.in_chunks(model.encode, image)[0].double().numpy()
    latents, values = latent_table(model, code, *code_ranges(subject), room=max(int(2500 * share), 100))
    if subject.group is None:
        return Explorer(latents, values, None, [])
    orbit, moves = orbit_table(subject.group, code, room=max(int(1600 * share), 100))
    return Explorer(latents, values, orbit, [(name, *move) for name, move in zip(names, moves, strict=True)])
