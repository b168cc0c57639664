"""Factors and codes that come from elsewhere, as one ``.npz`` file."""

from __future__ import annotations

import inspect
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .. import metrics
from ..envs.registry import UsageError
from ..metrics import METRICS, MetricResult
from ..metrics.suite import progress_of
from .measures import refused
from .subject import Array

_REQUIRED, _OPTIONAL = ("factors", "codes"), ("factors_test", "codes_test")


def read_codes(path: Path) -> dict[str, Array]:
    """The arrays of a file: ``factors`` [N, K], ``codes`` [N, D], and perhaps the same two for testing.

    Nothing in the file is executed.

    Raises:
        UsageError: There is no such file, it cannot be read, or an array is missing or of another form.
    """
    if not path.is_file():
        raise UsageError(f"{path}: there is no such file")
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in (*_REQUIRED, *_OPTIONAL) if name in stored.files}
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
    return arrays


def measure_codes(
    arrays: dict[str, Array], names: Sequence[str], seed: int = 0, told: Callable[[str], object] | None = None
) -> list[MetricResult]:
    """Metrics of a representation on plain arrays; what cannot be computed says why in its place.

    Args:
        arrays: As ``read_codes`` gives them.
        names: Registered metrics of factors and codes.
        seed: For what is random in them.
        told: Called with the name of each metric before it is computed, and with lines on how far slow ones are.
    """
    results = []
    for name in names:
        if told is not None:
            told(name)
        taken = inspect.signature(METRICS[name].function).parameters
        options: dict[str, Any] = {"seed": seed} if "seed" in taken else {}
        if told is not None:
            options |= progress_of(name, told)
        given = [arrays[part] for part in (*_REQUIRED, *_OPTIONAL) if part in arrays and part in taken]
        try:
            result = metrics.compute(name, *given, **options)
        except ValueError as error:
            result = refused(name, error)
        result.name = name
        results.append(result)
    return results
