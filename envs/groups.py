"""The group that a world's actions generate, commutative or not: its elements, its table, its representations."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from .factors import IntArray
from .registry import UsageError
from .world import World, true_groups

_LARGEST = 2**24
"""Elements times states that are enumerated at most."""


@dataclass(frozen=True)
class ActionGroup:
    """A finite group that acts on the states of a world.

    Attributes:
        elements: Where each element takes each state, int64 [G, S], by the states' numbers. The first does nothing.
        codes: For each action which element it is, int64 [A].
        words: For each element a shortest word in the actions that makes it, the action done first standing first.
    """

    elements: IntArray
    codes: IntArray
    words: tuple[tuple[int, ...], ...]

    @property
    def order(self) -> int:
        """The number of elements G."""
        return len(self.elements)

    @cached_property
    def table(self) -> IntArray:
        """The multiplication table, int64 [G, G]: ``table[a, b]`` is what doing b and then a comes to."""
        places = {element.tobytes(): number for number, element in enumerate(self.elements)}
        return np.array(
            [[places[first[second].tobytes()] for second in self.elements] for first in self.elements], dtype=np.int64
        )

    @cached_property
    def inverses(self) -> IntArray:
        """For each element the one that undoes it, int64 [G]."""
        places = {element.tobytes(): number for number, element in enumerate(self.elements)}
        return np.array([places[np.argsort(element).tobytes()] for element in self.elements], dtype=np.int64)

    @property
    def abelian(self) -> bool:
        """Whether its actions commute, and so all of its elements."""
        made = self.elements[self.codes]
        return all(np.array_equal(first[second], second[first]) for first in made for second in made)

    @property
    def action_orders(self) -> tuple[int, ...]:
        """After how many times each action has come to nothing, A numbers."""
        return tuple(_order(self.elements[code]) for code in self.codes)


def action_group(world: World) -> ActionGroup:
    """The group that the actions of a world generate, found by putting them one after the other.

    Args:
        world: A world of discrete factors whose actions can all be undone.

    Raises:
        UsageError: The world has no discrete states or no actions, an action cannot be undone (it takes two states to
            one), or the group is too large to be enumerated.
    """
    space = world.factors
    if not space.discrete or not world.actions:
        raise UsageError("the group of a world needs discrete factors and discrete actions")
    states, names = space.size, [action.name for action in world.actions]
    if states > _LARGEST:
        raise UsageError(f"{states} states are too many for their group to be enumerated")
    grid = space.grid()
    moves = [
        space.to_index(world.act(grid, np.full(states, code, dtype=np.int64))) for code in range(len(world.actions))
    ]
    for name, move in zip(names, moves, strict=True):
        if len(np.unique(move)) < states:
            raise UsageError(f"action {name!r} takes two states to one and cannot be undone: the actions make no group")
    identity = np.arange(states, dtype=np.int64)
    found = {identity.tobytes(): 0}
    elements: list[IntArray] = [identity]
    words: list[tuple[int, ...]] = [()]
    for number, element in enumerate(elements):  # which grows while it is gone through, so that words are shortest
        for code, move in enumerate(moves):
            after = move[element]
            if found.setdefault(after.tobytes(), len(elements)) == len(elements):
                elements.append(after)
                words.append((*words[number], code))
                if len(elements) * states > _LARGEST:
                    raise UsageError(f"the group has {len(elements)} elements and more on {states} states: too many")
    codes = np.array([found[move.tobytes()] for move in moves], dtype=np.int64)
    return ActionGroup(np.stack(elements), codes, tuple(words))


def true_matrices(world: World) -> NDArray[np.float64]:
    """The true linear representation of a world's actions, float64 [A, D, D].

    A world may have ``matrices`` of its own, which then are meant; for the others a plane turns for each cyclic group
    of ``true_groups``, in the order of their factors: what a linear disentangled representation has to find.

    Raises:
        UsageError: There is no such group.
    """
    own: NDArray[np.float64] | None = getattr(world, "matrices", None)
    if own is not None:
        return own
    groups = true_groups(world)
    if not groups:
        raise UsageError("no cyclic group acts on this world, so that its actions have no matrices")
    planes = 2 * len(groups)
    matrices = np.repeat(np.eye(planes)[None], len(world.actions), axis=0)
    for place, group in enumerate(groups.values()):
        block = slice(2 * place, 2 * place + 2)
        for code in group.codes:
            cos, sin = np.cos(world.actions[code].angle), np.sin(world.actions[code].angle)
            matrices[code, block, block] = [[cos, -sin], [sin, cos]]
    return matrices


def _order(element: IntArray) -> int:
    """How often a permutation must be done until nothing is left of it."""
    power, count = element, 1
    while (power != np.arange(len(element))).any():
        power, count = element[power], count + 1
    return count
