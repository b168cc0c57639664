"""Simulations as Gymnasium environments: one copy as an ``Env``, many as a ``VectorEnv``, equal bit by bit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space, create_empty_array
from numpy.typing import NDArray

from .registry import UsageError
from .simulation import BUFFERS, Simulation
from .window import Window, mosaic

_RENDER_MODES = ("rgb_array", "human")
_STATE = ("simulation", "rng", "steps", "over")


class SimulationEnv(gymnasium.Env[Any, Any]):
    """One copy of a simulation as a Gymnasium environment.

    ``info["factors"]`` holds the factors, [K] in the order of ``factor_names``, after every reset and step. Every
    observation and every info is an array of its own.

    ``reset(options={"factors": ...})`` begins at given factors [K]; further options are the simulation's own.

    Args:
        simulation: A simulation of one copy.
        render_mode: ``rgb_array``, ``human`` or None.
        max_episode_steps: Steps after which an episode is truncated; None (and -1) for no limit. ``gymnasium.make``
            does not set it: it puts its own time limit around the environment.

    Attributes:
        simulation: The simulation.
        world: The pure world behind it, or None.
        factor_names: Names of the factors.

    Raises:
        UsageError: An argument that cannot be used.
    """

    metadata: dict[str, Any] = {"render_modes": list(_RENDER_MODES), "render_fps": 15}  # noqa: RUF012

    def __init__(
        self, simulation: Simulation, *, render_mode: str | None = None, max_episode_steps: int | None = None
    ) -> None:
        if simulation.num_envs != 1:
            raise UsageError(f"a scalar environment needs a simulation of one copy, got {simulation.num_envs}")
        self.simulation = simulation
        self.observation_space = simulation.observation_space
        self.action_space = simulation.action_space
        self.world = simulation.world
        self.factor_names = simulation.factor_names
        self.render_mode = _check_render_mode(render_mode)
        self._limit = _check_limit(max_episode_steps)
        self._buffer = create_empty_array(self.observation_space, n=1, fn=np.zeros)
        self._window = Window(type(self).__name__, int(self.metadata["render_fps"]))
        self._begun = False
        self._steps = 0
        self._over = False

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begins an episode.

        Args:
            seed: Seeds the environment's generator, from which everything random comes. None: it goes on.
            options: ``{"factors": [K]}`` sets the state; further ones are the simulation's own.

        Returns:
            The observation and the info.

        Raises:
            UsageError: An option that is unknown or cannot be used; then nothing has changed.
        """
        accepted, before = _check_options(options), (self._np_random, self._np_random_seed)
        super().reset(seed=seed)
        try:
            self.simulation.reset(np.zeros(1, dtype=np.int64), [self.np_random], accepted)
        except UsageError:
            self._np_random, self._np_random_seed = before
            raise
        self._begun, self._steps, self._over = True, 0, False
        return self._seen()

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Makes one step.

        Args:
            action: Of the action space.

        Returns:
            Observation, reward, whether the episode has ended of its own (terminated), whether it was cut by
            ``max_episode_steps`` (truncated), and the info.

        Raises:
            UsageError: The action is none of the space, or the environment was never reset.
        """
        if not self._begun:
            raise UsageError("the environment must be reset before its first step")
        rewards, terminated = self.simulation.step(_one_action(self.action_space, action))
        self._steps += 1
        truncated = self._limit is not None and self._steps >= self._limit
        self._over = bool(terminated[0]) or truncated
        observation, info = self._seen()
        return observation, float(rewards[0]), bool(terminated[0]), truncated, info

    def _seen(self) -> tuple[Any, dict[str, Any]]:
        self.simulation.draw(self._buffer, 0)
        info = {"factors": self.simulation.factors()[0].copy()}
        info |= {name: _entry(values[0]) for name, values in self.simulation.info().items()}
        observation = _row(self._buffer, 0)
        if self.render_mode == "human":
            self._window.show(self.simulation.frame(0, observation))
        return observation, info

    def render(self) -> NDArray[np.uint8] | None:
        """The current picture, uint8 [H, W, 3], in mode ``rgb_array``; None in mode ``human``, which shows each step.

        Raises:
            UsageError: The environment was made without a render mode, or never reset.
        """
        if self.render_mode is None:
            raise UsageError(f"render() needs a render_mode; there are: {', '.join(_RENDER_MODES)}")
        if not self._begun:
            raise UsageError("the environment must be reset before it is rendered")
        frame = self.simulation.frame(0, _row(self._buffer, 0))
        if self.render_mode == "human":
            self._window.show(frame)
            return None
        return frame

    def get_state(self) -> dict[str, Any]:
        """All that is needed to go on bit by bit from here, the source of randomness included, as plain data.

        Raises:
            UsageError: The environment was never reset.
        """
        if not self._begun:
            raise UsageError("the environment must be reset before it has a state")
        return _save(self.simulation, 0, self.np_random, self._steps, self._over)

    def set_state(self, state: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
        """Goes on from a state that ``get_state`` gave, here or in another environment made alike.

        A time limit that ``gymnasium.make`` put around the environment counts by itself; ``equiworld.envs.save_state``
        and ``restore_state`` take it along.

        Returns:
            The observation and the info, as ``reset`` does.

        Raises:
            UsageError: It is no state of this environment; then nothing has changed.
        """
        _check_state(state)
        begun = self._begun
        if not begun:
            self.reset()  # the simulation needs a generator, whose state is then overwritten
        try:
            self._steps, self._over = _restore(self.simulation, 0, self.np_random, state)
        except UsageError:
            self._begun = begun
            raise
        return self._seen()

    def close(self) -> None:
        """Lets go of the window and of what the simulation holds. May be called twice."""
        self._window.close()
        self.simulation.close()


class SimulationVectorEnv(VectorEnv[Any, Any, NDArray[Any]]):
    """Many copies of a simulation as a Gymnasium vector environment, not a loop over environments.

    Copy i is bit by bit what ``SimulationEnv`` is when it is seeded with ``seed + i``, whatever the number of copies
    and the autoreset mode; infos are as ``gymnasium.vector.SyncVectorEnv`` gives them (``info["factors"]`` [N, K] and
    the mask ``info["_factors"]`` [N]).

    Observations alternate between two buffers, in which only what has changed is drawn: an observation stays as it
    is until the step after the next, and must not be written into. ``copy=True`` gives arrays of their own.

    Args:
        simulation: The simulation.
        render_mode: ``rgb_array``, ``human`` (all copies in one window) or None.
        max_episode_steps: Steps after which an episode is truncated; None (and -1) for no limit.
        autoreset_mode: ``NextStep`` (the step after the end resets the copy, and its action is not read), ``SameStep``
            (the copy is reset at once; ``final_obs`` and ``final_info`` hold its end) or ``Disabled`` (the user resets,
            with ``options={"reset_mask": bool [N]}``).
        copy: Whether every observation is an array of its own.

    Attributes:
        simulation: The simulation.
        world: The pure world behind it, or None.
        factor_names: Names of the factors.

    Raises:
        UsageError: An argument that cannot be used.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012
        "render_modes": list(_RENDER_MODES),
        "render_fps": 15,
        "autoreset_mode": AutoresetMode.NEXT_STEP,
    }
    buffers: ClassVar[int] = BUFFERS

    def __init__(
        self,
        simulation: Simulation,
        *,
        render_mode: str | None = None,
        max_episode_steps: int | None = None,
        autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP,
        copy: bool = False,
    ) -> None:
        self.simulation = simulation
        self.num_envs = simulation.num_envs
        self.single_observation_space = simulation.observation_space
        self.single_action_space = simulation.action_space
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self.world = simulation.world
        self.factor_names = simulation.factor_names
        self.render_mode = _check_render_mode(render_mode)
        self.autoreset_mode = _check_autoreset(autoreset_mode)
        self.metadata = {**type(self).metadata, "autoreset_mode": self.autoreset_mode}
        self.copy = copy
        self._limit = _check_limit(max_episode_steps)
        self._buffers = [
            create_empty_array(self.single_observation_space, n=self.num_envs, fn=np.zeros) for _ in range(BUFFERS)
        ]
        self._turn = 0
        self._window = Window(type(self).__name__, int(self.metadata["render_fps"]))
        self._everything = np.arange(self.num_envs)
        self._rngs: list[np.random.Generator | None] = [None] * self.num_envs
        self._seeds: list[int] = [-1] * self.num_envs
        self._begun = False
        self._steps = np.zeros(self.num_envs, dtype=np.int64)
        self._over = np.zeros(self.num_envs, dtype=bool)

    @property  # type: ignore[override]
    def np_random(self) -> tuple[np.random.Generator, ...]:
        """The generator of every copy; it may be set, for the episodes that begin from then on."""
        return tuple(self._generator(row) for row in range(self.num_envs))

    @np_random.setter  # type: ignore[override]
    def np_random(self, value: Sequence[np.random.Generator]) -> None:
        if isinstance(value, np.random.Generator) or len(value) != self.num_envs:
            raise UsageError(f"np_random must be a generator for each of {self.num_envs} copies")
        self._rngs, self._seeds = list(value), [-1] * self.num_envs

    @property
    def np_random_seed(self) -> tuple[int, ...]:  # type: ignore[override]
        """The seed of every copy."""
        return tuple(self._seeds) if self.np_random else ()

    def _generator(self, row: int) -> np.random.Generator:
        found = self._rngs[row]
        if found is None:
            found, self._seeds[row] = seeding.np_random()
            self._rngs[row] = found
        return found

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begins an episode in every copy, or in some.

        Args:
            seed: Copy i is seeded with ``seed + i``; or a seed for each copy. None: its generator goes on.
            options: ``{"factors": ...}``, [K] or [N, K] ([R, K] for R copies that are reset), sets the states;
                ``{"reset_mask": bool [N]}`` leaves the other copies alone; further ones are the simulation's own.

        Returns:
            The observations, and the infos of the copies that were reset.

        Raises:
            UsageError: An option that is unknown or cannot be used; then nothing has changed.
        """
        own = dict(_check_options(options))
        rows = self._masked(own.pop("reset_mask", None))
        seeds = self._each_seed(seed)
        before = self._rngs.copy(), self._seeds.copy()
        try:
            for row in rows.tolist():
                given = seeds[row]
                if given is not None:
                    self._rngs[row], self._seeds[row] = seeding.np_random(int(given))
            self._restart(rows, own)
        except (ValueError, gymnasium.error.Error):
            self._rngs, self._seeds = before
            raise
        self._begun = True
        observation = self._draw()
        return observation, self._infos(None if len(rows) == self.num_envs else rows)

    def _masked(self, mask: Any) -> NDArray[np.int64]:
        """The copies that a mask chooses."""
        if mask is None:
            return self._everything
        if not isinstance(mask, np.ndarray) or mask.shape != (self.num_envs,) or mask.dtype != np.bool_:
            raise UsageError(f"reset_mask must be a bool array [{self.num_envs}], got {mask!r}")
        if not mask.any():
            raise UsageError("reset_mask must choose at least one copy")
        if not self._begun and not mask.all():
            raise UsageError("the first reset is one of all copies: reset_mask must choose all of them")
        return np.flatnonzero(mask)

    def _each_seed(self, seed: int | Sequence[int | None] | None) -> Sequence[int | None]:
        if seed is None:
            return [None] * self.num_envs
        if isinstance(seed, int | np.integer):
            return [int(seed) + row for row in range(self.num_envs)]
        if not isinstance(seed, Sequence | np.ndarray) or isinstance(seed, str) or len(seed) != self.num_envs:
            raise UsageError(f"seeds must be a whole number, or one for each of {self.num_envs} copies, got {seed!r}")
        return seed

    def _restart(self, rows: NDArray[np.int64], options: Mapping[str, Any]) -> None:
        self.simulation.reset(rows, [self._generator(row) for row in rows.tolist()], options)
        self._steps[rows] = 0
        self._over[rows] = False

    def step(self, actions: Any) -> tuple[Any, NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], Any]:
        """Makes one step in every copy.

        Args:
            actions: Of the batched action space.

        Returns:
            Observations, rewards float64 [N], whether episodes have ended of their own (terminated) and whether they
            were cut (truncated), bool [N], and the infos.

        Raises:
            UsageError: An action is none of the space, the environment was never reset, or a copy has ended and the
                autoreset mode leaves its reset to the user.
        """
        if not self._begun:
            raise UsageError("the environment must be reset before its first step")
        moving = None
        ended = np.flatnonzero(self._over)
        if len(ended):
            if self.autoreset_mode is AutoresetMode.DISABLED:
                raise UsageError(
                    f'copy {ended[0]} has ended: reset(options={{"reset_mask": ...}}) comes before its step'
                )
            moving = np.flatnonzero(~self._over)
        if moving is None or len(moving):
            rewards, terminated = self.simulation.step(actions, moving)
        else:
            rewards, terminated = np.zeros(self.num_envs), np.zeros(self.num_envs, dtype=bool)
        self._steps += 1
        if moving is not None:
            self._restart(ended, {})
        truncated = np.zeros(self.num_envs, dtype=bool) if self._limit is None else self._steps >= self._limit
        np.logical_or(terminated, truncated, out=self._over)
        final: dict[str, Any] = {}
        if self.autoreset_mode is AutoresetMode.SAME_STEP:
            over = np.flatnonzero(self._over)
            if len(over):
                final = self._finals(over)
                self._restart(over, {})
        return self._draw(), rewards, terminated, truncated, self._infos(None) | final

    def _finals(self, over: NDArray[np.int64]) -> dict[str, Any]:
        """What is told of the copies whose episodes have just ended, before they are reset."""
        # Drawn where the observation after the reset will stand, so that the one before stays valid.
        buffer = (self._turn + 1) % BUFFERS
        self.simulation.draw(self._buffers[buffer], buffer)
        observations = np.full(self.num_envs, None, dtype=object)
        for row in over.tolist():
            observations[row] = _row(self._buffers[buffer], row)
        mask = np.zeros(self.num_envs, dtype=bool)
        mask[over] = True
        return {
            "final_obs": observations,
            "_final_obs": mask,
            "final_info": self._infos(over),
            "_final_info": mask.copy(),
        }

    def _draw(self) -> Any:
        self._turn = (self._turn + 1) % BUFFERS
        out: Any = self._buffers[self._turn]
        self.simulation.draw(out, self._turn)
        if self.render_mode == "human":
            self._window.show(mosaic(self._frames()))
        if isinstance(out, dict):
            return {name: part.copy() if self.copy else part for name, part in out.items()}
        return out.copy() if self.copy else out

    def _infos(self, rows: NDArray[np.int64] | None) -> dict[str, Any]:
        """What is told of some copies (None: all), each entry with its mask; zeros for the others."""
        infos: dict[str, Any] = {}
        for name, values in {"factors": self.simulation.factors(), **self.simulation.info()}.items():
            if rows is None:
                infos[name], infos[f"_{name}"] = values, np.ones(self.num_envs, dtype=bool)
            else:
                infos[name], infos[f"_{name}"] = np.zeros_like(values), np.zeros(self.num_envs, dtype=bool)
                infos[name][rows] = values[rows]
                infos[f"_{name}"][rows] = True
        return infos

    def _frames(self) -> list[NDArray[np.uint8]]:
        shown = self._buffers[self._turn]
        return [self.simulation.frame(row, _row(shown, row)) for row in range(self.num_envs)]

    def render(self) -> tuple[NDArray[np.uint8], ...] | None:
        """The current picture of every copy, uint8 [H, W, 3], in mode ``rgb_array``; None in mode ``human``.

        Raises:
            UsageError: The environment was made without a render mode, or never reset.
        """
        if self.render_mode is None:
            raise UsageError(f"render() needs a render_mode; there are: {', '.join(_RENDER_MODES)}")
        if not self._begun:
            raise UsageError("the environment must be reset before it is rendered")
        frames = self._frames()
        if self.render_mode == "human":
            self._window.show(mosaic(frames))
            return None
        return tuple(frames)

    def get_state(self) -> list[dict[str, Any]]:
        """The state of every copy, as ``SimulationEnv.get_state`` gives it for one.

        Raises:
            UsageError: The environment was never reset.
        """
        if not self._begun:
            raise UsageError("the environment must be reset before it has a state")
        return [
            _save(self.simulation, row, self._generator(row), int(self._steps[row]), bool(self._over[row]))
            for row in range(self.num_envs)
        ]

    def set_state(self, states: Sequence[Mapping[str, Any]]) -> tuple[Any, dict[str, Any]]:
        """Goes on from states that ``get_state`` gave, here, in another environment made alike, or in scalar ones.

        Args:
            states: One for each copy.

        Returns:
            The observations and the infos, as ``reset`` does.

        Raises:
            UsageError: They are no states of this environment, or not one for each copy; then nothing has changed.
        """
        if not isinstance(states, Sequence) or len(states) != self.num_envs:
            raise UsageError(f"set_state needs a list of {self.num_envs} states, one for each copy")
        for state in states:
            _check_state(state)
        begun = self._begun
        if not begun:
            self.reset()  # the simulation needs generators, whose states are then overwritten
        before = self.get_state()
        try:
            self._set_states(states)
        except UsageError:
            self._set_states(before)
            self._begun = begun
            raise
        return self._draw(), self._infos(None)

    def _set_states(self, states: Sequence[Mapping[str, Any]]) -> None:
        for row, state in enumerate(states):
            self._steps[row], self._over[row] = _restore(self.simulation, row, self._generator(row), state)

    def close_extras(self, **kwargs: Any) -> None:
        """Lets go of the window and of what the simulation holds."""
        self._window.close()
        self.simulation.close()


def save_state(env: gymnasium.Env[Any, Any]) -> dict[str, Any]:
    """The state of a scalar environment as ``gymnasium.make`` gives it, the time limit around it included.

    Args:
        env: A ``SimulationEnv`` within any wrappers.

    Raises:
        UsageError: It is no environment of this library, or was never reset.
    """
    if not isinstance(env.unwrapped, SimulationEnv):
        raise UsageError(f"only environments of equiworld can be saved, got {env.unwrapped}")
    limits = [int(wrapper._elapsed_steps or 0) for wrapper in _time_limits(env)]
    return {**env.unwrapped.get_state(), "time_limits": limits}


def restore_state(env: gymnasium.Env[Any, Any], state: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Goes on from what ``save_state`` gave, in an environment that is made and wrapped alike.

    Returns:
        The observation and the info, as they come from the innermost environment.

    Raises:
        UsageError: It is no environment of this library, or no state of it.
    """
    if not isinstance(env.unwrapped, SimulationEnv):
        raise UsageError(f"only environments of equiworld can be restored, got {env.unwrapped}")
    wrappers = _time_limits(env)
    limits = state.get("time_limits") if isinstance(state, Mapping) else None
    if not isinstance(limits, list) or len(limits) != len(wrappers):
        raise UsageError("this is not a state that save_state gave for an environment within the same time limits")
    env.reset()  # the wrappers refuse steps before a reset
    seen = env.unwrapped.set_state({name: entry for name, entry in state.items() if name != "time_limits"})
    for wrapper, elapsed in zip(wrappers, limits, strict=True):
        wrapper._elapsed_steps = elapsed
    return seen


