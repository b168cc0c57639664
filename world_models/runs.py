"""Run directories: configuration, records and checkpoints, each written whole or not at all."""

from __future__ import annotations

import io
import json
import os
import pickle
import platform
import re
import subprocess
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, BinaryIO, Literal

import torch
import yaml

from .. import __version__
from ..envs.registry import UsageError

FORMAT = 1
CHECKPOINT = Path("checkpoints") / "last.pt"


class RunError(RuntimeError):
    """A run directory or checkpoint that cannot be used; the message is one line."""


def claim_version(log_dir: Path) -> Path:
    """Makes the first free ``version_N`` under ``log_dir``, above all that are there; no other run gets the same."""
    log_dir.mkdir(parents=True, exist_ok=True)
    while True:
        taken = [int(path.name[8:]) for path in log_dir.glob("version_*") if path.name[8:].isdecimal()]
        run = log_dir / f"version_{max(taken, default=-1) + 1}"
        try:
            run.mkdir()
        except FileExistsError:  # another run was faster
            continue
        return run


def _umask() -> int:
    """The permissions that new files are not to have; it can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_whole(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Writes a file beside its place and renames it there, so that it is never seen half-written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            write(stream)
            stream.flush()
            os.fsync(stream.fileno())
            os.fchmod(stream.fileno(), 0o666 & ~_umask())
        os.replace(name, path)
    except BaseException as error:
        Path(name).unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno is not None:
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise


def write_bytes(path: Path, content: bytes) -> None:
    """Writes ``content``, whole or not at all."""
    write_whole(path, lambda stream: stream.write(content))


def write_json(path: Path, content: Any) -> None:
    """Writes ``content`` as JSON, whole or not at all."""
    text = json.dumps(content, indent=1, allow_nan=False) + "\n"
    write_bytes(path, text.encode())


def write_config(run: Path, config: dict[str, Any]) -> None:
    """Writes everything that is needed to run again."""
    text = f"# {len(config)} options\n" + yaml.safe_dump(config, sort_keys=False)
    write_bytes(run / "config.yaml", text.encode())


def read_config(run: Path, kind: Literal["model", "agent"] = "model") -> dict[str, Any]:
    """The configuration of a run.

    Args:
        run: The run directory.
        kind: What it is to be a run of: a world model, or an agent.

    Raises:
        UsageError: There is no such run, or it is one of the other kind.
        RunError: Its configuration cannot be read.
    """
    path = run / "config.yaml"
    if not path.is_file():
        raise UsageError(f"{run} is not a run directory: it has no config.yaml")
    try:
        text = path.read_text()
        config = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RunError(f"{path} cannot be read: {' '.join(str(error).split())[:200]}") from error
    other = {"model": "agent", "agent": "model"}[kind]
    if isinstance(config, dict) and kind not in config and isinstance(config.get(other), str):
        names = {"model": "a world model", "agent": "an agent"}
        raise UsageError(f"{run} is the run of {names[other]}, and not of {names[kind]}")
    if not isinstance(config, dict) or not isinstance(config.get(kind), str):
        raise RunError(f"{path} is not the configuration of a run: it names no {kind}")
    if not all(isinstance(key, str) for key in config) or not isinstance(config.get("dataset", ""), str):
        raise RunError(f"{path} is damaged: its keys, and the names of model and data set, must be text")
    # Runs of the first versions do not say how many.
    counted = re.match(r"# (\d+) options\n", text)
    if counted and len(config) < int(counted.group(1)):
        raise RunError(f"{path} is damaged: it holds {len(config)} of {counted.group(1)} options")
    plugins = config.get("plugin", [])
    if not isinstance(plugins, list) or not all(isinstance(each, str) for each in plugins):
        raise RunError(f"{path} is damaged: plugin must be a list of names")
    return config


def write_environment(run: Path, seed: int, device: str, libraries: Sequence[str] = ()) -> None:
    """Writes what this part of the run depends on; what earlier parts depended on is kept in ``before``."""
    path = run / "environment.json"
    now = environment(seed, device, libraries)
    try:
        earlier = json.loads(path.read_text())
    except (OSError, ValueError):  # the first part of the run, or a file that says nothing
        earlier = None
    if isinstance(earlier, dict):
        now["before"] = [*earlier.pop("before", []), earlier]
    write_json(path, now)


def environment(seed: int, device: str, libraries: Sequence[str] = ()) -> dict[str, Any]:
    """Versions (of ``libraries`` too), commit, seed and device: what numbers depend on beside the configuration."""
    names = ("torch", "numpy", "scipy", "scikit-learn", "lightning-fabric", "tensorboard", *libraries)
    return {
        "equiworld": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "versions": {name: metadata.version(name) for name in names},
        "commit": _commit(),
        "seed": seed,
        "device": device,
        "threads": torch.get_num_threads(),
    }


def _commit() -> str | None:
    """The commit of the checkout that this package lies in, with a mark when it was changed."""
    here = Path(__file__).parent
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"],
            cwd=here,
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:  # no git on this machine
        return None
    return found.stdout.strip() or None


def save_checkpoint(run: Path, content: dict[str, Any]) -> Path:
    """Writes the run's checkpoint; the one before stays intact until the new one is whole."""
    path = run / CHECKPOINT
    for left in path.parent.glob(f".{path.name}.*"):  # by a kill in the middle of writing
        left.unlink(missing_ok=True)
    # Through memory, so that a full disk is an OSError like any other.
    buffer = io.BytesIO()
    torch.save({"format": FORMAT, "equiworld": __version__, **content}, buffer)
    write_whole(path, lambda stream: stream.write(buffer.getbuffer()))
    return path


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Reads a checkpoint, given as a file or as its run directory. Nothing in it is executed.

    Raises:
        UsageError: There is no such file.
        RunError: It is damaged, or not a checkpoint of this package, or of a newer format.
    """
    file = path / CHECKPOINT if path.is_dir() else path
    if not file.is_file():
        raise UsageError(f"{path} holds no checkpoint: {file} does not exist")
    if not zipfile.is_zipfile(file):
        raise RunError(f"{file} is damaged or not a checkpoint: it is cut short, or no file of torch")
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        what = "it holds other things than tensors and numbers"
        raise RunError(f"{file} is damaged or not a checkpoint: {what}") from error
    except Exception as error:  # torch raises many kinds for damaged and foreign files
        raise RunError(f"{file} is damaged or not a checkpoint ({type(error).__name__})") from error
    state = content.get("model") if isinstance(content, dict) else None
    named = isinstance(state, dict) and all(isinstance(key, str) and torch.is_tensor(state[key]) for key in state)
    if not named or not isinstance(content.get("format"), int) or content["format"] < 1:
        raise RunError(f"{file} is not a checkpoint of this package")
    if content["format"] > FORMAT:
        raise RunError(
            f"{file} has format {content['format']}, newer than {FORMAT}: "
            f"load it with equiworld {content.get('equiworld')}"
        )
    return content


def load_weights(model: torch.nn.Module, state: dict[str, Any], source: Path) -> None:
    """Loads a state into a model.

    Raises:
        RunError: The state is of another model.
    """
    spoiled = [name for name, value in state.items() if value.is_floating_point() and not bool(value.isfinite().all())]
    if spoiled:
        raise RunError(f"{source} holds weights that are not finite: {spoiled[0]}")
    try:
        model.load_state_dict(state)
    except (RuntimeError, TypeError, AttributeError) as error:
        detail = str(error).splitlines()[-1].strip()
        raise RunError(f"{source} does not fit the configured model: {detail[:160]}") from error
