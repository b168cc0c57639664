"""Files that survive their writer: killed at any write, at any moment, or out of room, they hold a whole state."""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import random
import resource
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from gymnasium import spaces

from equiworld.datasets.rollouts import Header, Rollouts, RolloutWriter, transaction
from equiworld.datasets.rollouts.transaction import TransactionalFile, journal_of, recover
from equiworld.envs import UsageError

HEADER = Header(spaces.Box(0, 255, (8, 8, 3), np.uint8), spaces.Discrete(5))


def episode(number: int) -> dict[str, Any]:
    """An episode that its number determines."""
    rng = np.random.default_rng(number)
    steps = int(rng.integers(1, 40))
    return {
        "observation": rng.integers(0, 256, (steps + 1, 8, 8, 3), dtype=np.uint8),
        "action": rng.integers(0, 5, steps),
        "reward": rng.random(steps),
        "terminated": np.arange(1, steps + 1) == steps,
    }


def check(path: Path) -> int:
    """Compares every episode in a file with what was written; gives their number."""
    recover(path)
    with h5py.File(path, "r") as file:  # HDF5 alone can read it too
        assert len(file["observation"]) == file["episode_offsets"][-1]
    with Rollouts(path) as rollouts:
        for number in range(rollouts.episodes):
            first, last = rollouts.offsets[number : number + 2]
            expected = episode(number)
            assert np.array_equal(rollouts.read("observation", np.arange(first, last)), expected["observation"])
            assert np.array_equal(rollouts.read("reward", np.arange(first, last - 1)), expected["reward"])
            assert rollouts.read("action", [last - 1]) == 0
        assert rollouts.seeds.tolist() == list(range(rollouts.episodes))
        return rollouts.episodes


class Died(BaseException):
    """Stands for a kill."""


