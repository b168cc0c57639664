"""``python -m equiworld.agents.play``: play by keyboard, or film what a policy does; the real world and the imagined.

With a world model that has dynamics (``train.py --model=dynamics``) the second picture is imagined: it begins at the
code of the first picture of the episode, and is told the actions and nothing else. With any other world model it is
what the model makes of each picture.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray

from ..datasets.randomness import torch_generator
from ..datasets.rollouts.command_line import key_values
from ..datasets.rollouts.copies import find_spec
from ..envs.registry import UsageError
from ..envs.window import Window
from ..world_models import load_run
from ..world_models.dynamics.base import State
from ..world_models.dynamics.model import DynamicsModel
from ..world_models.runs import RunError
from ..world_models.vae import VAE
from .dream import check_dream, pictures
from .latent import LatentEnv
from .observers import check_group, check_images, is_image
from .video import check_video, side_by_side, write_video

_NAME = "python -m equiworld.agents.play"
_PLAY = 73  # keeps the chance in what is imagined apart from everything else of the seed
_ARROWS = ("right", "left", "up", "down")


class Imagined:
    """The second picture: what a world model imagines, or what it makes of each picture.

    Args:
        model: The world model.
        space: The observations of the environment.
        temperature: How much chance, in what is imagined.
        anew: Steps after which what is imagined begins anew from what is real; 0: with each episode alone.
        seed: Source of chance.

    Raises:
        UsageError: The model takes other images, or other actions.
    """

    def __init__(
        self,
        model: VAE,
        space: spaces.Space[Any],
        actions: spaces.Space[Any],
        *,
        temperature: float = 1.0,
        anew: int = 0,
        seed: int = 0,
    ) -> None:
        self._name = image_name(space)
        shown = space if self._name is None else space[self._name]  # type: ignore[index]
        check_images(model, [shown] if is_image(shown) else [])
        if isinstance(model, DynamicsModel) and model.action_code.space != actions:
            raise UsageError(
                f"the world model has dynamics of {model.action_code.space}, and the environment takes {actions}"
            )
        self.model, self.temperature, self.anew = model, temperature, anew
        self.generator = torch_generator(seed, _PLAY)
        self._state: State | None = None
        self._steps = 0

    @torch.inference_mode()
    def begin(self, observation: Any) -> NDArray[np.uint8]:
        """Begins at what is seen; the picture of its code, uint8 [H, W, 3]."""
        codes = self._codes(observation)
        self._steps = 0
        if isinstance(self.model, DynamicsModel):
            self._state = self.model.dynamics.initial(codes)
        return pictures(self.model, codes)[0]

    @torch.inference_mode()
    def step(self, action: Any, observation: Any) -> NDArray[np.uint8]:
        """After an action, that led to an observation; uint8 [H, W, 3]."""
        if self._state is None or not isinstance(self.model, DynamicsModel):
            return self.begin(observation)
        self._steps += 1
        vectors = self.model.action_code.encode(np.asarray(action)[None])
        self._state = self.model.dynamics.step(self._state, vectors, self.generator, self.temperature).state
        if self.anew and self._steps % self.anew == 0:
            self._state = replace(self._state, latent=self._codes(observation))  # what is remembered stays
        return pictures(self.model, self._state.latent)[0]

    def _codes(self, observation: Any) -> torch.Tensor:
        image = np.asarray(observation if self._name is None else observation[self._name])
        return self.model.encode(torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float() / 255)


class _Tap(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Keeps what the environment showed last, before it is made into what an agent is shown."""

    seen: Any = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        self.seen, info = self.env.reset(seed=seed, options=options)
        return self.seen, info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        self.seen, reward, terminated, truncated, info = self.env.step(action)
        return self.seen, reward, terminated, truncated, info


def image_name(space: spaces.Space[Any]) -> str | None:
    """The first entry of a ``Dict`` of observations that is an image; None where the observation is one array."""
    if not isinstance(space, spaces.Dict):
        return None
    return next((name for name, part in space.spaces.items() if is_image(part)), None)


