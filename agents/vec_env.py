"""Vector environments for stable-baselines3: those of Gymnasium as one of its own, and its own seen by an observer."""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from numpy.typing import NDArray
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper

from ..envs.registry import UsageError
from .latent import LatentVectorEnv, Stack, part
from .observers import Observer
from .rewards import Rewards


class SB3VecEnv(VecEnv):
    """A vector environment that resets its copies in the step that ends an episode, for stable-baselines3.

    ``infos[i]`` of a step holds copy i's own entries, and where an episode ends ``terminal_observation`` (as the
    observer shows it), ``TimeLimit.truncated``, ``is_success`` where the environment tells, and ``episode`` as
    stable-baselines3's ``Monitor`` gives it: return ``r``, length ``l``, and seconds ``t``.

    Observations may be buffers of the environment, valid until the step after the next.

    Args:
        envs: The vector environment, in the autoreset mode ``SameStep``.
        observer: What the agent is shown; None: what the environment shows.
        stack: Observations that are shown together.
        rewards: What is learnt from; None: the environment's own rewards.

    Attributes:
        envs: The vector environment, with the observer around it.
        rewards: The same.
        last: The observations that were given last.

    Raises:
        UsageError: The environment has another autoreset mode, or the observations cannot be stacked.
    """

    def __init__(
        self,
        envs: VectorEnv[Any, Any, Any],
        observer: Observer | None = None,
        stack: int = 1,
        rewards: Rewards | None = None,
    ) -> None:
        mode = envs.metadata.get("autoreset_mode")
        if mode is not AutoresetMode.SAME_STEP:
            told = getattr(mode, "value", mode)
            raise UsageError(f"stable-baselines3 needs environments of autoreset_mode SameStep, not {told}")
        self.envs: Any = envs if observer is None else LatentVectorEnv(envs, observer, stack)
        self.rewards = Rewards(envs.num_envs) if rewards is None else rewards
        self.last: Any = None
        self._actions: Any = None
        self._returns = np.zeros(envs.num_envs)
        self._lengths = np.zeros(envs.num_envs, dtype=np.int64)
        self._began = time.perf_counter()
        super().__init__(envs.num_envs, self.envs.single_observation_space, envs.single_action_space)

    def reset(self) -> Any:
        """Begins an episode in every copy, with the seeds and options that were set before.

        Raises:
            UsageError: The options differ between copies.
        """
        if any(options != self._options[0] for options in self._options):
            raise UsageError("the copies of a vector environment are reset with one and the same options")
        seeds = None if all(seed is None for seed in self._seeds) else list(self._seeds)
        observations, infos = self.envs.reset(seed=seeds, options=self._options[0] or None)
        self.reset_infos = _by_copy(infos, self.num_envs)
        self._reset_seeds()
        self._reset_options()
        self._returns[:], self._lengths[:] = 0.0, 0
        self.rewards.begin()
        self.last = observations
        return observations

    def step_async(self, actions: NDArray[Any]) -> None:
        self._actions = actions

    def step_wait(self) -> Any:
        observations, rewards, terminated, truncated, told = self.envs.step(self._actions)
        self._returns += rewards
        self._lengths += 1
        dones = np.logical_or(terminated, truncated)
        infos = _by_copy(told, self.num_envs)
        ended = np.flatnonzero(dones)
        if len(ended):
            last = _by_copy(told["final_info"], self.num_envs)
            seconds = round(time.perf_counter() - self._began, 6)
            for row in ended.tolist():
                # What is told of the episode that ended; of the one that begins: its first observation, in reset_infos.
                self.reset_infos[row] = infos[row]
                infos[row] = last[row] | {
                    "terminal_observation": told["final_obs"][row],
                    "TimeLimit.truncated": bool(truncated[row] and not terminated[row]),
                    "episode": {
                        "r": round(float(self._returns[row]), 6),
                        "l": int(self._lengths[row]),
                        "t": seconds,
                    },
                }
                reached = success(last[row], bool(terminated[row]))
                if reached is not None:
                    infos[row]["is_success"] = reached
            self._returns[ended], self._lengths[ended] = 0.0, 0
        self.last = observations
        return observations, self.rewards(rewards, dones), dones, infos

    def close(self) -> None:
        self.envs.close()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """An attribute of the vector environment, once for each copy; its entries where it has one for each."""
        return [_of_copy(self._find(attr_name), row, self.num_envs) for row in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Sets an attribute of the vector environment, for all copies."""
        setattr(self.envs.unwrapped, attr_name, value)

    def env_method(self, method_name: str, *method_args: Any, indices: Any = None, **method_kwargs: Any) -> list[Any]:
        """Calls a method of the vector environment once; what it returns for each copy."""
        found = self._find(method_name)(*method_args, **method_kwargs)
        return [_of_copy(found, row, self.num_envs) for row in self._get_indices(indices)]

    def _find(self, name: str) -> Any:
        return getattr(self.envs if hasattr(self.envs, name) else self.envs.unwrapped, name)

    def env_is_wrapped(self, wrapper_class: type[gymnasium.Wrapper[Any, Any, Any, Any]], indices: Any = None) -> Any:
        """True for ``Monitor``, whose part is done here; no other wrapper is around single copies."""
        return [issubclass(wrapper_class, Monitor)] * len(list(self._get_indices(indices)))

    def get_images(self) -> Sequence[NDArray[np.uint8] | None]:
        """The pictures of all copies, uint8 [H, W, 3], where the environment was made with ``rgb_array``."""
        frames = self.envs.render() if self.render_mode == "rgb_array" else None
        return [None] * self.num_envs if frames is None else list(frames)

    def get_state(self) -> dict[str, Any]:
        """All that is needed to go on bit by bit from here, as plain data: copies, observer, stack, episodes begun."""
        return {
            "envs": self.envs.get_state(),
            "returns": self._returns.copy(),
            "lengths": self._lengths.copy(),
            "rewards": self.rewards.get_state(),
            "last": copy.deepcopy(self.last),
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Goes on from what ``get_state`` gave.

        Raises:
            UsageError: It is no state of this environment.
        """
        self.envs.set_state(state["envs"])
        self._returns, self._lengths = np.array(state["returns"]), np.array(state["lengths"])
        if "rewards" in state:  # states of older checkpoints are without, and their rewards the environment's own
            self.rewards.set_state(state["rewards"])
        self.last = state["last"]


class LatentVecEnv(VecEnvWrapper):
    """A vector environment of stable-baselines3 that shows what an observer makes of it.

    The last observations of episodes (``terminal_observation``) are shown by the observer too, in the same batch as the
    others.

    Args:
        venv: The vector environment, of ``make_vec_env`` say; images as ``[H, W, C]``.
        observer: What the agent is shown.
        stack: Observations that are shown together.

    Raises:
        UsageError: The observations cannot be stacked.
    """

    def __init__(self, venv: VecEnv, observer: Observer, stack: int = 1) -> None:
        self.observer, self.stack = observer, Stack(stack, observer.space)
        super().__init__(venv, observation_space=self.stack.space)

    def seed(self, seed: int | None = None) -> Sequence[int | None]:
        """Seeds the copies, and what is random in the observer."""
        seeds = self.venv.seed(seed)
        if seed is not None:
            self.observer.seed(*(each or 0 for each in seeds))
        return seeds

    def reset(self) -> Any:
        observations: Any = self.venv.reset()
        told = self.venv.unwrapped.reset_infos
        return self.stack.begin(self.observer(observations, self._told(told)))

    def step_wait(self) -> Any:
        observations, rewards, dones, infos = self.venv.step_wait()
        begun, ended = self.venv.unwrapped.reset_infos, np.flatnonzero(dones)
        told = [begun[row] if over else info for row, (over, info) in enumerate(zip(dones, infos, strict=True))]
        last = [infos[row]["terminal_observation"] for row in ended]
        seen = self.observer(_with(observations, last), self._told([*told, *(infos[row] for row in ended)]))
        number = self.num_envs
        final = self.stack.after(part(seen, slice(number, None)), ended)
        for place, row in enumerate(ended.tolist()):
            infos[row]["terminal_observation"] = part(final, place)
        return self.stack.push(part(seen, slice(number)), np.asarray(dones, dtype=bool)), rewards, dones, infos

    def _told(self, infos: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        return {name: np.stack([np.asarray(info[name]) for info in infos]) for name in self.observer.reads}


def _with(observations: Any, more: list[Any]) -> Any:
    """A batch of observations, and others behind it."""
    if not more:
        return observations
    if isinstance(observations, dict):
        return {name: np.concatenate([entry, [one[name] for one in more]]) for name, entry in observations.items()}
    return np.concatenate([observations, np.stack(more)])


def success(info: Mapping[str, Any], terminated: bool) -> bool | None:
    """Whether an episode ended well; None where the environment does not tell.

    Args:
        info: What was told of the episode's end: ``success``, or a ``goal`` whose reaching is the only end.
        terminated: Whether it ended of its own.
    """
    if "success" in info:
        return bool(info["success"])
    return terminated if "goal" in info else None


def _by_copy(infos: Mapping[str, Any], number: int) -> list[dict[str, Any]]:
    """The infos of every copy, of those of a vector environment."""
    rows: list[dict[str, Any]] = [{} for _ in range(number)]
    for name, values in infos.items():
        if name.startswith("_") or name in ("final_obs", "final_info"):
            continue
        mask = infos.get(f"_{name}")
        for row in range(number) if mask is None else np.flatnonzero(mask).tolist():
            rows[row][name] = values[row]
    return rows


def _of_copy(value: Any, row: int, number: int) -> Any:
    """A copy's entry of a list or tuple with one for each copy; anything else is the same for all."""
    return value[row] if isinstance(value, list | tuple) and len(value) == number else value
