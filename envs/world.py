"""A world: factors, a picture of every state, and the actions that move the factors."""

from __future__ import annotations

import inspect
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from .factors import FactorSpace, IntArray, whole
from .registry import Registry, UsageError


@dataclass(frozen=True)
class Action:
    """One action: it moves one factor by a fixed amount.

    Attributes:
        name: What it does, for people ("up").
        factor: The column of the factor that it moves.
        amount: By how many values, signed.
        angle: The rotation that it stands for, in radians, signed; 0 if its factor is not cyclic.
        inverse: The code of the action that undoes it, or ``None``.
    """

    name: str
    factor: int
    amount: int
    angle: float
    inverse: int | None


class World(ABC):
    """A world is ``factors + render + act``; environments, data sets and ground truth are derived from it.

    Attributes:
        factors: The states.
        actions: The actions; an action's code is its place here. Empty where actions are continuous.
        image_shape: ``(H, W, C)`` of a picture.
        commutes: Whether the actions commute, so that the group they make is a product of cyclic groups.
    """

    factors: FactorSpace
    actions: tuple[Action, ...]
    image_shape: tuple[int, int, int]
    commutes: bool = True

    @property
    def action_space(self) -> spaces.Space[Any]:
        """What ``act`` takes for one state: ``Discrete`` over ``actions``, unless a world overrides it."""
        if not self.actions:
            raise UsageError("this world has no actions")
        return spaces.Discrete(len(self.actions))

    @abstractmethod
    def render(self, factors: NDArray[Any]) -> NDArray[np.uint8]:
        """Pictures of states: a pure function of them.

        Args:
            factors: int64 [N, K].

        Returns:
            uint8 [N, H, W, C].

        Raises:
            UsageError: A row is no state of this world.
        """

    def redraw(self, images: NDArray[np.uint8], shown: NDArray[Any], factors: NDArray[Any]) -> None:
        """Draws states into pictures that show others, where the two differ.

        A world that can draw less than whole pictures overrides this; nobody but ``redraw`` writes into the pictures.

        Args:
            images: Pictures of ``shown``, uint8 [N, H, W, C]; afterwards they are those of ``factors``.
            shown: [N, K].
            factors: [N, K].
        """
        changed = (shown != factors).any(axis=1)
        if changed.any():
            images[changed] = self.render(factors[changed])

    def redraw_before(
        self,
        images: NDArray[np.uint8],
        behind: NDArray[np.uint8],
        fresh: NDArray[np.bool_],
        shown: NDArray[Any],
        factors: NDArray[Any],
    ) -> None:
        """As ``redraw``, before other pictures: of the two the brighter is seen, number by number.

        Args:
            images: Pictures of ``shown`` before ``behind``, uint8 [N, H, W, C]; afterwards those of ``factors``.
            behind: What is behind, uint8 [N, H, W, C].
            fresh: Which pictures are to be drawn as a whole, whatever they show, bool [N].
            shown: [N, K].
            factors: [N, K].
        """
        changed = fresh | (shown != factors).any(axis=1)
        if changed.any():
            images[changed] = np.maximum(self.render(factors[changed]), behind[changed])

    def act(self, factors: NDArray[Any], actions: NDArray[Any]) -> NDArray[Any]:
        """The states after one action each; a pure function.

        Unless a world overrides this, the factor of the action moves by the action's amount, around the circle if
        it is cyclic, and no further than its ends if it is ordinal.

        Args:
            factors: int64 [N, K].
            actions: Codes, int64 [N].

        Returns:
            int64 [N, K].

        Raises:
            UsageError: A row is no state, a code is no action, or the shapes do not belong together.
        """
        rows, codes = self.factors.check(factors), whole(actions, "actions")
        if rows.shape[:-1] != codes.shape:
            raise UsageError(f"{list(rows.shape)} factors and {list(codes.shape)} actions do not belong together")
        wrong = (codes < 0) | (codes >= len(self.actions))
        if wrong.any():
            raise UsageError(f"there is no action {codes[wrong].flat[0]}; codes are 0 to {len(self.actions) - 1}")
        return self._move(rows, codes)

    def _move(self, rows: IntArray, codes: IntArray) -> IntArray:
        """``act`` for one or more states [.., K] and codes that have been checked."""
        moves, cyclic = self._moves
        sizes = self.factors.sizes
        moved: IntArray = rows + moves[codes]
        if cyclic.all():
            return moved % sizes
        after: IntArray = np.where(cyclic, moved % sizes, np.clip(moved, 0, sizes - 1))
        return after

    @cached_property
    def _moves(self) -> tuple[IntArray, NDArray[np.bool_]]:
        """How far each action moves each factor, int64 [A, K], and which factors are cyclic, bool [K]."""
        moves = np.zeros((len(self.actions), len(self.factors)), dtype=np.int64)
        for code, action in enumerate(self.actions):
            kind = self.factors.factors[action.factor].kind
            if kind not in ("cyclic", "ordinal"):
                raise UsageError(f"action {action.name!r} moves a {kind} factor: the world must say how, in act()")
            moves[code, action.factor] = action.amount
        return moves, np.array([factor.kind == "cyclic" for factor in self.factors.factors])


WORLDS: Registry[type[World]] = Registry("world")


def make_world(name: str, **options: Any) -> World:
    """The world registered under ``name``.

    Args:
        name: A name in ``WORLDS``.
        **options: Keyword options of that world.

    Raises:
        UsageError: There is no such world, or it does not take an option, or refuses its value.
    """
    world = WORLDS[name]
    accepted = list(inspect.signature(world).parameters)
    for option in options:
        if option not in accepted:
            raise UsageError(f"the world {name!r} has no option {option!r}; it takes: {', '.join(accepted) or 'none'}")
    return world(**options)


@dataclass(frozen=True)
class CyclicGroup:
    """One factor of the true decomposition of the group that acts on a world.

    Attributes:
        factor: The column of the factor that the group moves.
        name: That factor's name.
        codes: The actions that generate the group.
        order: The number of its elements.
        angle: The rotation by its first generator that moves forwards, in radians, positive.
    """

    factor: int
    name: str
    codes: tuple[int, ...]
    order: int
    angle: float


def true_groups(world: World) -> dict[int, CyclicGroup]:
    """The true decomposition of a world's symmetry: the cyclic group that acts on each cyclic factor.

    Factors that no action moves, and factors that are not cyclic, carry no group and are left out.
    ``envs.groups.action_group`` gives the whole group, also where it is not commutative.

    Returns:
        The groups, by the column of their factor.

    Raises:
        UsageError: The actions do not commute, so that there is no such decomposition.
    """
    if not world.commutes:
        raise UsageError("the actions of this world do not commute: their group is no product of cyclic groups")
    groups: dict[int, CyclicGroup] = {}
    for column, factor in enumerate(world.factors.factors):
        codes = [code for code, action in enumerate(world.actions) if action.factor == column and action.amount]
        if factor.kind != "cyclic" or factor.size is None or not codes:
            continue
        actions = [world.actions[code] for code in codes]
        first = next((action for action in actions if action.angle > 0), actions[0])
        order = factor.size // math.gcd(factor.size, *(action.amount for action in actions))
        if order > 1:
            groups[column] = CyclicGroup(column, factor.name, tuple(codes), order, abs(first.angle))
    return groups
