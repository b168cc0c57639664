"""Rollouts to and from Minari, the Farama Foundation's format of recorded episodes, without loss."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...envs.registry import UsageError
from .layout import INFO, Column, Header, flatten, unknown_factor, versions
from .reader import Rollouts
from .writer import RolloutWriter

_HEADER = "equiworld_rollouts"
"""Where a Minari data set that was exported from here keeps the header of its file."""
_DERIVED = ("observation_space", "action_space", "env_spec", "total_episodes", "total_steps", "dataset_size")
"""What Minari says of a data set that the file says elsewhere."""


def _minari() -> Any:
    try:
        import minari
    except ImportError as error:
        raise UsageError("this needs Minari, which is not installed: pip install 'equiworld[minari]'") from error
    return minari


def export_minari(rollouts: Rollouts, dataset_id: str) -> Path:
    """Writes rollouts as a data set of Minari, images as they are (Minari's own default is lossy JPEG).

    Args:
        rollouts: The recordings.
        dataset_id: Of the data set ("equiworld/flatland/random-v0"). It lies where Minari keeps its data sets.

    Returns:
        Its folder.

    Raises:
        UsageError: Minari is not installed, the id cannot be used or is taken, or an episode has no step.
        OSError: It cannot be written; nothing is left of it then.
    """
    minari = _minari()
    from minari.dataset.minari_dataset import parse_dataset_id
    from minari.storage.datasets_root_dir import get_dataset_path

    header = rollouts.header
    if not rollouts.episodes or rollouts.lengths.min() < 2:
        raise UsageError("Minari holds episodes of one step or more, and these rollouts have others or none")
    try:
        parse_dataset_id(dataset_id)
        place = Path(get_dataset_path(dataset_id))
        if place.exists():
            raise UsageError(f"Minari has a data set {dataset_id} already")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # what it recommends to say of the author and the like
                made = minari.create_dataset_from_buffers(
                    dataset_id,
                    _buffers(rollouts),
                    observation_space=header.observation_space,
                    action_space=header.action_space,
                    algorithm_name=header.policy.get("name"),
                    requirements=[
                        f"{name}=={version}" for name, version in header.versions.items() if name != "python"
                    ],
                    jpeg_encoding=False,
                )
            attributes = {name: _plain(value) for name, value in header.to_attributes().items()}
            described = {_HEADER: json.dumps(attributes)}
            made.storage.update_metadata(described | ({"env_spec": header.spec} if header.spec else {}))
        except BaseException:
            shutil.rmtree(place, ignore_errors=True)
            raise
    except ValueError as error:
        raise error if isinstance(error, UsageError) else UsageError(f"Minari: {error}") from error
    return place


def _buffers(rollouts: Rollouts) -> Iterator[Any]:
    from minari.data_collector import EpisodeBuffer

    extra = [name for name in rollouts.columns if name == "factors" or name.startswith(INFO)]
    for number in range(rollouts.episodes):
        rows = np.arange(rollouts.offsets[number], rollouts.offsets[number + 1])
        infos: dict[str, Any] = {}
        for name in extra:
            _put(infos, name.removeprefix(INFO).split("/"), rollouts.read(name, rows))
        seed = int(rollouts.seeds[number])
        yield EpisodeBuffer(
            id=number,
            seed=None if seed == -1 else seed % 2**64,
            observations=rollouts.observations(rows),
            actions=rollouts.actions(rows[:-1]),
            rewards=rollouts.read("reward", rows[:-1]),
            terminations=rollouts.read("terminated", rows[:-1]),
            truncations=rollouts.read("truncated", rows[:-1]),
            infos=infos or None,
        )


def import_minari(dataset_id: str, out: Path | str, *, compression: str = "lz4") -> list[str]:
    """Writes a data set of Minari as a rollout file.

    Factors are taken from ``infos["factors"]``, and what else the infos hold as arrays with a row for every observation
    becomes columns in ``info/``. A data set that was exported from here becomes the file that it was.

    Args:
        dataset_id: Of a data set that Minari has on this machine.
        out: The file.
        compression: ``lz4``, ``zstd`` or ``none``.

    Returns:
        What no column can hold: names of infos such as text, and options of resets.

    Raises:
        UsageError: Minari is not installed, it has no such data set, the file exists, or a space cannot be recorded.
        OSError: The file cannot be written. Whatever goes wrong, nothing is left of it.
    """
    minari = _minari()
    if Path(out).exists():
        raise UsageError(f"{out} exists already")
    try:
        dataset = minari.load_dataset(dataset_id)
    except (FileNotFoundError, ValueError) as error:
        how = f"minari download {dataset_id}"
        raise UsageError(f"Minari has no data set {dataset_id} on this machine ({how})") from error
    metadata = dataset.storage.metadata
    spaces = dataset.observation_space, dataset.action_space
    episodes = iter(dataset.iterate_episodes())
    first = next(episodes, None)
    if first is None:
        raise UsageError(f"the data set {dataset_id} of Minari holds no episode")
    infos, left_out = _infos(first)
    factors = infos.pop("factors", None)
    header = _header(metadata, spaces, factors)
    extra = [Column(name, values.dtype, values.shape[1:]) for name, values in infos.items()]
    told = list(dataset.storage.get_episode_metadata(dataset.episode_indices))
    if any(about.get("options") for about in told):
        left_out.append("the options of resets")
    kind = None if factors is None else factors.dtype
    writer = RolloutWriter(out, header, factor_dtype=kind, extra=extra, compression=compression)
    try:
        for episode, about in zip(chain([first], episodes), told, strict=True):
            seed = about.get("seed")
            writer.append(_episode(episode, spaces, writer.columns), -1 if seed is None else int(seed))
        writer.close()
    except BaseException:
        writer.abandon()
        Path(out).unlink(missing_ok=True)
        raise
    return left_out


def _header(metadata: Mapping[str, Any], spaces: tuple[Any, Any], factors: NDArray[Any] | None) -> Header:
    if _HEADER in metadata:
        return Header.from_attributes(json.loads(metadata[_HEADER]))
    spec = metadata.get("env_spec") or ""
    plain = json.loads(spec) if spec else {}
    count = 0 if factors is None else factors.shape[1]
    return Header(
        *spaces,
        environment={"id": plain["id"], "options": plain.get("kwargs", {})} if plain else {},
        spec=spec,
        policy={"name": metadata["algorithm_name"], "options": {}} if "algorithm_name" in metadata else {},
        factors=tuple(unknown_factor(f"factor_{column}") for column in range(count)),
        versions=versions(),
        origin={key: _plain(value) for key, value in metadata.items() if key not in _DERIVED},
    )


def _episode(episode: Any, spaces: tuple[Any, Any], columns: Mapping[str, Column]) -> dict[str, Any]:
    infos, _ = _infos(episode)
    found = flatten(spaces[0], episode.observations, "observation") | flatten(spaces[1], episode.actions, "action")
    found |= {"reward": episode.rewards, "terminated": episode.terminations, "truncated": episode.truncations}
    return found | {name: values for name, values in infos.items() if name in columns}


def _infos(episode: Any) -> tuple[dict[str, NDArray[Any]], list[str]]:
    """Arrays with a row for every observation, by the name of their column, and the names of the others."""
    found: dict[str, NDArray[Any]] = {}
    left_out: list[str] = []

    def walk(part: Mapping[str, Any], path: tuple[str, ...]) -> None:
        for key, value in part.items():
            if isinstance(value, Mapping):
                walk(value, (*path, key))
                continue
            name, values = "/".join((*path, key)), np.asarray(value)
            if values.dtype.kind in "biuf" and values.shape[:1] == (len(episode.rewards) + 1,):
                factors = name == "factors" and values.ndim == 2 and values.dtype.kind in "iuf"
                found[name if factors else INFO + name] = values
            else:
                left_out.append(name)

    walk(episode.infos or {}, ())
    return found, left_out


def _put(tree: dict[str, Any], path: list[str], value: Any) -> None:
    for key in path[:-1]:
        tree = tree.setdefault(key, {})
    tree[path[-1]] = value


def _plain(value: Any) -> Any:
    if isinstance(value, set | frozenset):
        return sorted(value)
    return value.item() if isinstance(value, np.generic) else value
