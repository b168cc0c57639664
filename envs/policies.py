"""Scripted policies that act in many copies of an environment at once, to collect rollouts with.

A policy is made for a vector environment, keeps one memory for each copy, and takes everything random from the
generator that it is handed::

    policy = make_policy("brownian", envs)
    observations, infos = envs.reset(seed=0)
    policy.reset(np.ones(envs.num_envs, dtype=bool), rng)  # an episode begins in every copy
    while collecting:
        actions = policy(observations, infos, rng)
        observations, rewards, terminated, truncated, infos = envs.step(actions)
        policy.reset(begun, rng)  # bool [N]: where ``observations`` are the first of an episode

``rng`` is one ``numpy.random.Generator`` for all copies: a policy draws for the whole batch at once, the same amount
whatever the copies do, so that one seed gives one run.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray

from .registry import Registry, UsageError


class Policy(ABC):
    """Chooses an action in every copy of a vector environment.

    Args:
        env: The vector environment.

    Attributes:
        num_envs: Copies N.
        action_space: Of one copy.
    """

    def __init__(self, env: VectorEnv[Any, Any, Any]) -> None:
        self.num_envs = env.num_envs
        self.action_space = env.single_action_space

    def reset(self, mask: NDArray[np.bool_], rng: np.random.Generator) -> None:  # noqa: B027 (most keep no memory)
        """Forgets what was, in the copies where an episode begins.

        Args:
            mask: Which ones, bool [N].
            rng: The source of randomness.
        """

    @abstractmethod
    def __call__(self, observations: Any, infos: Mapping[str, Any], rng: np.random.Generator) -> Any:
        """The actions of all copies, a batch of the action space.

        Args:
            observations: What the environment showed last, [N, ...].
            infos: What it told with it; ``infos["factors"]`` [N, K].
            rng: The source of randomness.
        """


POLICIES: Registry[type[Policy]] = Registry("policy")


def make_policy(name: str, env: VectorEnv[Any, Any, Any], **options: Any) -> Policy:
    """The policy registered under ``name``, for a vector environment.

    Args:
        name: A name in ``POLICIES``.
        env: The vector environment.
        **options: Keyword options of that policy.

    Raises:
        UsageError: There is no such policy, it does not take an option or refuses its value, or it does not suit the
            environment.
    """
    policy = POLICIES[name]
    accepted = [key for key in inspect.signature(policy).parameters if key != "env"]
    for option in options:
        if option not in accepted:
            takes = ", ".join(accepted) or "none"
            raise UsageError(f"the policy {name!r} has no option {option!r}; it takes: {takes}")
    return policy(env, **options)


@POLICIES.register("random")
class RandomPolicy(Policy):
    """Uniform actions, each drawn anew; standard normal where a ``Box`` has no bounds."""

    def __init__(self, env: VectorEnv[Any, Any, Any]) -> None:
        super().__init__(env)
        _check_space(self.action_space)

    def __call__(self, observations: Any, infos: Mapping[str, Any], rng: np.random.Generator) -> Any:
        return _over(self.action_space, lambda space: _uniform(space, self.num_envs, rng))


@POLICIES.register("brownian")
class BrownianPolicy(Policy):
    """Actions that change slowly, and so lead further away than independent ones do.

    A discrete action is kept with some probability, and otherwise drawn anew; a continuous one walks by normal steps
    and stops at its bounds.

    Args:
        env: The vector environment.
        keep: The probability of keeping a discrete action, in [0, 1).
        step: Standard deviation of a continuous step, as a part of the interval (of 1 where there is no bound).

    Raises:
        UsageError: An option is out of its range, or the action space is not supported.
    """

    def __init__(self, env: VectorEnv[Any, Any, Any], *, keep: float = 0.9, step: float = 0.1) -> None:
        super().__init__(env)
        _check_space(self.action_space)
        if not _is_number(keep) or not 0 <= keep < 1:
            raise UsageError(f"keep must be a probability below 1, got {keep!r}")
        if not _is_number(step) or not step > 0:
            raise UsageError(f"step must be positive, got {step!r}")
        self.keep, self.step = keep, step
        self._begun: NDArray[np.bool_] = np.ones(self.num_envs, dtype=bool)
        self._last: Any = None

    def reset(self, mask: NDArray[np.bool_], rng: np.random.Generator) -> None:
        self._begun |= mask

    def __call__(self, observations: Any, infos: Mapping[str, Any], rng: np.random.Generator) -> Any:
        fresh = _over(self.action_space, lambda space: _uniform(space, self.num_envs, rng))
        if self._last is None:
            self._last = fresh
        moved = _over(self.action_space, lambda space, old, new: self._next(space, old, new, rng), self._last, fresh)
        self._last = _over(self.action_space, lambda _, a, b: _where(self._begun, a, b), fresh, moved)
        self._begun = np.zeros(self.num_envs, dtype=bool)
        # A copy: what the policy remembers is its own.
        return _over(self.action_space, lambda _, batch: batch.copy(), self._last)

    def _next(self, space: Any, old: NDArray[Any], new: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
        if not isinstance(space, spaces.Box):
            return _where(rng.random(self.num_envs) < self.keep, old, new)
        bounded = np.isfinite(space.low) & np.isfinite(space.high)
        scale = self.step * np.where(bounded, space.high - np.where(bounded, space.low, 0.0), 1.0)
        walked = old + scale * rng.standard_normal(old.shape)
        return np.clip(walked, space.low, space.high).astype(space.dtype)


@POLICIES.register("follower")
class FollowerPolicy(Policy):
    """Breakout: fires when no ball is in play, and keeps the paddle under the ball; it reads ``info["factors"]``.

    Args:
        env: A vector environment of Breakout.
        epsilon: The probability of a uniform action instead, in [0, 1].
        anticipate: Whether to make for where a falling ball will meet the paddle, walls included, and to allow for how
            far the paddle coasts on; otherwise for where the ball is. Without random actions the one breaks some 75 of
            the 108 bricks, the other some 30.
        spread: How far from the paddle's middle the ball is caught, at most, in pixels; drawn each time that the ball
            turns downwards. It varies the angles, without which play can run into loops.

    Raises:
        UsageError: An option is out of its range, or the environment is not Breakout.
    """

    def __init__(
        self, env: VectorEnv[Any, Any, Any], *, epsilon: float = 0.1, anticipate: bool = True, spread: float = 2.0
    ) -> None:
        super().__init__(env)
        if not _is_number(epsilon) or not 0 <= epsilon <= 1:
            raise UsageError(f"epsilon must be a probability, got {epsilon!r}")
        if not _is_number(spread) or not 0 <= spread < np.inf:
            raise UsageError(f"spread must be a number of pixels, 0 or more, got {spread!r}")
        self.epsilon, self.anticipate, self.spread = epsilon, anticipate, spread
        names = list(getattr(env.unwrapped, "factor_names", ()))
        meanings = list(getattr(getattr(env.unwrapped, "simulation", None), "action_meanings", ()))
        wanted = ["ball_x", "ball_y", "ball_vx", "ball_vy", "paddle_x", "paddle_width"]
        if not set(wanted) <= set(names) or not {"NOOP", "FIRE", "RIGHT", "LEFT"} <= set(meanings):
            raise UsageError("the policy 'follower' plays Breakout alone; 'random' and 'brownian' play everything")
        self._columns = [names.index(name) for name in wanted]
        self._noop, self._fire, self._right, self._left = map(meanings.index, ("NOOP", "FIRE", "RIGHT", "LEFT"))
        self._aim = np.zeros(self.num_envs)
        self._falling = np.zeros(self.num_envs, dtype=bool)
        self._paddle = np.full(self.num_envs, np.nan)

    def reset(self, mask: NDArray[np.bool_], rng: np.random.Generator) -> None:
        self._falling = self._falling & ~mask
        self._paddle = np.where(mask, np.nan, self._paddle)

    def __call__(self, observations: Any, infos: Mapping[str, Any], rng: np.random.Generator) -> Any:
        x, y, vx, vy, paddle, width = np.asarray(infos["factors"], dtype=np.float64)[:, self._columns].T
        falling = (y >= 0) & (vy > 0)
        aims = rng.uniform(-self.spread, self.spread, self.num_envs)
        self._aim = np.where(falling & ~self._falling, aims, self._aim)
        self._falling = falling
        target, middle, near = x + 0.5, paddle + (width - 1) / 2, _NEAR
        if self.anticipate:
            frames = np.where(falling, (_PADDLE_TOP - y) / np.where(falling, vy, 1.0), 0.0)
            target = _reflect(target + vx * np.maximum(frames, 0.0))
            moved = np.where(np.isnan(self._paddle), 0.0, paddle - self._paddle)
            middle, near = middle + moved * _COASTING, _CAUGHT
        self._paddle = paddle
        error = target + self._aim - middle
        actions = np.where(error > near, self._right, np.where(error < -near, self._left, self._noop))
        actions = np.where(y < 0, self._fire, actions)
        other = _uniform(self.action_space, self.num_envs, rng)
        return np.where(rng.random(self.num_envs) < self.epsilon, other, actions).astype(np.int64)


_PADDLE_TOP = 185.0
"""Where the ball's upper edge is when its lower one meets the paddle, in pixels."""
_NEAR, _CAUGHT = 4.0, 9.0
"""How far from its aim the paddle is left alone, in pixels: where it follows, and where the ball is just caught."""
_COASTING = 0.25
"""How far the paddle coasts on, as a part of its last step: about a frame of four."""


