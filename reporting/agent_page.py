"""The page of agents' runs: runs of one kind put together, sample efficiency, world models beside agents, videos."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from .. import __version__
from . import charts, sections
from .agent_kinds import Kind, correlations, kind_rows, world_names, world_rows
from .agents import MeasuredAgent
from .figures import data_uri
from .page import document

_SCORES = "Episodes on fixed seeds. Chance is random play on the same seeds; the ceiling is the shortest path."
_KINDS = (
    "Runs of one kind put together: statistics of their mean returns, with 95 % stratified bootstrap intervals over"
    " runs (Agarwal et al. 2021)."
)
_EFFICIENCY = "Interquartile mean of the evaluations while agents were trained, with its interval."
_WORLDS = "Each agent's return beside the scores of the world model that it sees through."
_VIDEOS = "Episodes as they were played."


def build(found: Sequence[MeasuredAgent], groups: Sequence[Kind], labels: Sequence[str]) -> str:
    """The page of some agents' runs, as HTML.

    Args:
        found: The runs, measured with ``paged``.
        groups: The same put together.
        labels: What the runs are called.
    """
    views = []
    for each, label in zip(found, labels, strict=True):
        assert each.measured.view is not None
        each.measured.view.label = label
        views.append(each.measured.view)
    header, rows = kind_rows(groups)
    together = sections.table([*map(escape, header)], [[*map(escape, row)] for row in rows])
    parts = [
        ("kinds", "Agents", _KINDS, together),
        ("efficiency", "Sample efficiency", _EFFICIENCY, efficiency(groups)),
        ("worlds", "World models and agents", _WORLDS, worlds(found, labels)),
        ("scores", "Scores", _SCORES, sections.summary(views)),
        ("videos", "Videos", _VIDEOS, videos(found, labels)),
        ("training", "Training", "", sections.damaged(views, "training") + sections.training(views, "step")),
        (
            "configuration",
            "Configuration",
            "",
            sections.damaged(views, "configuration") + sections.configuration(views),
        ),
    ]
    env = str(found[0].measured.options["env"])
    title = f"{found[0].measured.kind if len(groups) == 1 else 'Agents'} in {env}"
    return document(title, _subtitle(found, labels), parts)


def _subtitle(found: Sequence[MeasuredAgent], labels: Sequence[str]) -> str:
    lines = [
        f"<li><b>{escape(label)}</b> {escape(each.measured.kind)}, seed {each.measured.seed}, {each.steps:,} steps</li>"
        for each, label in zip(found[:24], labels, strict=False)
    ]
    episodes = f"{len(found[0].episodes)} episodes a run"
    return f'<ul class="facts">{"".join(lines)}<li>{episodes}, with equiworld {escape(__version__)}</li></ul>'


def efficiency(groups: Sequence[Kind]) -> str:
    """The sample-efficiency curves of all kinds."""
    series, bands = [], {}
    for kind in groups:
        curve = kind.efficiency
        if curve is None:
            continue
        series.append((kind.label, curve.places.tolist(), curve.value.tolist()))
        if curve.low is not None and curve.high is not None:
            bands[kind.label] = (curve.low.tolist(), curve.high.tolist())
    drawn = charts.lines(series, "return", "steps", bands=bands)
    return f'<div class="cards"><figure><figcaption>return</figcaption>{drawn}</figure></div>' if drawn else ""


def worlds(found: Sequence[MeasuredAgent], labels: Sequence[str]) -> str:
    """Agents and world models: one table, and for each metric one scatter plot, coloured by kind of agent."""
    if not any(each.world is not None for each in found):
        return ""
    header, rows = world_rows(found, labels)
    listed = sections.table([*map(escape, header)], [[*map(escape, row)] for row in rows])
    seeing = [each for each in found if each.world is not None]
    names = list(dict.fromkeys(each.measured.kind for each in seeing))
    shade = [names.index(each.measured.kind) for each in seeing]
    related, cards = correlations(found), []
    for metric in world_names(found) if len(seeing) > 1 else []:
        values = [(each.world or {})[metric] for each in seeing]
        drawn = charts.scatter(
            values, [each.score for each in seeing], shade, f"{metric} and return", (metric, "return")
        )
        said = f"{metric} of the world model, return of the agent"
        told = [f"{each.values[metric]:+.2f} ({each.basis})" for each in related if metric in each.values]
        said += f"; rank correlation {', '.join(told)}" if told else ""
        cards.append(f'<figure class="fit"><figcaption>{escape(said)}</figcaption>{drawn}</figure>')
    if not cards:
        return listed
    colours = charts.hues(len(names), False)
    items = "".join(
        f'<span><i style="background:{colour}"></i> {escape(name)}</span>'
        for colour, name in zip(colours, names, strict=True)
    )
    return f'{listed}<p class="ramp">{items}</p><div class="cards">{"".join(cards)}</div>'


def videos(found: Sequence[MeasuredAgent], labels: Sequence[str]) -> str:
    """The videos of all runs, each with what came of its episode."""
    cards = []
    for each, label in zip(found, labels, strict=True):
        for path, episode in zip(each.videos, each.episodes, strict=False):
            said = f"{label}, seed {episode['seed']}: return {episode['return']:.4g} in {episode['length']} steps"
            source = data_uri(path.read_bytes(), "image/gif")
            picture = f'<img class="film" src="{source}" alt="{escape(said)}"/>'
            cards.append(f'<figure class="fit"><figcaption>{escape(said)}</figcaption>{picture}</figure>')
    return f'<div class="cards">{"".join(cards)}</div>' if cards else ""
