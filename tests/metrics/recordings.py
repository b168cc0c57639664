"""Every value that was recorded of published metric code, the call that reproduces it, and how near it must come.

The tests run the entries that take about a second or less; ``python benchmarks/recorded.py`` runs all of them and
writes what came out.

An entry of ``expected.json`` is named by what was measured: ``mini/noisy/mig`` is the mutual information gap of the
representation "noisy" of the factor space "mini". ``FAMILIES`` says for each kind of entry which call gives its values.
Scores that depend on random draws are reproduced twice: on the recorded draws, made again from their seed, where
nothing is left to chance, and on draws of our own, where the recorded score is one draw as well.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.ensemble import GradientBoostingClassifier

from equiworld.metrics import METRICS, completeness_from_importance, disentanglement_from_importance
from equiworld.metrics.fair import inter_group_fairness
from equiworld.metrics.predictors import fit_factors
from equiworld.metrics.sampling import count_votes, fit_differences, vote_accuracy
from equiworld.metrics.tables import read_rows

DATA = Path(__file__).parent / "data"
SIZES = {"mini": (5, 5, 5, 5), "shapes3d": (10, 10, 10, 8, 4, 15)}
SEED, NOISE_SEED = 0, 12345
"""Of the recorded draws of factors and of the noise in the representations."""
OWN_DRAWS = 30
"""Seeds of our own that a sampled score is averaged over; a third of them for fairness, which takes its time."""


# The representations and the recorded rows.


def represent(name: str, factors: Any, sizes: Any, noise: np.random.RandomState) -> Any:
    """Codes of factors [N, K] under the representation of that name; ``noise`` is drawn row by row."""
    levels = np.array(sizes, dtype=np.float64)
    perfect, count = (factors - (levels - 1) / 2) / np.sqrt((levels**2 - 1) / 12), len(levels)
    if name in ("perfect", "constant"):
        return perfect if name == "perfect" else np.zeros_like(perfect)
    if name == "permuted_scaled":
        signs = np.where(np.arange(count) % 2 == 0, 1.0, -1.0)
        return perfect[:, np.random.RandomState(3).permutation(count)] * signs * (0.5 + np.arange(count))
    if name == "monotone":
        return perfect**3
    if name == "dead_dims":
        return np.hstack([perfect, 0.01 * noise.standard_normal((len(perfect), 3))])
    if name == "rotated":
        basis, triangle = np.linalg.qr(np.random.RandomState(7).standard_normal((count, count)))
        return perfect @ (basis * np.sign(np.diag(triangle))).T
    if name == "noisy":
        return perfect + 0.5 * noise.standard_normal(perfect.shape)
    if name == "duplicated":
        return np.hstack([perfect, perfect])
    if name == "paired":
        codes = noise.standard_normal(perfect.shape)
        first = np.arange(0, count - 1, 2)
        codes[:, first] = factors[:, first] * levels[first + 1] + factors[:, first + 1]
        return codes
    if name == "missing":
        return np.hstack([perfect[:, :-1], noise.standard_normal((len(perfect), 1))])
    if name == "sincos":
        angles = 2 * np.pi * factors / levels
        return np.stack([np.cos(angles), np.sin(angles)], axis=-1).reshape(len(perfect), -1)
    if name == "random":
        return noise.standard_normal(perfect.shape)
    raise ValueError(f"there is no representation {name!r}")


class Recordings:
    """The recorded rows, arrays and scores.

    ``rows("mini", "noisy")`` are factors and codes to train on, then to test on; the sizes are those of a 5x5x5x5 grid
    ("mini") and of 3D Shapes ("shapes3d"). Expected values lie under the publisher ("disentanglement_lib", "others",
    "leakage", "udr") and a key such as "mini/noisy/mig".
    """

    SIZES = SIZES

    def __init__(self) -> None:
        self.expected = json.loads((DATA / "expected.json").read_text())
        self.more = json.loads((DATA / "recorded.json").read_text())
        self._files: dict[str, dict[str, Any]] = {}

    def array(self, file: str, name: str) -> Any:
        """An array of one of the files."""
        if file not in self._files:
            with np.load(DATA / f"{file}.npz") as arrays:
                self._files[file] = {key: arrays[key] for key in arrays.files}
        return self._files[file].get(name)

    def rows(self, space: str, name: str) -> tuple[Any, Any, Any, Any]:
        """Factors and codes to train on [2000, ...], and to test on [1000, ...]."""
        train, test = (self.part(space, name, part) for part in ("train", "test"))
        return (*train, *test)

    def part(self, space: str, name: str, part: str) -> tuple[Any, Any]:
        """Factors and codes of the training or the test rows."""
        factors = self.array("representations", f"{space}__factors_{part}").astype(np.int64)
        stored = self.array("representations", f"{space}__{name}_{part}")
        if name in ("dead_dims", "missing") and stored is not None:
            perfect = represent("perfect", factors, SIZES[space], np.random.RandomState(NOISE_SEED))
            return factors, np.hstack([perfect if name == "dead_dims" else perfect[:, :-1], stored])
        if stored is not None:
            return factors, stored
        return factors, represent(name, factors, SIZES[space], np.random.RandomState(NOISE_SEED))


@cache
def recordings() -> Recordings:
    """The recordings, read once."""
    return Recordings()


# Calls of metrics on the recorded rows.

Found = dict[str, Any]
"""What came out, by the name under which it was recorded."""


def of_rows(metric: str, wanted: dict[str, Any], read: str = "split", **options: Any) -> Callable[[str], Found]:
    """Calls a metric on recorded rows.

    Args:
        metric: Its name.
        wanted: What was recorded to what the result calls it: a name of its values or details, or a function of it.
        read: "split": rows to fit on and to test on. "train": the former alone. "twice": the former as both.
        **options: Its options.
    """

    def call(key: str) -> Found:
        rows = recordings().rows(*key.split("/")[:2]) if read == "split" else _training_rows(key)
        result = METRICS[metric](*rows, *(rows if read == "twice" else ()), **options)
        return _picked(result, wanted)

    call.__doc__ = f"{metric}({', '.join(f'{name}={value!r}' for name, value in options.items())})"
    return call


def _training_rows(key: str) -> tuple[Any, Any]:
    return recordings().part(*key.split("/")[:2], "train")


def _picked(result: Any, wanted: dict[str, Any]) -> Found:
    found: Found = {"reason": result.reason}
    for name, ours in wanted.items():
        if callable(ours):
            found[name] = ours(result)
        else:
            found[name] = result.values[ours] if ours in result.values else result.details[ours]
    return found


def _of_udr(key: str) -> Found:
    """udr(correlation=..., filter_inactive=..., nan_wins=not filter_inactive)"""
    family, correlation, filtered = key.split("/")
    codes, kl = ([recordings().array("udr", f"{family}__{part}{run}") for run in range(4)] for part in ("model", "kl"))
    kept = filtered.endswith("True")
    result = METRICS["udr"](codes, kl, correlation=correlation, filter_inactive=kept, nan_wins=not kept)
    return {"model_scores": result.details["model_scores"]}


def _of_lsbd(key: str) -> Found:
    """lsbd(), of cylinders lsbd(cyclic=[1], arbitrary_signs=True)"""
    codes = recordings().array("recorded", f"dlsbd__{key}")
    options = {"cyclic": [1], "arbitrary_signs": True} if key.startswith("cylinder") else {}
    result = METRICS["lsbd"](codes, **options)
    return _picked(result, {"score": "lsbd", "per_axis": "per_axis", "frequencies": "frequencies"})


def _of_independence(key: str) -> Found:
    """independence()"""
    z, operators, q, s = (recordings().array("recorded", f"independence__{name}") for name in ("z", "reps", "Q", "S"))
    first, second, first_back, second_back = operators
    codes, maps = {
        "block_rotations": (z, operators),
        "orthogonal_change_of_basis": (z @ q.T, q @ operators @ q.T),
        "skewed_change_of_basis": (z @ s.T, s @ operators @ np.linalg.inv(s)),
        "same_plane_for_both": (z, np.stack([first, first @ first, first_back, first_back @ first_back])),
        "both_act_on_both": (
            z,
            np.stack([first @ second, first_back @ second, first_back @ second_back, first @ second_back]),
        ),
    }[key.removeprefix("independence/")]
    return {"score": METRICS["independence"](codes, maps, [[0, 2], [1, 3]]).values["independence"]}


# The recorded draws, made again: factors first, one after another, as the published code samples them.


def _factors(sizes: Any, count: int, stream: np.random.RandomState) -> Any:
    return np.stack([stream.randint(size, size=count) for size in sizes], axis=1)


@cache
def _pairs(space: str) -> tuple[Any, Any]:
    """BetaVAE: the shared factor of each point [3000], and the factors of its pairs [3000, 2, 64, K]."""
    stream, sizes = np.random.RandomState(SEED), SIZES[space]
    labels, drawn = [], []
    for _ in range(3000):
        label = stream.randint(len(sizes))
        pair = np.stack([_factors(sizes, 64, stream) for _ in range(2)])
        pair[1, :, label] = pair[0, :, label]
        labels.append(label)
        drawn.append(pair)
    return np.array(labels), np.stack(drawn)


@cache
def _groups(space: str) -> tuple[Any, Any, Any]:
    """FactorVAE: factors for the variances [2000, K], the fixed factor of each batch, and factors [3000, 64, K]."""
    stream, sizes = np.random.RandomState(SEED), SIZES[space]
    everywhere = _factors(sizes, 2000, stream)
    labels, drawn = [], []
    for _ in range(3000):
        label = stream.randint(len(sizes))
        batch = _factors(sizes, 64, stream)
        batch[:, label] = batch[0, label]
        labels.append(label)
        drawn.append(batch)
    return everywhere, np.array(labels), np.stack(drawn)


def _beta_vae_again(key: str) -> Found:
    """fit_differences(...) on the recorded draws"""
    space, name = key.split("/")[:2]
    labels, pairs = _pairs(space)
    sizes = SIZES[space]
    codes = represent(name, pairs.reshape(-1, len(sizes)), sizes, np.random.RandomState(NOISE_SEED))
    first, second = np.moveaxis(codes.reshape(*pairs.shape[:3], -1), 1, 0)
    points = np.abs(first - second).mean(axis=1)
    score, inside, _ = fit_differences(points[:2000], labels[:2000], points[2000:], labels[2000:])
    return {"train_accuracy": inside, "eval_accuracy": score}


def _factor_vae_again(threshold: float) -> Callable[[str], Found]:
    def call(key: str) -> Found:
        space, name = key.split("/")[:2]
        everywhere, labels, batches = _groups(space)
        sizes = SIZES[space]
        rows = np.concatenate([everywhere, batches.reshape(-1, len(sizes))])
        codes = represent(name, rows, sizes, np.random.RandomState(NOISE_SEED))
        total = codes[:2000].var(axis=0, ddof=1)
        within = codes[2000:].reshape(3000, 64, -1).var(axis=1, ddof=1)
        active = np.sqrt(total) >= threshold
        found: Found = {"num_active_dims": int(active.sum()), "global_variances": total}
        if not active.any():
            return {"num_active_dims": 0, "train_accuracy": 0.0, "eval_accuracy": 0.0}
        parts = (slice(2000), slice(2000, None))
        votes = [count_votes(within[part], total, labels[part], len(sizes), active) for part in parts]
        score, inside = vote_accuracy(*votes)
        found |= {"train_votes": votes[0], "eval_votes": votes[1]}
        return found | {"train_accuracy": inside, "eval_accuracy": score}

    call.__doc__ = f"count_votes(...), vote_accuracy(...) on the recorded draws, threshold={threshold}"
    return call


def _fairness_again(key: str) -> Found:
    """fit_factors(..., "gbt"), inter_group_fairness(...) on the recorded draws"""
    space, name = key.split("/")[:2]
    sizes, stream, noise = SIZES[space], np.random.RandomState(SEED), np.random.RandomState(NOISE_SEED)
    # The published code draws its training rows in batches of 16.
    factors = np.concatenate([_factors(sizes, min(16, 1000 - begin), stream) for begin in range(0, 1000, 16)])
    rows = read_rows(factors, represent(name, factors, sizes, noise))
    _, fits = fit_factors(rows, rows, _shared_stream(), n_jobs=1)
    tables = np.full((2, len(sizes), len(sizes)), np.nan)
    for column, fit in enumerate(fits):
        for other, levels in enumerate(sizes):
            if other == column:
                continue
            drawn = np.repeat(_factors(sizes, 100, stream)[None], levels, axis=0)
            drawn[:, :, other] = np.arange(levels)[:, None]
            guesses = fit.model.predict(represent(name, drawn.reshape(-1, len(sizes)), sizes, noise))
            counts = np.zeros((sizes[column], levels))
            np.add.at(counts, (guesses, np.repeat(np.arange(levels), 100)), 1)
            tables[:, column, other] = inter_group_fairness(counts)
    return _fairness_summaries(*tables)


def _shared_stream() -> Callable[[bool, int], Any]:
    """Boosted trees that draw from one stream, factor after factor, as the published ones from NumPy's global one."""
    stream = np.random.RandomState(SEED)
    return lambda discrete, seed: GradientBoostingClassifier(random_state=stream)


