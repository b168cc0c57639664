"""Consoles that run Breakout: many of them, stepped frame by frame, and set to given factors."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..registry import UsageError
from . import ram as memory

try:
    from ale_py import ALEInterface, ALEState, LoggerMode, roms
except ImportError as error:
    raise UsageError(f"Breakout needs ale-py, version 0.11 or later, which brings the game along: {error}") from error

HEIGHT, WIDTH = 210, 160
NOOP, FIRE, RIGHT, LEFT = 0, 1, 3, 4
FULL_ACTIONS = (
    *("NOOP", "FIRE", "UP", "RIGHT", "LEFT", "DOWN", "UPRIGHT", "UPLEFT", "DOWNRIGHT", "DOWNLEFT"),
    *("UPFIRE", "RIGHTFIRE", "LEFTFIRE", "DOWNFIRE", "UPRIGHTFIRE", "UPLEFTFIRE", "DOWNRIGHTFIRE", "DOWNLEFTFIRE"),
)
"""Names of the console's actions, in the order of their numbers."""
MINIMAL_ACTIONS = ("NOOP", "FIRE", "RIGHT", "LEFT")
"""Those that Breakout reacts to."""

_COLOUR_OF_LOWEST_BRICKS = 64
"""Where in memory it lies."""
_LOWEST_BRICK = 88, 8
"""A pixel of one."""
_DIAL_STEP = 0.1
_SETTLING = 60
"""Frames."""


class Start(NamedTuple):
    """A state of the console, with what it shows and holds."""

    state: Any
    screen: NDArray[np.uint8]
    ram: NDArray[np.uint8]


def _game() -> Path:
    """The file of the game."""
    try:
        found: Path | None = roms.get_rom_path("breakout")
    except OSError as error:
        raise UsageError(f"the game 'breakout' of ale-py cannot be read: {' '.join(str(error).split())}") from error
    if found is None:
        raise UsageError("ale-py brings no game 'breakout' here; version 0.11 and later ones do")
    return found


class Console:
    """One emulated console with Breakout in it.

    It repeats no action of its own accord: it is as deterministic as the machine.

    Args:
        ram: Where its memory is kept, uint8 [128], up to date after every call.
        screen: Where its screen is kept, uint8 [210, 160]: indices of colours.
        before: Where the screen of the frame before is kept, or None.

    Raises:
        UsageError: There is no game to run.
    """

    def __init__(
        self, ram: NDArray[np.uint8], screen: NDArray[np.uint8], before: NDArray[np.uint8] | None = None
    ) -> None:
        # It writes its name and the game's on stderr otherwise.
        ALEInterface.setLoggerMode(LoggerMode.Error)
        self._ale = ALEInterface()
        self._ale.setFloat("repeat_action_probability", 0.0)
        self._ale.loadROM(_game())
        self._ram, self._screen, self._before = ram, screen, before
        self.start = self._here()
        self.restart()

    def restart(self) -> None:
        """Begins a new game."""
        self.restore(self.start)
        if self._before is not None:
            self._before[:] = self._screen

    def restore(self, start: Start) -> None:
        """Goes back to a state of this console or another."""
        self._ale.restoreState(start.state)
        self._ram[:], self._screen[:] = start.ram, start.screen

    def run(self, actions: Sequence[int]) -> int:
        """Runs a frame for each of these actions, at least one, and returns the points that they brought.

        A game that is over stands still.
        """
        points = 0
        if self._before is not None:
            # The emulator's own screen does not go back with its state: before the first frame it can be another one.
            self._before[:] = self._screen
        for place, action in enumerate(actions):
            if place and place == len(actions) - 1 and self._before is not None:
                self._ale.getScreen(self._before)
            points += self._ale.act(action)
        self._read()
        return points

    @property
    def over(self) -> bool:
        """Whether the game is over."""
        return bool(self._ale.game_over(with_truncation=False))

    def place(self, factors: NDArray[np.float64]) -> None:
        """Sets and draws factors, float64 [116], checked. The paddle's dial is turned so that the paddle stays."""
        rest = self.dial[(int(factors[memory.PADDLE_X]) + memory.PADDLE_LEFT) | 1]
        self.restore(rest)
        self.draw(memory.encode(factors[None], rest.ram)[0])
        self._write(memory.encode_velocity(factors[None], self._ram[None])[0])
        self._ale.getRAM(self._ram)
        if self._before is not None:
            self._before[:] = self._screen

    def draw(self, wanted: NDArray[np.uint8], out: NDArray[np.uint8] | None = None) -> None:
        """Runs a frame from memory ``wanted``, uint8 [128]; its screen goes into ``out``, or to the console's own."""
        self._write(wanted)
        self._ale.act(NOOP)
        self._ale.getRAM(self._ram)
        self._ale.getScreen(self._screen if out is None else out)

    def save(self) -> bytes:
        """The console's state, without its screens."""
        return bytes(self._ale.cloneState(include_rng=True).serialize())

    def load(self, state: bytes) -> None:
        """Puts the console into a state that ``save`` gave. Its screens are the caller's business.

        Raises:
            UsageError: It is no such state.
        """
        kept = self._ale.cloneState()
        try:
            self._ale.restoreState(ALEState(state))
        except (SystemError, TypeError, RuntimeError) as error:
            self._ale.restoreState(kept)
            raise UsageError(
                "the state of the emulator cannot be restored: it is damaged, or another version's"
            ) from error
        self._ale.getRAM(self._ram)

    @cached_property
    def dial(self) -> dict[int, Start]:
        """States in which the paddle's dial rests, by the place in memory (odd, 55 to 191) that the paddle keeps.

        The game reads the dial to two lines of the screen, and takes the mean of that and the paddle's last place,
        rounded down: a paddle stays at ``place`` and, set there, at ``place - 1``.
        """
        now = self._here()
        found: dict[int, Start] = {}
        self.restore(self.settled)
        for _ in range(60):
            self._ale.act(RIGHT)
        while min(found, default=191) > 55:
            self._ale.act(LEFT, _DIAL_STEP)
            self._ale.act(NOOP)
            self._ale.act(NOOP)
            self._read()
            place = 235 - int(self._ram[70])
            if place <= 191 and place not in found:
                found[place] = self._here()
        self.restore(now)
        return found

    @cached_property
    def settled(self) -> Start:
        """A new game some frames on: in the first ones, the game builds its wall, and sets bricks of its own accord."""
        now = self._here()
        self.restore(self.start)
        for _ in range(_SETTLING):
            self._ale.act(NOOP)
        self._read()
        settled = self._here()
        self.restore(now)
        return settled

    def palette(self) -> NDArray[np.uint8]:
        """The console's colours, uint8 [256, 3]: every second index has one. Begins a new game."""
        colours = np.zeros((256, 3), dtype=np.uint8)
        for index in range(0, 256, 2):
            self._ale.setRAM(_COLOUR_OF_LOWEST_BRICKS, index)
            self._ale.act(NOOP)
            colours[index] = self._ale.getScreenRGB()[_LOWEST_BRICK]
        self.restart()
        return colours

    def _write(self, wanted: NDArray[np.uint8]) -> None:
        changed = (wanted != self._ram).nonzero()[0]
        # As fast as Python calls a function: this is done for every picture.
        deque(map(self._ale.setRAM, changed.tolist(), wanted[changed].tolist()), maxlen=0)

    def _read(self) -> None:
        self._ale.getRAM(self._ram)
        self._ale.getScreen(self._screen)

    def _here(self) -> Start:
        return Start(self._ale.cloneState(), np.array(self._ale.getScreen()), np.array(self._ale.getRAM()))
