"""The table of metrics: names to functions, and the one call that computes any of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .result import MetricResult, json_safe
from .scale import to_unit


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
        if known is not None and _origin(known.function) != _origin(function):
            raise ValueError(f"the metric {name!r} is registered already")
        METRICS[name] = Metric(name, family, function, of_codes, slow)
        return function

    return enter


def _origin(function: Callable[..., MetricResult]) -> tuple[str, str]:
    return function.__module__, function.__qualname__


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
        reference: Whether to find out what a code that knows nothing and a perfect code would score on these factors,
            with the same settings and as many rows. None: where that takes seconds rather than minutes.
        **options: Its options by name; its arrays may be given by name too.

    Raises:
        ValueError: The name is unknown, the seed is no whole number from 0, or the metric rejects an argument.

    Example:
        >>> import numpy as np
        >>> grid = np.stack(np.divmod(np.arange(9), 3), axis=1)
        >>> round(compute("mig", grid, grid).values["mig"], 6)
        1.0
    """
    if name not in METRICS:
        raise ValueError(f"unknown metric {name!r}; there are: {', '.join(names())}")
    entry = METRICS[name]
    seed = options.get("seed", 0)
    if not isinstance(seed, int | np.integer) or isinstance(seed, bool) or seed < 0:
        raise ValueError(f"seed must be a whole number, 0 or more, not {seed!r}")
    options = {_SAME_AS.get(key, key) if entry.of_codes else key: value for key, value in options.items()}
    began = time.perf_counter()
    result = entry(*arrays, **options)
    result.seconds = time.perf_counter() - began
    result.options = {key: json_safe(value) for key, value in options.items() if _is_plain(value)}
    if entry.of_codes and (reference if reference is not None else not entry.slow):
        _add_reference(entry, result, arrays, options)
    return result


def _is_plain(value: Any) -> bool:
    """Whether an option can be written down: it is no table, no function and no object."""
    if isinstance(value, list | tuple):
        return all(_is_plain(each) for each in value)
    return value is None or isinstance(value, bool | int | float | str | np.generic)


_ARRAYS = ("factors", "codes", "factors_test", "codes_test")
_SAME_AS = {"factors_train": "factors", "codes_train": "codes"}
_FEW, _DRAWS = 20_000, 5  # numbers in a table of codes, up to which chance is the mean of so many draws


def _add_reference(entry: Metric, result: MetricResult, arrays: tuple[Any, ...], options: dict[str, Any]) -> None:
    """Fills in chance and ceiling where the metric did not know them in closed form.

    Chance is what the same codes score when they are dealt out to the rows at random: it has their number, scale,
    levels and dead dimensions, and knows nothing. The ceiling is that of the factors themselves, each scaled to unit
    variance, one to a dimension, or one to a block.
    """
    missing = all(value is None for value in result.values.values())
    if missing or (set(result.chance) >= set(result.values) and set(result.ceiling) >= set(result.values)):
        return
    given = dict(zip(_ARRAYS, arrays, strict=False))
    rest = {key: value for key, value in options.items() if key not in (*_ARRAYS, "progress")}
    given |= {key: value for key, value in options.items() if key in _ARRAYS}
    factors, codes, held, codes_held = (
        None if given.get(key) is None else np.asarray(given[key], dtype=np.float64) for key in _ARRAYS
    )
    assert factors is not None and codes is not None
    if not set(result.chance) >= set(result.values):
        rng = np.random.default_rng((int(rest.get("seed", 0)), 1))
        draws = _DRAWS if codes.size <= _FEW and not entry.slow else 1
        scores = []
        try:
            for _ in range(draws):
                order = rng.permutation(len(codes))
                second = None if codes_held is None else rng.permutation(codes_held)
                # What belongs to each code, such as its deviation, goes with it.
                dealt = {key: value[order] if _is_table(value, len(codes)) else value for key, value in rest.items()}
                scores.append(entry(factors, codes[order], held, second, **dealt).values)
        except ValueError as error:  # these codes allow it only where they know something
            result.details["no_chance"] = str(error)
        else:
            for key in result.values:
                found = [value for each in scores if (value := each.get(key)) is not None]
                result.chance.setdefault(key, float(np.mean(found)) if found else None)
    if not set(result.ceiling) >= set(result.values):
        settings = dict(rest)
        if rest.get("blocks") is not None:
            settings["blocks"] = _filled(rest["blocks"], factors.shape[1], codes.shape[1])
        try:
            best = entry(
                factors,
                _perfect(factors, factors, settings.get("blocks")),
                held,
                None if held is None else _perfect(held, factors, settings.get("blocks")),
                **settings,
            ).values
        except ValueError as error:  # these factors allow no such code
            result.details["no_ceiling"] = str(error)
        else:
            for key in result.values:
                result.ceiling.setdefault(key, best.get(key))


def _is_table(value: Any, rows: int) -> bool:
    return isinstance(value, np.ndarray) and value.ndim == 2 and len(value) == rows


def _filled(blocks: Any, factors: int, width: int) -> list[list[int]]:
    """The blocks, and one dimension more for each factor that they leave without one."""
    listed = [list(block) for block in blocks]
    return listed + [[width + extra] for extra in range(factors - len(listed))]


def _perfect(table: Any, factors: Any, blocks: list[list[int]] | None) -> Any:
    """A code that holds every factor of ``table`` by itself, scaled as ``factors`` ask.

    Each factor has one dimension; in blocks of two or more it has a point on a circle, as a cyclic group holds it.
    """
    exponents = to_unit(factors, axis=0)[1]
    factors, table = (np.ldexp(each, -exponents) for each in (factors, table))
    scale = factors.std(axis=0)
    scale[scale == 0] = 1.0
    straight = (table - factors.mean(axis=0)) / scale
    if blocks is None:
        return straight
    low, high = factors.min(axis=0), factors.max(axis=0)
    # The ends of the circle stay as far apart as two neighbouring levels.
    levels = np.array([len(np.unique(column)) for column in factors.T])
    angles = 2 * np.pi * (table - low) / np.where(high > low, high - low, 1.0) * (levels - 1) / levels
    codes = np.zeros((len(table), 1 + max(max(block) for block in blocks)))
    for column, block in enumerate(blocks[: table.shape[1]]):
        if len(block) == 1:
            codes[:, block[0]] = straight[:, column]
        else:
            codes[:, block[0]], codes[:, block[1]] = np.cos(angles[:, column]), np.sin(angles[:, column])
    return codes
