"""What every metric returns: named numbers, what they should be read against, and why one is missing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np


def json_safe(value: Any) -> Any:
    """Turns arrays, NumPy scalars, tuples and mappings into what ``json`` writes; a non-finite number becomes None.

    Args:
        value: Nested mappings, sequences, arrays and scalars.

    Raises:
        TypeError: Something has no JSON form.
    """
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, np.ndarray):
        return json_safe(value.tolist())
    if isinstance(value, np.bool_):
        return bool(value)
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): json_safe(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [json_safe(entry) for entry in value]
    if isinstance(value, set | frozenset):
        return [json_safe(entry) for entry in sorted(value)]
    raise TypeError(f"a {type(value).__name__} has no JSON form")


@dataclass
class MetricResult:
    """The outcome of one metric.

    A value that is not finite is stored as None, and ``reason`` then names it unless a reason was given: a missing
    number always says why it is missing.
    """

    name: str
    """The metric's name in the registry."""
    values: dict[str, float | None]
    """The numbers of the report, the main one first. None: could not be computed."""
    details: dict[str, Any] = field(default_factory=dict)
    """Matrices, curves and settings behind the numbers; made JSON-able on construction."""
    reason: str | None = None
    """Why a value is None; None when nothing is missing."""
    chance: dict[str, float | None] = field(default_factory=dict)
    """What a representation that knows nothing scores, by value name, where that is known."""
    ceiling: dict[str, float | None] = field(default_factory=dict)
    """What a perfect representation scores under the same settings, by value name, where that is known."""
    n: int | None = None
    """Rows that it was computed from (of the training part, where there are two)."""
    predictor: str | None = None
    """The predictor or estimator behind the numbers, where there are several to choose from."""
    seconds: float | None = None
    """How long it took, chance and ceiling not counted."""
    options: dict[str, Any] = field(default_factory=dict)
    """The options that it was asked for with, its seed among them, as far as they are plain data."""

    def __post_init__(self) -> None:
        self.values = {key: _finite(value) for key, value in self.values.items()}
        self.chance = {key: _finite(value) for key, value in self.chance.items()}
        self.ceiling = {key: _finite(value) for key, value in self.ceiling.items()}
        self.details = json_safe(self.details)
        self.options = json_safe(self.options)
        missing = [key for key, value in self.values.items() if value is None]
        if missing and self.reason is None:
            self.reason = f"not finite: {', '.join(missing)}"

    def __float__(self) -> float:
        """The main value (the first one); NaN when it is missing."""
        value = next(iter(self.values.values()), None)
        return math.nan if value is None else value

    def to_dict(self) -> dict[str, Any]:
        """The result as plain data for JSON; ``from_dict`` undoes it."""
        return {
            "name": self.name,
            "values": dict(self.values),
            "details": self.details,
            "reason": self.reason,
            "chance": dict(self.chance),
            "ceiling": dict(self.ceiling),
            "n": self.n,
            "predictor": self.predictor,
            "seconds": self.seconds,
            "options": dict(self.options),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> MetricResult:
        """Rebuilds a result that ``to_dict`` wrote."""
        return cls(**data)


def _finite(value: float | None) -> float | None:
    if value is None:
        return None
    number = float(value)
    return number if math.isfinite(number) else None
