"""Compression of chunks: what HDF5 is told, and the compressors called directly, which saves HDF5's copies."""

from __future__ import annotations

import ctypes
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import h5py
import hdf5plugin
import numpy as np
from numpy.typing import NDArray

from ...envs.registry import UsageError, nearest

COMPRESSIONS = ("lz4", "zstd", "none")
"""Blosc with LZ4 (fast), Zstd (small), or nothing."""
_SIZE, _POINTER, _INT, _BYTES = ctypes.c_size_t, ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p


class Codec(ABC):
    """A compressor of chunks: the library that hdf5plugin brings along, without HDF5 in between.

    HDF5's own way through its filters copies every chunk twice more, and looks for it in a cache first; together that
    takes longer than the compressor itself. What is written is the same.

    Not for several threads at once.

    Raises:
        OSError: There is no such library.
        AttributeError: It does not offer what is needed.
    """

    name: ClassVar[str]
    filter: ClassVar[int]
    """Its number in the HDF Group's register of filters."""

    def __init__(self) -> None:
        found = sorted(Path(hdf5plugin.PLUGIN_PATH).glob(f"libh5{self.name}.*"))
        if not found:
            raise OSError(f"hdf5plugin has no library of {self.name}")
        self.library = ctypes.CDLL(str(found[0]))
        self._room = np.empty(0, dtype=np.uint8)

    def encode(self, address: int, size: int, itemsize: int) -> bytes:
        """Compresses bytes in memory as the filter of HDF5 would.

        Args:
            address: Where they begin.
            size: How many.
            itemsize: Bytes of one number.
        """
        if len(self._room) < self._bound(size):
            self._room = np.empty(self._bound(size), dtype=np.uint8)
            self._place = self._room.ctypes.data
        written = self._encode(address, size, itemsize)
        if not 0 < written <= len(self._room):
            raise ValueError(f"{self.name} cannot compress {size} bytes (status {written})")
        return self._room[:written].tobytes()

    @abstractmethod
    def _bound(self, size: int) -> int:
        """The most bytes that so many can become."""

    @abstractmethod
    def _encode(self, address: int, size: int, itemsize: int) -> int:
        """Compresses into the room; returns the size."""

    @abstractmethod
    def decode(self, content: bytes, address: int, size: int) -> bool:
        """Writes what was encoded to a place in memory; False where it is damaged, or has not that size."""


class BloscLZ4(Codec):
    """Blosc with LZ4."""

    name, filter = "blosc", 32001
    level, shuffle = 7, 1  # from level 7 on images become smaller, at no loss of speed over the usual 5

    def __init__(self) -> None:
        super().__init__()
        self._compress = self.library.blosc_compress_ctx
        self._compress.argtypes = [_INT, _INT, _SIZE, _SIZE, _POINTER, _POINTER, _SIZE, _BYTES, _SIZE, _INT]
        self._decompress = self.library.blosc_decompress_ctx
        self._decompress.argtypes = [_BYTES, _POINTER, _SIZE, _INT]
        self._validate = self.library.blosc_cbuffer_validate
        self._validate.argtypes = [_BYTES, _SIZE, ctypes.POINTER(_SIZE)]

    def _bound(self, size: int) -> int:
        return size + 16

    def _encode(self, address: int, size: int, itemsize: int) -> int:
        room = self._place, len(self._room)
        return int(self._compress(self.level, self.shuffle, itemsize, size, address, *room, b"lz4", 0, 1))

    def decode(self, content: bytes, address: int, size: int) -> bool:
        found = _SIZE()
        if self._validate(content, len(content), ctypes.byref(found)) != 0 or found.value != size:
            return False
        return bool(self._decompress(content, address, size, 1) == size)


class Zstd(Codec):
    """Zstd."""

    name, filter = "zstd", 32015
    level = 1  # level 3 is slower by a third, and smaller by 2 % for images

    def __init__(self) -> None:
        super().__init__()
        self._compress, self._decompress = self.library.ZSTD_compress, self.library.ZSTD_decompress
        self._compress.argtypes = [_POINTER, _SIZE, _POINTER, _SIZE, _INT]
        self._decompress.argtypes = [_POINTER, _SIZE, _BYTES, _SIZE]
        self._most = self.library.ZSTD_compressBound
        self._most.argtypes = [_SIZE]
        self._compress.restype = self._decompress.restype = self._most.restype = _SIZE

    def _bound(self, size: int) -> int:
        return int(self._most(size))

    def _encode(self, address: int, size: int, itemsize: int) -> int:
        return int(self._compress(self._place, len(self._room), address, size, self.level))

    def decode(self, content: bytes, address: int, size: int) -> bool:
        return bool(self._decompress(address, size, content, len(content)) == size)


def filters(compression: str) -> dict[str, Any]:
    """What ``h5py.Group.create_dataset`` takes for a compression.

    Args:
        compression: One of ``COMPRESSIONS``.

    Raises:
        UsageError: It is none of them.
    """
    if compression == "lz4":
        return dict(hdf5plugin.Blosc(cname="lz4", clevel=BloscLZ4.level, shuffle=BloscLZ4.shuffle))
    if compression == "zstd":
        return dict(hdf5plugin.Zstd(clevel=Zstd.level))
    if compression == "none":
        return {}
    hint = nearest(compression, list(COMPRESSIONS))
    raise UsageError(f"unknown compression {compression!r}{hint}; there are: {', '.join(COMPRESSIONS)}")


_KINDS: dict[int, type[Codec]] = {kind.filter: kind for kind in (BloscLZ4, Zstd)}


def codec_of(dataset: h5py.Dataset) -> Codec | None:
    """What compresses the chunks of a data set, for one thread at a time; None where HDF5 must do it."""
    plist = dataset.id.get_create_plist()
    kind = _KINDS.get(plist.get_filter(0)[0]) if plist.get_nfilters() == 1 else None
    try:
        return None if kind is None else kind()
    except (OSError, AttributeError):  # this hdf5plugin was built otherwise
        return None


class Packed:
    """Arrays by name, compressed in memory where that is possible.

    Args:
        rows: The arrays.
    """

    def __init__(self, rows: Mapping[str, NDArray[Any]]) -> None:
        try:
            self._codec: Codec | None = BloscLZ4()
        except (OSError, AttributeError):
            self._codec = None
        self._arrays = {name: self._pack(np.ascontiguousarray(values)) for name, values in rows.items()}

    def _pack(self, values: NDArray[Any]) -> tuple[Any, tuple[int, ...], bytes]:
        if self._codec is None or not values.size:
            return values.dtype, values.shape, values.tobytes()
        return values.dtype, values.shape, self._codec.encode(values.ctypes.data, values.nbytes, values.itemsize)

    def rows(self) -> dict[str, NDArray[Any]]:
        """The arrays, as they were."""
        found = {}
        for name, (dtype, shape, content) in self._arrays.items():
            values = np.empty(shape, dtype=dtype)
            if self._codec is None or not values.size:
                values = np.frombuffer(content, dtype=dtype).reshape(shape).copy()
            elif not self._codec.decode(content, values.ctypes.data, values.nbytes):
                raise RuntimeError(f"{name} was damaged in memory")
            found[name] = values
        return found
