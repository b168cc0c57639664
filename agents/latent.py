"""Gymnasium environments, one copy or many, with an observer between them and the agent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.utils import RecordConstructorArgs
from gymnasium.vector import AutoresetMode, VectorEnv, VectorWrapper
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from ..envs import restore_state, save_state
from ..envs.registry import UsageError
from .observers import Observer


class Stack:
    """The last observations of every copy, side by side along their last axis, the oldest first.

    At the beginning of an episode the first observation is repeated.

    Args:
        frames: Observations that are shown together, k; 1 for the last one alone.
        space: Of one observation ``[..., D]``.

    Attributes:
        space: Of what is shown, ``[..., k D]``.
        kept: What is shown of each copy, ``[N, ..., k D]``; None where nothing is kept.

    Raises:
        UsageError: ``frames`` is below 1, or the observations are no arrays.
    """

    def __init__(self, frames: int, space: spaces.Space[Any]) -> None:
        if frames < 1:
            raise UsageError(f"--stack must be 1 or more, not {frames}")
        if frames > 1 and not isinstance(space, spaces.Box):
            raise UsageError(f"--stack {frames} needs observations that are one array, not {space}; 1 is accepted")
        self.frames, self.kept = frames, None if frames == 1 else np.zeros(0)
        self.space = space
        if frames > 1 and isinstance(space, spaces.Box):
            low, high = (np.concatenate([end] * frames, axis=-1) for end in (space.low, space.high))
            self.space = spaces.Box(low, high, dtype=space.dtype.type)
            self._width = space.shape[-1]

    def begin(self, observations: Any, rows: NDArray[np.bool_] | None = None) -> Any:
        """What is shown where episodes begin.

        Args:
            observations: Of all copies, ``[N, ..., D]``.
            rows: The copies in which one begins, bool ``[N]``, the others being shown what they were; None: all.
        """
        if self.kept is None:
            return observations
        first = np.concatenate([observations] * self.frames, axis=-1)
        if rows is not None:
            first[~rows] = self.kept[~rows]
        self.kept = first
        return first.copy()

    def push(self, observations: Any, begun: NDArray[np.bool_]) -> Any:
        """What is shown after a step.

        Args:
            observations: Of all copies, ``[N, ..., D]``.
            begun: The copies whose observation is the first of an episode, bool ``[N]``.
        """
        if self.kept is None:
            return observations
        self.kept = self.after(observations, slice(None))
        if begun.any():
            self.kept[begun] = np.concatenate([observations[begun]] * self.frames, axis=-1)
        return self.kept.copy()

    def after(self, observations: Any, rows: Any) -> Any:
        """What would be shown of some copies ``rows [R]`` after these observations ``[R, ..., D]``; nothing is kept."""
        if self.kept is None:
            return observations
        return np.concatenate([self.kept[rows][..., self._width :], observations], axis=-1)


class LatentEnv(gymnasium.Wrapper[Any, Any, Any, Any], RecordConstructorArgs):
    """One copy of an environment that shows what an observer makes of it.

    Args:
        env: The environment.
        observer: What the agent is shown.
        stack: Observations that are shown together.

    Raises:
        UsageError: The observations cannot be stacked.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], observer: Observer, stack: int = 1) -> None:
        RecordConstructorArgs.__init__(self, observer=observer, stack=stack)  # so that its spec makes it again
        gymnasium.Wrapper.__init__(self, env)
        self.observer, self.stack = observer, Stack(stack, observer.space)
        self.observation_space = self.stack.space

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """As the environment does; a seed is also the observer's."""
        observation, info = self.env.reset(seed=seed, options=options)
        if seed is not None:
            self.observer.seed(seed)
        return _first(self.stack.begin(self._shown(observation, info))), info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = self.env.step(action)
        shown = self.stack.push(self._shown(observation, info), np.zeros(1, dtype=bool))
        return _first(shown), reward, terminated, truncated, info

    def _shown(self, observation: Any, info: Mapping[str, Any]) -> Any:
        batch = {name: part[None] for name, part in observation.items()} if isinstance(observation, dict) else None
        told = {name: np.asarray(info[name])[None] for name in self.observer.reads}
        return self.observer(np.asarray(observation)[None] if batch is None else batch, told)

    def get_state(self) -> dict[str, Any]:
        """All that is needed to go on bit by bit from here; see ``envs.save_state``."""
        return {"env": save_state(self.env), "observer": self.observer.get_state(), "stack": self.stack.kept}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Goes on from what ``get_state`` gave.

        Raises:
            UsageError: It is no state of this environment.
        """
        restore_state(self.env, state["env"])
        self.observer.set_state(state["observer"])
        self.stack.kept = state["stack"]


def _first(batch: Any) -> Any:
    return {name: part[0] for name, part in batch.items()} if isinstance(batch, dict) else batch[0]


class LatentVectorEnv(VectorWrapper):
    """Many copies of an environment that show what an observer makes of them, in any autoreset mode.

    The last observations of episodes (``final_obs``) are shown by the observer too, in the same batch as the others.

    Args:
        env: The vector environment.
        observer: What the agent is shown.
        stack: Observations that are shown together.

    Raises:
        UsageError: The observations cannot be stacked.
    """

    def __init__(self, env: VectorEnv[Any, Any, Any], observer: Observer, stack: int = 1) -> None:
        super().__init__(env)
        self.observer, self.stack = observer, Stack(stack, observer.space)
        self.single_observation_space = self.stack.space
        self.observation_space = batch_space(self.stack.space, self.num_envs)
        self._next_step = self.env.metadata.get("autoreset_mode") is AutoresetMode.NEXT_STEP
        self._over = np.zeros(self.num_envs, dtype=bool)
        self._seen: Any = None  # what the observer made last

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """As the environment does; seeds are also the observer's."""
        mask = None if options is None else options.get("reset_mask")
        observations, infos = self.env.reset(seed=seed, options=options)  # type: ignore[arg-type]
        if seed is not None and mask is None:
            self.observer.seed(*([seed] if isinstance(seed, int | np.integer) else [each or 0 for each in seed]))
        self._over[slice(None) if mask is None else mask] = False
        shown = self.observer(observations, infos)
        if mask is not None and self.observer.reads:
            shown[~mask] = self._seen[~mask]  # nothing is told of the copies that were not reset
        self._seen = shown
        return self.stack.begin(shown, mask), infos

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        observations, rewards, terminated, truncated, infos = self.env.step(actions)
        ended = np.flatnonzero(infos["_final_obs"]) if "_final_obs" in infos else ()
        begun = self._over if self._next_step else np.zeros(self.num_envs, dtype=bool)
        if len(ended):
            infos = dict(infos)
            shown = self._with_ends(observations, infos, np.asarray(ended))
            begun = np.asarray(infos["_final_obs"])
        else:
            shown = self.observer(observations, infos)
        self._seen = shown
        shown = self.stack.push(shown, begun)
        if self._next_step:
            self._over = np.logical_or(terminated, truncated)
        return shown, rewards, terminated, truncated, infos

    def _with_ends(self, observations: Any, infos: dict[str, Any], ended: NDArray[np.int64]) -> Any:
        """What is shown of all copies, in one batch with the ends of episodes, which are put into ``infos``."""
        ends = [infos["final_obs"][row] for row in ended]
        told = {name: np.concatenate([infos[name], infos["final_info"][name][ended]]) for name in self.observer.reads}
        if isinstance(observations, dict):
            batch: Any = {
                name: np.concatenate([part, np.stack([end[name] for end in ends])])
                for name, part in observations.items()
            }
        else:
            batch = np.concatenate([observations, np.stack(ends)])
        seen = self.observer(batch, told)
        number = self.num_envs
        shown, last = (part(seen, slice(number)), part(seen, slice(number, None)))
        last = self.stack.after(last, ended)
        infos["final_obs"] = np.full(number, None, dtype=object)
        for place, row in enumerate(ended.tolist()):
            infos["final_obs"][row] = part(last, place)
        return shown

    def get_state(self) -> dict[str, Any]:
        """All that is needed to go on bit by bit from here, as plain data."""
        inner: Any = self.env
        return {
            "envs": inner.get_state(),
            "observer": self.observer.get_state(),
            "stack": self.stack.kept,
            "over": self._over.copy(),
            "seen": self._seen if self.observer.reads else None,
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Goes on from what ``get_state`` gave.

        Raises:
            UsageError: It is no state of this environment.
        """
        inner: Any = self.env
        inner.set_state(state["envs"])
        self.observer.set_state(state["observer"])
        self.stack.kept, self._over = state["stack"], np.array(state["over"], dtype=bool)
        self._seen = state.get("seen")


def part(batch: Any, rows: Any) -> Any:
    """Some rows of a batch, or one of them, of a ``Dict`` too."""
    return {name: entry[rows] for name, entry in batch.items()} if isinstance(batch, dict) else batch[rows]