def make_env(env_id: str, options: Mapping[str, Any]) -> gymnasium.Env[Any, Any]:
    """One copy of an environment that can be rendered.

    Raises:
        UsageError: There is no such environment, or it does not take the options.
    """
    spec = find_spec(env_id)
    try:
        return gymnasium.make(spec, render_mode="rgb_array", **options)
    except UsageError:
        raise
    except (TypeError, ValueError, AssertionError, ImportError, gymnasium.error.Error) as error:
        raise UsageError(f"the environment {env_id} cannot be made: {' '.join(str(error).split())}") from error


def play_steps(
    env: gymnasium.Env[Any, Any],
    choose: Callable[[Any], Any],
    imagined: Imagined | None,
    show: Callable[[NDArray[np.uint8]], None],
    steps: int | None,
    seed: int,
) -> list[float]:
    """Plays, episode after episode.

    Args:
        env: The environment, of render mode ``rgb_array``.
        choose: The action for an observation; None ends it.
        imagined: What is shown beside the environment; None: nothing.
        show: Given every picture, uint8 [H, W, 3].
        steps: How many; None: until ``choose`` ends it.
        seed: The first episode's.

    Returns:
        The return of each episode, the last of which may not be over.
    """
    tap = env
    while isinstance(tap, gymnasium.Wrapper) and not isinstance(tap, _Tap):
        tap = tap.env
    assert isinstance(tap, _Tap)

    def picture(beside: NDArray[np.uint8] | None) -> None:
        real = np.asarray(tap.render())
        show(side_by_side([real] if beside is None else [real, beside]))

    observation, _ = env.reset(seed=seed)
    returns, made = [0.0], 0
    picture(None if imagined is None else imagined.begin(tap.seen))
    while steps is None or made < steps:
        action = choose(observation)
        if action is None:
            break
        observation, reward, terminated, truncated, _ = env.step(action)
        returns[-1] += float(reward)
        made += 1
        picture(None if imagined is None else imagined.step(action, tap.seen))
        if (terminated or truncated) and (steps is None or made < steps):
            observation, _ = env.reset()
            returns.append(0.0)
            picture(None if imagined is None else imagined.begin(tap.seen))
    return returns


def keys_of(env: gymnasium.Env[Any, Any]) -> tuple[dict[str, Any], Any]:
    """What the keys do, by their names in pygame, and what is done where none is pressed.

    What the environment says itself counts (``get_keys_to_action``, as Gymnasium has it). Otherwise the arrows are the
    actions of these names, or the ends of the first two numbers of a ``Box``, and the digits the discrete actions.

    Returns:
        Actions by key; and the action without a key, None where nothing is done then.

    Raises:
        UsageError: There are no keys for these actions.
    """
    inner: Any = env.unwrapped
    space = env.action_space
    if hasattr(inner, "get_keys_to_action"):
        found = inner.get_keys_to_action()
        keys: dict[str, Any] = {}
        for pressed, action in found.items():
            codes = [pressed] if isinstance(pressed, str | int) else list(pressed)
            if len(codes) == 1:
                keys[chr(codes[0]) if isinstance(codes[0], int) else codes[0]] = action
        return keys, found.get((), None)
    if isinstance(space, spaces.Discrete):
        keys = {str(place): int(space.start) + place for place in range(min(10, int(space.n)))}
        names = [str(name).lower() for name in _meanings(inner)][: int(space.n)]
        for arrow in _ARROWS:
            if arrow in names:
                keys[arrow] = int(space.start) + names.index(arrow)
        if "fire" in names:
            keys["space"] = int(space.start) + names.index("fire")
        idle = int(space.start) + names.index("noop") if "noop" in names else None
        return keys, idle
    if isinstance(space, spaces.Box) and space.is_bounded() and len(space.shape) == 1:
        middle = ((space.low.astype(np.float64) + space.high) / 2).astype(space.dtype)
        keys = {}
        for place, (up, down) in enumerate((("right", "left"), ("up", "down"))[: space.shape[0]]):
            for key, end in ((up, space.high), (down, space.low)):
                keys[key] = middle.copy()
                keys[key][place] = end[place]
        return keys, None
    raise UsageError(f"there are no keys for actions of {space}; --actions random or policy:RUN --video are accepted")