def _fairness_summaries(mean: Any, largest: Any) -> Found:
    found: Found = {}
    for name, table in (("mean_fairness", mean), ("max_fairness", largest)):
        by_predicted, by_sensitive = np.nanmean(table, axis=1), np.nanmean(table, axis=0)
        for column in range(len(table)):
            found[f"{name}:pred{column}:mean_sens"] = by_predicted[column]
            found[f"{name}:sens{column}:mean_pred"] = by_sensitive[column]
        found[f"{name}:mean_sens:mean_pred"] = by_sensitive.mean()
        found[f"{name}:mean_sens:max_pred"] = np.nanmax(table, axis=0).mean()
        found[f"{name}:max_sens:mean_pred"] = by_sensitive.max()
        found[f"{name}:mean_pred:mean_sens"] = by_predicted.mean()
        found[f"{name}:mean_pred:max_sens"] = np.nanmax(table, axis=1).mean()
        found[f"{name}:max_pred:mean_sens"] = by_predicted.max()
    return found


def _dci_again(key: str) -> Found:
    """The scores of boosted trees that draw from the recorded stream of random numbers"""
    rows = recordings().rows(*key.split("/")[:2])
    _, fits = fit_factors(read_rows(*rows[:2]), read_rows(*rows[2:]), _shared_stream(), n_jobs=1)
    importance = np.stack([fit.importance for fit in fits if fit.importance is not None], axis=1)
    return {
        "importance_matrix": importance,
        "disentanglement": disentanglement_from_importance(importance),
        "completeness": completeness_from_importance(importance),
        "informativeness_train": float(np.mean([fit.train for fit in fits])),
        "informativeness_test": float(np.mean([fit.test for fit in fits])),
    }


