"""Factors and codes that come from elsewhere, as one ``.npz`` file."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import metrics
from ..envs.registry import UsageError
from ..metrics import MetricResult
from ..metrics.suite import failed, progress_of
from .measures import BLOCKS, takes
from .subject import Array

_REQUIRED, _OPTIONAL = ("factors", "codes"), ("factors_test", "codes_test")
_SAID = ("continuous", "blocks", "factor_names")


@dataclass(frozen=True)
class CodesFile:
    """Factors and codes, and what is said of their columns.

    Attributes:
        arrays: ``factors`` [N, K], ``codes`` [N, D], and perhaps the same two for testing, by name.
        continuous: Columns of the factors that are quantities. None: those with numbers that are not whole.
        blocks: Code dimensions that belong together. None: nothing is known of that.
        factor_names: Of the K columns.
    """

    arrays: dict[str, Array]
    continuous: list[int] | None
    blocks: list[list[int]] | None
    factor_names: list[str]

    @property
    def rows(self) -> dict[str, int]:
        """Rows of every array."""
        return {name: len(each) for name, each in self.arrays.items()}


def read_codes(path: Path) -> CodesFile:
    """Reads a file with ``factors`` and ``codes``, perhaps the same two for testing, and perhaps more about them.

    ``continuous`` bool [K] marks factors that are quantities; ``blocks`` int [D] numbers the block of each dimension,
    with -1 for none; ``factor_names`` is text [K]. Nothing in the file is executed.

    Raises:
        UsageError: There is no such file, it cannot be read, or an array is missing or of another form.
    """
    if not path.is_file():
        raise UsageError(f"{path}: there is no such file")
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            raise UsageError(f"{path} is one array, not a file of several: numpy.savez writes these")
        with loaded as stored:
            arrays = {name: stored[name] for name in (*_REQUIRED, *_OPTIONAL, *_SAID) if name in stored.files}
            there = ", ".join(stored.files) or "none"
    except (OSError, ValueError, EOFError, KeyError, AttributeError, zipfile.BadZipFile) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UsageError(f"{path} is not a file of plain arrays: {reason}") from error
    missing = [name for name in _REQUIRED if name not in arrays]
    if missing:
        raise UsageError(f"{path} has no array {' and no '.join(missing)}; its arrays are: {there}")
    lone = [name for name in _OPTIONAL if name in arrays]
    if len(lone) == 1:
        raise UsageError(f"{path} has {lone[0]} alone: factors_test and codes_test go together")
    said = {name: arrays.pop(name) for name in _SAID if name in arrays}
    for name, array in arrays.items():
        if array.ndim != 2 or not array.size or array.dtype.kind not in "biuf":
            raise UsageError(f"{path}: {name} must be a table of numbers, not {array.dtype} {list(array.shape)}")
        if not np.isfinite(array).all():
            raise UsageError(f"{path}: {name} holds numbers that are not finite")
    for part in ("", "_test"):
        factors, codes = (arrays.get(f"{name}{part}") for name in _REQUIRED)
        if factors is not None and codes is not None and len(factors) != len(codes):
            raise UsageError(f"{path}: factors{part} has {len(factors)} rows, and codes{part} {len(codes)}")
    for name in _REQUIRED:
        test = arrays.get(f"{name}_test")
        if test is not None and test.shape[1] != arrays[name].shape[1]:
            raise UsageError(f"{path}: {name} has {arrays[name].shape[1]} columns, and {name}_test {test.shape[1]}")
    columns, dimensions = (arrays[name].shape[1] for name in _REQUIRED)
    for name, kinds, size, wanted in (
        ("continuous", "b", columns, "true or false for each factor"),
        ("blocks", "iu", dimensions, "a whole number for each code dimension, -1 for none"),
        ("factor_names", "U", columns, "a name for each factor"),
    ):
        if name in said and (said[name].shape != (size,) or said[name].dtype.kind not in kinds):
            raise UsageError(f"{path}: {name} must be {wanted}, not {said[name].dtype} {list(said[name].shape)}")
    blocks = None
    if "blocks" in said:
        labels = said["blocks"]
        blocks = [np.flatnonzero(labels == label).tolist() for label in np.unique(labels[labels >= 0])]
        if not blocks:
            raise UsageError(f"{path}: blocks puts no dimension into any block")
    return CodesFile(
        arrays,
        np.flatnonzero(said["continuous"]).tolist() if "continuous" in said else None,
        blocks,
        said["factor_names"].tolist() if "factor_names" in said else [f"factor {column}" for column in range(columns)],
    )


def known_names(blocks: bool) -> list[str]:
    """What can be measured of a file; with blocks also over these."""
    names = metrics.names(of_codes=True)
    return [*names, *(f"{name}{BLOCKS}" for name in names if takes(name, "blocks"))] if blocks else names


def measure_codes(
    table: CodesFile,
    names: Sequence[str],
    seed: int = 0,
    told: Callable[[str], object] | None = None,
    reference: bool | None = None,
) -> list[MetricResult]:
    """Metrics of a representation on plain arrays; what cannot be computed says why in its place.

    Args:
        table: As ``read_codes`` gives it.
        names: Of ``known_names``.
        seed: For what is random in them.
        told: Called with the name of each metric before it is computed, and with lines on how far slow ones are.
        reference: As in ``metrics.compute``: whether chance and ceiling are found by computing.
    """
    results = []
    for name in names:
        plain = name.removesuffix(BLOCKS)
        if told is not None:
            told(name)
        options: dict[str, Any] = {"seed": seed, "reference": reference}
        if plain != name:
            if table.blocks is None:
                results.append(MetricResult(name, {name: None}, reason="the file has no array blocks"))
                continue
            options["blocks"] = table.blocks
        if table.continuous is not None and takes(plain, "continuous"):
            options["continuous"] = table.continuous
        if told is not None:
            options |= progress_of(plain, told)
        given = [table.arrays[part] for part in (*_REQUIRED, *_OPTIONAL) if part in table.arrays and takes(plain, part)]
        try:
            result = metrics.compute(plain, *given, **options)
        except Exception as error:  # it says so in its place, whatever it is
            result = failed(name, error)
        result.name = name
        results.append(result)
    return results
