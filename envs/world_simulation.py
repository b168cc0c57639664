"""Any world as a simulation, and so as an environment: with a goal to reach, or without reward."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode
from numpy.typing import ArrayLike, NDArray

from .factors import FactorSpace
from .gym import SimulationEnv, SimulationVectorEnv
from .registry import UsageError, nearest
from .simulation import BUFFERS, Simulation, box_actions, check_copies, discrete_actions
from .tasks import GoalTask
from .world import World

_FAINT = 3
"""A goal in the image has this fraction of its brightness."""
_TRIES = 64
"""How often a goal that is reached at the start is drawn again."""


class WorldSimulation(Simulation):
    """Copies of a world, each in a state of its own.

    States at the start are drawn uniformly, and so are goals, which are drawn again while they are reached already.
    ``reset(options={"factors": ..., "goal": ...})`` sets either, [K] or one row for each copy that is reset.

    Args:
        world: The world.
        task: The goal to reach; None: no reward, and no end.
        num_envs: Copies N.

    Raises:
        UsageError: There are no copies, or no actions in the world.
    """

    def __init__(self, world: World, task: GoalTask | None = None, num_envs: int = 1) -> None:
        self.world, self.task, self.num_envs = world, task, check_copies(num_envs)
        self.factor_names = world.factors.names
        self.action_space = world.action_space
        picture = spaces.Box(0, 255, world.image_shape, np.uint8)
        self.observation_space: spaces.Space[Any] = picture
        if task is not None:
            task.columns(world.factors)
            if task.shown == "observation":
                self.observation_space = spaces.Dict({"goal": picture, "image": picture})
        kind = np.int64 if world.factors.discrete else np.float64
        self._factors = np.zeros((self.num_envs, len(world.factors)), dtype=kind)
        self._goals = np.zeros_like(self._factors)
        self._images = _Canvas(world, self._factors)
        self._goal_images = _Canvas(world, self._factors)
        # Where the goal stands in the image: the pictures of the goals, and which of them are old.
        self._faint = np.zeros(0, dtype=np.uint8)
        self._stale = np.ones(self.num_envs, dtype=bool)
        # States and actions have been checked here, and need not be a second time where the world does not insist.
        self._act: Callable[[Any, Any], Any] = world._move if type(world).act is World.act else world.act

    def reset(self, rows: NDArray[np.int64], rngs: Sequence[np.random.Generator], options: Mapping[str, Any]) -> None:
        accepted = ["factors"] if self.task is None else ["factors", "goal"]
        for name in options:
            if name not in accepted:
                hint = nearest(str(name), accepted)
                raise UsageError(f"there is no reset option {name!r}{hint}; there are: {', '.join(accepted)}")
        space = self.world.factors
        starts = _given(space, options.get("factors"), len(rows), "factors")
        goals = _given(space, options.get("goal"), len(rows), "goal")
        self._factors[rows] = _draw(space, rngs) if starts is None else starts
        if self.task is not None:
            self._goals[rows] = self._draw_goals(rngs, self._factors[rows], self.task) if goals is None else goals
            self._stale[rows] = True

    def _draw_goals(
        self, rngs: Sequence[np.random.Generator], starts: NDArray[Any], task: GoalTask
    ) -> NDArray[np.int64] | NDArray[np.float64]:
        space = self.world.factors
        goals = _draw(space, rngs)
        for _ in range(_TRIES):
            there = np.flatnonzero(task.reached(space, starts, goals))
            if not len(there):
                break
            goals[there] = _draw(space, [rngs[row] for row in there.tolist()])
        return goals

    def step(
        self, actions: Any, rows: NDArray[np.int64] | None = None
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        chosen = _read_actions(actions, self.action_space, self.num_envs, rows)
        rewards, terminated = np.zeros(self.num_envs), np.zeros(self.num_envs, dtype=bool)
        before, after = self._factors, self._act(self._factors, chosen)
        if self.task is not None:
            rewards, terminated = self.task.rewards(self.world.factors, before, after, self._goals)
        if rows is not None:
            # All have been moved, which is faster than to pick some; those that are to stay are put back.
            still = np.ones(self.num_envs, dtype=bool)
            still[rows] = False
            after[still], rewards[still], terminated[still] = before[still], 0.0, False
        self._factors = after
        return rewards, terminated

    def draw(self, out: Any, buffer: int) -> None:
        if self.task is None or self.task.shown == "hidden":
            self._images.show(out, buffer, self._factors)
        elif self.task.shown == "observation":
            self._images.show(out["image"], buffer, self._factors)
            self._goal_images.show(out["goal"], buffer, self._goals)
        else:
            if not self._faint.size:
                self._faint = np.zeros_like(out)
            stale = np.flatnonzero(self._stale)
            if len(stale):
                self._faint[stale] = self.world.render(self._goals[stale]) // _FAINT
                self._images.fresh[:, stale] = True
                self._stale[stale] = False
            self._images.show(out, buffer, self._factors, self._faint)

    def factors(self) -> NDArray[Any]:
        return self._factors.copy()

    def info(self) -> dict[str, NDArray[Any]]:
        return {} if self.task is None else {"goal": self._goals.copy()}

    def frame(self, row: int, observation: Any) -> NDArray[np.uint8]:
        # Of image and goal the image, whatever the order of the keys.
        return super().frame(row, observation["image"] if isinstance(observation, Mapping) else observation)

    def get_state(self, row: int) -> dict[str, Any]:
        state = {"factors": self._factors[row].copy()}
        return state if self.task is None else {**state, "goal": self._goals[row].copy()}

    def set_state(self, row: int, state: Mapping[str, Any]) -> None:
        if set(state) != set(self.get_state(row)):
            raise UsageError(f"this is no state of a simulation of {type(self.world).__name__}")
        values = {name: self.world.factors.check(entry) for name, entry in state.items()}
        self._factors[row] = values["factors"]
        if self.task is not None:
            self._goals[row], self._stale[row] = values["goal"], True


class _Canvas:
    """Remembers what stands in buffers of pictures, so that only what has changed is drawn."""

    def __init__(self, world: World, factors: NDArray[Any]) -> None:
        self.world = world
        self.shown = np.repeat(factors[None], BUFFERS, axis=0)
        self.fresh = np.ones((BUFFERS, len(factors)), dtype=bool)

    def show(
        self,
        images: NDArray[np.uint8],
        buffer: int,
        factors: NDArray[Any],
        behind: NDArray[np.uint8] | None = None,
    ) -> None:
        """Draws the states [N, K] into the pictures of a buffer, before others [N, H, W, C] if there are any."""
        shown, fresh = self.shown[buffer], self.fresh[buffer]
        if behind is not None:
            self.world.redraw_before(images, behind, fresh, shown, factors)
        elif fresh.any():
            images[...] = self.world.render(factors)
        else:
            self.world.redraw(images, shown, factors)
        shown[...] = factors
        fresh[:] = False


def _read_actions(actions: Any, space: spaces.Space[Any], num_envs: int, rows: NDArray[np.int64] | None) -> Any:
    if isinstance(space, spaces.Discrete):
        return discrete_actions(actions, space, num_envs, rows)
    if isinstance(space, spaces.Box):
        return box_actions(actions, space, num_envs, rows)
    raise UsageError(f"a world's actions are Discrete or a Box, not {space}")


def _draw(space: FactorSpace, rngs: Sequence[np.random.Generator]) -> Any:
    """A state drawn uniformly from each generator, [R, K]."""
    if space.discrete:
        size = space.size
        numbers = np.array([rng.integers(size) for rng in rngs], dtype=np.int64)
        return np.stack(np.unravel_index(numbers, tuple(space.sizes)), axis=1)
    return np.concatenate([space.sample(rng, 1) for rng in rngs])


def _given(space: FactorSpace, values: ArrayLike | None, rows: int, name: str) -> Any:
    """States that were asked for, one for each of so many rows; None where none were."""
    if values is None:
        return None
    try:
        states = space.check(values)
    except (TypeError, ValueError) as error:
        text = str(error)
        if not isinstance(error, UsageError):
            text = f"numbers are accepted, got {' '.join(repr(values).split())}"
        raise UsageError(f"reset option {name!r}: {text}") from error
    if states.ndim == 2 and len(states) != rows:
        raise UsageError(f"reset option {name!r}: {len(states)} rows were given for {rows} copies")
    return np.broadcast_to(states, (rows, len(space)))


class WorldEnv(SimulationEnv):
    """Any world as a Gymnasium environment.

    The observation is the world's picture; actions are the world's. What each factor and action means is the
    world's to say. Options of ``reset``: ``factors``, and ``goal`` with a task.

    Args:
        world: The world.
        task: The goal to reach; None: no reward, and no end but ``max_episode_steps``.
        render_mode: ``rgb_array``, ``human`` or None.
        max_episode_steps: Steps after which an episode is truncated; None for no limit.

    Raises:
        UsageError: The world has no actions, or an argument cannot be used.

    Example:
        >>> from equiworld.envs import FlatLand
        >>> env = WorldEnv(FlatLand(), GoalTask("dense", tolerance=2), max_episode_steps=100)
        >>> observation, info = env.reset(seed=0, options={"factors": [0, 0], "goal": [16, 16]})
        >>> env.step(3)[1]
        -0.84375
    """

    def __init__(
        self,
        world: World,
        task: GoalTask | None = None,
        *,
        render_mode: str | None = None,
        max_episode_steps: int | None = None,
    ) -> None:
        super().__init__(WorldSimulation(world, task, 1), render_mode=render_mode, max_episode_steps=max_episode_steps)


class WorldVectorEnv(SimulationVectorEnv):
    """Copies of any world as a Gymnasium vector environment; ``WorldEnv`` for many.

    Args:
        num_envs: Copies.
        world: The world.
        task: The goal to reach; None: no reward, and no end but ``max_episode_steps``.
        render_mode: ``rgb_array``, ``human`` or None.
        max_episode_steps: Steps after which an episode is truncated; None for no limit.
        autoreset_mode: As in ``SimulationVectorEnv``.
        copy: Whether every observation is an array of its own.

    Raises:
        UsageError: The world has no actions, or an argument cannot be used.
    """

    def __init__(
        self,
        num_envs: int,
        world: World,
        task: GoalTask | None = None,
        *,
        render_mode: str | None = None,
        max_episode_steps: int | None = None,
        autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP,
        copy: bool = False,
    ) -> None:
        super().__init__(
            WorldSimulation(world, task, num_envs),
            render_mode=render_mode,
            max_episode_steps=max_episode_steps,
            autoreset_mode=autoreset_mode,
            copy=copy,
        )