def _rows_in_passes(rows: Any, count: int, stream: np.random.RandomState, paired: bool) -> Any:
    """So many rows, or pairs of rows, taken off the shuffled rows; they are shuffled again whenever they run out."""
    rows, taken = rows.copy(), []
    whole = len(rows) // 2 if paired else len(rows)
    while count > 0:
        stream.shuffle(rows)
        part = min(whole, count)
        taken.append(np.stack([rows[:part], rows[part : 2 * part]]) if paired else rows[None, :part].copy())
        count -= part
    return np.concatenate(taken, axis=1)


def _counts(factors: int, batches: tuple[int, int], stream: np.random.RandomState) -> Any:
    """How many training and test batches each factor has, [2, K]."""
    return np.stack([np.bincount(stream.randint(factors, size=size), minlength=factors) for size in batches])


@cache
def _row_pairs(space: str) -> tuple[Any, Any]:
    """Z-diff: of the training and the test points the shared factors, and the numbers of their rows [P, 2, 64]."""
    factors, stream = recordings().part(space, "perfect", "train")[0], np.random.RandomState(SEED)
    labels: list[list[Any]] = [[], []]
    drawn: list[list[Any]] = [[], []]
    counts = _counts(factors.shape[1], (1000, 500), stream)
    for column, (train, test) in enumerate(counts.T):
        values = stream.choice(np.unique(factors[:, column]), size=64 * (train + test))
        pairs = np.concatenate(
            [
                _rows_in_passes(np.flatnonzero(factors[:, column] == value), (values == value).sum(), stream, True)
                for value in np.unique(values)
            ],
            axis=1,
        )
        order = np.arange(pairs.shape[1])
        stream.shuffle(order)
        points = np.moveaxis(pairs[:, order].reshape(2, -1, 64), 0, 1)
        for place, part in enumerate((points[:train], points[train:])):
            labels[place].append(np.full(len(part), column))
            drawn[place].append(part)
    return [np.concatenate(part) for part in labels], [np.concatenate(part) for part in drawn]


