"""Many Spriteworld scenes that are stepped and drawn together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from ..factors import Factor, FactorSpace
from ..registry import UsageError
from ..simulation import BUFFERS, Simulation, check_copies
from .configs import Config, find_config, with_actions
from .rasterise import GEOMETRY, Canvas, render, topmost
from .shapes import SHAPE_NAMES
from .sprites import FACTORS, LARGEST, SCALE, X_VEL, check, colours, count, factor_names

SCENES = 32
"""Scenes are drawn so many at a time for each copy, which takes hardly longer than one."""

OBSERVATIONS = ("image", "factors")
FRAME = 256
"""Pictures for people are at least so large."""


class SpriteworldSimulation(Simulation):
    """N copies of a Spriteworld environment.

    Args:
        num_envs: Copies N.
        config: A name in ``configs.CONFIGS``, or a configuration.
        mode: ``train`` or ``test``: where episodes begin.
        image_size: Pixels of a picture's side, or its height and width.
        observation: ``image``: uint8 [H, W, 3]. ``factors``: float64 [10 S], as in ``factors()``.
        action_options: Options of the action space that are to differ from the configuration's (``noise_scale`` ...).

    Raises:
        UsageError: A name is none, a picture has no pixels, or the action space does not take an option.
    """

    def __init__(
        self,
        num_envs: int,
        config: str | Config = "goal_finding_new_position",
        mode: str = "train",
        *,
        image_size: int | tuple[int, int] = 64,
        observation: str = "image",
        **action_options: Any,
    ) -> None:
        self.config = with_actions(find_config(config), **action_options)
        self.num_envs, self.slots = check_copies(num_envs), self.config.slots
        self._scenes = self.config.scenes(mode)
        if observation not in OBSERVATIONS:
            raise UsageError(f"unknown observation {observation!r}; there are: {', '.join(OBSERVATIONS)}")
        self.observation = observation
        sides = image_size if isinstance(image_size, tuple | list) else (image_size, image_size)
        whole = all(isinstance(side, int | np.integer) and not isinstance(side, bool) for side in sides)
        if not whole or len(sides) != 2 or min(sides) < 1:
            raise UsageError(
                f"image_size must be a whole number, 1 or more, or such a height and width, got {image_size!r}"
            )
        self._image_shape = (int(sides[0]), int(sides[1]), 3)
        self.action_space = self.config.action_space.space
        self.observation_space = (
            spaces.Box(0, 255, self._image_shape, np.uint8) if observation == "image" else self._factor_space()
        )
        self.factor_names = factor_names(self.slots)
        self._canvases = [Canvas(num_envs, *self._image_shape) for _ in range(BUFFERS)]
        self._every = np.arange(num_envs)
        self._factors = np.zeros((num_envs, self.slots, len(FACTORS)))
        self._counts = np.zeros(num_envs, dtype=np.int64)
        self._colours = np.zeros((num_envs, self.slots, 3), dtype=np.uint8)
        self._success = np.zeros(num_envs, dtype=np.bool_)
        self._moving = np.zeros(num_envs, dtype=np.bool_)
        self._members = self.config.task.members(self._factors)
        # Scenes for the episodes to come, and how many of them have been used.
        self._ahead = np.zeros((num_envs, SCENES, *self._factors.shape[1:]))
        self._ahead_colours = np.zeros((num_envs, SCENES, self.slots, 3), dtype=np.uint8)
        self._used = np.full(num_envs, SCENES)
        self._rngs: list[np.random.Generator | None] = [None] * num_envs

    def _factor_space(self) -> spaces.Box:
        brightest = 1 if self.config.color_space == "hsv" else 256
        #             x, y, shape, angle, scale, c0, c1, c2, x_vel, y_vel
        low = np.array([0, 0, 0, -360, 0, 0, 0, 0, -1, -1], dtype=np.float64)
        high = np.array([1, 1, len(SHAPE_NAMES), 360, LARGEST, *[brightest] * 3, 1, 1], dtype=np.float64)
        if not self.config.keep_in_frame:
            low[:2], high[:2] = -np.inf, np.inf
        low, high = np.tile(low, self.slots), np.tile(high, self.slots)
        return spaces.Box(low, high, dtype=np.float64)

    def reset(self, rows: NDArray[np.int64], rngs: Sequence[np.random.Generator], options: Mapping[str, Any]) -> None:
        unknown = sorted(set(options) - {"factors"})
        if unknown:
            raise UsageError(f"unknown reset option {unknown[0]!r}; there is: factors")
        given = None
        if options.get("factors") is not None:
            given = self._check(options["factors"])
            if given.shape[:-2] not in ((), (len(rows),)):
                raise UsageError(f"there are factors of {list(given.shape[:-2])} scenes for {len(rows)} environments")
        for row, rng in zip(rows, rngs, strict=True):
            if self._rngs[row] is not rng:
                # Scenes from another source of randomness are not to be used up.
                self._rngs[row], self._used[row] = rng, SCENES
        if given is not None:
            self._set(rows, given, colours(given, self.config.color_space))
            return
        for row in rows[self._used[rows] == SCENES]:
            self._lay_up(row, self._check(self._scenes.sample(self._generator(row), SCENES)))
        used = self._used[rows]
        self._used[rows] += 1
        self._set(rows, self._ahead[rows, used], self._ahead_colours[rows, used])

    def _lay_up(self, row: int, scenes: NDArray[np.float64]) -> None:
        """Lays scenes up for the episodes to come of a copy."""
        self._used[row] = SCENES - len(scenes)
        self._ahead[row, self._used[row] :] = scenes
        self._ahead_colours[row, self._used[row] :] = colours(scenes, self.config.color_space)

    def _generator(self, row: int) -> np.random.Generator:
        rng = self._rngs[row]
        if rng is None:
            raise UsageError("an environment is reset before its first step")
        return rng

    def _check(self, factors: Any) -> NDArray[np.float64]:
        """Scenes that are fit to be a state, float64 [..., S, 10]."""
        return check(factors, self.slots, within=self.config.keep_in_frame, color_space=self.config.color_space)

    def _set(self, rows: NDArray[np.int64], factors: NDArray[np.float64], painted: NDArray[np.uint8]) -> None:
        """Puts scenes and their colours into some copies."""
        self._factors[rows] = factors
        now = self._factors[rows]
        self._counts[rows] = count(now)
        self._colours[rows] = painted
        self._members[rows] = self.config.task.members(now)
        self._moving[rows] = (now[..., X_VEL:] != 0).any(axis=(1, 2))
        self._success[rows] = self.config.task.evaluate(now, self._members[rows]).success

    def step(
        self, actions: Any, rows: NDArray[np.int64] | None = None
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        config, chosen = self.config, self._every if rows is None else rows
        checked = config.action_space.check(actions, self.num_envs, rows)
        rewards, ended = np.zeros(self.num_envs), np.zeros(self.num_envs, dtype=np.bool_)
        rngs = [self._generator(row) for row in chosen] if config.action_space.noise_scale else []
        costs = config.action_space.step(self._factors, self._counts, checked, chosen, rngs, config.keep_in_frame)
        drifting = chosen[self._moving[chosen]]
        if len(drifting):
            centres = self._factors[drifting, :, :2] + self._factors[drifting, :, X_VEL:]
            self._factors[drifting, :, :2] = np.clip(centres, 0.0, 1.0) if config.keep_in_frame else centres
        now = self._factors if rows is None else self._factors[rows]
        if not config.task.fixed:
            self._members[chosen] = config.task.members(now)
        outcome = config.task.evaluate(now, self._members if rows is None else self._members[rows])
        rewards[chosen] = costs + outcome.reward
        self._success[chosen] = outcome.success
        ended[chosen] = outcome.success
        if not config.keep_in_frame:
            ended[chosen] |= ((now[..., :2] < 0) | (now[..., :2] > 1)).any(axis=(1, 2))
        return rewards, ended

    def draw(self, out: Any, buffer: int) -> None:
        if self.observation == "image":
            self._canvases[buffer].draw(out, self._factors, self._colours, self._counts)
        else:
            out[...] = self.factors()

    def frame(self, row: int, observation: Any) -> NDArray[np.uint8]:
        height, width, _ = self._image_shape
        times = max(1, -(-FRAME // max(height, width)))
        return render(
            self._factors[row : row + 1, :, : len(GEOMETRY)],
            self._colours[row : row + 1],
            self._counts[row : row + 1],
            height=times * height,
            width=times * width,
        )[0]

    def contained_positions(self, rng: np.random.Generator) -> NDArray[np.float64]:
        """A place within a sprite of each scene, where pointing moves something.

        The sprite is drawn uniformly, and the place uniformly within it; another sprite may lie on top, and the place
        may lie outside the arena.

        Args:
            rng: The source of randomness.

        Returns:
            x and y, float64 [N, 2]; the middle of the arena where there is no sprite.
        """
        slots = rng.integers(0, np.maximum(self._counts, 1))
        sprites = self._factors[self._every, slots][:, None, : len(GEOMETRY)]
        places = np.full((self.num_envs, 2), 0.5)
        missing = np.flatnonzero(self._counts)
        while len(missing):
            # No shape reaches farther than its scale: a box of twice that holds it.
            drawn = sprites[missing, 0, :2] + sprites[missing, 0, SCALE, None] * rng.uniform(-1, 1, (len(missing), 2))
            inside = topmost(sprites[missing], drawn) >= 0
            places[missing[inside]] = drawn[inside]
            missing = missing[~inside]
        return places

    def factors(self) -> NDArray[np.float64]:
        return self._factors.reshape(self.num_envs, -1).copy()

    def columns(self) -> FactorSpace:
        """Of each slot ten; angles are taken round the circle, and code 0 of a shape is an empty slot."""
        brightest = 1 if self.config.color_space == "hsv" else 256
        kinds: dict[str, dict[str, Any]] = {
            "shape": {"size": len(SHAPE_NAMES) + 1, "kind": "categorical"},
            "angle": {"high": 360.0, "circular": True},
            "scale": {"high": float(LARGEST)},
            **{name: {"high": float(brightest)} for name in ("c0", "c1", "c2")},
            **{name: {"low": -1.0} for name in ("x_vel", "y_vel")},
        }
        one: list[dict[str, Any]] = [{"size": None, "kind": "continuous", **kinds.get(name, {})} for name in FACTORS]
        return FactorSpace([Factor(name, **one[column % len(one)]) for column, name in enumerate(self.factor_names)])

    def info(self) -> dict[str, NDArray[Any]]:
        return {"count": self._counts.copy(), "success": self._success.copy()}

    def get_state(self, row: int) -> dict[str, Any]:
        return {"factors": self._factors[row].copy(), "ahead": self._ahead[row, self._used[row] :].copy()}

    def set_state(self, row: int, state: Mapping[str, Any]) -> None:
        if set(state) != {"factors", "ahead"} or not 0 <= len(state["ahead"]) <= SCENES:
            raise UsageError("this is no state of a Spriteworld simulation")
        factors, ahead = self._check(state["factors"]), np.asarray(state["ahead"])
        if factors.ndim != 2 or ahead.shape[1:] != factors.shape:
            raise UsageError("this state is one of another configuration")
        self._lay_up(row, self._check(ahead))
        self._set(np.array([row]), factors[None], colours(factors, self.config.color_space))
