"""Consoles in processes of their own, which run at the same time; what they show and hold is in shared memory."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Sequence
from multiprocessing.connection import Connection
from multiprocessing.shared_memory import SharedMemory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..registry import UsageError
from .fleet import SIZES, Fleet


class WorkerFleet:
    """A ``Fleet`` whose consoles are shared out among processes, to the same effect.

    The processes are started anew ("spawn"), so that a script that uses them guards its start with
    ``if __name__ == "__main__"``, as for every use of processes. They end with this one, or when ``close`` is called.

    Args:
        n: Consoles N.
        pooling: Whether the screen before the last one is kept too.
        workers: Processes; no more than consoles are started.

    Attributes:
        ram: Memories, uint8 [N, 128].
        screen: Screens, uint8 [N, 210, 160].
        before: The screens of the frame before, or None.
    """

    def __init__(self, n: int, pooling: bool, workers: int) -> None:
        self._memory = SharedMemory(create=True, size=sum(n * int(np.prod(size)) for size in SIZES.values()))
        arrays = _arrays(self._memory, n)
        self.ram, self.screen = arrays["ram"], arrays["screen"]
        self.before = arrays["before"] if pooling else None
        context = multiprocessing.get_context("spawn")
        bounds = np.linspace(0, n, min(workers, n) + 1).round().astype(int)
        self._worker_of = np.repeat(np.arange(len(bounds) - 1), np.diff(bounds)).tolist()
        self._first = bounds[:-1].tolist()
        self._pipes: list[Connection[Any, Any]] = []
        self._processes = []
        for first, last in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
            ours, theirs = context.Pipe()
            process = context.Process(
                target=_work, args=(theirs, self._memory.name, n, first, last, pooling), daemon=True
            )
            process.start()
            theirs.close()
            self._pipes.append(ours)
            self._processes.append(process)
        for worker in range(len(self._pipes)):
            self._answer(worker)

    def palette(self) -> NDArray[np.uint8]:
        """As in ``Fleet``."""
        found: NDArray[np.uint8] = self._ask(0, "palette")
        return found

    def restart(self, rows: Sequence[int]) -> None:
        """As in ``Fleet``."""
        self._ask_each("restart", rows)

    def run(self, rows: Sequence[int], plans: Sequence[Sequence[int]]) -> tuple[list[int], list[bool]]:
        """As in ``Fleet``."""
        points: dict[int, int] = {}
        over: dict[int, bool] = {}
        for part, (their_points, their_over) in self._ask_each("run", rows, plans):
            points |= zip(part, their_points, strict=True)
            over |= zip(part, their_over, strict=True)
        return [points[row] for row in rows], [over[row] for row in rows]

    def place(self, rows: Sequence[int], factors: NDArray[np.float64]) -> None:
        """As in ``Fleet``."""
        self._ask_each("place", rows, factors)

    def save(self, row: int) -> bytes:
        """As in ``Fleet``."""
        worker = self._worker_of[row]
        state: bytes = self._ask(worker, "save", row - self._first[worker])
        return state

    def load(self, row: int, state: bytes) -> None:
        """As in ``Fleet``."""
        worker = self._worker_of[row]
        self._ask(worker, "load", row - self._first[worker], state)

    def _ask_each(self, method: str, rows: Sequence[int], *arguments: Any) -> list[tuple[list[int], Any]]:
        """Has every worker do its part, at the same time; the rows of each, and what it answered."""
        asked: dict[int, list[int]] = {}
        for place, row in enumerate(rows):
            asked.setdefault(self._worker_of[row], []).append(place)
        for worker, places in asked.items():
            own = [rows[place] - self._first[worker] for place in places]
            self._send(worker, method, own, *([part[place] for place in places] for part in arguments))
        # All of them answer before an error of one is raised: no answer is left in a pipe.
        answers = {worker: self._receive(worker) for worker in asked}
        return [([rows[place] for place in asked[worker]], _result(answer)) for worker, answer in answers.items()]

    def _ask(self, worker: int, method: str, *arguments: Any) -> Any:
        self._send(worker, method, *arguments)
        return self._answer(worker)

    def _answer(self, worker: int) -> Any:
        return _result(self._receive(worker))

    def _send(self, worker: int, method: str, *arguments: Any) -> None:
        try:
            self._pipes[worker].send((method, arguments))
        except OSError as error:
            raise RuntimeError("a process that runs consoles has ended unexpectedly") from error

    def _receive(self, worker: int) -> Any:
        try:
            return self._pipes[worker].recv()
        except (EOFError, OSError) as error:
            raise RuntimeError("a process that runs consoles has ended unexpectedly") from error

    def close(self) -> None:
        """Ends the processes. May be called twice."""
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            process.join()
        if self._processes:
            # What they showed last can still be read.
            self.ram, self.screen = self.ram.copy(), self.screen.copy()
            self.before = None if self.before is None else self.before.copy()
            self._memory.close()
            self._memory.unlink()
        self._pipes, self._processes = [], []

    def __del__(self) -> None:
        if getattr(self, "_processes", []):
            self.close()


def _arrays(shared: SharedMemory, n: int) -> dict[str, NDArray[np.uint8]]:
    """The arrays that lie one after the other in shared memory."""
    arrays, offset = {}, 0
    for name, size in SIZES.items():
        arrays[name] = np.ndarray((n, *size), dtype=np.uint8, buffer=shared.buf, offset=offset)
        offset += arrays[name].nbytes
    return arrays


def _work(pipe: Connection[Any, Any], name: str, n: int, first: int, last: int, pooling: bool) -> None:
    """What a process does: calls methods of its own ``Fleet``, until the other end of the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt is the other end's business
    shared = SharedMemory(name=name)
    arrays = {key: array[first:last] for key, array in _arrays(shared, n).items()}
    fleet = Fleet(last - first, pooling, arrays)
    pipe.send((None, None))
    while True:
        try:
            method, arguments = pipe.recv()
        except EOFError:
            break
        try:
            pipe.send((getattr(fleet, method)(*arguments), None))
        except UsageError as error:
            pipe.send((None, error))


def _result(answer: tuple[Any, UsageError | None]) -> Any:
    result, error = answer
    if error is not None:
        raise error
    return result