def _z_diff_again(key: str) -> Found:
    """fit_differences(..., steps=10_000) on the recorded draws"""
    space, name = key.split("/")[:2]
    codes = recordings().part(space, name, "train")[1]
    labels, drawn = _row_pairs(space)
    points = [np.abs(codes[rows[:, 0]] - codes[rows[:, 1]]).mean(axis=1) for rows in drawn]
    score = fit_differences(points[0], labels[0], points[1], labels[1], 10_000)[0]
    return {"score": _scaled(score, len(SIZES[space]))}


def _scaled(accuracy: float, factors: int) -> float:
    return (accuracy - 1 / factors) / (1 - 1 / factors)


@cache
def _row_groups(space: str) -> tuple[Any, Any]:
    """Z-min variance: of the training and the test batches the fixed factors, and their rows [P, 64]."""
    factors, stream = recordings().part(space, "perfect", "train")[0], np.random.RandomState(SEED)
    labels: list[list[Any]] = [[], []]
    drawn: list[list[Any]] = [[], []]
    stream.shuffle(np.arange(len(factors)))  # the rows for the variances: all of them
    counts = _counts(factors.shape[1], (800, 800), stream)
    for column, (train, test) in enumerate(counts.T):
        values = stream.choice(np.unique(factors[:, column]), size=train + test)
        for value in np.unique(values):
            rows, number = np.flatnonzero(factors[:, column] == value), int((values == value).sum())
            batches = _rows_in_passes(rows, 64 * number, stream, False).reshape(number, 64)
            fitted = int((values[:train] == value).sum())
            for place, part in enumerate((batches[:fitted], batches[fitted:])):
                labels[place].append(np.full(len(part), column))
                drawn[place].append(part)
    return [np.concatenate(part) for part in labels], [np.concatenate(part) for part in drawn]


