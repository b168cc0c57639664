"""Breakout as a simulation: many consoles, their factors and pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from ..factors import Factor, FactorSpace
from ..registry import UsageError
from ..simulation import Simulation, discrete_actions
from . import ram as memory
from .emulator import FIRE, FULL_ACTIONS, MINIMAL_ACTIONS, NOOP
from .fleet import Fleet
from .picture import Pictures, greys
from .workers import WorkerFleet
from .world import PLAYFIELD, Breakout, check_flag, check_view, is_whole

LifeLoss = Literal["ignore", "terminate", "continue"]
_STATE = ("emulator", "screen", "before", "history", "action", "goes_on")


class BreakoutSimulation(Simulation):
    """Copies of the game, each in a console of its own.

    Args:
        num_envs: Copies N.
        frame_skip: Frames for which an action is held, 1 or more; or two numbers ``(low, high)``: so many are drawn at
            each step, ``high`` excluded.
        repeat_action_probability: The probability with which each frame repeats the last frame's action instead
            ("sticky actions", Machado et al. 2018, arXiv 1709.06009), in [0, 1].
        full_action_space: Whether all 18 actions of the console can be chosen, instead of the 4 that do something.
        noop_max: A new game begins with 1 to so many frames without action, drawn uniformly; 0: none.
        fire_reset: Whether a new game, and each new life of ``continue``, begins with the serve.
        life_loss: What the loss of a life does: ``ignore`` nothing, ``terminate`` ends the episode, ``continue`` ends
            it too, and the next one goes on with the next life (unless ``reset`` is given a seed or factors).
        max_pool: Whether a picture shows the brighter of the last two frames, pixel by pixel.
        grayscale: One channel instead of three.
        image_size: Height and width of the picture, by area averaging; None: as large as the crop.
        crop: First row, last row (exclusive), first column, last column (exclusive) of the part of the screen that is
            seen; None: all of it (210 x 160).
        frame_stack: Pictures of so many steps, the latest last, one after the other in the channels.
        num_workers: Processes that run the consoles, to the same effect; 0: this one. An emulator does not share its
            process with another one, so that threads would be no faster.

    Attributes:
        action_meanings: Names of the actions.

    Raises:
        UsageError: An option is out of its range.
    """

    def __init__(
        self,
        num_envs: int,
        *,
        frame_skip: int | Sequence[int] = 4,
        repeat_action_probability: float = 0.25,
        full_action_space: bool = False,
        noop_max: int = 0,
        fire_reset: bool = False,
        life_loss: LifeLoss = "ignore",
        max_pool: bool = False,
        grayscale: bool = False,
        image_size: int | None = 64,
        crop: Sequence[int] | None = PLAYFIELD,
        frame_stack: int = 1,
        num_workers: int = 0,
    ) -> None:
        if life_loss not in get_args(LifeLoss):
            raise UsageError(f"life_loss must be one of {', '.join(get_args(LifeLoss))}, got {life_loss!r}")
        sticky = repeat_action_probability
        if not isinstance(sticky, int | float | np.number) or not 0 <= sticky <= 1:
            raise UsageError(f"repeat_action_probability must be in [0, 1], got {sticky!r}")
        self.num_envs = _whole("num_envs", num_envs, 1)
        self.noop_max = _whole("noop_max", noop_max, 0)
        self.frame_stack = _whole("frame_stack", frame_stack, 1)
        self.frame_skip = _check_skip(frame_skip)
        self.repeat_action_probability = float(sticky)
        self.fire_reset, self.life_loss = check_flag("fire_reset", fire_reset), life_loss
        crop, size = check_view(crop, image_size)
        self.world = Breakout(image_size=image_size, crop=crop, grayscale=grayscale)
        self.factor_names = memory.FACTOR_NAMES
        full = check_flag("full_action_space", full_action_space)
        self.action_meanings = tuple(FULL_ACTIONS) if full else MINIMAL_ACTIONS
        self._numbers = [FULL_ACTIONS.index(name) for name in self.action_meanings]
        self.action_space: spaces.Discrete = spaces.Discrete(len(self._numbers))
        channels = 1 if grayscale else 3
        self.observation_space = spaces.Box(0, 255, (*size, channels * self.frame_stack), np.uint8)

        workers, pooled = _whole("num_workers", num_workers, 0), check_flag("max_pool", max_pool)
        self._fleet: Fleet | WorkerFleet
        self._fleet = WorkerFleet(num_envs, pooled, workers) if workers else Fleet(num_envs, pooled)
        self.palette = self._fleet.palette()
        colours = greys(self.palette) if grayscale else self.palette
        self._view = Pictures(num_envs, colours, crop, size)
        # The pictures of the last steps, the latest last. A single one is kept where it is drawn.
        self._history = (
            self._view.pictures[:, None]
            if self.frame_stack == 1
            else np.zeros((num_envs, self.frame_stack, *size, channels), dtype=np.uint8)
        )
        self._everything = np.arange(num_envs)
        self._rngs: list[np.random.Generator | None] = [None] * num_envs
        self._held = [NOOP] * num_envs
        self._goes_on = np.zeros(num_envs, dtype=bool)

    def reset(self, rows: NDArray[np.int64], rngs: Sequence[np.random.Generator], options: Mapping[str, Any]) -> None:
        """As in ``Simulation``; the factors are [116] as ``ram.check_factors`` accepts them.

        What factors do not hold is as in a new game, in which no ball has hit anything: the fractions of the ball's
        place (zero), and the count of hits by which it gets faster. ``get_state`` holds everything.
        """
        for option in options:
            if option != "factors":
                raise UsageError(f"Breakout has no reset option {option!r}; it takes: factors")
        places = options.get("factors")
        wanted = None if places is None else _spread(memory.check_factors(places), len(rows))
        new: list[int] = []
        begun: dict[int, list[int]] = {}
        for row, rng in zip(rows.tolist(), rngs, strict=True):
            if wanted is None:
                plan = []
                # A seed brings a new generator along, and a new game.
                if not self._goes_on[row] or rng is not self._rngs[row]:
                    new.append(row)
                    plan += [NOOP] * (int(rng.integers(1, self.noop_max + 1)) if self.noop_max else 0)
                plan += [FIRE] * (self.frame_skip[1] - 1 if self.fire_reset else 0)
                if plan:
                    begun[row] = plan
            self._rngs[row], self._held[row] = rng, NOOP
        self._goes_on[rows] = False
        if wanted is not None:
            self._fleet.place(rows.tolist(), wanted)
        else:
            self._fleet.restart(new)
            self._fleet.run(list(begun), list(begun.values()))
        self._draw(rows)
        self._history[rows] = self._view.pictures[rows, None]

    def step(
        self, actions: Any, rows: NDArray[np.int64] | None = None
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        moving = self._everything if rows is None else rows
        codes = discrete_actions(actions, self.action_space, self.num_envs, rows)
        numbers = [self._numbers[code] for code in codes[moving].tolist()]
        lives = self._fleet.ram[moving, memory.LIVES_ADDRESS]
        indices = moving.tolist()
        plans = [self._plan(row, number) for row, number in zip(indices, numbers, strict=True)]
        points, over = self._fleet.run(indices, plans)
        rewards, terminated = np.zeros(self.num_envs), np.zeros(self.num_envs, dtype=bool)
        rewards[moving], terminated[moving] = points, over
        if self.life_loss != "ignore":
            lost = self._fleet.ram[moving, memory.LIVES_ADDRESS] < lives
            self._goes_on[moving] = lost & ~terminated[moving] & (self.life_loss == "continue")
            terminated[moving] |= lost
        self._draw(moving)
        if self.frame_stack > 1:
            self._history[moving, :-1] = self._history[moving, 1:]
            self._history[moving, -1] = self._view.pictures[moving]
        return rewards, terminated

    def _plan(self, row: int, action: int) -> list[int]:
        """The action of every frame of a step."""
        rng, (low, high) = self._rngs[row], self.frame_skip
        assert rng is not None
        frames = low if high == low + 1 else int(rng.integers(low, high))
        if not self.repeat_action_probability:
            return [action] * frames
        plan, held = [], self._held[row]
        for draw in rng.random(frames).tolist():
            held = held if draw < self.repeat_action_probability else action
            plan.append(held)
        self._held[row] = held
        return plan

    def _draw(self, rows: NDArray[np.int64]) -> None:
        self._view.update(rows, self._fleet.screen, self._fleet.before)

    def draw(self, out: NDArray[np.uint8], buffer: int) -> None:
        channels = self._history.shape[-1]
        for step in range(self.frame_stack):
            out[..., step * channels : (step + 1) * channels] = self._history[:, step]

    def factors(self) -> NDArray[np.float64]:
        return memory.decode(self._fleet.ram)

    def columns(self) -> FactorSpace:
        """Places, velocities and score by their ranges; bricks and lives as ordinal factors."""
        counted = dict.fromkeys(memory.FACTOR_NAMES[memory.BRICK], 2) | {"lives": memory.RANGES["lives"][1] + 1}
        return FactorSpace(
            [
                Factor(name, counted[name], "ordinal")
                if name in counted
                else Factor(name, None, "continuous", *memory.EXTENTS[name])
                for name in memory.FACTOR_NAMES
            ]
        )

    def info(self) -> dict[str, NDArray[Any]]:
        """``lives`` int64 [N], under the name that wrappers for Atari games look for."""
        return {"lives": self._fleet.ram[:, memory.LIVES_ADDRESS].astype(np.int64)}

    def frame(self, row: int, observation: Any) -> NDArray[np.uint8]:
        """The whole screen, uint8 [210, 160, 3]."""
        return self.palette[self._fleet.screen[row]]

    def get_state(self, row: int) -> dict[str, Any]:
        before = self._fleet.before
        state = (
            self._fleet.save(row),
            self._fleet.screen[row].copy(),
            None if before is None else before[row].copy(),
            self._history[row].copy(),
            self._held[row],
            bool(self._goes_on[row]),
        )
        return dict(zip(_STATE, state, strict=True))

    def set_state(self, row: int, state: Mapping[str, Any]) -> None:
        screens = {"screen": self._fleet.screen, "before": self._fleet.before, "history": self._history}
        if not isinstance(state, Mapping) or set(state) != set(_STATE):
            raise UsageError(f"a state of Breakout holds {', '.join(_STATE)}; this is something else")
        for name, kept in screens.items():
            if not _fits(state[name], None if kept is None else kept[row]):
                raise UsageError(f"the state's {name!r} belongs to other options of Breakout than these")
        if state["action"] not in range(len(FULL_ACTIONS)):
            raise UsageError(f"the state's 'action' must be 0 to {len(FULL_ACTIONS) - 1}, got {state['action']!r}")
        self._fleet.load(row, state["emulator"])
        for name, kept in screens.items():
            if kept is not None:
                kept[row] = state[name]
        self._held[row], self._goes_on[row] = int(state["action"]), bool(state["goes_on"])
        self._draw(np.array([row]))

    def close(self) -> None:
        self._fleet.close()


def _whole(name: str, value: Any, least: int) -> int:
    if not is_whole(value) or value < least:
        raise UsageError(f"{name} must be a whole number, {least} or more, got {value!r}")
    return int(value)


def _fits(given: Any, own: NDArray[np.uint8] | None) -> bool:
    """Whether an entry of a state can take the place of one's own."""
    if given is None or own is None:
        return given is own
    return isinstance(given, np.ndarray) and (given.shape, given.dtype) == (own.shape, own.dtype)


def _check_skip(frame_skip: Any) -> tuple[int, int]:
    """The least number of frames, and the largest plus one."""
    if isinstance(frame_skip, Sequence) and len(frame_skip) == 2:
        low, high = (_whole("frame_skip", value, 1) for value in frame_skip)
        if low < high:
            return low, high
    elif not isinstance(frame_skip, Sequence):
        low = _whole("frame_skip", frame_skip, 1)
        return low, low + 1
    raise UsageError(f"frame_skip must be a whole number or two of them, the first smaller, got {frame_skip!r}")


def _spread(factors: NDArray[np.float64], rows: int) -> NDArray[np.float64]:
    """One row of factors for each copy."""
    if len(factors) not in (1, rows):
        raise UsageError(f"{len(factors)} rows of factors do not belong to {rows} copies")
    return np.broadcast_to(factors, (rows, factors.shape[1]))
