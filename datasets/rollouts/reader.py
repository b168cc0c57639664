"""Reads rollouts: any rows of any column, from one file or many, in any process."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...envs.factors import whole
from ...envs.registry import UsageError
from .codec import codec_of
from .layout import INFO, OFFSETS, SEEDS, Column, Header, RolloutError, unflatten
from .transaction import recover

IntArray = NDArray[np.int64]
Source = str | Path | Sequence[str | Path]

SUFFIXES = (".h5", ".hdf5")
CACHE_BYTES = 32 * 2**20
"""Columns up to this size are kept in memory."""


def find_files(source: Source) -> list[Path]:
    """The files that a source names, sorted within a folder or a pattern.

    Args:
        source: A file, a folder with ``.h5`` files, a pattern (``runs/*.h5``), or a list of these.

    Raises:
        UsageError: There are none.
    """
    if not isinstance(source, str | Path):
        return [file for each in source for file in find_files(each)]
    path = Path(source)
    if path.is_dir():
        found = sorted(file for file in path.iterdir() if file.suffix in SUFFIXES and not file.name.startswith("."))
        if not found:
            raise UsageError(f"the folder {path} holds no rollouts ({' or '.join(SUFFIXES)} files)")
        return found
    if not path.exists() and glob.has_magic(str(path)):
        found = sorted(Path(file) for file in glob.glob(str(path), recursive=True))
        if not found:
            raise UsageError(f"no file matches {path}")
        return found
    if not path.is_file():
        raise UsageError(f"there is no rollout file {path}")
    return [path]


def open_file(path: Path) -> h5py.File:
    """Opens a rollout file for reading; completes a commit that was interrupted.

    Raises:
        UsageError: Another process writes it.
        RolloutError: It is no HDF5 file, or truncated.
        OSError: It cannot be read.
    """
    recover(path)
    try:
        return h5py.File(path, "r")
    except BlockingIOError as error:
        raise UsageError(f"{path} is in use: whoever reads or writes it must close it first") from error
    except PermissionError:
        raise
    except OSError as error:
        why = "it is truncated" if "truncated" in str(error) else "it is damaged or no HDF5 file"
        raise RolloutError(f"{path} cannot be read: {why}") from error


def check_file(file: h5py.File, path: Path) -> tuple[Header, list[Column]]:
    """The header and the columns of an open file.

    Raises:
        RolloutError: It is no rollout file, of another version, or its parts do not belong together.
    """
    try:
        header = Header.from_attributes(file.attrs)
        factors = file.get("factors")
        extra: list[Column] = []

        def add(name: str, item: Any) -> None:
            if isinstance(item, h5py.Dataset):
                extra.append(Column(INFO + name, item.dtype, item.shape[1:]))

        if isinstance(file.get(INFO), h5py.Group):
            file[INFO].visititems(add)
        columns = header.columns(None if factors is None else factors.dtype, extra)
        columns += [Column(name, np.dtype(np.int64), ()) for name in (OFFSETS, SEEDS)]
        for column in columns:
            dataset = file.get(column.name)
            if not isinstance(dataset, h5py.Dataset):
                raise RolloutError(f"its column {column.name} is missing")
            if dataset.dtype != column.dtype or dataset.shape[1:] != column.shape or dataset.chunks is None:
                shape = list(dataset.shape[1:])
                expected = f"{column.dtype} of shape {list(column.shape)}"
                raise RolloutError(f"its column {column.name} holds {dataset.dtype} of shape {shape}, not {expected}")
            if dataset.chunks[1:] != column.shape:
                raise RolloutError(f"the chunks of its column {column.name} do not hold whole rows")
        offsets = file[OFFSETS][:]
        if not len(offsets) or offsets[0] or (np.diff(offsets) < 1).any():
            raise RolloutError(f"its {OFFSETS} do not begin at 0 and grow")
        expected_rows = {OFFSETS: len(offsets), SEEDS: len(offsets) - 1}
        for column in columns:
            rows, expected_row = len(file[column.name]), expected_rows.get(column.name, int(offsets[-1]))
            if rows != expected_row:
                raise RolloutError(f"its column {column.name} has {rows} rows instead of {expected_row}")
    except RolloutError as error:
        raise RolloutError(f"{path} cannot be read: {error}") from error
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
        raise RolloutError(f"{path} is damaged: {' '.join(str(error).split())[:200]}") from error
    return header, columns


def _read_seeds(file: h5py.File, path: Path) -> IntArray:
    try:
        seeds: IntArray = file[SEEDS][:]
    except (OSError, RuntimeError) as error:
        raise RolloutError(f"{path} is damaged: its {SEEDS} cannot be read") from error
    return seeds


class Chunks:
    """The rows of one data set, chunk by chunk.

    Where a chunk lies is asked of HDF5 once, for all of them; it is then read from the file and decompressed without
    HDF5, which takes a third of the time.
    """

    def __init__(self, dataset: h5py.Dataset, path: Path) -> None:
        self.dataset, self.path = dataset, path
        self.chunk = int(dataset.chunks[0])
        self.codec = codec_of(dataset) if hasattr(os, "pread") else None
        self.handle = dataset.file.id.get_vfd_handle()
        self.bytes = self.chunk * int(np.prod(dataset.shape[1:], dtype=np.int64)) * dataset.dtype.itemsize

    @cached_property
    def places(self) -> list[tuple[int, int, int]]:
        """Where each chunk lies in the file (-1 if it does not), its size there, and 0 if it is compressed."""
        found = [(-1, 0, 0)] * -(-len(self.dataset) // self.chunk)
        end = os.fstat(self.handle).st_size

        def keep(chunk: Any) -> None:
            if chunk.byte_offset + chunk.size > end:
                return  # damaged: what is said to be there cannot be
            found[chunk.chunk_offset[0] // self.chunk] = (chunk.byte_offset, chunk.size, chunk.filter_mask)

        try:
            self.dataset.id.chunk_iter(keep)
        except (OSError, RuntimeError, IndexError) as error:
            raise RolloutError(f"{self.path} is damaged: the chunks of {self.dataset.name} cannot be found") from error
        return found

    def gather(self, rows: IntArray, out: NDArray[Any]) -> None:
        """Reads some rows into ``out`` [N, ...]; every chunk that they lie in is read once."""
        chunks = rows // self.chunk
        # Pieces: spans of following rows within one chunk.
        begins = np.flatnonzero(np.diff(rows, prepend=rows[0] - 2) - 1 | np.diff(chunks, prepend=-1))
        lengths = np.diff(begins, append=len(rows))
        order = np.argsort(chunks[begins], kind="stable")
        block = np.empty((self.chunk, *self.dataset.shape[1:]), dtype=self.dataset.dtype)
        held, address, whole_out, row_bytes = -1, block.ctypes.data, out.ctypes.data, self.bytes // self.chunk
        places, counts = begins[order].tolist(), lengths[order].tolist()
        inside, numbers = (rows[begins] % self.chunk)[order].tolist(), chunks[begins][order].tolist()
        for number, first, place, count in zip(numbers, inside, places, counts, strict=True):
            if count == self.chunk:  # the whole of it, straight to where it belongs
                self._load(number, out[place : place + count], whole_out + place * row_bytes)
                continue
            if number != held:
                self._load(number, block, address)
                held = number
            out[place : place + count] = block[first : first + count]

    def _load(self, number: int, block: NDArray[Any], address: int) -> None:
        """Reads a chunk into a contiguous array, which lies at an address."""
        if self.codec is None:
            self._load_by_hdf5(number, block)
            return
        place, size, mask = self.places[number]
        if place < 0:
            raise RolloutError(
                f"{self.path} is damaged: rows {number * self.chunk} and on of {self.dataset.name} are missing"
            )
        content = os.pread(self.handle, size, place)
        if mask and len(content) == self.bytes:  # stored as it is
            block.reshape(-1).view(np.uint8)[:] = np.frombuffer(content, np.uint8)
        elif mask or not self.codec.decode(content, address, self.bytes):
            rows = f"rows {number * self.chunk} and on of {self.dataset.name}"
            raise RolloutError(f"{self.path} is damaged: {rows} cannot be unpacked")

    def _load_by_hdf5(self, number: int, block: NDArray[Any]) -> None:
        at = number * self.chunk
        end = min(at + self.chunk, len(self.dataset))
        try:
            self.dataset.read_direct(block, np.s_[at:end], np.s_[: end - at])
        except (OSError, RuntimeError, ValueError) as error:
            raise RolloutError(
                f"{self.path} is damaged: rows {at} and on of {self.dataset.name} cannot be read"
            ) from error


class Rollouts:
    """Recorded episodes, in one file or several that are read as one.

    Rows are numbered through all files. A row is an observation; ``action``, ``reward``, ``terminated`` and
    ``truncated`` in it belong to the step to the next row, and are zero in the last row of an episode.

    Nothing but small columns is kept in memory. It can be pickled and used after a fork: every process opens the files
    for itself.

    Args:
        source: A file, a folder with ``.h5`` files, a pattern (``runs/*.h5``), or a list of these.

    Attributes:
        files: The files.
        headers: What each says of itself.
        header: What the first says.
        columns: The columns by name; those of an observation that is a ``Dict`` are "observation/key".
        offsets: Where the episodes begin, int64 [E + 1]: episode e has the rows ``offsets[e]`` to
            ``offsets[e + 1] - 1``.
        seeds: What the environment was reset with in each episode, int64 [E]; -1 where it is not known. Seeds of 64
            bits, which Minari draws, stand as these bits: ``seed % 2**64`` is what they were.

    Raises:
        UsageError: There is no such file, they do not belong together, or another process writes one.
        RolloutError: A file is foreign, damaged or of another version.
    """

    def __init__(self, source: Source) -> None:
        self.files = find_files(source)
        if not self.files:
            raise UsageError("no rollout file is given")
        self.headers: list[Header] = []
        self._open: list[h5py.File | None] = [None] * len(self.files)
        self._chunks: dict[tuple[int, str], Chunks] = {}
        self._cache: dict[str, NDArray[Any]] = {}
        self._pid = os.getpid()
        offsets, seeds, begins = [np.zeros(1, dtype=np.int64)], [], [0]
        for number, path in enumerate(self.files):
            file = self._file(number)
            header, columns = check_file(file, path)
            own = {column.name: column for column in columns if column.name not in (OFFSETS, SEEDS)}
            if not number:
                self.columns = own
            elif own != self.columns:
                raise UsageError(f"{path} and {self.files[0]} have different columns: they cannot be read as one")
            elif header.environment != self.headers[0].environment or header.factors != self.headers[0].factors:
                raise UsageError(
                    f"{path} and {self.files[0]} are of different environments: they cannot be read as one"
                )
            self.headers.append(header)
            own_offsets = file[OFFSETS][:]
            offsets.append(own_offsets[1:] + begins[-1])
            begins.append(begins[-1] + int(own_offsets[-1]))
            seeds.append(_read_seeds(file, path))
        self.header = self.headers[0]
        self._begins = np.array(begins[:-1], dtype=np.int64)
        self.offsets = np.concatenate(offsets)
        self.seeds = np.concatenate(seeds)

    # Sizes

    def __len__(self) -> int:
        """The number of rows."""
        return int(self.offsets[-1])

    @property
    def episodes(self) -> int:
        """The number of episodes E."""
        return len(self.offsets) - 1

    @property
    def steps(self) -> int:
        """The number of steps: an episode has one less than rows."""
        return len(self) - self.episodes

    @property
    def lengths(self) -> IntArray:
        """Rows of each episode, int64 [E]."""
        return np.diff(self.offsets)

    def episode_of(self, rows: ArrayLike) -> IntArray:
        """Which episode each row belongs to, int64 in the shape of ``rows``."""
        return np.searchsorted(self.offsets, self._check(rows), side="right").astype(np.int64) - 1

    def rows_of(self, episodes: ArrayLike) -> IntArray:
        """All rows of some episodes, in their order, int64 [N]."""
        return self.starts(1, episodes)

    # Reading

    def read(self, column: str, rows: ArrayLike) -> NDArray[Any]:
        """Rows of a column.

        Args:
            column: A name in ``columns``.
            rows: Whole numbers of any shape; negative ones count from the end.

        Returns:
            In the shape of ``rows``, followed by that of a row: an array of its own.

        Raises:
            UsageError: There is no such column, or no such row.
            RolloutError: The file is damaged there.
        """
        if column not in self.columns:
            raise UsageError(f"there is no column {column!r}; there are: {', '.join(self.columns)}")
        numbers = self._check(rows)
        shape = self.columns[column].shape
        if self.columns[column].row_bytes * len(self) <= CACHE_BYTES:
            return self._cached(column)[numbers]
        out = np.empty((numbers.size, *shape), dtype=self.columns[column].dtype)
        self._gather(column, numbers.reshape(-1), out)
        return out.reshape(*numbers.shape, *shape)

    def observations(self, rows: ArrayLike) -> Any:
        """Observations as the environment gave them: an array, or a dictionary or tuple of arrays; see ``read``."""
        parts = {name: self.read(name, rows) for name in self.columns if name.partition("/")[0] == "observation"}
        return unflatten(self.header.observation_space, parts, "observation")

    def actions(self, rows: ArrayLike) -> Any:
        """Actions as the environment took them; see ``observations``."""
        parts = {name: self.read(name, rows) for name in self.columns if name.partition("/")[0] == "action"}
        return unflatten(self.header.action_space, parts, "action")

    def all(self, column: str) -> NDArray[Any]:
        """A whole column in memory."""
        return self.read(column, np.arange(len(self)))

    def blocks(self, column: str, rows: int = 4096) -> Iterator[NDArray[Any]]:
        """A whole column from its beginning to its end, some rows at a time."""
        for start in range(0, len(self), rows):
            yield self.read(column, np.arange(start, min(start + rows, len(self))))

    def starts(self, length: int, episodes: ArrayLike | None = None, stride: int = 1) -> IntArray:
        """Where sequences of ``length`` rows can begin that do not cross the end of an episode.

        Args:
            length: Rows in a sequence, 1 or more.
            episodes: Only in these; None for all.
            stride: Of the beginnings within an episode.

        Returns:
            Rows, int64 [N].

        Raises:
            UsageError: The length or the stride is below 1, or there is no such episode.
        """
        if length < 1 or stride < 1:
            raise UsageError(f"sequences need a length and a stride of 1 or more, got {length} and {stride}")
        chosen = np.arange(self.episodes) if episodes is None else whole(episodes, "episodes").reshape(-1)
        if len(chosen) and not (chosen.min() >= 0 and chosen.max() < self.episodes):
            raise UsageError(f"episodes are numbered 0 to {self.episodes - 1}, got {chosen.min()} to {chosen.max()}")
        counts = np.maximum(0, -(-(self.lengths[chosen] - length + 1) // stride))
        firsts = np.repeat(self.offsets[chosen], counts)
        inside = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        return firsts + stride * inside

    def sequences(self, starts: ArrayLike, length: int, columns: Sequence[str] | None = None) -> dict[str, Any]:
        """Sequences of rows that follow each other.

        Args:
            starts: Rows that they begin at, int64 [S], as ``starts`` gives them.
            length: Rows in a sequence, T.
            columns: What to read of them, names or "observation" and "action" as wholes; None for everything.

        Returns:
            By column, [S, T, ...]. The action of a sequence's last row leads out of it.

        Raises:
            UsageError: A sequence would cross the end of an episode.
        """
        first = self._check(starts).reshape(-1)
        if length < 1 or (len(first) and (first + length > self.offsets[1:][self.episode_of(first)]).any()):
            raise UsageError(f"a sequence of {length} rows crosses the end of its episode")
        return self._parts(first[:, None] + np.arange(length), columns)

    def transitions(self, rows: ArrayLike) -> dict[str, Any]:
        """Steps: what was seen before and after, and what happened in between.

        Args:
            rows: Rows before the steps, int64 [N], as ``starts(2)`` gives them.

        Returns:
            ``observation``, ``action``, ``reward``, ``terminated``, ``truncated``, ``next_observation``, and where
            there are factors ``factors`` and ``next_factors``, [N, ...] each.

        Raises:
            UsageError: A row is the last of its episode.
        """
        found = self.sequences(rows, 2)
        both = [name for name in ("observation", "factors") if name in found]
        after = {f"next_{name}": each_array(found[name], lambda part: part[:, 1]) for name in both}
        return {name: each_array(part, lambda values: values[:, 0]) for name, part in found.items()} | after

    def random_frames(self, n: int, rng: np.random.Generator, episodes: ArrayLike | None = None) -> Any:
        """Observations of ``n`` rows drawn uniformly with replacement, of some episodes or of all."""
        if episodes is None:
            return self.observations(rng.integers(0, len(self), n))
        rows = self.rows_of(episodes)
        return self.observations(rows[rng.integers(0, len(rows), n)])

    def _parts(self, rows: IntArray, columns: Sequence[str] | None) -> dict[str, Any]:
        wholes: dict[str, Callable[[IntArray], Any]] = {"observation": self.observations, "action": self.actions}
        if columns is None:
            tops = {name: name.partition("/")[0] for name in self.columns}
            names = list(dict.fromkeys(top if top in wholes else name for name, top in tops.items()))
        else:
            names = list(columns)
        return {name: wholes[name](rows) if name in wholes else self.read(name, rows) for name in names}

    # Files

    def _check(self, rows: ArrayLike) -> IntArray:
        numbers = whole(rows, "rows")
        wrong = (numbers < -len(self)) | (numbers >= len(self))
        if wrong.any():
            raise UsageError(f"there is no row {numbers[wrong].flat[0]}; rows are numbered 0 to {len(self) - 1}")
        return np.where(numbers < 0, numbers + len(self), numbers)

    def _cached(self, column: str) -> NDArray[Any]:
        if column not in self._cache:
            shape, dtype = (len(self), *self.columns[column].shape), self.columns[column].dtype
            whole_column = np.empty(shape, dtype=dtype)
            self._gather(column, np.arange(len(self)), whole_column)
            self._cache[column] = whole_column
        return self._cache[column]

    def _gather(self, column: str, rows: IntArray, out: NDArray[Any]) -> None:
        if not len(rows):
            return
        if len(self.files) == 1:
            self._reader(0, column).gather(rows, out)
            return
        owner = np.searchsorted(self._begins, rows, side="right") - 1
        for number in np.unique(owner).tolist():
            places = np.flatnonzero(owner == number)
            part = np.empty((len(places), *out.shape[1:]), dtype=out.dtype)
            self._reader(number, column).gather(rows[places] - self._begins[number], part)
            out[places] = part

    def _reader(self, number: int, column: str) -> Chunks:
        file = self._file(number)
        key = (number, column)
        if key not in self._chunks:
            self._chunks[key] = Chunks(file[column], self.files[number])
        return self._chunks[key]

    def _file(self, number: int) -> h5py.File:
        if self._pid != os.getpid():  # after a fork: the handles are the parent's
            self._open = [None] * len(self.files)
            self._chunks = {}
            self._pid = os.getpid()
        file = self._open[number]
        if file is None:
            file = self._open[number] = open_file(self.files[number])
        return file

    def close(self) -> None:
        """Closes the files; what is read next opens them again."""
        for file in self._open if self._pid == os.getpid() else ():
            if file is not None:
                file.close()
        self._open, self._chunks = [None] * len(self.files), {}

    def __enter__(self) -> Rollouts:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_open": [None] * len(self.files), "_chunks": {}, "_cache": {}}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__dict__.update(state)
        self._pid = os.getpid()

    @cached_property
    def returns(self) -> NDArray[np.float64]:
        """Sum of the rewards of each episode, float64 [E]."""
        sums: NDArray[np.float64] = (
            np.add.reduceat(self.all("reward"), self.offsets[:-1]) if self.episodes else np.zeros(0)
        )
        return sums

    @cached_property
    def rewards_so_far(self) -> NDArray[np.float64]:
        """Sum of the rewards of the episode until each row's observation was seen, float64 [rows]."""
        rewards = self.all("reward").astype(np.float64)
        before = np.cumsum(rewards) - rewards
        found: NDArray[np.float64] = before - np.repeat(before[self.offsets[:-1]], np.diff(self.offsets))
        return found


def each_array(part: Any, take: Callable[[Any], Any]) -> Any:
    """``take`` of every array in a dictionary or tuple of arrays, or of the one that there is."""
    if isinstance(part, dict):
        return {name: each_array(inner, take) for name, inner in part.items()}
    if isinstance(part, tuple):
        return tuple(each_array(inner, take) for inner in part)
    return take(part)