def _z_min_var_again(key: str) -> Found:
    """count_votes(...), vote_accuracy(...) on the recorded draws, threshold=0.05"""
    space, name = key.split("/")[:2]
    codes, factors = recordings().part(space, name, "train")[1], len(SIZES[space])
    total = codes.var(axis=0, ddof=1)
    active = np.sqrt(total) >= 0.05
    if not active.any():  # where the published code stops with an error: nothing is told apart
        return {"score": _scaled(0.0, factors)}
    labels, drawn = _row_groups(space)
    within = [codes[rows].var(axis=1, ddof=1) for rows in drawn]
    votes = [count_votes(part, total, known, factors, active) for part, known in zip(within, labels, strict=True)]
    return {"score": _scaled(vote_accuracy(*votes)[0], factors)}


# Our own draws, one seed each.


def own_rows(key: str, seed: int, count: int = 20_000) -> tuple[Any, Any, Any, Any]:
    """Rows of a representation to train on and to test on, drawn anew."""
    space, name = key.split("/")[:2]
    stream = np.random.RandomState(1000 + seed)
    parts = [_factors(SIZES[space], count, stream) for _ in range(2)]
    codes = [represent(name, part, SIZES[space], stream) for part in parts]
    return parts[0], codes[0], parts[1], codes[1]


def of_own_draws(metric: str, wanted: dict[str, str], **options: Any) -> Callable[[str, int], Found]:
    """Calls a sampled metric with a seed: those of disentanglement_lib on new rows, ubisoft's on the recorded ones."""

    def call(key: str, seed: int) -> Found:
        rows = _training_rows(key) if "/ubisoft/" in key else own_rows(key, seed)
        return _picked(METRICS[metric](*rows, seed=seed, **options), wanted)

    given = ", ".join(f"{name}={value!r}" for name, value in options.items())
    call.__doc__ = f"{metric}({given}) with {OWN_DRAWS} seeds"
    return call


def _own_fairness(key: str, seed: int) -> Found:
    """fairness(samples=100) of all combinations, fitted to 1,000 rows, with several seeds"""
    space, name = key.split("/")[:2]
    sizes, stream = SIZES[space], np.random.RandomState(1000 + seed)
    grid = np.stack(np.unravel_index(np.arange(np.prod(sizes)), sizes), axis=1)
    parts = (_factors(sizes, 1000, stream), grid)
    rows = [array for part in parts for array in (part, represent(name, part, sizes, stream))]
    result = METRICS["fairness"](*rows, seed=seed, samples=100, n_jobs=1)
    return _fairness_summaries(*(np.array(result.details[table], dtype=float) for table in ("mean", "largest")))


# The list.


@dataclass(frozen=True)
class Outcome:
    """What came out for one recorded number or table.

    Attributes:
        name: What it was recorded as.
        recorded: The number; of a table its shape; of what is not finite, or an error, its text.
        ours: The number, the mean over seeds, or the shape; None for a value that is missing and has a reason.
        deviation: The largest difference. None where one of them is no number.
        tolerance: How large it may be.
        spread: The standard deviation over seeds, which is that of one draw of the recorded size.
    """

    name: str
    recorded: Any
    ours: Any
    deviation: float | None
    tolerance: float
    spread: float | None = None

    @property
    def within(self) -> bool:
        """Whether it is as near as asked; what was not finite must have become a number, or None with a reason."""
        return self.deviation is None or self.deviation <= self.tolerance

    @property
    def standard_deviations(self) -> float | None:
        """How many deviations of one draw the recorded number lies away; None where nothing is drawn or all agree."""
        return self.deviation / self.spread if self.spread and self.deviation is not None else None

    @property
    def agrees(self) -> bool:
        """Whether it is within tolerance, or no farther away than one draw may be from the mean of all."""
        return self.within or (self.standard_deviations is not None and self.standard_deviations <= 3)


