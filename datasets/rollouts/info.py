"""What is in a rollout file, in words."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any

import h5py
import numpy as np

from .reader import Rollouts


def describe(rollouts: Rollouts) -> Iterator[tuple[str, str]]:
    """Lines of ``name, what``.

    Args:
        rollouts: The recordings.
    """
    header, lengths = rollouts.header, rollouts.lengths - 1
    size = sum(path.stat().st_size for path in rollouts.files)
    yield "files", f"{len(rollouts.files)}, {_bytes(size)}" if len(rollouts.files) > 1 else _bytes(size)
    yield "environment", _call(header.environment.get("id", "unknown"), header.environment.get("options", {}))
    if header.policy:
        yield "policy", _call(header.policy.get("name", "unknown"), header.policy.get("options", {}))
    yield "seed", str(header.seed)
    if header.shard[1] > 1:
        there = sorted({each.shard[0] for each in rollouts.headers})
        missing = sorted(set(range(header.shard[1])) - set(there))
        yield "shards", f"{len(there)} of {header.shard[1]}" + (f"; missing: {missing}" if missing else "")
    if rollouts.episodes:
        cut = ", the last one cut" if any(each.cut for each in rollouts.headers) else ""
        yield (
            "episodes",
            f"{rollouts.episodes}, of {lengths.min()} to {lengths.max()} steps (mean {lengths.mean():.1f}){cut}",
        )
    else:
        yield "episodes", "0"
    yield "steps", str(rollouts.steps)
    if rollouts.episodes:
        returns = rollouts.returns
        yield "return", f"mean {returns.mean():.4g}, {returns.min():.4g} to {returns.max():.4g}"
        ended = int(np.count_nonzero(rollouts.all("terminated")))
        yield "ended", f"{ended} terminated, {int(np.count_nonzero(rollouts.all('truncated')))} truncated"
    raw = 0
    for name, column in rollouts.columns.items():
        raw += column.row_bytes * len(rollouts)
        shape = " x ".join(map(str, column.shape)) or "one number"
        yield name, f"{column.dtype}, {shape}; {_stored(rollouts, name)}"
    if size:
        yield "compression", f"{_bytes(raw)} in {_bytes(size)}, {raw / size:.1f} to 1"
    for (kind, values), factors in groupby(header.factors, lambda factor: (factor["kind"], factor.get("size"))):
        names = ", ".join(factor["name"] for factor in factors)
        count = "" if values is None else f" ({values} values)"
        yield f"{'named' if kind == 'unknown' else kind} factors", names + count
    for code, action in enumerate(header.actions):
        yield f"action {code}", str(action["name"])
    for name, version in header.versions.items():
        yield f"version of {name}", version
    for name, value in header.origin.items():
        yield f"from {name}", str(value)[:200]


def _call(name: str, options: dict[str, Any]) -> str:
    return name + (f" ({', '.join(f'{key}={value}' for key, value in options.items())})" if options else "")


def _stored(rollouts: Rollouts, name: str) -> str:
    with h5py.File(rollouts.files[0], "r") as file:
        dataset = file[name]
        filters = dataset.id.get_create_plist()
        names = [filters.get_filter(number)[3].decode() for number in range(filters.get_nfilters())]
        return f"chunks of {dataset.chunks[0]} rows, {' and '.join(names) or 'not compressed'}"


def _bytes(size: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
