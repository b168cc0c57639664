"""Many metrics of one representation on one data set: every state is encoded once."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from .checks import Floats, Ints
from .registry import METRICS, compute
from .registry import names as registered
from .result import MetricResult


class Factored(Protocol):
    """What is read of a data set: the generative-factor API."""

    def __len__(self) -> int:
        """How many states there are."""
        ...

    def generative_factors(self, index: Any) -> Any:
        """Factor values of states, int ``[N, K]``."""
        ...

    def images(self, index: Any) -> Any:
        """Their images, ``[N, ...]``."""
        ...


def evaluate(
    representation: Callable[[Any], Any],
    dataset: Factored,
    names: Sequence[str] | None = None,
    *,
    seed: int = 0,
    rows: tuple[int, int] = (10_000, 5_000),
    batch: int = 256,
    whole: int = 100_000,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    reference: bool | None = None,
    told: Callable[[str], object] | None = None,
) -> dict[str, MetricResult]:
    """Computes metrics of a representation over a data set, each of whose states is encoded at most once.

    Args:
        representation: Gives codes ``[n, D]`` (arrays or tensors) for a batch of the data set's images.
        dataset: States with factors and images.
        names: Metrics of factors and codes; None: all that do not take minutes.
        seed: Source of the choice of states, and of what is random in the metrics.
        rows: States to fit on and to test on, at most. A data set that has fewer is split in the same proportion.
        batch: Images that are encoded at a time.
        whole: States of a data set, at most, that is encoded as a whole where a metric draws batches in which factors
            are held still (BetaVAE, FactorVAE, ...): these then draw what their publications do. Of a larger one, or
            with 0, they draw from the same rows as the others: raise it where minutes of encoding are worth it.
        options: Options of metrics by their names, ``{"mig": {"bins": 40}}``.
        reference: As in ``compute``: whether chance and ceiling are found by computing.
        told: Called with the name of each metric before it is computed, and with a line on how far it is where that
            takes long.

    Returns:
        Results by name; a metric that refuses the data says so in its place.

    Raises:
        ValueError: A name that is not that of a metric of factors and codes, options of a metric that is not among
            the names, or rows below 1.

    Example:
        >>> import numpy as np
        >>> class Grid:
        ...     def __len__(self):
        ...         return 25
        ...
        ...     def generative_factors(self, index):
        ...         return np.stack(np.divmod(index, 5), axis=1)
        ...
        ...     def images(self, index):
        ...         return self.generative_factors(index)
        >>> round(evaluate(lambda images: images, Grid(), ["mcc"])["mcc"].values["mcc"], 6)
        1.0
    """
    known = registered(of_codes=True)
    wanted = [name for name in known if not METRICS[name].slow] if names is None else list(names)
    if isinstance(names, str):
        raise ValueError(f"names must be a list of names: [{names!r}]")
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise ValueError(f"{unknown[0]!r} is not a metric of factors and codes; there are: {', '.join(known)}")
    settings = dict(options or {})
    strange = [name for name in settings if name not in wanted]
    if strange:
        raise ValueError(f"there are options for {strange[0]!r}, which is not computed; {', '.join(wanted)} are")
    for name, given in settings.items():
        taken = inspect.signature(METRICS[name].function).parameters
        if foreign := [option for option in given if option not in taken]:
            raise ValueError(f"{name} has no option {foreign[0]!r}; it takes: {', '.join(taken)}")
    train, test = choose_states(len(dataset), rows, seed)
    states = np.concatenate([train, test])
    grid = any(reads_all(name) for name in wanted) and len(dataset) <= whole
    if grid:
        everything = np.arange(len(dataset), dtype=np.int64)
        table = encode(representation, dataset, everything, batch)
        every = np.asarray(dataset.generative_factors(everything)), table
        codes = table[states]
    else:
        codes = encode(representation, dataset, states, batch)
    factors = np.asarray(dataset.generative_factors(states))
    cut = len(train)
    results = {}
    for name in wanted:
        if told is not None:
            told(name)
        arrays: tuple[Any, ...] = (factors[:cut], codes[:cut], factors[cut:], codes[cut:])
        if grid and reads_all(name):
            arrays = every
        try:
            shown = {} if told is None else progress_of(name, told)
            asked = {"seed": seed} | dict(settings.get(name, {}))
            results[name] = compute(name, *arrays, reference=reference, **shown, **asked)
        except Exception as error:  # it says so in its place, whatever it is
            results[name] = failed(name, error)
    return results


def failed(name: str, error: Exception) -> MetricResult:
    """The place of a metric that refuses what it is given, or fails: it says why."""
    said = " ".join(str(error).split())
    return MetricResult(name, {name: None}, reason=said if isinstance(error, ValueError) else f"{error!r}")


def reads_all(name: str) -> bool:
    """Whether a metric is best given all states there are.

    It then draws batches in which factors are held still, or compares predictions over all values of a factor.
    """
    return METRICS[name].family == "intervention" or name in ("fairness", "fairness_hist")


def progress_of(name: str, told: Callable[[str], object]) -> dict[str, Callable[[object], None]]:
    """The option of a slow metric that makes it tell how far it is; nothing for the others."""
    entry = METRICS[name]
    if not entry.slow or "progress" not in inspect.signature(entry.function).parameters:
        return {}

    def show(progress: object) -> None:
        told(f"{name}: {progress}")

    return {"progress": show}


def choose_states(number: int, rows: tuple[int, int], seed: int) -> tuple[Ints, Ints]:
    """Different states to fit on and to test on, at random.

    Raises:
        ValueError: Rows below 1, or fewer than two states.
    """
    if min(rows) < 1 or number < 2:
        raise ValueError(f"rows must be 1 or more and states 2 or more, not {rows} of {number}")
    order = np.random.default_rng(seed).permutation(number).astype(np.int64)
    fit, test = rows
    if number < fit + test:
        fit = min(max(1, round(number * fit / (fit + test))), number - 1)
    return order[:fit], order[fit : fit + test]


def encode(representation: Callable[[Any], Any], dataset: Factored, states: Ints, batch: int = 256) -> Floats:
    """Codes of states ``[N, D]``, encoded batch by batch."""
    pieces = []
    for start in range(0, len(states), batch):
        codes = representation(dataset.images(states[start : start + batch]))
        # Tensors need to be taken off their graph and device first.
        codes = codes.detach().cpu() if hasattr(codes, "detach") else codes
        pieces.append(np.asarray(codes, dtype=np.float64))
    return np.concatenate(pieces)