class Dying:
    """Lets a process die at the n-th thing that it does to the file system; a write may stop in its middle."""

    def __init__(self, patch: pytest.MonkeyPatch, at: int) -> None:
        self.left, self.dead = at, False
        for owner, name in ((os, "replace"), (os, "fsync"), (Path, "unlink"), (transaction, "_write_all")):
            patch.setattr(owner, name, self._mortal(getattr(owner, name), name))

    def _mortal(self, function: Callable[..., Any], name: str) -> Callable[..., Any]:
        def act(*arguments: Any, **options: Any) -> Any:
            if self.dead:
                raise Died
            self.left -= 1
            if self.left > 0:
                return function(*arguments, **options)
            self.dead = True
            if name == "_write_all":
                function(arguments[0], bytes(arguments[1])[: len(arguments[1]) // 2])
            raise Died

        return act


def write(path: Path, episodes: range, every: float = 0.0) -> None:
    with RolloutWriter(path, None if path.exists() else HEADER, every=every) as writer:
        for number in episodes:
            writer.append(episode(number), seed=number)


def test_death_at_every_single_write(tmp_path: Path) -> None:
    path, deaths, seen = tmp_path / "rollouts.h5", 0, set()
    write(path, range(3))  # so that there is something to lose
    begun = path.read_bytes()
    for at in range(1, 400, 2):
        path.write_bytes(begun)
        with pytest.MonkeyPatch.context() as patch:
            dying = Dying(patch, at)
            try:
                write(path, range(3, 6))
            except Died:
                deaths += 1
            if not dying.dead:
                break
        found = check(path)
        assert 3 <= found <= 6
        seen.add(found)
        assert not journal_of(path).exists()
    assert deaths > 10 and seen == {3, 4, 5, 6}
    write(path, range(6, 9))
    assert check(path) == 9


def test_a_file_that_was_never_committed_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "rollouts.h5"
    with pytest.MonkeyPatch.context() as patch:
        Dying(patch, 2)
        with pytest.raises(Died):
            write(path, range(3))
    assert not path.exists()
    write(path, range(3))
    assert check(path) == 3 and [file.name for file in tmp_path.iterdir()] == ["rollouts.h5"]


def test_killed_at_random_moments(tmp_path: Path) -> None:
    path, pick, counts = tmp_path / "rollouts.h5", random.Random(0), [0]
    for _ in range(20):
        before = path.stat().st_mtime_ns if path.exists() else 0
        child = os.fork()  # not a new interpreter: that takes seconds to begin
        if not child:
            try:
                write(path, range(counts[-1], counts[-1] + 10_000))
            finally:
                os._exit(0)
        deadline = time.monotonic() + 20  # it must have begun to write
        while (not path.exists() or path.stat().st_mtime_ns == before) and time.monotonic() < deadline:
            time.sleep(0.002)
        time.sleep(pick.uniform(0, 0.1))
        os.kill(child, signal.SIGKILL)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
        counts.append(check(path) if path.exists() else 0)
        assert counts[-1] >= counts[-2]
    assert counts[-1] > 5
    write(path, range(counts[-1], counts[-1] + 5))
    assert check(path) == counts[-1] + 5


def test_what_is_journalled_is_recovered_and_what_is_half_journalled_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with TransactionalFile(path, new=True) as file:
        file.write(b"a" * 10_000)
        file.commit()
        file.seek(100)
        file.write(b"b" * 5000)
        file.seek(10_000)
        file.write(b"c" * 5000)
        file.seek(4000)
        assert file.read(2000) == b"b" * 1100 + b"a" * 900  # its writer sees what it wrote
        assert path.read_bytes()[:10_000] == b"a" * 10_000  # nobody else does
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(transaction, "_apply", lambda *arguments: (_ for _ in ()).throw(Died))
            with pytest.raises(Died):
                file.commit()
    expected = b"a" * 100 + b"b" * 5000 + b"a" * 4900 + b"c" * 5000
    journal = journal_of(path).read_bytes()
    journal_of(path).write_bytes(journal[:-1])
    before = path.read_bytes()
    recover(path)
    assert path.read_bytes() == before and not journal_of(path).exists()
    journal_of(path).write_bytes(journal)
    recover(path)
    assert path.read_bytes() == expected and not journal_of(path).exists()


def test_a_file_can_shrink_and_grow(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with TransactionalFile(path, new=True) as file:
        file.write(bytes(range(250)) * 40)
        file.commit()
        file.truncate(5000)
        file.seek(5000)
        file.write(b"x" * 3000)
        file.commit()
        assert path.read_bytes() == (bytes(range(250)) * 40)[:5000] + b"x" * 3000
        file.seek(9000)
        file.write(b"y")
        file.seek(7900)
        assert file.read() == b"x" * 100 + bytes(1000) + b"y"
    assert len(path.read_bytes()) == 8000  # what was not committed is gone


def test_only_one_writes_and_nobody_reads_meanwhile(tmp_path: Path) -> None:
    path = tmp_path / "rollouts.h5"
    with RolloutWriter(path, HEADER) as writer:
        writer.append(episode(0), seed=0)
        writer.commit()
        with pytest.raises(UsageError, match="is in use: whoever"):
            RolloutWriter(path)
        with pytest.raises(UsageError, match="is in use: whoever"):
            Rollouts(path)
    with Rollouts(path) as rollouts, pytest.raises(UsageError, match="is in use: whoever"):
        assert rollouts.episodes == 1
        RolloutWriter(path)
    assert check(path) == 1


@pytest.mark.parametrize("room", [45_000, 61_000, 98_304])
def test_a_disk_without_room_keeps_what_was_whole(tmp_path: Path, room: int) -> None:
    path = tmp_path / "rollouts.h5"
    write(path, range(2))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        with pytest.raises(OSError) as caught:
            write(path, range(2, 500))
        assert caught.value.errno == errno.EFBIG
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    kept = check(path)
    assert kept >= 2 and path.stat().st_size <= room
    write(path, range(kept, kept + 4))
    assert check(path) == kept + 4


@pytest.mark.parametrize("after", [0, 1, 2, 5])
def test_an_error_of_the_disk_keeps_what_was_whole(tmp_path: Path, after: int) -> None:
    path = tmp_path / "rollouts.h5"
    write(path, range(2))
    real, calls = transaction._write_all, [0]

    def full(stream: Any, view: Any) -> None:
        calls[0] += 1
        if calls[0] > after:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(stream, view)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transaction, "_write_all", full)
        with pytest.raises(OSError, match="No space left"):
            write(path, range(2, 50))
    kept = check(path)
    write(path, range(kept, 10))
    assert check(path) == 10


def test_who_comes_second_removes_nothing_of_the_first(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with contextlib.closing(TransactionalFile(path, new=True)) as first:
        with pytest.raises(UsageError, match="is in use"):
            TransactionalFile(path, new=True)
        gc.collect()
        first.write(b"whole")
        first.commit()
    assert path.read_bytes() == b"whole"
    with contextlib.closing(TransactionalFile(path, new=True, replace=True)) as second:
        second.write(b"other")
        assert path.read_bytes() == b"whole"
        second.commit()
    assert path.read_bytes() == b"other" and [each.name for each in tmp_path.iterdir()] == ["a.h5"]
