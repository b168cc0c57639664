"""Everything that an exact continuation of an agent's training needs, as tensors and plain data.

stable-baselines3's own ``save`` leaves out the environments, the last observations and the random states.
"""

from __future__ import annotations

import contextlib
import random
import zipfile
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import VecTransposeImage

from ..world_models import runs
from .vec_env import SB3VecEnv

_COUNTERS = (
    "num_timesteps",
    "_episode_num",
    "_n_updates",
    "_n_calls",
    "_current_progress_remaining",
    "exploration_rate",
)
_BUFFER = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts")

States = dict[str, Any]


@contextlib.contextmanager
def own_random_states(device: torch.device) -> Iterator[tuple[Callable[[], States], Callable[[States], None]]]:
    """Lends the global random states, from which stable-baselines3 draws, and puts them back as they were.

    Args:
        device: Where networks compute; an accelerator has a state of its own.

    Yields:
        A function that reads the states, as plain data, and one that sets them to what was read.
    """
    accelerated = device.type == "cuda"
    with torch.random.fork_rng(devices=[device] if accelerated else []):

        def read() -> States:
            states: States = {
                "python": random.getstate(),
                "numpy": np.random.get_state(legacy=False),
                "torch": torch.get_rng_state(),
            }
            return states | ({"cuda": torch.cuda.get_rng_state(device)} if accelerated else {})

        def write(states: States) -> None:
            random.setstate(states["python"])
            np.random.set_state(states["numpy"])
            torch.set_rng_state(states["torch"])
            if accelerated and "cuda" in states:
                torch.cuda.set_rng_state(states["cuda"], device)

        before, cudnn = read(), torch.backends.cudnn
        flags = cudnn.deterministic, cudnn.benchmark
        try:
            yield read, write
        finally:
            write(before)
            cudnn.deterministic, cudnn.benchmark = flags


def plain(value: Any) -> Any:
    """A value as a checkpoint holds it: arrays as tensors, numbers of NumPy as Python's."""
    if isinstance(value, Mapping):
        return {key: plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple | deque):
        return [plain(entry) for entry in value]
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value.copy())
    if isinstance(value, np.generic):
        return value.item()
    return value.detach().clone() if isinstance(value, torch.Tensor) else value