def _meanings(inner: Any) -> Sequence[str]:
    """The names of discrete actions, where the environment or its world says them."""
    if hasattr(inner, "get_action_meanings"):
        return list(inner.get_action_meanings())
    return [action.name for action in getattr(getattr(inner, "world", None), "actions", ())]


class Keyboard:
    """Actions by the keys of the window; escape, q or closing the window ends it.

    Args:
        env: The environment.

    Raises:
        UsageError: There are no keys for its actions.
    """

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        self.keys, self.idle = keys_of(env)

    def __call__(self, observation: Any) -> Any:
        """The action of the key that is pressed; where there is nothing to do without one, it is waited for."""
        import pygame

        while True:
            events = [pygame.event.wait()] if self.idle is None else pygame.event.get()
            for event in events:
                if event.type == pygame.QUIT:
                    return None
                if event.type == pygame.KEYDOWN:
                    name = pygame.key.name(event.key)
                    if name in ("escape", "q") and name not in self.keys:
                        return None
                    if name in self.keys:
                        return self.keys[name]
            if self.idle is not None:
                held = pygame.key.get_pressed()
                for name, action in self.keys.items():
                    if held[pygame.key.key_code(name)]:
                        return action
                return self.idle


class _Parser(argparse.ArgumentParser):
    """Raises where argparse would print and leave."""

    def error(self, message: str) -> Any:
        raise UsageError(message)


def parser() -> argparse.ArgumentParser:
    """The parser of the command line."""
    made = _Parser(
        prog=_NAME,
        description="Plays an environment, the real one and the one that a world model imagines side by side.",
        allow_abbrev=False,
    )
    made.add_argument("--env", required=True, help="id of a Gymnasium environment; module:id imports a module first")
    made.add_argument("--env-options", nargs="+", default=[], metavar="KEY=VALUE", help="arguments of the environment")
    made.add_argument(
        "--world-model", type=Path, metavar="RUN", help="what imagines: a run with dynamics; of others what they see"
    )
    made.add_argument("--actions", default="keys", help="keys (default), random, or policy:RUN, the run of an agent")
    made.add_argument("--video", type=Path, metavar="FILE", help="film it (.gif, .mp4) instead of opening a window")
    made.add_argument("--steps", type=int, help="steps (default: 200 of a film; at the keyboard until q is pressed)")
    made.add_argument("--anew", type=int, default=0, metavar="K", help="imagine anew from what is real every K steps")
    made.add_argument("--temperature", type=float, default=1.0, help="chance in what is imagined (default: 1)")
    made.add_argument("--fps", type=int, default=10, help="pictures a second (default: 10)")
    made.add_argument("--seed", type=int, default=0, help="source of everything random (default: 0)")
    return made


def _check(asked: argparse.Namespace) -> None:
    for name, least in (("steps", 1), ("fps", 1), ("anew", 0), ("seed", 0)):
        value = getattr(asked, name)
        if value is not None and not value >= least:
            raise UsageError(f"--{name} must be {least} or more, not {value}")
    check_dream(1, asked.temperature)
    if asked.actions not in ("keys", "random") and not asked.actions.startswith("policy:"):
        raise UsageError(f"--actions {asked.actions}: keys, random and policy:RUN are accepted")
    if asked.video is not None:
        check_video(asked.video)
        if asked.actions == "keys":
            raise UsageError("--video is filmed without a window: --actions random or policy:RUN are accepted")