def _time_limits(env: gymnasium.Env[Any, Any]) -> list[gymnasium.wrappers.TimeLimit[Any, Any]]:
    """The time limits around an environment, the outermost first."""
    found = []
    while isinstance(env, gymnasium.Wrapper):
        if isinstance(env, gymnasium.wrappers.TimeLimit):
            found.append(env)
        env = env.env
    return found


def _save(simulation: Simulation, row: int, rng: np.random.Generator, steps: int, over: bool) -> dict[str, Any]:
    state = simulation.get_state(row), rng.bit_generator.state, steps, over
    return dict(zip(_STATE, state, strict=True))


def _check_state(state: Mapping[str, Any]) -> None:
    if not isinstance(state, Mapping) or set(state) != set(_STATE):
        raise UsageError(f"a state is what get_state gave, with {', '.join(_STATE)}; this is something else")
    steps, over = state["steps"], state["over"]
    whole = isinstance(steps, int | np.integer) and steps >= 0 and isinstance(over, bool | np.bool_)
    if not whole or not isinstance(state["simulation"], Mapping):
        raise UsageError(
            "a state holds a mapping, a number of steps and whether the episode is over; this one does not"
        )


def _restore(simulation: Simulation, row: int, rng: np.random.Generator, state: Mapping[str, Any]) -> tuple[int, bool]:
    before = rng.bit_generator.state
    try:
        rng.bit_generator.state = state["rng"]
    except (TypeError, ValueError, KeyError) as error:
        raise UsageError(f"the state of the generator cannot be restored: {error}") from error
    try:
        simulation.set_state(row, state["simulation"])
    except (TypeError, ValueError, KeyError) as error:
        rng.bit_generator.state = before
        if isinstance(error, UsageError):
            raise
        raise UsageError(f"the state of the simulation cannot be restored: {error}") from error
    return int(state["steps"]), bool(state["over"])


