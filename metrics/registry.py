"""The table of metrics: names to functions, and the one call that computes any of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .result import MetricResult


@dataclass(frozen=True)
class Metric:
    """One entry of the table."""

    name: str
    family: str
    function: Callable[..., MetricResult]

    @property
    def summary(self) -> str:
        """The first line of the function's docstring."""
        return (self.function.__doc__ or "").strip().partition("\n")[0]

    def __call__(self, *arrays: Any, **options: Any) -> MetricResult:
        return self.function(*arrays, **options)


METRICS: dict[str, Metric] = {}
"""Every registered metric by name."""


def metric(name: str, *, family: str) -> Callable[[Callable[..., MetricResult]], Callable[..., MetricResult]]:
    """Registers the decorated function, which takes arrays and options and returns a MetricResult.

    Args:
        name: The name that ``compute`` takes.
        family: What kind of property it measures ("information", "symmetry", ...).

    Raises:
        ValueError: Another function has the name.
    """

    def enter(function: Callable[..., MetricResult]) -> Callable[..., MetricResult]:
        known = METRICS.get(name)
        # The same function may come again when its module is reloaded.
        if known is not None and known.function.__qualname__ != function.__qualname__:
            raise ValueError(f"the metric {name!r} is registered already")
        METRICS[name] = Metric(name, family, function)
        return function

    return enter


def names(family: str | None = None) -> list[str]:
    """The registered names, sorted; of one family when it is given."""
    return sorted(name for name, entry in METRICS.items() if family in (None, entry.family))


def compute(name: str, *arrays: Any, **options: Any) -> MetricResult:
    """Computes the metric ``name`` from arrays.

    Args:
        name: A registered name.
        *arrays: The metric's arrays, in the order of its function.
        **options: Its options by name; its arrays may be given by name too.

    Raises:
        ValueError: The name is unknown, or the metric rejects an argument.

    Example:
        >>> import numpy as np
        >>> grid = np.stack(np.divmod(np.arange(9), 3), axis=1)
        >>> round(compute("mig", grid, grid).values["mig"], 6)
        1.0
    """
    if name not in METRICS:
        raise ValueError(f"unknown metric {name!r}; there are: {', '.join(names())}")
    return METRICS[name](*arrays, **options)
