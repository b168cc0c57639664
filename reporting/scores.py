"""Scores of one run or several as one table, grouped by family, each with chance, ceiling and sample size."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..metrics import MetricResult, report
from .measures import family, is_slow

Rows = list[list[str]]

UNREFERENCED = "chance and ceiling of {} take long, and were left out: --reference computes them"
"""What is said of slow metrics that stand without them."""


@dataclass(frozen=True)
class Score:
    """One line of the table.

    Attributes:
        name: ``"metric.value"``.
        family: What kind of property the metric is of.
        runs: The score by run; None where it is missing.
        mean: Over the runs that have it.
        std: Sample standard deviation (n - 1) over them; None for fewer than two.
        chance: What knowing nothing scores, the mean over runs.
        ceiling: What a perfect code scores, the mean over runs.
        n: Rows that it was computed from: the fewest and the most of all runs.
        main: Whether it is its metric's main value.
        predictor: What it was computed with, where there are several to choose from.
        bare: Whether chance and ceiling were left out because computing them takes long.
    """

    name: str
    family: str
    runs: dict[str, float | None]
    mean: float | None
    std: float | None
    chance: float | None
    ceiling: float | None
    n: tuple[int, int] | None
    main: bool
    predictor: str = ""
    bare: bool = False

    @property
    def rows(self) -> str:
        """``n`` as it stands in a table."""
        if self.n is None:
            return "-"
        least, most = self.n
        return str(least) if least == most else f"{least}-{most}"


def scores(runs: Mapping[str, Sequence[MetricResult]]) -> list[Score]:
    """All scores of some runs, one family after another, each family where it first appears.

    Args:
        runs: Results by the label of their run.
    """
    placeless = _placeholders(runs)
    flat = {
        label: {name: value for name, value in report.flatten(results).items() if name not in placeless}
        for label, results in runs.items()
    }
    found: list[Score] = []
    for name, entry in report.aggregate(flat).items():
        metric, _, value = name.partition(".")
        behind = [result for results in runs.values() for result in results if result.name == metric]
        references = [
            [number for result in behind if (number := getattr(result, kind).get(value)) is not None]
            for kind in ("chance", "ceiling")
        ]
        chance, ceiling = (sum(known) / len(known) if known else None for known in references)
        sizes = [result.n for result in behind if result.n is not None]
        used = dict.fromkeys(result.predictor for result in behind if result.predictor)
        main = any(next(iter(result.values), None) == value for result in behind)
        found.append(
            Score(
                name,
                family(metric),
                entry["runs"],
                entry["mean"],
                entry["std"],
                chance,
                ceiling,
                (min(sizes), max(sizes)) if sizes else None,
                main,
                ", ".join(used),
                entry["mean"] is not None and chance is None and ceiling is None and is_slow(metric),
            )
        )
    order = list(dict.fromkeys(score.family for score in found))
    return sorted(found, key=lambda score: order.index(score.family))


def _placeholders(runs: Mapping[str, Sequence[MetricResult]]) -> set[str]:
    """Names of values that only stand where a metric refused, though other runs have real ones of that metric."""
    kinds: dict[str, set[str]] = {}
    for result in (result for results in runs.values() for result in results):
        if result.values != {result.name: None}:
            kinds.setdefault(result.name, set()).update(result.values)
    return {f"{name}.{name}" for name, values in kinds.items() if name not in values}


def slow_without_reference(table: Sequence[Score]) -> list[str]:
    """The slow metrics whose chance and ceiling were not computed."""
    return list(dict.fromkeys(score.name.partition(".")[0] for score in table if score.bare))


def text_rows(table: Sequence[Score]) -> tuple[list[str], list[tuple[str, Rows]]]:
    """The table as text: its header, and rows by family. A missing number is a dash."""
    labels = list(table[0].runs) if table else []
    several = len(labels) > 1
    header = ["metric", *(["mean", "std", *labels] if several else ["value"]), "chance", "ceiling", "N"]
    told = any(score.predictor for score in table)
    header += ["predictor"] * told
    groups: dict[str, Rows] = {}
    for score in table:
        numbers = [score.mean, score.std, *score.runs.values()] if several else list(score.runs.values())
        cells = [number_text(number) for number in (*numbers, score.chance, score.ceiling)]
        groups.setdefault(score.family, []).append([score.name, *cells, score.rows, *[score.predictor or "-"] * told])
    return header, list(groups.items())


def number_text(value: float | None, digits: int = 4) -> str:
    """A number as it stands in a table."""
    return "-" if value is None else f"{value:.{digits}g}"


def run_labels(paths: Sequence[Path], seeds: Sequence[int | None], kinds: Sequence[str]) -> list[str]:
    """A short name for each run: its seed where that tells runs of one kind apart, else what differs in its path."""
    if len(paths) > 1 and len(set(kinds)) == 1 and None not in seeds and len(set(seeds)) == len(seeds):
        return [f"seed {seed}" for seed in seeds]
    if len(paths) < 2:
        return [str(path) for path in paths]
    top = common_folder(paths)
    return [os.path.relpath(path.absolute(), top) for path in paths]


def common_folder(paths: Sequence[Path]) -> Path:
    """The innermost folder that holds all of ``paths``."""
    return Path(os.path.commonpath([str(path.absolute().parent) for path in paths]))