@dataclass(frozen=True)
class Family:
    """Entries of one kind, and the call that reproduces them.

    Attributes:
        publisher: Whose values: a key of ``expected.json``.
        name: The last part of the entries' names; empty where there is nothing to tell apart.
        call: Gives what came out for an entry; with ``seeds`` it takes a seed too.
        tolerance: How far numbers may be apart.
        how: "exact": the same call. "recorded draws": on those. "own draws": the mean over seeds.
        seeds: Over how many seeds it is averaged; 0 where nothing is random.
        of: Entries that are run at all, by how their names begin.
        fast: Entries that run with the tests, likewise.
        only: What of an entry is compared; empty for all of it.
        left_out: What is not.
        other: Tolerances of single values.
    """

    publisher: str
    name: str
    call: Callable[..., Found]
    tolerance: float = 1e-6
    how: str = "exact"
    seeds: int = 0
    of: tuple[str, ...] = ("",)
    fast: tuple[str, ...] = ("",)
    only: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    other: dict[str, float] = field(default_factory=dict)

    def entries(self) -> list[str]:
        """The names of the entries of which something is compared."""
        of_kind = (key for key in entries_of(self.publisher) if self.name in ("", key.split("/", 2)[-1]))
        return [key for key in of_kind if key.startswith(self.of) and self.compared(key)]

    def is_fast(self, key: str) -> bool:
        """Whether the entry runs with the tests."""
        return key.startswith(self.fast)

    def compared(self, key: str) -> list[str]:
        """What is compared of an entry."""
        names = values_of(entries_of(self.publisher)[key])
        return [
            name
            for name in names
            if name not in self.left_out
            and f"{key}/{name}" not in self.left_out
            and (not self.only or name in self.only)
        ]

    def outcomes(self, key: str) -> Iterator[Outcome]:
        """Runs the call of an entry and compares."""
        recorded = values_of(entries_of(self.publisher)[key])
        found = [self.call(key, seed) for seed in range(self.seeds)] if self.seeds else [self.call(key)]
        reason = found[0].pop("reason", None)
        # Where the published code stopped with an error, there is a value here, or a reason.
        names = list(found[0]) if "error" in recorded else self.compared(key)
        for name in names:
            yield self._compared(name, recorded.get(name, "error"), [each[name] for each in found], reason)

    def _compared(self, name: str, recorded: Any, ours: list[Any], reason: str | None) -> Outcome:
        tolerance = self.other.get(name, self.tolerance)
        if isinstance(recorded, str) or not np.isfinite(np.asarray(recorded, dtype=float)).all():
            if ours[0] is None and not reason:
                raise AssertionError(f"{name} is missing without a reason")
            return Outcome(name, str(recorded), ours[0], None, tolerance)
        table = np.asarray(ours, dtype=float)
        spread = float(table.std(axis=0, ddof=1).max()) if self.seeds else None
        mean, target = table.mean(axis=0), np.asarray(recorded, dtype=float)
        if mean.shape != target.shape:
            raise AssertionError(f"{name} has shape {mean.shape}, was recorded with {target.shape}")
        deviation = float(np.abs(mean - target).max())
        shown = (float(target), float(mean)) if target.ndim == 0 else (list(target.shape), list(mean.shape))
        return Outcome(name, *shown, deviation, tolerance, spread)


PUBLISHERS = ("disentanglement_lib", "others", "leakage", "independence", "udr", "dlsbd")
"""Whose values there are: a library, several ("others"), or those that recorded a single metric."""


def entries_of(publisher: str) -> dict[str, Any]:
    """What was recorded, by entry."""
    if publisher == "dlsbd":
        return dict(recordings().more["dlsbd"])
    if publisher in ("leakage", "independence"):
        both = recordings().expected["leakage"]
        apart = publisher == "independence"
        return {key: value for key, value in both.items() if key.startswith("independence/") == apart}
    return dict(recordings().expected[publisher])


def values_of(content: Any) -> dict[str, Any]:
    """The values of an entry by name."""
    return dict(content.get("scores", content)) if isinstance(content, dict) else {"score": content}


LIBRARY, OTHERS = "disentanglement_lib", "others"
UBISOFT = {"binning": "width_ubisoft", "bins": 10}
COUNTED = {"dead_codes": "as_disentanglement_lib"}


def _main(metric: str) -> dict[str, str]:
    return {"score": metric}


def _infomec(prune: str) -> Callable[[str], Found]:
    names = ("infom", "infoe", "infoc", "nmi")
    wanted = dict(zip(names, names, strict=True)) | {"active_latents": "active"}
    return of_rows("infomec", wanted, "train", prune=prune, ties="noise_sklearn")


