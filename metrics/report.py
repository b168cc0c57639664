"""Results as flat numbers, several runs as mean and spread, either as a table."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from .result import MetricResult, json_safe

__all__ = ["aggregate", "flatten", "json_safe", "reasons", "table"]


def flatten(results: Iterable[MetricResult] | Mapping[str, MetricResult]) -> dict[str, float | None]:
    """All values of several results as {"name.value": number}.

    Args:
        results: Results, or results by name; a mapping's keys take the place of the results' own names, so that a
            metric can stand in a report more than once.

    Raises:
        ValueError: Two results have the same name.
    """
    flat: dict[str, float | None] = {}
    for name, result in _named(results):
        for key, value in result.values.items():
            if f"{name}.{key}" in flat:
                raise ValueError(f"two results are named {name!r}")
            flat[f"{name}.{key}"] = value
    return flat


def reasons(results: Iterable[MetricResult] | Mapping[str, MetricResult]) -> dict[str, str]:
    """Why something is missing or not to be trusted, by metric name; only those that say so."""
    return {name: result.reason for name, result in _named(results) if result.reason is not None}


def aggregate(runs: Mapping[str, Mapping[str, float | None]]) -> dict[str, dict[str, Any]]:
    """Several runs' flat values as mean, standard deviation, and each run's own.

    Args:
        runs: {run label (its seed, say): {"name.value": number or None}}.

    Returns:
        {"name.value": {"mean", "std", "count", "runs": {label: number or None}}}, keys in order of first appearance.
        The standard deviation is the sample one (n - 1), None for fewer than two numbers; missing numbers are left
        out of both and of ``count``.
    """
    keys = dict.fromkeys(key for values in runs.values() for key in values)
    answer: dict[str, dict[str, Any]] = {}
    for key in keys:
        each = {label: _number(values.get(key)) for label, values in runs.items()}
        numbers = np.array([value for value in each.values() if value is not None], dtype=np.float64)
        answer[key] = {
            "mean": float(numbers.mean()) if len(numbers) else None,
            "std": float(numbers.std(ddof=1)) if len(numbers) > 1 else None,
            "count": len(numbers),
            "runs": each,
        }
    return answer


def table(values: Mapping[str, float | None] | Mapping[str, Mapping[str, Any]], digits: int = 4) -> list[list[str]]:
    """Rows of text, a header first, of what ``flatten`` or ``aggregate`` returned.

    Args:
        values: Flat values of one run, or aggregated values of several.
        digits: Significant digits.

    Returns:
        Rows of equally many cells: [metric, value] or [metric, mean, std, one column a run]. Missing numbers are
        shown as a dash.
    """
    entries = list(values.items())
    if not entries or not isinstance(entries[0][1], Mapping):
        return [["metric", "value"]] + [[key, _text(value, digits)] for key, value in entries]
    labels: Sequence[str] = list(entries[0][1]["runs"])
    rows = [["metric", "mean", "std", *labels]]
    for key, entry in entries:
        if not isinstance(entry, Mapping):
            raise ValueError(f"{key} is not aggregated while others are")
        cells = [entry["mean"], entry["std"], *(entry["runs"].get(label) for label in labels)]
        rows.append([key, *(_text(cell, digits) for cell in cells)])
    return rows


def _named(results: Iterable[MetricResult] | Mapping[str, MetricResult]) -> list[tuple[str, MetricResult]]:
    if isinstance(results, Mapping):
        return list(results.items())
    return [(result.name, result) for result in results]


def _number(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)


def _text(value: Any, digits: int) -> str:
    number = _number(value)
    return "-" if number is None else f"{number:.{digits}g}"