def _reflect(x: NDArray[np.float64], low: float = 8.5, high: float = 150.5) -> NDArray[np.float64]:
    """Where a ball at x is, once it has bounced off the walls that lie in between."""
    span = high - low
    return low + span - np.abs((x - low) % (2 * span) - span)


@POLICIES.register("finder")
class FinderPolicy(Policy):
    """Spriteworld: brings one target after another to the goal; it reads ``info["factors"]``.

    It does not plan: a target that lies under another sprite comes free as that one is moved in its stead.

    Args:
        env: A vector environment of Spriteworld whose task is a ``FindGoalPosition``.
        epsilon: The probability of a uniform action instead, in [0, 1].

    Raises:
        UsageError: An option is out of its range, or the environment has another task.
    """

    def __init__(self, env: VectorEnv[Any, Any, Any], *, epsilon: float = 0.1) -> None:
        super().__init__(env)
        if not _is_number(epsilon) or not 0 <= epsilon <= 1:
            raise UsageError(f"epsilon must be a probability, got {epsilon!r}")
        self.epsilon = epsilon
        config = getattr(getattr(env.unwrapped, "simulation", None), "config", None)
        self._task: Any = getattr(config, "task", None)
        self._actions: Any = getattr(config, "action_space", None)
        if not hasattr(self._task, "goal_position"):
            raise UsageError("the policy 'finder' plays goal finding of Spriteworld alone; 'random' plays everything")
        from .spriteworld.action_spaces import SelectMove  # which is there, as the environment is

        self._from_middle = isinstance(self._actions, SelectMove)

    def __call__(self, observations: Any, infos: Mapping[str, Any], rng: np.random.Generator) -> Any:
        factors = np.asarray(infos["factors"], dtype=np.float64).reshape(self.num_envs, -1, _SPRITE)
        task, every = self._task, np.arange(self.num_envs)
        actions: NDArray[Any]
        offsets = task.goal_position - factors[..., :2]
        far = np.sqrt((task.weights_dimensions * offsets**2).sum(-1)) > task.terminate_distance
        wanted = task.members(factors)[:, 0] & far
        if isinstance(self.action_space, spaces.MultiDiscrete):
            actions = self._walk(factors, offsets, wanted)
        else:
            first = wanted.argmax(1)
            actions = self._point(factors[every, first, :2], np.where(wanted.any(1)[:, None], offsets[every, first], 0))
        other = _uniform(self.action_space, self.num_envs, rng)
        chosen = rng.random(self.num_envs) < self.epsilon
        return _where(chosen, other, actions.astype(self.action_space.dtype))

    def _point(self, places: NDArray[np.float64], motions: NDArray[np.float64]) -> NDArray[np.float64]:
        """Actions [N, 4] that move what lies at ``places`` [N, 2] by ``motions`` [N, 2], or as far as they can."""
        start = np.full_like(places, 0.5) if self._from_middle else places
        numbers = np.concatenate([places, np.clip(start + motions / self._actions.scale, 0, 1)], axis=1)
        return 2 * numbers - 1 if self._actions.symmetric else numbers

    def _walk(
        self, factors: NDArray[np.float64], offsets: NDArray[np.float64], wanted: NDArray[np.bool_]
    ) -> NDArray[np.int64]:
        """Actions [N, 2]: to the nearest target that is wanted [N, S], and with it to the goal."""
        every, body = np.arange(len(factors)), np.maximum((factors[..., 2] != 0).sum(1) - 1, 0)
        others = wanted & (np.arange(wanted.shape[1]) != body[:, None])
        wanted = np.where(others.any(1)[:, None], others, wanted)  # the body comes last, where it is a target itself
        steps = factors[..., :2] - factors[every, body, None, :2]
        nearest = np.where(wanted, np.abs(steps).sum(-1), np.inf).argmin(1)
        # Whoever walks in steps comes within half a step along x and y.
        there = np.abs(steps[every, nearest]).max(1) <= 0.51 * self._actions.step_size
        carrying = there & wanted.any(1)
        way = np.where(carrying[:, None], offsets[every, nearest], steps[every, nearest])
        upright = np.abs(way[:, 1]) > np.abs(way[:, 0])
        towards = np.where(upright, np.where(way[:, 1] > 0, 0, 2), np.where(way[:, 0] > 0, 3, 1))
        return np.stack([carrying, towards], axis=1)


