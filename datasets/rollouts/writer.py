"""Writes rollouts: rows as they come, episodes when they are whole, files that survive the death of their writer."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import h5py
import numpy as np
from numpy.typing import NDArray

from ...envs.registry import UsageError
from .codec import codec_of, filters
from .layout import OFFSETS, SEEDS, Column, Header
from .reader import check_file, open_file
from .transaction import TransactionalFile

T = TypeVar("T")


class _Writing:
    """One growing data set: whole chunks are written when they are full, the rest when it is asked for."""

    def __init__(self, column: Column, dataset: h5py.Dataset) -> None:
        self.column, self.dataset = column, dataset
        self.chunk = int(dataset.chunks[0])
        self.codec = codec_of(dataset)
        self.tail = np.zeros((self.chunk, *column.shape), dtype=column.dtype)
        self.zeros, self._direct = (0,) * len(column.shape), dataset.id.write_direct_chunk
        self.written = 0  # rows in whole chunks
        self.filled = 0  # rows in the tail
        self.truncate(len(dataset))

    @property
    def rows(self) -> int:
        return self.written + self.filled

    def truncate(self, rows: int) -> None:
        """Forgets what lies behind a row."""
        if rows < self.written or not self.rows:
            self.written = rows - rows % self.chunk
            self.tail[: rows - self.written] = self.dataset[self.written : rows]
        self.filled = rows - self.written

    def extend(self, rows: NDArray[Any]) -> None:
        taken = 0
        if self.filled:
            taken = min(self.chunk - self.filled, len(rows))
            self.tail[self.filled : self.filled + taken] = rows[:taken]
            self.filled += taken
            if self.filled < self.chunk:
                return
            self.filled = 0
            self._put(self.tail)
        whole = (len(rows) - taken) // self.chunk * self.chunk
        if whole:
            self._put(rows[taken : taken + whole])
        self.filled = len(rows) - taken - whole
        self.tail[: self.filled] = rows[taken + whole :]

    def _put(self, rows: NDArray[Any]) -> None:
        """Writes whole chunks."""
        self._resize(self.written + len(rows))
        self._write(self.written, rows)
        self.written += len(rows)

    def _write(self, at: int, rows: NDArray[Any]) -> None:
        if self.codec is None:
            self.dataset[at : at + len(rows)] = rows
            return
        put, encode, address, itemsize = self._direct, self.codec.encode, rows.ctypes.data, rows.itemsize
        for start in range(at, at + len(rows), self.chunk):
            put((start, *self.zeros), encode(address, self.tail.nbytes, itemsize))
            address += self.tail.nbytes

    def _resize(self, rows: int) -> None:
        self.dataset.id.set_extent((rows, *self.column.shape))

    def commit(self) -> None:
        """Writes the tail too, so that the data set has all rows."""
        self._resize(self.rows)
        if self.filled and self.codec is None:
            self._write(self.written, self.tail[: self.filled])
        elif self.filled:
            self.tail[self.filled :] = 0
            self._write(self.written, self.tail)


class RolloutWriter:
    """Writes a rollout file.

    A row is an observation; ``action``, ``reward``, ``terminated`` and ``truncated`` in it belong to the step to the
    next row. An episode of T steps has T + 1 rows, the last of which has zeros there. The file shows whole episodes
    only, whatever happens to its writer (``transaction.TransactionalFile``).

    Args:
        path: The file. It is made when the first episodes are committed.
        header: What the file says of itself; None to go on with a file that exists.
        factor_dtype: Of the column ``factors``; None where there is none.
        extra: Further columns, in ``info/``.
        compression: ``lz4``, ``zstd`` or ``none``.
        every: Seconds after which ``end_episode`` commits what is whole; the first episode of a new file at once.

    Attributes:
        header: What the file says of itself.
        columns: Its columns, by name.

    Raises:
        UsageError: The file exists (with a header) or does not (without), another process uses it, or an option cannot
            be used.
        RolloutError: It is no rollout file, or damaged.
        OSError: It cannot be written.

    Example:
        >>> import tempfile
        >>> from gymnasium import spaces
        >>> header = Header(spaces.Box(-1, 1, (2,)), spaces.Discrete(3))
        >>> path = Path(tempfile.mkdtemp()) / "rollouts.h5"
        >>> with RolloutWriter(path, header) as writer:
        ...     writer.append(
        ...         {"observation": np.ones((3, 2)), "action": [2, 0], "reward": [0.5, 1], "terminated": [0, 1]}
        ...     )
        >>> from .reader import Rollouts
        >>> Rollouts(path).read("reward", [0, 1, 2]).tolist()
        [0.5, 1.0, 0.0]
    """

    def __init__(
        self,
        path: Path | str,
        header: Header | None = None,
        *,
        factor_dtype: Any = None,
        extra: Sequence[Column] = (),
        compression: str = "lz4",
        every: float = 2.0,
    ) -> None:
        self.path, self._every = Path(path), every
        options = filters(compression)
        if header is None and not self.path.is_file():
            raise UsageError(f"there is no file {self.path} to go on with")
        if header is None:
            open_file(self.path).close()  # tells what is truncated, which HDF5 cannot see through a transaction
        columns = [] if header is None else header.columns(factor_dtype, extra)
        self._file: h5py.File | None = None
        self._broken = False  # by an error in the middle of a write: what is on the disk is all that counts then
        self._transaction = TransactionalFile(self.path, new=header is not None)
        try:
            self._open(header, columns, options)
        except BaseException:
            self.abandon()
            raise
        self._last, self._dirty = time.monotonic() if header is None else -math.inf, header is not None
        self._rows = self.rows  # of whole episodes
        self.columns = {name: each.column for name, each in self._writing.items() if name not in (OFFSETS, SEEDS)}

    def _open(self, header: Header | None, columns: list[Column], options: dict[str, Any]) -> None:
        if header is not None:
            # The oldest version of the format that has room for long attributes, and no mark of an open file.
            self._file = file = h5py.File(self._transaction, "w", libver=("v108", "v108"))
            self.header = header
            file.attrs.update(header.to_attributes())
            columns = [*columns, Column(OFFSETS, np.dtype(np.int64), ()), Column(SEEDS, np.dtype(np.int64), ())]
            for column in columns:
                file.create_dataset(
                    column.name,
                    shape=(0, *column.shape),
                    maxshape=(None, *column.shape),
                    chunks=(column.chunk_rows, *column.shape),
                    dtype=column.dtype,
                    **options,
                )
            self._writing = {each.name: _Writing(each, file[each.name]) for each in columns}
            self._writing[OFFSETS].extend(np.zeros(1, dtype=np.int64))
        else:
            self._file = file = h5py.File(self._transaction, "r+", libver=("v108", "v108"))
            self.header, columns = check_file(file, self.path)
            self._writing = {each.name: _Writing(each, file[each.name]) for each in columns}

    # Writing

    @property
    def rows(self) -> int:
        """Rows written, those of an episode that is not whole yet included."""
        return next(each.rows for name, each in self._writing.items() if name not in (OFFSETS, SEEDS))

    @property
    def episodes(self) -> int:
        """Whole episodes."""
        return self._writing[OFFSETS].rows - 1

    @property
    def steps(self) -> int:
        """Steps of whole episodes."""
        return self._rows - self.episodes

    def write(self, rows: Mapping[str, Any]) -> None:
        """Writes some rows of the running episode.

        Args:
            rows: For every column its rows, [n, ...].

        Raises:
            UsageError: A column is missing, or a shape or a type is not the file's.
            OSError: The file cannot be written; the episodes that were committed stay.
        """
        lengths = {name: len(values) for name, values in rows.items()}
        if rows.keys() != self.columns.keys():
            wrong = sorted(rows.keys() ^ self.columns.keys())
            raise UsageError(
                f"rows need the columns {', '.join(self.columns)}; {', '.join(wrong)} is missing or unknown"
            )
        if len(set(lengths.values())) != 1:
            raise UsageError(f"the columns need equally many rows, got {lengths}")
        arrays = {name: _as_column(rows[name], column) for name, column in self.columns.items()}

        def put() -> None:
            for name, array in arrays.items():
                self._writing[name].extend(array)

        self._guarded(put)

    def end_episode(self, seed: int = -1) -> None:
        """Makes an episode of the rows that were written since the last one.

        Args:
            seed: That the environment was reset with; -1 if it is not known.

        Raises:
            UsageError: There are no rows, or the seed is below -1 or has more than 64 bits.
            OSError: The file cannot be written; the episodes that were committed stay.
        """
        if self.rows == self._rows:
            raise UsageError("an episode needs at least one row")
        if not -1 <= seed < 2**64 - 1:
            raise UsageError(f"the seed of an episode is 0 to 2^64 - 2, or -1 if it is not known, got {seed}")
        seed -= 2**64 if seed >= 2**63 else 0
        self._rows, self._dirty = self.rows, True
        for name, value in ((OFFSETS, self._rows), (SEEDS, seed)):
            self._guarded(lambda name=name, value=value: self._writing[name].extend(np.array([value])))  # type: ignore[misc]
        if time.monotonic() - self._last >= self._every:
            self.commit()

    def append(self, episode: Mapping[str, Any], seed: int = -1) -> None:
        """Writes a whole episode.

        Args:
            episode: Observations (and factors) of its T + 1 rows; of the other columns T or T + 1. Columns that are
                not given are zeros, but for observations and actions.
            seed: That the environment was reset with; -1 if it is not known.

        Raises:
            UsageError: The columns do not belong together.
            OSError: The file cannot be written; the episodes that were committed stay.
        """
        first = next(name for name in self.columns if name.partition("/")[0] == "observation")
        count = len(episode.get(first, ()))
        rows = {}
        for name, column in self.columns.items():
            if name not in episode and name not in ("reward", "terminated", "truncated"):
                raise UsageError(f"the episode has no column {name}")
            values = _as_column(episode.get(name, column.zeros(0)), column)
            own = name.partition("/")[0] in ("observation", "factors", "info")
            if len(values) != count and (own or (name in episode and len(values) != count - 1)):
                raise UsageError(f"an episode of {count} observations cannot have {len(values)} rows in {name}")
            rows[name] = values if len(values) == count else np.concatenate([values, column.zeros(count - len(values))])
        if unknown := sorted(episode.keys() - self.columns.keys()):
            raise UsageError(f"there is no column {unknown[0]}; there are: {', '.join(self.columns)}")
        self.write(rows)
        self.end_episode(seed)

    def drop_last_episode(self) -> None:
        """Forgets the last whole episode, with the next commit."""
        self.discard()
        offsets, seeds = self._writing[OFFSETS], self._writing[SEEDS]
        self._guarded(lambda: offsets.truncate(offsets.rows - 1))
        self._guarded(lambda: seeds.truncate(offsets.rows - 1))
        last = offsets.filled - 1
        self._rows = int(offsets.tail[last]) if last >= 0 else int(offsets.dataset[offsets.rows - 1])
        self._dirty = True
        self.discard()

    def discard(self) -> None:
        """Forgets the rows of the running episode."""
        if self.rows != self._rows:
            self._dirty = True
            for name in self.columns:
                self._guarded(lambda name=name: self._writing[name].truncate(self._rows))  # type: ignore[misc]

    def commit(self, *, cut: bool | None = None) -> None:
        """Makes the whole episodes written so far last.

        Args:
            cut: What the header says of the last episode; None leaves it.

        Raises:
            UsageError: An episode is not whole.
            OSError: The file cannot be written; the episodes that were committed before stay.
        """
        if self.rows != self._rows:
            raise UsageError("the running episode is not whole: it must end, or be discarded, before a commit")
        if cut is not None and cut != self.header.cut:
            self.header, self._dirty = replace(self.header, cut=cut), True
        if self._dirty:
            self._guarded(self._flush)
            self._transaction.commit()
            self._dirty = False
        self._last = time.monotonic()

    def _flush(self) -> None:
        for each in self._writing.values():
            each.commit()
        assert self._file is not None
        self._file.attrs["cut"] = self.header.cut
        self._file.flush()

    def _guarded(self, work: Callable[[], T]) -> T:
        """Runs something that writes; what HDF5 says after a write has failed is of no interest."""
        try:
            done = work()
        except BaseException as error:  # a Ctrl-C too may leave HDF5 in the middle of something
            self._broken = True
            if isinstance(error, Exception):
                self._transaction.check()
            raise
        self._transaction.check()
        return done

    def close(self) -> None:
        """Commits what is whole, forgets what is not, and closes the file. May be called twice.

        Raises:
            OSError: The file cannot be written; the episodes that were committed before stay.
        """
        if self._transaction.closed:
            return
        try:
            if self._transaction.error is None and not self._broken:
                self.discard()
                self.commit()
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Closes the file in the state of its last commit. May be called twice."""
        self._transaction.stop()
        try:
            if self._file is not None:
                self._file.close()
        except (OSError, RuntimeError, ValueError):  # HDF5 cannot make sense of what could not be written
            pass
        finally:
            self._transaction.close()

    def __enter__(self) -> RolloutWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _as_column(values: Any, column: Column) -> NDArray[Any]:
    """Values as rows of a column, contiguous.

    Raises:
        UsageError: Their shape or type is not the column's, and they cannot be taken for it without loss.
    """
    array = np.asarray(values)
    if array.shape[1:] != column.shape:
        raise UsageError(f"rows of {column.name} have the shape {list(column.shape)}, got {list(array.shape[1:])}")
    if array.dtype != column.dtype:
        converted = array.astype(column.dtype)
        if not np.array_equal(converted, array, equal_nan=array.dtype.kind == "f"):
            raise UsageError(f"{column.name} holds {column.dtype}, and {array.dtype} values would be changed by that")
        array = converted
    return np.ascontiguousarray(array)