_WITHOUT_NOISE = tuple(
    f"mini/{name}/"
    for name in ("perfect", "permuted_scaled", "monotone", "rotated", "duplicated", "sincos", "constant")
)
_ACCURACIES = ("train_accuracy", "eval_accuracy")
_PUBLISHED = {"train": 2000, "test": 1000, "batch": 64}
_UNSUPERVISED = {
    "gaussian_total_correlation": "total_correlation",
    "gaussian_wasserstein_correlation": "wasserstein",
    "gaussian_wasserstein_correlation_norm": "wasserstein_norm",
    "mutual_info_score": "mutual_information",
}
_DCI = {
    "disentanglement": "disentanglement",
    "completeness": "completeness",
    "informativeness_test": "informativeness",
    "informativeness_train": "informativeness_train",
}
_UBISOFT_DCI = {
    "disentanglement": "disentanglement",
    "completeness": "completeness",
    "informativeness": "informativeness_train",
}
_LASSO = of_rows("dci_lasso", _UBISOFT_DCI, stop_at_dead_code=True)
_SVM = {"SAP_score": "sap", "score_matrix": "score_matrix"}
_R2 = {"SAP_score": "sap_r2", "score_matrix": "r2_matrix"}

FAMILIES = [
    # disentanglement_lib
    Family(
        LIBRARY,
        "mig",
        of_rows(
            "mig",
            {"discrete_mig": "mig", "mi_matrix": "mutual_information", "factor_entropy": "factor_entropy"},
            "train",
        ),
    ),
    Family(LIBRARY, "modularity", of_rows("modularity", {"modularity_score": "modularity"}, "train", **COUNTED)),
    Family(
        LIBRARY,
        "explicitness",
        of_rows(
            "explicitness",
            {
                "explicitness_score_train": "train",
                "explicitness_score_test": "explicitness",
                "per_factor": lambda result: list(
                    zip(result.details["per_factor_train"], result.details["per_factor"], strict=True)
                ),
            },
        ),
    ),
    Family(LIBRARY, "sap_svm", of_rows("sap", _SVM), 2e-3),
    Family(LIBRARY, "sap_continuous", of_rows("sap", _R2, predictor="r2")),
    Family(
        LIBRARY,
        "irs",
        of_rows("irs", {"IRS": "irs", "IRS_matrix": "irs_matrix"}, "train"),
        left_out=("IRS_quantile_1.0",),
    ),
    Family(
        LIBRARY,
        "irs",
        of_rows("irs", {"IRS_quantile_1.0": "irs"}, "train", quantile=1.0),
        left_out=("IRS", "IRS_matrix"),
    ),
    Family(LIBRARY, "unsupervised", of_rows("unsupervised", _UNSUPERVISED, "train")),
    Family(
        LIBRARY,
        "dci_gbt",
        of_rows("dci", _DCI, n_jobs=1),
        5e-3,
        fast=("mini/perfect", "mini/constant"),
        left_out=("importance_matrix",),
    ),
    Family(LIBRARY, "dci_gbt", _dci_again, 5e-3, "recorded draws", fast=("mini/missing",)),
    Family(
        LIBRARY,
        "downstream_logreg_cv",
        of_rows(
            "factor_prediction",
            {"mean_train_accuracy": "train_accuracy", "mean_test_accuracy": "accuracy", "test_accuracy": "per_factor"},
            predictor="logistic_cv",
        ),
        5e-3,
        fast=("mini/noisy", "mini/random", "mini/constant"),
    ),
    Family(LIBRARY, "beta_vae", _beta_vae_again, 5e-3, "recorded draws", left_out=("n_iter",)),
    Family(LIBRARY, "factor_vae", _factor_vae_again(0.05), how="recorded draws"),
    Family(LIBRARY, "factor_vae_no_prune", _factor_vae_again(0.0), how="recorded draws"),
    Family(
        LIBRARY, "fairness_1000_100", _fairness_again, 0.02, "recorded draws", fast=("mini/constant", "mini/missing")
    ),
    Family(
        LIBRARY,
        "beta_vae",
        of_own_draws("beta_vae", {"eval_accuracy": "beta_vae", "train_accuracy": "train"}, **_PUBLISHED),
        0.02,
        "own draws",
        OWN_DRAWS,
        fast=(),
        only=_ACCURACIES,
    ),
    Family(
        LIBRARY,
        "factor_vae",
        of_own_draws("factor_vae", {"eval_accuracy": "factor_vae", "train_accuracy": "train"}, **_PUBLISHED),
        0.02,
        "own draws",
        OWN_DRAWS,
        fast=("shapes3d/rotated",),
        only=_ACCURACIES,
    ),
    Family(
        LIBRARY,
        "factor_vae_no_prune",
        of_own_draws(
            "factor_vae",
            {"eval_accuracy": "factor_vae", "train_accuracy": "train"},
            threshold=0.0,
            collapsed_wins=True,
            **_PUBLISHED,
        ),
        0.02,
        "own draws",
        OWN_DRAWS,
        fast=(),
        only=_ACCURACIES,
    ),
    # With one noisy code a state, as an encoder would have it, groups of states differ by more than new noise allows.
    Family(LIBRARY, "fairness_1000_100", _own_fairness, 0.02, "own draws", OWN_DRAWS // 3, of=_WITHOUT_NOISE, fast=()),
    # The metrics of Carbonneau et al. (ubisoft), and InfoMEC
    Family(OTHERS, "ubisoft/mig_10bins", of_rows("mig", _main("mig"), "train", normaliser="ubisoft_code", **UBISOFT)),
    Family(
        OTHERS,
        "ubisoft/mig_20bins",
        of_rows("mig", _main("mig"), "train", normaliser="ubisoft_code", **(UBISOFT | {"bins": 20})),
    ),
    Family(
        OTHERS,
        "ubisoft/mig_sup",
        of_rows("mig_sup", _main("mig_sup"), "train", normaliser="ubisoft_code", **UBISOFT, **COUNTED),
    ),
    Family(OTHERS, "ubisoft/dcimig", of_rows("dcimig", _main("dcimig"), "train", **UBISOFT)),
    Family(OTHERS, "ubisoft/jemmig", of_rows("jemmig", _main("jemmig"), "train", **UBISOFT)),
    Family(OTHERS, "ubisoft/modularity", of_rows("modularity", _main("modularity"), "train", **UBISOFT, **COUNTED)),
    Family(
        OTHERS,
        "ubisoft/explicitness",
        of_rows("explicitness", _main("scaled"), "twice", classifier="one_vs_rest", scaling="range"),
    ),
    Family(OTHERS, "ubisoft/sap_regression", of_rows("sap", _main("sap_r2"), predictor="r2")),
    Family(
        OTHERS,
        "ubisoft/sap_tree",
        of_rows("sap", _main("sap"), predictor="tree_ubisoft"),
        fast=("mini/perfect", "mini/missing", "mini/sincos", "mini/random", "mini/constant"),
    ),
    Family(OTHERS, "ubisoft/irs", of_rows("irs", _main("irs"), "train", quantile=1.0, bins=None)),
    Family(OTHERS, "ubisoft/dci_lasso", _LASSO),
    Family(OTHERS, "ubisoft/dci_rf", of_rows("dci_forest", _UBISOFT_DCI, ubisoft_search=True), fast=()),
    Family(OTHERS, "ubisoft/z_diff", _z_diff_again, 5e-3, "recorded draws"),
    Family(OTHERS, "ubisoft/z_min_var", _z_min_var_again, how="recorded draws"),
    Family(
        OTHERS,
        "ubisoft/z_diff",
        of_own_draws("z_diff", _main("z_diff"), batch=64, train=1000, test=500),
        0.02,
        "own draws",
        OWN_DRAWS,
        fast=(),
    ),
    Family(
        OTHERS,
        "ubisoft/z_min_var",
        of_own_draws("z_min_var", _main("z_min_var"), batch=64),
        0.02,
        "own draws",
        OWN_DRAWS,
        fast=("mini/paired", "shapes3d/rotated"),
    ),
    # Recorded without a seed.
    Family(
        OTHERS,
        "ubisoft/z_max_var",
        of_own_draws("z_max_var", _main("z_max_var"), batch=64, still_batches=True),
        0.02,
        "own draws",
        OWN_DRAWS,
        fast=("mini/noisy", "mini/paired", "mini/missing", "shapes3d/monotone", "shapes3d/missing"),
    ),
    Family(OTHERS, "infomec/latent_quantization", _infomec("range_latent_quantization"), other={"infoe": 5e-3}),
    # The others equal those before: they prune alike.
    Family(
        OTHERS,
        "infomec/tripod",
        _infomec("iqr_tripod"),
        other={"infoe": 5e-3},
        fast=("mini/constant", "shapes3d/constant", "shapes3d/permuted_scaled"),
    ),
    # Each of one metric
    Family(
        "leakage",
        "",
        of_rows("factor_leakage", {"mean": "mean", "norm_mean": "leakage", "auc": "auc", "nm_auc": "nm_auc"}, "train"),
    ),
    Family("independence", "", _of_independence),
    Family("udr", "", _of_udr),
    Family("dlsbd", "", _of_lsbd, left_out=("entangled_sum/frequencies",)),  # where all frequencies tie
]
"""All of them; what takes no time comes with the tests."""
