"""Agents' runs put together: statistics by kind, sample efficiency, and world models beside the agents that use them.

Statistics over runs and their intervals are those of Agarwal et al. 2021 (arXiv 2108.13264): a run's score is its mean
return over all episodes, and runs are drawn again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from .. import __version__
from ..metrics.aggregates import (
    STATISTICS,
    Band,
    Interval,
    aggregate_scores,
    efficiency_curve,
    interval,
    normalised,
)
from .agents import MEASURED, MeasuredAgent
from .scores import number_text


@dataclass
class Kind:
    """Runs of one kind put together.

    Attributes:
        label: What they are called.
        runs: They.
        returns: Statistics of the runs' mean returns, by name.
        normalised: The same of normalised returns; None where there is no reference.
        success: The mean share of episodes that ended well; None where environments do not tell.
        efficiency: The interquartile mean after each number of steps at which all of them were evaluated.
    """

    label: str
    runs: list[MeasuredAgent]
    returns: dict[str, Interval]
    normalised: dict[str, Interval] | None
    success: Interval | None
    efficiency: Band | None


def kinds(found: Sequence[MeasuredAgent]) -> list[Kind]:
    """Runs put together by agent and by what it sees; where their options differ too, by these.

    Args:
        found: Runs in one environment.
    """
    together: dict[str, list[MeasuredAgent]] = {}
    for each in found:
        together.setdefault(each.measured.kind, []).append(each)
    groups: dict[str, list[MeasuredAgent]] = {}
    for label, members in together.items():
        names = dict.fromkeys(name for each in members for name in each.options)
        differing = [name for name in names if len({_text(each.options.get(name)) for each in members}) > 1]
        for each in members:
            said = ", ".join(f"{name} {_text(each.options.get(name))}" for name in differing)
            groups.setdefault(f"{label} ({said})" if said else label, []).append(each)
    return [_kind(label, members) for label, members in groups.items()]


def _text(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _kind(label: str, members: list[MeasuredAgent]) -> Kind:
    scores = np.array([each.score for each in members])
    known = members[0].reference
    relative = None
    if known is not None:
        relative = _aggregates(normalised(scores, known.random, known.reference))
    rates = [[episode["success"] for episode in each.episodes] for each in members]
    success = None
    if rates[0][0] is not None:
        success = interval(STATISTICS["mean"], np.array([np.mean(rate) for rate in rates]))
    return Kind(label, members, _aggregates(scores), relative, success, _efficiency(members))


def _aggregates(scores: NDArray[Any]) -> dict[str, Interval]:
    found = aggregate_scores(scores)
    # With one task, the median over tasks of the mean over runs is the mean.
    found["median"] = interval(lambda drawn: np.median(np.asarray(drawn), axis=(-2, -1)), scores)
    return {name: found[name] for name in ("mean", "median", "iqm")}


def _efficiency(members: Sequence[MeasuredAgent]) -> Band | None:
    """The sample-efficiency curve of runs, over the steps at which all of them were evaluated."""
    held = [dict(zip(*each.evaluations, strict=True)) for each in members]
    steps = sorted(set(held[0]).intersection(*held[1:]))
    if not steps:
        return None
    return efficiency_curve([[each[step] for step in steps] for each in held], steps)


@dataclass(frozen=True)
class Correlation:
    """Whether agents of one algorithm are better with better world models.

    Attributes:
        agent: The algorithm, and the steps that it was trained for where these differ.
        runs: How many agents.
        models: How many world models they see through.
        values: Spearman's rank correlation of each metric with the return, by metric.
    """

    agent: str
    runs: int
    models: int
    values: dict[str, float]

    @property
    def basis(self) -> str:
        """What it rests on, in words."""
        return f"{self.agent}: {self.runs} runs, {self.models} models"


def correlations(found: Sequence[MeasuredAgent]) -> list[Correlation]:
    """Rank correlations of what is known of world models with the returns of the agents that see through them.

    Only agents of one algorithm and as many steps are compared. Agents that changed the encoder are left out, since
    the model was measured before; so are metrics that are not known of all of them, and those that are the same
    throughout. It takes three world models or more.

    Args:
        found: Runs in one environment.
    """
    alike: dict[tuple[str, int], list[MeasuredAgent]] = {}
    for each in found:
        if each.world is not None and each.measured.options.get("encoder") != "finetuned":
            alike.setdefault((each.agent, each.steps), []).append(each)
    answer = []
    for (agent, steps), members in alike.items():
        if sum(other == agent for other, _ in alike) > 1:
            agent = f"{agent}, {steps} steps"
        models, values = {each.world_sha256 for each in members}, {}
        for name in members[0].world or {} if len(models) > 2 else ():
            sides = [(each.world or {}).get(name) for each in members], [each.score for each in members]
            if None not in sides[0] and all(len(set(side)) > 1 for side in sides):
                values[name] = float(stats.spearmanr(*sides).statistic)
        if values:
            answer.append(Correlation(agent, len(members), len(models), values))
    return answer


def kind_rows(found: Sequence[Kind]) -> tuple[list[str], list[list[str]]]:
    """The table of kinds as text: its header, and a row for each. A missing number is a dash."""
    header = ["agent", "runs", "steps", "return: mean", "median", "IQM", "normalised IQM", "success"]
    rows = []
    for kind in found:
        steps = sorted({each.steps for each in kind.runs})
        rows.append(
            [
                kind.label,
                str(len(kind.runs)),
                str(steps[0]) if len(steps) == 1 else f"{steps[0]}-{steps[-1]}",
                *(_interval(kind.returns[name]) for name in ("mean", "median", "iqm")),
                "-" if kind.normalised is None else _interval(kind.normalised["iqm"]),
                "-" if kind.success is None else _interval(kind.success),
            ]
        )
    return header, rows


def _interval(value: Interval) -> str:
    if value.low is None or value.high is None:
        return f"{value.value:.4g}"
    return f"{value.value:.4g} [{value.low:.4g}, {value.high:.4g}]"


def world_rows(found: Sequence[MeasuredAgent], labels: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """Agents beside their world models: header, a row for each run, and rows of rank correlations where there are any.

    Args:
        found: The runs.
        labels: What they are called.
    """
    names = world_names(found)
    header = ["run", "agent", "return", "normalised", "success", *names]
    rows = []
    for each, label in zip(found, labels, strict=True):
        values = each.measured.values
        cells = [each.score, values.get("normalised.return"), values.get("success.rate")]
        cells += [(each.world or {}).get(name) for name in names]
        rows.append([label, each.measured.kind, *map(number_text, cells)])
    for related in correlations(found):
        shown = [f"{related.values[name]:+.2f}" if name in related.values else "-" for name in names]
        rows.append(["rank correlation with the return", related.basis, "-", "-", "-", *shown])
    return header, rows


def world_names(found: Sequence[MeasuredAgent]) -> list[str]:
    """The metrics that are known of all world models, in the order in which they are measured by default."""
    worlds = [each.world for each in found if each.world is not None]
    names = [name for name in (worlds[0] if worlds else {}) if all(world.get(name) is not None for world in worlds)]
    return sorted(names, key=lambda name: MEASURED.index(name) if name in MEASURED else len(MEASURED))


def summary(found: Sequence[MeasuredAgent], groups: Sequence[Kind]) -> dict[str, Any]:
    """Everything that the page tells, as plain data."""
    return {
        "equiworld": __version__,
        "kinds": {
            kind.label: {
                "runs": [str(each.measured.path) for each in kind.runs],
                "scores": [each.score for each in kind.runs],
                "return": {name: vars(value) for name, value in kind.returns.items()},
                "normalised": None
                if kind.normalised is None
                else {name: vars(value) for name, value in kind.normalised.items()},
                "success": None if kind.success is None else vars(kind.success),
                "efficiency": None if kind.efficiency is None else vars(kind.efficiency),
            }
            for kind in groups
        },
        "world_models": {str(each.measured.path): each.world for each in found if each.world is not None},
        "rank_correlations": [vars(each) for each in correlations(found)],
    }
