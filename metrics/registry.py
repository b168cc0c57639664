"""The table of metrics: names to functions, and the one call that computes any of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .result import MetricResult


@dataclass(frozen=True)
class Metric:
    """One entry of the table.

    Attributes:
        name: What ``compute`` takes.
        family: What kind of property it measures.
        function: What computes it.
        of_codes: Whether it reads ``(factors, codes, factors_test, codes_test, *, seed)`` and nothing else, so that
            it can be computed of any representation.
        slow: Whether it takes minutes at published sample sizes; chance and ceiling are then computed only if asked.
    """

    name: str
    family: str
    function: Callable[..., MetricResult]
    of_codes: bool = False
    slow: bool = False

    @property
    def summary(self) -> str:
        """The first line of the function's docstring."""
        return (self.function.__doc__ or "").strip().partition("\n")[0]

    def __call__(self, *arrays: Any, **options: Any) -> MetricResult:
        return self.function(*arrays, **options)


METRICS: dict[str, Metric] = {}
"""Every registered metric by name."""


def metric(
    name: str, *, family: str, of_codes: bool = False, slow: bool = False
) -> Callable[[Callable[..., MetricResult]], Callable[..., MetricResult]]:
    """Registers the decorated function, which takes arrays and options and returns a MetricResult.

    Args:
        name: The name that ``compute`` takes.
        family: What kind of property it measures ("information", "symmetry", ...).
        of_codes: Whether its arrays are ``(factors, codes, factors_test=None, codes_test=None)``, with ``seed`` among
            its options.
        slow: Whether it takes minutes at published sample sizes.

    Raises:
        ValueError: Another function has the name.
    """

    def enter(function: Callable[..., MetricResult]) -> Callable[..., MetricResult]:
        known = METRICS.get(name)
        # The same function may come again when its module is reloaded.
        if known is not None and known.function.__qualname__ != function.__qualname__:
            raise ValueError(f"the metric {name!r} is registered already")
        METRICS[name] = Metric(name, family, function, of_codes, slow)
        return function

    return enter


def names(family: str | None = None, of_codes: bool | None = None) -> list[str]:
    """The registered names, sorted; of one family, or of those that read factors and codes alone, when asked."""
    return sorted(
        name for name, entry in METRICS.items() if family in (None, entry.family) and of_codes in (None, entry.of_codes)
    )


def compute(name: str, *arrays: Any, reference: bool | None = None, **options: Any) -> MetricResult:
    """Computes the metric ``name`` from arrays.

    Metrics of a representation read ``factors_train, codes_train, factors_test=None, codes_test=None, *, seed=0``;
    others their own arrays.

    Args:
        name: A registered name.
        *arrays: The metric's arrays, in the order of its function.
        reference: Whether to find out what a random and a perfect code would score on these factors, with the same
            settings and as many rows. None: where that takes seconds rather than minutes.
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
    entry = METRICS[name]
    began = time.perf_counter()
    result = entry(*arrays, **options)
    result.seconds = time.perf_counter() - began
    if entry.of_codes and (reference if reference is not None else not entry.slow):
        _add_reference(entry, result, arrays, options)
    return result


_ARRAYS = ("factors", "codes", "factors_test", "codes_test")


def _add_reference(entry: Metric, result: MetricResult, arrays: tuple[Any, ...], options: dict[str, Any]) -> None:
    """Fills in chance and ceiling where the metric did not know them in closed form.

    The random code is standard normal and knows nothing of the factors; the perfect one is the factors themselves,
    each scaled to unit variance, one to a dimension.
    """
    given = dict(zip(_ARRAYS, arrays, strict=False))
    rest = {key: value for key, value in options.items() if key not in _ARRAYS}
    given |= {key: value for key, value in options.items() if key in _ARRAYS}
    factors = np.asarray(given["factors"], dtype=np.float64)
    width = np.asarray(given["codes"]).shape[1]
    others = given.get("factors_test")
    held = None if others is None else np.asarray(others, dtype=np.float64)
    rng = np.random.default_rng((int(rest.get("seed", 0)), 1))
    scale = factors.std(axis=0)
    scale[scale == 0] = 1.0

    def perfect(table: Any) -> Any:
        return None if table is None else (table - factors.mean(axis=0)) / scale

    def noise(table: Any) -> Any:
        return None if table is None else rng.standard_normal((len(table), width))

    # Blocks of the code at hand mean nothing to the perfect one, whose dimensions are blocks of their own.
    alone = {key: value for key, value in rest.items() if key != "blocks"}
    for name, known, code, settings in (
        ("chance", result.chance, noise, rest),
        ("ceiling", result.ceiling, perfect, alone),
    ):
        if set(known) >= set(result.values):
            continue
        try:
            found = entry(factors, code(factors), held, code(held), **settings).values
        except ValueError as error:  # these factors allow no such code
            result.details[f"no_{name}"] = str(error)
            continue
        known.update({key: found.get(key) for key in result.values if key not in known})