def _run(asked: argparse.Namespace) -> str:
    """Plays as asked; what is to be said at the end."""
    _check(asked)
    env: gymnasium.Env[Any, Any] = _Tap(make_env(asked.env, key_values(asked.env_options, "--env-options")))
    imagined = None
    if asked.world_model is not None:
        assembly = load_run(asked.world_model)
        model, known = assembly.model, len(assembly.data.world.actions)
        check_group(asked.world_model, model, known, env.action_space)
        settings = {"temperature": asked.temperature, "anew": asked.anew, "seed": asked.seed}
        imagined = Imagined(model, env.observation_space, env.action_space, **settings)
    choose: Callable[[Any], Any]
    if asked.actions == "random":
        env.action_space.seed(asked.seed)
        space = env.action_space

        def drawn(observation: Any) -> Any:
            return space.sample()

        choose = drawn

    elif asked.actions == "keys":
        choose = Keyboard(env)
    else:
        env, choose = _with_policy(env, asked.actions.removeprefix("policy:"), asked.seed)
    steps = asked.steps if asked.steps is not None or asked.actions == "keys" else 200
    if asked.video is None:
        window = Window(asked.env, asked.fps)
        try:
            returns = play_steps(env, choose, imagined, window.show, steps, asked.seed)
        finally:
            window.close()
            env.close()
    else:
        frames: list[NDArray[np.uint8]] = []
        returns = play_steps(env, choose, imagined, frames.append, steps, asked.seed)
        env.close()
        write_video(asked.video, frames, asked.fps)
    told = f"{len(returns)} episode{'s' * (len(returns) > 1)}, returns {' '.join(f'{each:g}' for each in returns)}"
    return told if asked.video is None else f"{asked.video}: {len(frames)} pictures; {told}"


def _with_policy(
    env: gymnasium.Env[Any, Any], run: str, seed: int
) -> tuple[gymnasium.Env[Any, Any], Callable[[Any], Any]]:
    """The environment as the agent of a run is shown it, and what the agent does.

    Raises:
        UsageError: There is no such run, or its agent knows other observations or actions.
    """
    from stable_baselines3.common.utils import set_random_seed

    from .checkpoints import own_random_states
    from .training import load_agent

    agent = load_agent(run, episodes=1)
    if agent.envs.action_space != env.action_space:
        raise UsageError(f"the agent of {run} takes {agent.envs.action_space}, and the environment {env.action_space}")
    inner = agent.envs.envs
    if inner.observer.reads and env.spec is not None:
        id_of_run = find_spec(agent.options.env_id).id
        if env.spec.id != id_of_run:
            raise UsageError(f"the agent of {run} is shown what {id_of_run} tells, which is the --env that it can play")
    if inner.env.single_observation_space != env.observation_space:
        raise UsageError(
            f"the agent of {run} looks at {inner.env.single_observation_space}, and the environment shows"
            f" {env.observation_space}: give it the --env and --env-options of that run"
        )
    env = LatentEnv(env, inner.observer, inner.stack.frames)

    likeliest, device = not agent.options.run.eval_sample, agent.algorithm.device
    with own_random_states(device) as (read, _):
        set_random_seed(seed)
        states = read()

    def choose(observation: Any) -> Any:
        nonlocal states
        with own_random_states(device) as (read, write):
            write(states)
            action, _ = agent.algorithm.predict(observation, deterministic=likeliest)
            states = read()
        return action

    return env, choose


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line.

    Returns:
        The exit status: 2 where it was used wrongly, 1 where it failed, 130 where it was interrupted.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        sys.stdout.write(_run(parser().parse_args(given)) + "\n")
        return 0
    except UsageError as error:
        return _fail(str(error), 2)
    except KeyboardInterrupt:
        return _fail("interrupted", 130)
    except RunError as error:
        return _fail(str(error), 1)
    except OSError as error:
        return _fail(f"{error.filename}: {error.strerror}" if error.filename else str(error), 1)


def _fail(message: str, status: int) -> int:
    sys.stderr.write(f"play: {' '.join(message.split())}\n")
    return status


if __name__ == "__main__":
    sys.exit(main())
