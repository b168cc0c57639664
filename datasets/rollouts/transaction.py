"""A file that changes from one whole state to the next, and lies in one of them whenever its writer is killed."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ...envs.registry import UsageError

try:
    import fcntl
except ImportError:  # no such locks on Windows
    fcntl = None  # type: ignore[assignment]

_MAGIC = b"EQWJRNL1"
_PAGE = 4096
_GATHERED = 2**18
_HEAD = struct.Struct("<8sqq")  # magic, size of the file, number of pages
_PLACE = struct.Struct("<qq")  # page, length


def journal_of(path: Path) -> Path:
    """Where the changes of a commit are written down before they are made."""
    return path.with_name(f"{path.name}.journal")


class TransactionalFile(io.RawIOBase):
    """A file as h5py takes it, whose content changes at ``commit`` alone.

    HDF5 writes new chunks at the end of a file, but its tables in place: a process that is killed in the middle leaves
    a file that cannot be opened. Here, bytes behind the end of the last commit are written at once, where no reader of
    the last state looks. Bytes before it are held in memory. A commit writes them to a journal beside the file, then
    into the file, then removes the journal; ``recover`` does the second step again if it was interrupted. So the state
    on disk is always that of one commit or that of the next.

    A new file lies beside its place, and is renamed at its first commit.

    After an error (a full disk, say) nothing more is written, so that what was committed stays; ``error`` holds it, and
    ``check`` raises it. HDF5, which could not take back what it has done, does not learn of it.

    Args:
        path: The file.
        new: Whether it is to be made; an existing one is not overwritten.
        replace: Unless it is to be replaced, as a whole, at the first commit.

    Attributes:
        path: The file.
        error: What went wrong, or None.

    Raises:
        UsageError: It exists (``new``), does not exist (otherwise), or another process writes it.
        OSError: It cannot be opened.
    """

    def __init__(self, path: Path, *, new: bool, replace: bool = False) -> None:
        super().__init__()
        self.path, self._replace = path, replace
        self.error: OSError | None = None
        if new and path.exists() and not replace:
            raise UsageError(f"{path} exists already")
        self._place = path.with_name(f".{path.name}.part") if new else path
        flags = os.O_RDWR | (os.O_CREAT if new else 0) | getattr(os, "O_BINARY", 0)
        self._file = io.FileIO(os.open(self._place, flags, 0o666), "r+")
        try:
            lock(self._file, path)
            if new:
                self._file.truncate(0)  # what a killed writer left of a file that it never committed
            else:
                _replay(self._file, path)
        except BaseException:
            self._file.close()
            super().close()  # so that nothing of the one who writes it is removed when this is collected
            raise
        self._pages: dict[int, bytearray] = {}
        self._stopped, self._behind_at = False, 0
        self._behind = bytearray()  # what is to follow at the end, gathered so that chunks are not written one by one
        self._at = 0
        self._durable = self._size = os.fstat(self._file.fileno()).st_size

    # What h5py calls.

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any, /) -> int:
        """Reads what was written, committed or not, from where the file stands; the number of bytes."""
        self._spill()
        view = memoryview(buffer).cast("B")
        wanted = min(len(view), max(0, self._size - self._at))
        self._file.seek(self._at)
        got = 0
        while got < wanted:
            read = self._file.readinto(view[got:wanted])
            if not read:  # beyond what was written: a hole
                view[got:wanted] = bytes(wanted - got)
                break
            got += read
        for page, first, last in _pages(self._at, wanted) if self._pages else ():
            held = self._pages.get(page, b"")[first:last]
            start = page * _PAGE + first - self._at
            view[start : start + len(held)] = held
        self._at += wanted
        return wanted

    def write(self, content: Any, /) -> int:
        """Writes where the file stands; the number of bytes. An error is kept, and raised by ``check``."""
        if self._behind and self._at == self._size == self._behind_at + len(self._behind):
            self._behind += content  # one chunk after the other, at the end
            self._at = self._size = self._behind_at + len(self._behind)
            if len(self._behind) >= _GATHERED:
                self._spill()
            return len(content)
        view = memoryview(content).cast("B")
        before = max(0, min(len(view), self._durable - self._at))
        if before:
            self._hold(view[:before])
        if before < len(view):
            self._put(self._at + before, view[before:])
        self._at += len(view)
        self._size = max(self._size, self._at)
        return len(view)

    def truncate(self, size: int | None = None, /) -> int:
        self._size = self._at if size is None else size
        return self._size

    def flush(self) -> None:
        """Nothing: what is written counts from the next commit on."""

    def _hold(self, view: memoryview) -> None:
        if self._stopped:
            return
        for page, first, last in _pages(self._at, len(view)):
            held = self._pages.get(page)
            if held is None:
                # No further than the last commit: what lies behind it is written at once.
                held = self._pages[page] = bytearray(min(_PAGE, self._durable - page * _PAGE))
                self._file.seek(page * _PAGE)
                content = self._file.read(len(held)) or b""
                held[: len(content)] = content
            start = page * _PAGE + first - self._at
            held[first:last] = view[start : start + last - first]

    def _put(self, at: int, view: memoryview) -> None:
        if self._behind and at != self._behind_at + len(self._behind):
            self._spill()
        if not self._behind:
            self._behind_at = at
        self._behind += view
        if len(self._behind) >= _GATHERED:
            self._spill()

    def _spill(self) -> None:
        content, self._behind = self._behind, bytearray()
        if content and not self._stopped and self.error is None:
            try:
                self._file.seek(self._behind_at)
                _write_all(self._file, content)
            except OSError as error:
                self.error = error

    # What the writer calls.

    def check(self) -> None:
        """Raises what went wrong in writing, if anything did."""
        if self.error is not None:
            raise self.error

    def stop(self) -> None:
        """Writes nothing from here on, so that HDF5 can be closed without leaving anything behind."""
        self._stopped = True

    def commit(self) -> None:
        """Makes what was written the state of the file; HDF5 must have been flushed.

        Raises:
            OSError: It cannot be written; the file stays, or becomes at ``recover``, a whole state.
        """
        self._spill()
        self.check()
        try:
            self._commit()
        except OSError as error:
            self.error = error
            raise

    def _commit(self) -> None:
        # Whatever interrupts this, ``close`` must not cut off what is the file's state already: ``_durable`` is ahead.
        _sync(self._file)
        if self._place == self.path:
            if self._pages or self._size < self._durable:
                _write_journal(self.path, self._size, self._pages)
                self._durable = self._size
                _apply(self._file, self._size, self._pages)
                journal_of(self.path).unlink()
        else:
            if self._size < os.fstat(self._file.fileno()).st_size:
                self._file.truncate(self._size)
            if self.path.exists() and not self._replace:
                raise FileExistsError(errno.EEXIST, "another process made it meanwhile", str(self.path))
            self._durable = self._size
            os.replace(self._place, self.path)
            self._place = self.path
        self._durable = self._size
        self._pages.clear()
        _sync_folder(self.path)

    def close(self) -> None:
        """Closes it in the state of its last commit; a file without one is gone. May be called twice."""
        if self.closed:
            return
        with contextlib.suppress(OSError):  # a journal that is there is replayed by the next that opens the file
            if self._place != self.path:
                self._place.unlink()
            elif not journal_of(self.path).exists():
                self._file.truncate(self._durable)
        self._file.close()
        super().close()


def recover(path: Path) -> None:
    """Completes a commit that was interrupted, so that any program can read the file.

    Raises:
        UsageError: Another process writes the file.
        OSError: There is something to complete, and the file cannot be written.
    """
    if not journal_of(path).exists():
        return
    with open(path, "r+b", buffering=0) as stream:
        lock(stream, path)
        _replay(stream, path)


def lock(stream: io.FileIO, path: Path, *, shared: bool = False) -> None:
    """Keeps other writers (and, unless ``shared``, readers) away until the stream is closed.

    Raises:
        UsageError: Another process writes it.
    """
    if fcntl is None:
        return
    try:
        fcntl.flock(stream.fileno(), (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise UsageError(f"{path} is in use: whoever reads or writes it must close it first") from error
    except OSError:  # a file system without locks
        return


def _pages(start: int, length: int) -> Iterator[tuple[int, int, int]]:
    """The pages that a span touches, and where in each it begins and ends."""
    end = start + length
    for page in range(start // _PAGE, -(-end // _PAGE)):
        yield page, max(start - page * _PAGE, 0), min(end - page * _PAGE, _PAGE)


def _write_all(stream: io.FileIO, view: memoryview | bytes | bytearray) -> None:
    rest = memoryview(view)
    while len(rest):
        rest = rest[stream.write(rest) :]


def _sync(stream: io.FileIO) -> None:
    os.fsync(stream.fileno())


def _sync_folder(path: Path) -> None:
    """Makes the names in a file's folder last; where folders cannot be opened, they cannot be synced either."""
    with contextlib.suppress(OSError):
        handle = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _write_journal(path: Path, size: int, pages: dict[int, bytearray]) -> None:
    content = bytearray(_HEAD.pack(_MAGIC, size, len(pages)))
    for page, held in sorted(pages.items()):
        content += _PLACE.pack(page, len(held)) + held
    content += hashlib.sha256(content).digest()
    journal = journal_of(path)
    beside = journal.with_name(f".{journal.name}.part")
    try:
        with open(beside, "wb", buffering=0) as stream:
            _write_all(stream, content)
            _sync(stream)
        os.replace(beside, journal)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    _sync_folder(path)


def _apply(stream: io.FileIO, size: int, pages: dict[int, bytearray]) -> None:
    for page, held in sorted(pages.items()):
        stream.seek(page * _PAGE)
        _write_all(stream, held[: max(0, min(_PAGE, size - page * _PAGE))])
    if size < os.fstat(stream.fileno()).st_size:
        stream.truncate(size)
    _sync(stream)


def _replay(stream: io.FileIO, path: Path) -> None:
    """Makes the changes that a journal holds; one that is not whole was never acted upon."""
    journal = journal_of(path)
    try:
        content = journal.read_bytes()
    except FileNotFoundError:
        return
    body, digest = content[:-32], content[-32:]
    if len(body) >= _HEAD.size and hashlib.sha256(body).digest() == digest:
        magic, size, count = _HEAD.unpack_from(body)
        if magic == _MAGIC:
            pages, at = {}, _HEAD.size
            for _ in range(count):
                page, length = _PLACE.unpack_from(body, at)
                at += _PLACE.size
                pages[page] = bytearray(body[at : at + length])
                at += length
            _apply(stream, size, pages)
    journal.unlink()