def arrays(value: Any) -> Any:
    """What ``plain`` made, with arrays for tensors."""
    if isinstance(value, dict):
        return {key: arrays(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [arrays(entry) for entry in value]
    return value.numpy().copy() if isinstance(value, torch.Tensor) else value


def capture(algorithm: BaseAlgorithm, envs: SB3VecEnv, states: States) -> dict[str, Any]:
    """The state of training between two rollouts, without the replay buffer.

    Args:
        algorithm: What is trained.
        envs: Its environments.
        states: The global random states.
    """
    parameters = algorithm.get_parameters()
    others = algorithm._get_torch_save_params()[1]
    logger = algorithm.logger
    return {
        "model": parameters.pop("policy"),
        "optimizers": parameters,
        "tensors": {name: plain(getattr(algorithm, name)) for name in others},
        "counters": {name: plain(getattr(algorithm, name)) for name in _COUNTERS if hasattr(algorithm, name)},
        "episodes": plain({"infos": algorithm.ep_info_buffer or (), "successes": algorithm.ep_success_buffer or ()}),
        "starts": plain(algorithm._last_episode_starts),
        "logged": plain({"values": logger.name_to_value, "counts": logger.name_to_count}),
        "excluded": {name: list(entry) for name, entry in logger.name_to_excluded.items()},
        "envs": plain(envs.get_state()),
        "actions": plain(algorithm.action_space.np_random.bit_generator.state),
        "random": {name: entry if name == "python" else plain(entry) for name, entry in states.items()},
    }


def restore(algorithm: BaseAlgorithm, envs: SB3VecEnv, content: Mapping[str, Any], source: Path) -> States:
    """Brings a newly built algorithm, whose logger is set, and its environments into a captured state.

    Args:
        algorithm: What is trained.
        envs: Its environments.
        content: What ``capture`` gave.
        source: Where it comes from, for error messages.

    Returns:
        The global random states to go on with.

    Raises:
        RunError: It is of another agent, or damaged.
    """
    try:
        parameters = {"policy": content["model"], **content["optimizers"]}
        algorithm.set_parameters(parameters, exact_match=True, device=algorithm.device)
        for name, value in content["tensors"].items():
            getattr(algorithm, name).data.copy_(value)
        for name, value in content["counters"].items():
            setattr(algorithm, name, value)
        window = algorithm._stats_window_size
        algorithm.ep_info_buffer = deque(content["episodes"]["infos"], maxlen=window)
        algorithm.ep_success_buffer = deque(content["episodes"]["successes"], maxlen=window)
        algorithm._last_episode_starts = arrays(content["starts"])
        logger = algorithm.logger
        logger.name_to_value.update(content["logged"]["values"])
        logger.name_to_count.update(content["logged"]["counts"])
        logger.name_to_excluded.update({name: tuple(entry) for name, entry in content["excluded"].items()})
        envs.set_state(arrays(content["envs"]))
        # Transposed anew: convolutions tell images apart by how they lie in memory, in their last digits.
        outer = algorithm.env
        algorithm._last_obs = (
            outer.transpose_observations(envs.last) if isinstance(outer, VecTransposeImage) else envs.last
        )
        algorithm.action_space.np_random.bit_generator.state = arrays(content["actions"])
        states = content["random"]
        kept = {name: states[name] for name in ("python", "numpy", "torch")} | states
        return {name: arrays(entry) if name == "numpy" else entry for name, entry in kept.items()}
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else " ".join(str(error).split())[:200]
        raise runs.RunError(f"{source} cannot be continued: {reason}") from error


def save_replay(run: Path, algorithm: BaseAlgorithm) -> str | None:
    """Writes what the replay buffer holds, in a file of its own beside the checkpoint.

    Returns:
        The file's name; None where there is no such buffer.
    """
    buffer: Any = getattr(algorithm, "replay_buffer", None)
    if buffer is None:
        return None
    size = buffer.size()
    held: dict[str, NDArray[Any]] = {"place": np.array([buffer.pos, buffer.full], dtype=np.int64)}
    for name, array in _buffer_arrays(buffer).items():
        held[name] = array[:size]
    path = run / runs.CHECKPOINT.parent / f"replay-{algorithm.num_timesteps}.npz"
    runs.write_whole(path, lambda stream: np.savez(stream, **held))  # type: ignore[arg-type]
    return path.name


def remove_old_replays(run: Path, kept: str | None) -> None:
    """Removes the buffers of checkpoints that are no more."""
    for path in (run / runs.CHECKPOINT.parent).glob("*replay-*.npz*"):
        if path.name != kept:
            path.unlink(missing_ok=True)


def load_replay(run: Path, name: str | None, algorithm: BaseAlgorithm) -> None:
    """Fills the replay buffer from the file that ``save_replay`` named.

    Raises:
        RunError: The file is missing, damaged, or of another buffer.
    """
    buffer: Any = getattr(algorithm, "replay_buffer", None)
    if buffer is None:
        return
    path = run / runs.CHECKPOINT.parent / str(name)
    try:
        with np.load(path, allow_pickle=False) as held:
            position, full = held["place"].tolist()
            size = buffer.buffer_size if full else position
            for entry, array in _buffer_arrays(buffer).items():
                kept = held[entry]
                if kept.shape != (size, *array.shape[1:]) or kept.dtype != array.dtype:
                    raise ValueError(f"{entry} is of another buffer")
                array[:size] = kept
            buffer.pos, buffer.full = int(position), bool(full)
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise runs.RunError(f"{path} is damaged or missing: {' '.join(str(error).split())[:200]}") from error


def _buffer_arrays(buffer: Any) -> dict[str, NDArray[Any]]:
    """The arrays of a replay buffer by name; those of a ``Dict`` of observations each by its own."""
    found: dict[str, NDArray[Any]] = {}
    for name in _BUFFER:
        value = getattr(buffer, name)
        entries = value.items() if isinstance(value, dict) else [("", value)]
        found |= {f"{name}.{key}" if key else name: entry for key, entry in entries}
    return found


def check_finite(algorithm: BaseAlgorithm) -> str | None:
    """The name of a parameter of the policy that is no longer a number; None if all are."""
    for name, parameter in algorithm.policy.named_parameters():
        if not bool(parameter.isfinite().all()):
            return name
    return None
