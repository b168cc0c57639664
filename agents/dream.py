"""Dreams: a world model with dynamics as a Gymnasium vector environment, on tensors."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray
from torch import Tensor

from ..datasets.randomness import torch_generator
from ..envs.registry import UsageError, nearest
from ..world_models import load_run
from ..world_models.dynamics.base import State
from ..world_models.dynamics.model import DynamicsModel

DREAM = "dream"
"""What ``--env`` takes for the imagination of the world model instead of an environment."""
MOST = 20_000
"""Recorded states from which dreams begin, at most."""
_CHUNK = 64  # pictures encoded or decoded at a time
_DREAM = 72  # keeps the chance in dreams apart from everything else of the seed
_STATE = ("latent", "memory", "steps", "generator")


@dataclass(frozen=True)
class Step:
    """A step of N dreams, as tensors on the model's device.

    Attributes:
        latents: What is seen now, [N, L]; in dreams that have ended the first code of the next one.
        rewards: [N].
        terminated: Whether the world model says that the episode ended, bool [N].
        truncated: Whether the dream was cut at its horizon, bool [N].
        last: What the step led to, [N, L]: ``latents`` but where dreams have ended.
    """

    latents: Tensor
    rewards: Tensor
    terminated: Tensor
    truncated: Tensor
    last: Tensor


class DreamVectorEnv(VectorEnv[Any, Any, Any]):
    """Many dreams of a world model at once: codes are seen, actions are those of the recording.

    A dream begins at the code of a recorded state, drawn uniformly, with nothing remembered. It ends when the world
    model says so (drawn from the probability that it gives; at temperature 0 where it is above one half), or is cut
    after ``horizon`` steps, and the next one begins in the same step.

    Args:
        model: A world model with dynamics, ``train.py --model=dynamics``. It is not copied.
        starts: Codes of recorded states, [S, L]; see ``recorded_starts``.
        num_envs: Dreams N.
        horizon: Steps of a dream, at most.
        temperature: How much chance: 1 as it was learnt, 0 none, more than 1 makes worlds harder to exploit (Ha and
            Schmidhuber 2018, arXiv 1803.10122).
        seed: Source of everything random.
        tensors: Whether ``reset`` and ``step`` give tensors on the model's device instead of arrays.
        render_mode: ``rgb_array`` decodes what is seen.

    Attributes:
        model: The same.
        state: Where the dreams stand.

    Raises:
        UsageError: An option that cannot be used, or the model has no dynamics.
    """

    metadata = {  # noqa: RUF012
        "autoreset_mode": AutoresetMode.SAME_STEP,
        "render_modes": ["rgb_array"],
    }

    def __init__(
        self,
        model: DynamicsModel,
        starts: Tensor,
        num_envs: int = 1,
        *,
        horizon: int = 50,
        temperature: float = 1.0,
        seed: int = 0,
        tensors: bool = False,
        render_mode: str | None = None,
    ) -> None:
        check_dream(horizon, temperature)
        if num_envs < 1:
            raise UsageError(f"the number of dreams must be 1 or more, not {num_envs}")
        if render_mode not in (None, "rgb_array"):
            raise UsageError(f"there is no render mode {render_mode!r} of dreams; there is: rgb_array")
        if not isinstance(model, DynamicsModel):
            raise UsageError("dreams need a world model with dynamics: a run of train.py --model=dynamics is accepted")
        size = model.latent.size
        if starts.ndim != 2 or not len(starts) or starts.shape[1] != size:
            raise UsageError(f"dreams begin at codes [S, {size}], one or more; got {list(starts.shape)}")
        self.model, self.num_envs, self.horizon, self.temperature = model, num_envs, int(horizon), float(temperature)
        self.tensors, self.render_mode = tensors, render_mode
        self.device = model.dynamics.centre.device
        self.starts = starts.to(self.device, torch.float32)
        low, high = model.latent.bounds
        self._bounds = (low, high) if math.isfinite(low) and math.isfinite(high) else None
        self.single_observation_space = spaces.Box(low, high, (size,), np.float32)
        self.single_action_space = model.action_code.space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.generator = torch_generator(seed, _DREAM)
        self.state: State | None = None
        self._steps = torch.zeros(num_envs, dtype=torch.int64, device=self.device)

    # What tensors go through.

    def begin(self, number: int) -> State:
        """So many dreams that begin."""
        chosen = torch.randint(len(self.starts), (number,), generator=self.generator).to(self.device)
        return self.model.dynamics.initial(self.starts[chosen])

    @torch.inference_mode()
    def advance(self, vectors: Tensor) -> Step:
        """One step of all dreams.

        Args:
            vectors: Actions, [N, A] on the model's device, as ``model.action_code`` writes them.

        Raises:
            UsageError: The dreams were never reset.
        """
        outcome = self.model.dynamics.step(self._standing(), vectors, self.generator, self.temperature)
        self._steps += 1
        if self.temperature:
            chance = torch.rand(self.num_envs, generator=self.generator).to(self.device)
        else:
            chance = torch.full((self.num_envs,), 0.5, device=self.device)
        terminated = chance >= outcome.continues
        truncated = self._steps >= self.horizon
        over = terminated | truncated
        last, state = self._seen(outcome.state), outcome.state
        if bool(over.any()):
            rows = over.nonzero()[:, 0]
            fresh = self.begin(len(rows))
            latent = state.latent.index_copy(0, rows, fresh.latent)
            memory = state.memory
            if memory is not None and fresh.memory is not None:
                memory = memory.index_copy(0, rows, fresh.memory)
            state = State(latent, memory)
            self._steps.masked_fill_(over, 0)
        self.state = state
        return Step(self._seen(state), outcome.reward, terminated, truncated, last)

    def _standing(self) -> State:
        if self.state is None:
            raise UsageError("the environment must be reset before its first step")
        return self.state

    def _seen(self, state: State) -> Tensor:
        """Codes as they are shown: within the bounds of the latent space, which dynamics may overstep a little."""
        return state.latent if self._bounds is None else state.latent.clamp(*self._bounds)

    # What Gymnasium knows.

    @torch.inference_mode()
    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begins all dreams anew; a seed (or one for each) begins anew with everything random.

        Raises:
            UsageError: Options are given; there are none.
        """
        if options:
            raise UsageError(f"dreams have no reset options, got {', '.join(map(str, options))}")
        if seed is not None:
            key = [int(seed)] if isinstance(seed, int | np.integer) else [int(each or 0) for each in seed]
            self.generator = torch_generator(*key, _DREAM)
        self._steps.zero_()
        self.state = self.begin(self.num_envs)
        return self._given(self._seen(self.state)), {}

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """One step of all dreams.

        Args:
            actions: Of the batched action space, an array or a tensor.

        Returns:
            Codes float32 [N, L], rewards (float64 as arrays, float32 as tensors) [N], terminated and truncated bool
            [N], and infos with ``final_obs`` of the dreams that have ended. Array observations are views that no later
            step changes.

        Raises:
            UsageError: An action is none of the space, or the dreams were never reset.
        """
        self._standing()
        given = actions.detach().cpu().numpy() if isinstance(actions, Tensor) else np.asarray(actions)
        if given.shape[:1] != (self.num_envs,):
            raise UsageError(
                f"there are {self.num_envs} dreams, and actions {list(given.shape)}: one for each is needed"
            )
        made = self.advance(self.model.action_code.encode(given).to(self.device))
        over = made.terminated | made.truncated
        infos: dict[str, Any] = {}
        if self.tensors:
            if bool(over.any()):
                infos = {"final_obs": made.last, "_final_obs": over, "final_info": {}, "_final_info": over}
            return made.latents, made.rewards, made.terminated, made.truncated, infos
        mask = over.cpu().numpy()
        if mask.any():
            last, ends = made.last.cpu().numpy(), np.full(self.num_envs, None, dtype=object)
            for row in np.flatnonzero(mask).tolist():
                ends[row] = last[row]
            infos = {"final_obs": ends, "_final_obs": mask, "final_info": {}, "_final_info": mask.copy()}
        rewards = made.rewards.cpu().numpy().astype(np.float64)
        return self._given(made.latents), rewards, made.terminated.cpu().numpy(), made.truncated.cpu().numpy(), infos

    def _given(self, latents: Tensor) -> Any:
        return latents if self.tensors else latents.cpu().numpy()

    @torch.inference_mode()
    def render(self) -> tuple[NDArray[np.uint8], ...]:
        """What the decoder makes of the codes: a picture of each dream, uint8 [H, W, 3].

        Raises:
            UsageError: The environment was made without a render mode, or never reset.
        """
        if self.render_mode is None:
            raise UsageError("render() needs a render_mode; there is: rgb_array")
        return tuple(pictures(self.model, self._seen(self._standing())))

    def get_state(self) -> dict[str, Any]:
        """All that is needed to go on bit by bit from here, as plain data.

        Raises:
            UsageError: The dreams were never reset.
        """
        state = self._standing()
        return {
            "latent": state.latent.cpu().numpy().copy(),
            "memory": None if state.memory is None else state.memory.cpu().numpy().copy(),
            "steps": self._steps.cpu().numpy().copy(),
            "generator": self.generator.get_state().numpy().copy(),
        }

    def set_state(self, state: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
        """Goes on from what ``get_state`` gave.

        Returns:
            The observations and the infos, as ``reset`` does.

        Raises:
            UsageError: It is no state of this environment; then nothing has changed.
        """
        if not isinstance(state, Mapping) or set(state) != set(_STATE):
            raise UsageError(f"a state is what get_state gave, with {', '.join(_STATE)}; this is something else")
        latent, steps = (torch.as_tensor(np.array(state[name])).to(self.device) for name in ("latent", "steps"))
        memory = None
        if state["memory"] is not None:
            memory = torch.as_tensor(np.array(state["memory"])).to(self.device)
        remembered = self.model.dynamics.memory
        wanted = (self.num_envs, remembered) if remembered else None
        if (
            latent.shape != (self.num_envs, self.model.latent.size)
            or steps.shape != (self.num_envs,)
            or (None if memory is None else tuple(memory.shape)) != wanted
        ):
            raise UsageError("this is the state of other dreams: of another number, or of another world model")
        self.generator.set_state(torch.as_tensor(np.array(state["generator"])))
        self.state, self._steps = State(latent, memory), steps.to(torch.int64)
        return self._given(self._seen(self.state)), {}


def check_dream(horizon: Any, temperature: Any) -> None:
    """Refuses a horizon or a temperature that there cannot be.

    Raises:
        UsageError: As the message says.
    """
    if isinstance(horizon, bool) or not isinstance(horizon, int | np.integer) or horizon < 1:
        raise UsageError(f"the horizon of dreams must be a whole number of steps, 1 or more, not {horizon!r}")
    fine = isinstance(temperature, int | float) and not isinstance(temperature, bool) and math.isfinite(temperature)
    if not fine or temperature < 0:
        raise UsageError(f"the temperature of dreams must be a number, 0 or more, not {temperature!r}")


@torch.inference_mode()
def pictures(model: Any, latents: Tensor) -> NDArray[np.uint8]:
    """What a world model decodes of codes ``[N, L]``, uint8 [N, H, W, 3]; grey ones have three equal channels."""
    parts = [model.decode(latents[at : at + _CHUNK]) for at in range(0, len(latents), _CHUNK)]
    shown = (torch.cat(parts).clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
    return shown if shown.shape[3] == 3 else np.repeat(shown[..., :1], 3, axis=3)


@torch.inference_mode()
def recorded_starts(assembly: Any, which: Literal["any", "first"] = "any", most: int = MOST) -> Tensor:
    """Codes of the states from which steps were recorded, in training episodes, [S, L].

    Args:
        assembly: Of a run of ``--model=dynamics``, as ``world_models.load_run`` gives it.
        which: ``any`` of the states, or the ``first`` of the episodes alone.
        most: Where there are more, so many from all over are taken.

    Raises:
        UsageError: ``which`` is something else.
    """
    if which not in ("any", "first"):
        raise UsageError(f"dreams begin at any recorded state, or at the first of an episode: not at {which!r}")
    data = assembly.recorded
    begins, ends = data.rollouts.offsets[:-1], data.rollouts.offsets[1:]
    episodes = assembly.episodes.train
    episodes = episodes[ends[episodes] - begins[episodes] > 1]
    if which == "first":
        rows = begins[episodes]
    else:
        rows = np.concatenate([np.arange(begins[each], ends[each] - 1) for each in episodes])
    rows = rows[np.linspace(0, len(rows) - 1, min(most, len(rows))).astype(np.int64)]
    # As often as they were recorded, but encoded once.
    states, places = np.unique(data.states[rows], return_inverse=True)
    device = assembly.model.dynamics.centre.device
    chunks = [states[at : at + _CHUNK] for at in range(0, len(states), _CHUNK)]
    codes = torch.cat([assembly.model.encode(data.images(chunk).to(device)) for chunk in chunks])
    return codes[torch.from_numpy(places).to(device)].float().clone()


@dataclass(frozen=True)
class Dreams:
    """The world model of a run, ready to dream, and the environment that its recording was made in.

    Attributes:
        model: The world model.
        assembly: What the run is made of.
        env_id: Id of the environment.
        env_options: Its keyword arguments.
    """

    model: DynamicsModel
    assembly: Any
    env_id: str
    env_options: dict[str, Any]

    def envs(
        self, number: int, *, starts: Literal["any", "first"] = "any", seed: int = 0, **options: Any
    ) -> DreamVectorEnv:
        """So many dreams; errors and options as those of ``DreamVectorEnv`` and ``recorded_starts``."""
        return DreamVectorEnv(self.model, recorded_starts(self.assembly, starts), number, seed=seed, **options)


def open_dreams(run: str | Path, device: str | torch.device = "cpu") -> Dreams:
    """The dreams of a run.

    Args:
        run: A run of ``--model=dynamics``, or a checkpoint in one.
        device: Where to dream.

    Raises:
        UsageError: There is no such run, or it has no dynamics, or its recording does not say where it was made.
        RunError: It is damaged.
    """
    assembly = load_run(Path(run))
    model = assembly.model
    if not isinstance(model, DynamicsModel):
        raise UsageError(f"{run} has no dynamics to dream with; a run of train.py --model=dynamics is accepted")
    header = assembly.recorded.rollouts.header
    if not header.environment.get("id"):
        raise UsageError(f"the recording of {run} does not say in which environment it was made")
    model.to(torch.device(device)).requires_grad_(False)
    return Dreams(model, assembly, header.environment["id"], dict(header.environment.get("options", {})))


def check_dream_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of dreams, as ``--env-options`` gives them.

    Raises:
        UsageError: One is not known, or of no use.
    """
    known = ["horizon", "temperature", "starts"]
    for name in options:
        if name not in known:
            hint = nearest(name, known)
            raise UsageError(f"--env {DREAM} has no option {name!r}{hint}; it takes: {', '.join(known)}")
    check_dream(options.get("horizon", 1), options.get("temperature", 1.0))
    return dict(options)