def _row(observation: Any, row: int) -> Any:
    """One copy's part of a batched observation, as arrays of its own."""
    if isinstance(observation, dict):
        return {name: part[row].copy() for name, part in observation.items()}
    return observation[row].copy()


def _entry(value: Any) -> Any:
    """An entry of a scalar info: an array of its own, or a number; bool as Python's, which Gymnasium can batch."""
    if isinstance(value, np.ndarray):
        return value.copy()
    return bool(value) if isinstance(value, np.bool_) else value


def _one_action(space: spaces.Space[Any], action: Any) -> Any:
    """An action as a batch of one."""
    if isinstance(space, spaces.Dict) and isinstance(action, Mapping):
        return {name: _one_action(space[name], part) for name, part in action.items() if name in space.spaces}
    if isinstance(space, spaces.Tuple) and isinstance(action, tuple | list) and len(action) == len(space):
        return tuple(_one_action(part, value) for part, value in zip(space, action, strict=True))
    return [action]


def _check_options(options: Mapping[str, Any] | None) -> Mapping[str, Any]:
    if options is None:
        return {}
    if not isinstance(options, Mapping):
        raise UsageError(f"reset options must be a dict, got {options!r}")
    return options


def _check_render_mode(mode: str | None) -> str | None:
    if mode is not None and mode not in _RENDER_MODES:
        raise UsageError(f"there is no render mode {mode!r}; there are: {', '.join(_RENDER_MODES)}")
    return mode


def _check_limit(steps: int | None) -> int | None:
    if steps is None or (isinstance(steps, int) and steps == -1):
        return None
    if not isinstance(steps, int | np.integer) or isinstance(steps, bool) or steps < 1:
        raise UsageError(f"max_episode_steps must be a whole number, 1 or more, got {steps!r}")
    return int(steps)


def _check_autoreset(mode: str | AutoresetMode) -> AutoresetMode:
    try:
        return AutoresetMode(mode)
    except ValueError as error:
        known = ", ".join(each.value for each in AutoresetMode)
        raise UsageError(f"there is no autoreset mode {mode!r}; there are: {known}") from error