_SPRITE = 10
"""Factors of a sprite: x, y, its shape (0: an empty slot), and seven others."""


@POLICIES.register("mixture")
class MixturePolicy(Policy):
    """Another policy in each episode, drawn uniformly.

    In Breakout these are by default a random one, a brownian one, and two followers (epsilon 0.05 and 0.3): the first
    two spread paddle and ball, the others break bricks. Elsewhere: random and brownian.

    Args:
        env: The vector environment.
        parts: Names of policies; None for the default.

    Raises:
        UsageError: There is no such policy, or none is given.
    """

    def __init__(self, env: VectorEnv[Any, Any, Any], *, parts: Sequence[str] | None = None) -> None:
        super().__init__(env)
        self.parts: list[Policy]
        if parts is None:
            self.parts = [RandomPolicy(env), BrownianPolicy(env)]
            if "ball_x" in getattr(env.unwrapped, "factor_names", ()):
                self.parts += [FollowerPolicy(env, epsilon=0.05), FollowerPolicy(env, epsilon=0.3)]
        elif isinstance(parts, str) or not isinstance(parts, Sequence):
            raise UsageError(f"parts must be a list of names of policies, got {parts!r}")
        else:
            self.parts = [make_policy(name, env) for name in parts]
        if not self.parts:
            raise UsageError("a mixture needs at least one policy")
        self._which = np.zeros(self.num_envs, dtype=np.int64)

    def reset(self, mask: NDArray[np.bool_], rng: np.random.Generator) -> None:
        self._which = np.where(mask, rng.integers(len(self.parts), size=self.num_envs), self._which)
        for part in self.parts:
            part.reset(mask, rng)

    def __call__(self, observations: Any, infos: Mapping[str, Any], rng: np.random.Generator) -> Any:
        chosen = self.parts[0](observations, infos, rng)
        for number, part in enumerate(self.parts[1:], start=1):
            here = self._which == number
            actions = part(observations, infos, rng)
            chosen = _over(self.action_space, lambda _, a, b, here=here: _where(here, a, b), actions, chosen)
        return chosen


