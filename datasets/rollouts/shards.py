"""Collection into several files at once, each by a process of its own; together they are read as one."""

from __future__ import annotations

import multiprocessing
import queue
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...envs.registry import UsageError
from .collector import Collected, Plan, collect
from .layout import RolloutError

_POLL = 0.2  # seconds


def shard_path(folder: Path, shard: tuple[int, int]) -> Path:
    """The file of a shard in its folder."""
    return folder / f"shard-{shard[0]:05d}-of-{shard[1]:05d}.h5"


def shard_steps(steps: int, shard: tuple[int, int]) -> int:
    """The shard's part of all steps.

    Raises:
        UsageError: There is no shard, or not one step for each.
    """
    index, count = shard
    if count < 1:
        raise UsageError(f"the number of shards must be 1 or more, got {count}")
    if steps < count:
        raise UsageError(f"{steps} steps are too few for {count} shards")
    return steps // count + (index < steps % count)


def collect_shard(plan: Plan, steps: int, folder: Path, **settings: Any) -> Collected:
    """Collects the shard that the plan names.

    Args:
        plan: What is collected.
        steps: Of all shards together.
        folder: Where the shards lie; it is made.
        **settings: As ``collect`` takes them.
    """
    _make(folder)
    return collect(plan, shard_steps(steps, plan.shard), shard_path(folder, plan.shard), **settings)


def collect_shards(
    plan: Plan,
    steps: int,
    folder: Path,
    count: int,
    *,
    told: Callable[[int], object] | None = None,
    stopped: Callable[[], bool] = lambda: False,
    **settings: Any,
) -> Collected:
    """Collects all shards, each in a process of its own.

    Args:
        plan: What is collected; its own shard is not read.
        steps: Of all shards together.
        folder: Where the shards lie; it is made.
        count: How many shards.
        told: Called now and then with the number of steps so far.
        stopped: Asked now and then; True ends the collection, whole episodes are kept.
        **settings: As ``collect`` takes them.

    Raises:
        UsageError: As ``collect`` does, of any of them.
        OSError: Likewise, or a process died. The others are stopped then, and keep what is whole.
    """
    shard_steps(steps, (0, count))
    _make(folder)
    context = multiprocessing.get_context("spawn")
    results, stop = context.Queue(), context.Event()
    done: Any = context.Array("q", count)
    processes = [
        context.Process(
            target=_work, args=(replace(plan, shard=(number, count)), steps, folder, settings, results, stop, done)
        )
        for number in range(count)
    ]
    for process in processes:
        process.start()
    found: dict[int, Collected | Exception] = {}
    try:
        while len(found) < count:
            # Before the look at the queue: what a process says, it says before it ends.
            dead = [number for number, process in enumerate(processes) if not process.is_alive()]
            try:
                while True:
                    number, result = results.get(timeout=_POLL)
                    found[number] = result
            except queue.Empty:
                pass
            for number in dead:
                code = processes[number].exitcode
                found.setdefault(number, RolloutError(f"the process of shard {number} died (exit code {code})"))
            if stopped() or any(isinstance(result, Exception) for result in found.values()):
                stop.set()
            if told is not None:
                told(sum(done))
    finally:
        stop.set()
        for process in processes:
            process.join()
    for number in range(count):
        result = found[number]
        if isinstance(result, Exception):
            raise result
    parts = [result for result in found.values() if isinstance(result, Collected)]
    notes = [part.note for part in parts if part.note]
    return Collected(
        sum(part.episodes for part in parts),
        sum(part.steps for part in parts),
        all(part.complete for part in parts),
        sum(part.before for part in parts),
        notes[0] if notes else "",
    )


def _make(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file; shards lie in a folder")
    folder.mkdir(parents=True, exist_ok=True)


def _work(plan: Plan, steps: int, folder: Path, settings: dict[str, Any], results: Any, stop: Any, done: Any) -> None:
    """What a process does."""
    for number in (signal.SIGINT, signal.SIGTERM):  # the first process tells when to stop
        signal.signal(number, signal.SIG_IGN)

    def told(steps: int) -> None:
        done[plan.shard[0]] = steps

    try:
        result: Any = collect_shard(plan, steps, folder, told=told, stopped=stop.is_set, **settings)
    except Exception as error:
        result = error
    results.put((plan.shard[0], result))
