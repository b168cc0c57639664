"""The layout of a rollout file: its columns, its header, and how spaces become columns and text."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from importlib import metadata
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from ... import __version__
from ...envs.factors import Factor
from ...envs.registry import UsageError
from ...envs.world import Action

FORMAT, VERSION = "equiworld-rollouts", 1
IMAGE_ROWS = 16
"""Images in a chunk."""
_CHUNK_BYTES = 65_536  # of a chunk that holds no images, about
_FLAGS = ("plain_actions", "commutes", "cut")
OFFSETS, SEEDS, INFO = "episode_offsets", "episode_seeds", "info/"


class RolloutError(OSError):
    """A rollout file that is damaged, foreign or of another version; the message is one line."""


@dataclass(frozen=True)
class Column:
    """One data set of a file.

    Attributes:
        name: Its path in the file ("reward", "observation/image").
        dtype: Of its values.
        shape: Of one row.
    """

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize

    @property
    def chunk_rows(self) -> int:
        """Rows in a chunk: 16 images, or as many rows as make about 64 KB."""
        if self.dtype == np.uint8 and len(self.shape) >= 2:
            return IMAGE_ROWS
        return max(IMAGE_ROWS, _CHUNK_BYTES // max(1, self.row_bytes))

    def zeros(self, rows: int) -> NDArray[Any]:
        """So many rows of zeros."""
        return np.zeros((rows, *self.shape), dtype=self.dtype)


# Spaces


def leaves(space: spaces.Space[Any], name: str) -> Iterator[tuple[str, Any]]:
    """The parts of a space that are arrays, by the name of their column.

    Args:
        space: Box, Discrete, MultiDiscrete, MultiBinary, or Dict and Tuple of them.
        name: Of the column, or of the group that theirs lie in.

    Raises:
        UsageError: A part is of another kind.
    """
    if isinstance(space, spaces.Dict | spaces.Tuple):
        parts = space.items() if isinstance(space, spaces.Dict) else enumerate(space.spaces)
        for key, part in parts:
            if not str(key) or "/" in str(key) or str(key) == ".":
                raise UsageError(f"the part {key!r} of a space cannot name a column")
            yield from leaves(part, f"{name}/{key}")
    elif isinstance(space, spaces.Box | spaces.Discrete | spaces.MultiDiscrete | spaces.MultiBinary):
        yield name, space
    else:
        known = "Box, Discrete, MultiDiscrete, MultiBinary, Dict and Tuple"
        raise UsageError(f"rollouts hold spaces of {known}; {name} is of {type(space).__name__}")


def flatten(space: spaces.Space[Any], batch: Any, name: str) -> dict[str, NDArray[Any]]:
    """A batch of elements of a space as arrays, by the name of their column."""
    if isinstance(space, spaces.Dict):
        parts = [(f"{name}/{key}", part, batch[key]) for key, part in space.items()]
    elif isinstance(space, spaces.Tuple):
        parts = [(f"{name}/{place}", part, batch[place]) for place, part in enumerate(space.spaces)]
    else:
        return {name: np.asarray(batch)}
    return {column: array for key, part, inner in parts for column, array in flatten(part, inner, key).items()}


def unflatten(space: spaces.Space[Any], columns: Mapping[str, Any], name: str) -> Any:
    """The inverse of ``flatten``."""
    if isinstance(space, spaces.Dict):
        return {key: unflatten(part, columns, f"{name}/{key}") for key, part in space.items()}
    if isinstance(space, spaces.Tuple):
        return tuple(unflatten(part, columns, f"{name}/{place}") for place, part in enumerate(space.spaces))
    return columns[name]


def space_to_plain(space: spaces.Space[Any]) -> dict[str, Any]:
    """A space as plain data; bounds that are all alike are written once."""
    if isinstance(space, spaces.Dict):
        return {"kind": "Dict", "parts": {key: space_to_plain(part) for key, part in space.items()}}
    if isinstance(space, spaces.Tuple):
        return {"kind": "Tuple", "parts": [space_to_plain(part) for part in space.spaces]}
    if isinstance(space, spaces.Discrete):
        return {"kind": "Discrete", "n": int(space.n), "start": int(space.start), "dtype": str(space.dtype)}
    if isinstance(space, spaces.MultiDiscrete):
        nvec, start = space.nvec.tolist(), space.start.tolist()
        return {"kind": "MultiDiscrete", "nvec": nvec, "start": start, "dtype": str(space.dtype)}
    if isinstance(space, spaces.MultiBinary):
        return {"kind": "MultiBinary", "shape": list(space.shape)}
    if isinstance(space, spaces.Box):
        bounds = {"low": _bound(space.low), "high": _bound(space.high)}
        return {"kind": "Box", "shape": list(space.shape), "dtype": str(space.dtype), **bounds}
    raise UsageError(f"a space of {type(space).__name__} cannot be written down")


def space_from_plain(plain: Mapping[str, Any]) -> spaces.Space[Any]:
    """The inverse of ``space_to_plain``."""
    kind = plain["kind"]
    if kind == "Dict":
        return spaces.Dict({key: space_from_plain(part) for key, part in plain["parts"].items()})
    if kind == "Tuple":
        return spaces.Tuple([space_from_plain(part) for part in plain["parts"]])
    if kind == "Discrete":
        other = {} if plain["dtype"] == "int64" else {"dtype": np.dtype(plain["dtype"]).type}
        return spaces.Discrete(plain["n"], start=plain["start"], **other)
    if kind == "MultiDiscrete":
        return spaces.MultiDiscrete(plain["nvec"], dtype=np.dtype(plain["dtype"]).type, start=plain["start"])
    if kind == "MultiBinary":
        return spaces.MultiBinary(plain["shape"])
    if kind == "Box":
        dtype, shape = np.dtype(plain["dtype"]), tuple(plain["shape"])
        low, high = (np.broadcast_to(np.array(plain[key]).astype(dtype), shape) for key in ("low", "high"))
        return spaces.Box(low, high, shape, dtype.type)
    raise ValueError(f"unknown kind of space {kind!r}")


def _bound(bound: NDArray[Any]) -> Any:
    # JSON has no infinity; Python writes and reads "Infinity", which is enough here.
    return bound.flat[0].item() if bound.size and (bound == bound.flat[0]).all() else bound.tolist()


# The header


def versions(entry_point: object = None) -> dict[str, str]:
    """Versions of what a collection depends on.

    Args:
        entry_point: Of the environment, as Gymnasium's description has it; the package that it lies in is told too.
    """
    found = {"equiworld": __version__, "python": platform.python_version()}
    names = ["gymnasium", "numpy", "numba", "ale-py"]
    if isinstance(entry_point, str):
        package = entry_point.partition(":")[0].partition(".")[0].replace("_", "-")
        names += [] if package in found or package in names else [package]
    for name in names:
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


@dataclass(frozen=True)
class Header:
    """What a file says of itself; all of it is text or numbers in the file's attributes.

    Attributes:
        observation_space: Of one copy of the environment.
        action_space: Likewise.
        environment: ``{"id": ..., "options": {...}}``: what ``gymnasium.make`` takes.
        spec: Gymnasium's own description of the environment as JSON; empty where it has none.
        policy: ``{"name": ..., "options": {...}}``.
        seed: Source of the seeds of the episodes.
        shard: Which of how many: ``(0, 1)`` for a file that stands alone.
        factors: The factors; of one whose values are not known only the name and the kind ("unknown").
        actions: What the world's actions do to the factors, where it says so.
        plain_actions: Whether an action moves its factor by its amount in every state, and does nothing else.
        commutes: Whether these actions commute.
        versions: Of the libraries that a collection depends on.
        cut: Whether the last episode was cut because the steps that were asked for were reached.
        origin: Where imported rollouts come from.
    """

    observation_space: spaces.Space[Any]
    action_space: spaces.Space[Any]
    environment: dict[str, Any] = field(default_factory=dict)
    spec: str = ""
    policy: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    shard: tuple[int, int] = (0, 1)
    factors: tuple[dict[str, Any], ...] = ()
    actions: tuple[dict[str, Any], ...] = ()
    plain_actions: bool = False
    commutes: bool = True
    versions: dict[str, str] = field(default_factory=versions)
    cut: bool = False
    origin: dict[str, Any] = field(default_factory=dict)

    @property
    def factor_names(self) -> tuple[str, ...]:
        """Names of the columns of ``factors``."""
        return tuple(factor["name"] for factor in self.factors)

    def known_factors(self) -> tuple[Factor, ...] | None:
        """The factors with their sizes and kinds; None where the file does not know them."""
        if not self.factors or any(factor["kind"] == "unknown" for factor in self.factors):
            return None
        return tuple(Factor(**factor) for factor in self.factors)

    def known_actions(self) -> tuple[Action, ...]:
        """The world's actions, where it says what they do."""
        return tuple(Action(**action) for action in self.actions)

    def columns(self, factor_dtype: Any = None, extra: Sequence[Column] = ()) -> list[Column]:
        """The columns of a file with this header.

        Args:
            factor_dtype: Of the factors; None where the environment tells none.
            extra: Further ones, which must lie in ``info/``.
        """
        both = (("observation", self.observation_space), ("action", self.action_space))
        found = [
            Column(name, np.dtype(leaf.dtype), tuple(leaf.shape or ()))
            for part, space in both
            for name, leaf in leaves(space, part)
        ]
        found.append(Column("reward", np.dtype(np.float64), ()))
        found += [Column(name, np.dtype(np.bool_), ()) for name in ("terminated", "truncated")]
        if factor_dtype is not None:
            found.append(Column("factors", np.dtype(factor_dtype), (len(self.factors),)))
        if wrong := [column.name for column in extra if not column.name.startswith(INFO)]:
            raise UsageError(f"further columns lie in {INFO}, not in {wrong[0]}")
        return [*found, *extra]

    def to_attributes(self) -> dict[str, Any]:
        """As HDF5 attributes."""
        attributes: dict[str, Any] = {"format": FORMAT, "version": VERSION, "seed": self.seed}
        attributes |= {name: getattr(self, name) for name in _FLAGS}
        for name in ("observation_space", "action_space"):
            attributes[name] = _text(space_to_plain(getattr(self, name)))
        for name in ("environment", "policy", "shard", "factors", "actions", "versions", "origin"):
            attributes[name] = _text(getattr(self, name))
        return attributes | {"spec": self.spec}

    @classmethod
    def from_attributes(cls, attributes: Mapping[str, Any]) -> Header:
        """The inverse of ``to_attributes``.

        Raises:
            RolloutError: They are no header, or one of another version.
        """
        if str(attributes.get("format")) != FORMAT:
            raise RolloutError("it is no rollout file of equiworld (its attribute 'format' does not say so)")
        version = attributes.get("version")
        if version != VERSION:
            raise RolloutError(f"it has version {version} of the format; this library reads version {VERSION}")
        try:
            values: dict[str, Any] = {
                name: json.loads(attributes[name])
                for name in ("environment", "policy", "shard", "factors", "actions", "versions", "origin")
            }
            values |= {name: tuple(values[name]) for name in ("shard", "factors", "actions")}
            for name in ("observation_space", "action_space"):
                values[name] = space_from_plain(json.loads(attributes[name]))
            values |= {name: bool(attributes[name]) for name in _FLAGS}
            header = cls(**values, seed=int(attributes["seed"]), spec=str(attributes["spec"]))
            header.known_factors(), header.known_actions(), header.columns()
        except (KeyError, TypeError, ValueError, AssertionError) as error:
            raise RolloutError(f"its header is damaged ({type(error).__name__}: {error})") from error
        return header

    def differences(self, other: Header) -> list[str]:
        """Names of what the two disagree in; versions and how far they got do not count."""
        skipped = ("versions", "cut")
        names = [each.name for each in fields(self) if each.name not in skipped]
        mine, theirs = self.to_attributes(), other.to_attributes()
        return [name for name in names if mine[name] != theirs[name]]


def _text(plain: Any) -> str:
    def number(value: Any) -> Any:
        if isinstance(value, np.generic):
            return value.item()
        raise UsageError(f"{value!r} cannot be written into a header; numbers, text, lists and dictionaries can")

    return json.dumps(plain, default=number)


def plain_factor(factor: Factor) -> dict[str, Any]:
    """A factor as plain data."""
    return asdict(factor)


def unknown_factor(name: str) -> dict[str, Any]:
    """A factor of which only the name is known."""
    return {"name": name, "kind": "unknown"}


def plain_action(action: Action) -> dict[str, Any]:
    """An action as plain data."""
    return asdict(action)
