"""Many copies of any Gymnasium environment, each of which is reset with a seed of its own."""

from __future__ import annotations

import copy
import importlib
from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from numpy.typing import NDArray

from ...envs.registry import UsageError, nearest
from ...envs.world import World
from .layout import Header, leaves, plain_action, plain_factor, unknown_factor, versions


def find_spec(env_id: str) -> Any:
    """Gymnasium's description of an environment.

    Args:
        env_id: Its id; ``module:id`` imports a module first, which registers it.

    Raises:
        UsageError: There is no such module or environment.
    """
    module, _, name = env_id.rpartition(":")
    if module:
        try:
            importlib.import_module(module)
        except ImportError as error:
            raise UsageError(f"the environment {env_id!r} needs the module {module}: {error}") from error
    try:
        return gymnasium.spec(name)
    except gymnasium.error.Error as error:
        hint = nearest(name, list(gymnasium.registry))
        known = ", ".join(sorted(each for each in gymnasium.registry if each.startswith("equiworld/")))
        raise UsageError(f"there is no environment {name!r}{hint}; of equiworld there are: {known}") from error


class Copies:
    """A vector environment whose copies are reset one by one, when the user says so.

    The native vector environment is taken where it can do that, and Gymnasium's loop over environments where not.

    Args:
        env_id: ``equiworld/FlatLand-v0``, ``CartPole-v1``, ``ale_py:ALE/Breakout-v5``, ...
        number: Copies N.
        options: Keyword arguments of ``gymnasium.make``.

    Attributes:
        id: The environment's id, with the module that registers it where that was given.
        envs: The vector environment.
        native: Whether it is one of its own kind.
        infos: What is known of all copies: arrays [N, ...] by name.

    Raises:
        UsageError: There is no such environment, or it does not take the options.
    """

    def __init__(self, env_id: str, number: int, options: Mapping[str, Any] | None = None) -> None:
        self.options = dict(options or {})
        self.spec = find_spec(env_id)
        module = env_id.rpartition(":")[0]
        self.id = f"{module}:{self.spec.id}" if module else self.spec.id
        if number < 1:
            raise UsageError(f"the number of copies must be 1 or more, got {number}")
        self.envs: VectorEnv[Any, Any, Any]
        native = self._native(number)
        self.native = native is not None
        self.envs = native or self._loop(number)
        self.number = number
        self.infos: dict[str, NDArray[Any]] = {}
        inner = self.envs.unwrapped
        self.one: Any = inner if self.native else inner.envs[0].unwrapped  # type: ignore[attr-defined]

    def _native(self, number: int) -> VectorEnv[Any, Any, Any] | None:
        if self.spec.vector_entry_point is None or self.spec.additional_wrappers:
            return None
        try:
            envs = gymnasium.make_vec(
                self.spec,
                num_envs=number,
                vectorization_mode="vector_entry_point",
                autoreset_mode=AutoresetMode.DISABLED,
                **self.options,
            )
        except UsageError:
            raise
        except (TypeError, ValueError, AssertionError, gymnasium.error.Error):
            return None  # it has no such mode; what is wrong with the options the loop will tell
        if envs.metadata.get("autoreset_mode") is AutoresetMode.DISABLED:
            return envs
        envs.close()
        return None

    def _loop(self, number: int) -> VectorEnv[Any, Any, Any]:
        settings = {"autoreset_mode": AutoresetMode.DISABLED, "copy": False}
        try:
            return gymnasium.make_vec(
                self.spec, num_envs=number, vectorization_mode="sync", vector_kwargs=settings, **self.options
            )
        except UsageError:
            raise
        except (TypeError, ValueError, AssertionError, ImportError, gymnasium.error.Error) as error:
            raise UsageError(
                f"the environment {self.spec.id} cannot be made: {' '.join(str(error).split())}"
            ) from error

    def reset(self, seeds: Mapping[int, int]) -> Any:
        """Begins episodes in some copies.

        Args:
            seeds: By copy. The first time all of them.

        Returns:
            The observations of all copies, valid until the step after the next.
        """
        mask = np.zeros(self.number, dtype=bool)
        mask[list(seeds)] = True
        given: Any = [seeds.get(row) for row in range(self.number)]
        options = None if mask.all() else {"reset_mask": mask}
        observations, infos = self.envs.reset(seed=given, options=options)
        for name, values in self._arrays(infos).items():
            if name in self.infos and not mask.all():
                self.infos[name] = np.where(mask.reshape(-1, *(1,) * (values.ndim - 1)), values, self.infos[name])
            else:
                self.infos[name] = values
        return observations

    def step(self, actions: Any) -> tuple[Any, NDArray[Any], NDArray[np.bool_], NDArray[np.bool_]]:
        """Steps all copies: observations, rewards, terminated, truncated."""
        observations, rewards, terminated, truncated, infos = self.envs.step(actions)
        self.infos.update(self._arrays(infos))
        return observations, rewards, terminated, truncated

    def _arrays(self, infos: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
        return {
            name: values
            for name, values in infos.items()
            if isinstance(values, np.ndarray) and values.dtype != object and values.shape[:1] == (self.number,)
        }

    def header(self, policy: Mapping[str, Any], seed: int, shard: tuple[int, int]) -> Header:
        """What a file says that is collected here; asked after the first reset.

        Raises:
            UsageError: A space cannot be recorded.
        """
        world = self._world()
        observation_space, action_space = self.envs.single_observation_space, self.envs.single_action_space
        for name, space in (("observation", observation_space), ("action", action_space)):
            list(leaves(space, name))
        spec = copy.deepcopy(self.spec)
        spec.kwargs |= self.options
        spec.max_episode_steps = spec.kwargs.pop("max_episode_steps", spec.max_episode_steps)
        try:
            text = spec.to_json()
        except (TypeError, ValueError):  # arguments that are no JSON; id and options say it all the same
            text = ""
        return Header(
            observation_space,
            action_space,
            environment={"id": self.id, "options": self.options},
            spec=text,
            policy=dict(policy),
            seed=seed,
            shard=shard,
            factors=self._factors(),
            actions=self._actions(),
            plain_actions=world is not None and _moves_plainly(type(world)),
            commutes=world is None or world.commutes,
            versions=versions(self.spec.entry_point),
        )

    def _factors(self) -> tuple[dict[str, Any], ...]:
        if "factors" not in self.infos:
            return ()
        world = self._world()
        if world is not None:
            return tuple(plain_factor(factor) for factor in world.factors.factors)
        return tuple(unknown_factor(name) for name in self._names())

    def _names(self) -> tuple[str, ...]:
        count = self.infos["factors"].shape[1]
        return tuple(getattr(self.one, "factor_names", ())) or tuple(f"factor_{column}" for column in range(count))

    def _world(self) -> World | None:
        """The world behind the environment, if the environment's factors are the world's."""
        world = getattr(self.one, "world", None)
        own = isinstance(world, World) and "factors" in self.infos and world.factors.names == self._names()
        return world if own else None

    def _actions(self) -> tuple[dict[str, Any], ...]:
        """What the world's actions do, if the environment's actions are those."""
        world, space = self._world(), self.envs.single_action_space
        if world is None or not isinstance(space, gymnasium.spaces.Discrete):
            return ()
        same = space.start == 0 and space.n == len(world.actions)
        return tuple(plain_action(action) for action in world.actions) if same else ()

    def close(self) -> None:
        """Closes the environment."""
        self.envs.close()


def _moves_plainly(kind: type[World]) -> bool:
    """Whether a world takes over what actions do from ``World``."""
    return all(getattr(kind, name) is getattr(World, name) for name in ("act", "_move"))


class OneCopy:
    """One copy of a vector environment, for a policy that acts in it alone.

    A policy that draws for all copies at once would act differently in an episode when another copy is elsewhere; so
    each episode has a policy and a generator of its own.

    Args:
        copies: The copies.
        number: What it says when it is asked for the number of copies.
    """

    def __init__(self, copies: Copies, number: int = 1) -> None:
        self._one, self.num_envs = copies.one, number
        self.single_action_space = copies.envs.single_action_space
        self.single_observation_space = copies.envs.single_observation_space

    @property
    def unwrapped(self) -> OneCopy:
        """Itself."""
        return self

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._one, name)