def _over(space: spaces.Space[Any], leaf: Callable[..., Any], *batches: Any) -> Any:
    """``leaf(space, *batches)`` at every leaf of a space made of ``Dict`` and ``Tuple``."""
    if isinstance(space, spaces.Dict):
        return {name: _over(part, leaf, *(batch[name] for batch in batches)) for name, part in space.items()}
    if isinstance(space, spaces.Tuple):
        return tuple(_over(part, leaf, *(batch[place] for batch in batches)) for place, part in enumerate(space.spaces))
    return leaf(space, *batches)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number)


def _check_space(space: spaces.Space[Any]) -> None:
    def check(leaf: Any) -> None:
        if not isinstance(leaf, spaces.Discrete | spaces.MultiDiscrete | spaces.MultiBinary | spaces.Box):
            known = "Discrete, MultiDiscrete, MultiBinary, Box, and Dict and Tuple of them"
            raise UsageError(f"no policy acts in the space {leaf}; accepted: {known}")

    _over(space, check)


def _uniform(space: Any, n: int, rng: np.random.Generator) -> NDArray[Any]:
    """``n`` actions drawn uniformly from a space that is no ``Dict`` or ``Tuple``."""
    if isinstance(space, spaces.Discrete):
        return rng.integers(space.start, space.start + space.n, size=n, dtype=np.int64)
    if isinstance(space, spaces.MultiDiscrete):
        return rng.integers(space.start, space.start + space.nvec, size=(n, *space.shape)).astype(space.dtype)
    if isinstance(space, spaces.MultiBinary):
        return rng.integers(0, 2, size=(n, *space.shape)).astype(space.dtype)
    shape = (n, *space.shape)
    if space.dtype.kind in "iu":
        return rng.integers(space.low, space.high, size=shape, dtype=space.dtype, endpoint=True)
    if np.isfinite(space.low).all() and np.isfinite(space.high).all():
        return rng.uniform(space.low, space.high, size=shape).astype(space.dtype)
    bounded = np.isfinite(space.low) & np.isfinite(space.high)
    low, high = np.where(bounded, space.low, 0.0), np.where(bounded, space.high, 1.0)
    normal = np.clip(rng.standard_normal(shape), space.low, space.high)
    return np.where(bounded, rng.uniform(low, high, size=shape), normal).astype(space.dtype)


def _where(mask: NDArray[np.bool_], yes: NDArray[Any], no: NDArray[Any]) -> NDArray[Any]:
    """``yes`` in the copies that the mask chooses, [N, ...]."""
    return np.where(mask.reshape(-1, *(1,) * (yes.ndim - 1)), yes, no)
