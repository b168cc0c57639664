"""Many consoles that run together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from .emulator import HEIGHT, WIDTH, Console

SIZES = {"ram": (128,), "screen": (HEIGHT, WIDTH), "before": (HEIGHT, WIDTH)}
"""Of what is kept of a console."""


class Fleet:
    """Consoles in this process.

    Args:
        n: Consoles N.
        pooling: Whether the screen before the last one is kept too.
        arrays: Where memories and screens are to be kept, by the names below; None: in arrays of its own.

    Attributes:
        ram: Their memories, uint8 [N, 128].
        screen: Their screens, uint8 [N, 210, 160], as indices of colours.
        before: The screens of the frame before, or None.
    """

    def __init__(self, n: int, pooling: bool, arrays: Mapping[str, NDArray[np.uint8]] | None = None) -> None:
        own = {name: np.zeros((n, *size), dtype=np.uint8) for name, size in SIZES.items()} if arrays is None else arrays
        self.ram, self.screen = own["ram"], own["screen"]
        self.before = own["before"] if pooling else None
        self._consoles = [
            Console(self.ram[row], self.screen[row], None if self.before is None else self.before[row])
            for row in range(n)
        ]

    def palette(self) -> NDArray[np.uint8]:
        """The colours of the indices, uint8 [256, 3]; the first console begins a new game."""
        return self._consoles[0].palette()

    def restart(self, rows: Sequence[int]) -> None:
        """Begins a new game in some consoles."""
        for row in rows:
            self._consoles[row].restart()

    def run(self, rows: Sequence[int], plans: Sequence[Sequence[int]]) -> tuple[list[int], list[bool]]:
        """Runs some consoles, each for one frame an action.

        Args:
            rows: The consoles.
            plans: The actions of each, at least one.

        Returns:
            The points that each scored, and whether its game is over.
        """
        points = [self._consoles[row].run(plan) for row, plan in zip(rows, plans, strict=True)]
        return points, [self._consoles[row].over for row in rows]

    def place(self, rows: Sequence[int], factors: NDArray[np.float64]) -> None:
        """Sets some consoles to factors, float64 [R, 116], checked."""
        for row, wanted in zip(rows, factors, strict=True):
            console = self._consoles[row]
            # One console finds out how its dial is to be turned, and the others take that over.
            console.dial = self._consoles[0].dial
            console.place(wanted)

    def save(self, row: int) -> bytes:
        """The state of a console, without its screens."""
        return self._consoles[row].save()

    def load(self, row: int, state: bytes) -> None:
        """Puts a console into a state that ``save`` gave; UsageError where it is none."""
        self._consoles[row].load(state)

    def close(self) -> None:
        """Lets go of the consoles. May be called twice."""
        self._consoles = []
