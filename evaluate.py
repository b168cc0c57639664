"""Front door: the metric report of one run or many, or of codes in a file. ``python evaluate.py logs/version_0``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from equiworld.envs.registry import UsageError
from equiworld.metrics import report
from equiworld.reporting.codes_file import known_names, read_codes
from equiworld.reporting.evaluation import Measured, compare, evaluate_codes, evaluate_run, run_directory
from equiworld.reporting.measures import MEASURES, available, is_slow, measure, select, usual
from equiworld.reporting.page import build
from equiworld.reporting.scores import (
    UNREFERENCED,
    common_folder,
    run_labels,
    scores,
    slow_without_reference,
    text_rows,
)
from equiworld.reporting.subject import Codes, Subject
from equiworld.train import guarded
from equiworld.world_models import runs
from equiworld.world_models.assembly import check_threads
from equiworld.world_models.command_line import import_plugin

__all__ = ["MEASURES", "Codes", "Subject", "evaluate", "evaluate_run", "evaluate_runs", "main", "measure"]

_NAME = 32  # columns of the terminal that a metric's name has at least


def _note(said: str) -> None:
    Console(stderr=True).print(said, highlight=False, soft_wrap=True, markup=False)


def _told(said: str) -> None:
    """Prints how far a slow metric is; of the others only their names come here."""
    if said not in available():
        _note(said)
    elif is_slow(said):
        _note(f"computing {said}, which may take minutes")


def evaluate_runs(
    paths: Sequence[Path],
    names: Sequence[str] | None = None,
    *,
    paged: bool = False,
    figures: bool = False,
    reference: bool | None = None,
    samples: Sequence[int] = (50,),
) -> dict[str, dict[str, float | None]]:
    """Measures runs one by one and prints the table; returns the flat values by run."""
    # A run and its checkpoint, or two ways of writing a path, are one: the first of them counts.
    distinct = list({run_directory(path).resolve(): path for path in reversed(paths)}.values())[::-1]
    settings: dict[str, Any] = {
        "paged": paged,
        "figures": figures,
        "room": 1 / len(distinct),
        "reference": reference,
        "samples": samples,
    }
    found = [evaluate_run(path, names, told=_told, **settings) for path in distinct]
    compare(found)
    _say(found, "on held-out states; on all where a metric needs them", paged)
    return {str(path): each.values for path, each in zip(distinct, found, strict=True)}


def _say(found: Sequence[Measured], title: str, paged: bool) -> None:
    """Prints the table, why something is missing, and what was written; writes the page."""
    console = Console()
    labels = run_labels([each.path for each in found], [each.seed for each in found], [each.kind for each in found])
    rated = scores({label: each.results for label, each in zip(labels, found, strict=True)})
    header, groups = text_rows(rated)
    shown = Table(title=f"{labels[0]}: {title}" if len(found) == 1 else title)
    cells = [header, *(row for _, rows in groups for row in rows)]
    widths = [max(len(row[place]) for row in cells) for place in range(len(header))]
    for name, width in zip(header, widths, strict=True):
        # Numbers are never cut short; a name may go over two lines.
        shown.add_column(name, min_width=width if name != "metric" else min(width, _NAME), overflow="fold")
    for family, rows in groups:
        shown.add_row(f"[bold]{family}[/bold]", *[""] * (len(header) - 1))
        for row in rows:
            shown.add_row(*row)
        shown.add_section()
    console = Console(width=max(console.width, _NAME + sum(widths[1:]) + 3 * len(header) + 1))
    console.print(shown)
    missing = {name: reason for each in found for name, reason in each.missing.items()}
    for name, reason in missing.items():
        console.print(f"{name}: {reason}", highlight=False, soft_wrap=True, markup=False)
    if bare := slow_without_reference(rated):
        console.print(UNREFERENCED.format(", ".join(bare)), highlight=False, soft_wrap=True, markup=False)
    lines = [("details", [str(each.written) for each in found])]
    if folders := [str(each.figures[0].parent) for each in found if each.figures]:
        lines.append(("figures", folders))
    if paged:
        lines.append(("report", [str(_write_page(found, labels))]))
    for what, places in lines:
        console.print(f"{what}: {', '.join(places)}", highlight=False, soft_wrap=True, markup=False)


def _write_page(found: Sequence[Measured], labels: Sequence[str]) -> Path:
    """Writes the page: into the run, beside the file, or for several into the innermost folder that holds them."""
    path = common_folder([each.path for each in found]) / "report.html"
    if len(found) == 1:
        own = found[0].path
        path = own / "report.html" if own.is_dir() else own.with_name(f"{own.stem}.report.html")
    views = []
    for each, label in zip(found, labels, strict=True):
        if each.view is not None:
            each.view.label = each.path.name if len(found) == 1 else label
            views.append(each.view)
    runs.write_bytes(path, build(views).encode())
    return path


def read_arguments(arguments: list[str]) -> argparse.Namespace:
    """Reads the command line.

    Raises:
        UsageError: No runs, or an unknown option.
    """

    class Parser(argparse.ArgumentParser):
        def error(self, message: str) -> Any:
            raise UsageError(message)

    parser = Parser(
        prog="evaluate.py",
        description="Measure runs on held-out states, agents' runs by episodes on fixed seeds: prints a table, and "
        "writes metrics.json into each run. A file of factors and codes (.npz) is measured too; its results are "
        "written beside it.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "runs", nargs="*", type=Path, metavar="RUN", help="run directory, such as logs/version_0, or codes.npz"
    )
    parser.add_argument(
        "--metrics",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME",
        help=f"what to measure, by name: {', '.join([*available(), 'fast', 'all'])}",
    )
    parser.add_argument(
        "--reference",
        action="store_true",
        help="compute chance and ceiling of slow metrics too (two to three times as long)",
    )
    parser.add_argument(
        "--iwae",
        nargs="+",
        type=int,
        action="extend",
        default=[],
        metavar="K",
        help="bound the log-likelihood by so many samples of each posterior; several numbers, several bounds",
    )
    parser.add_argument("--report", action="store_true", help="write report.html, which opens without a network")
    parser.add_argument("--figures", action="store_true", help="write figures/ into each run, as PNG and GIF")
    parser.add_argument(
        "--episodes", type=int, metavar="N", help="episodes that are played with each agent's run; 100 if not given"
    )
    parser.add_argument(
        "--episode-seed", type=int, metavar="S", help="episode i of an agent is seeded with S + i; S is 1000000"
    )
    parser.add_argument("--videos", type=int, metavar="K", help="write the first K episodes of an agent's run as GIF")
    parser.add_argument(
        "--plugin", action="append", default=[], help="module or .py file that the run was trained with"
    )
    parser.add_argument("--threads", type=int, default=None, help="threads that torch computes with")
    asked = parser.parse_args(arguments)
    # `--metrics mig RUN`: what is no metric but a path is what to measure.
    known = {*available(), "fast", "all"}
    asked.runs += [Path(word) for word in asked.metrics if word not in known and Path(word).exists()]
    asked.metrics = [word for word in asked.metrics if word in known or not Path(word).exists()]
    if not asked.runs:
        raise UsageError("the following arguments are required: RUN")
    return asked


def evaluate(arguments: list[str]) -> int:
    """Evaluates what the command line names."""
    asked = read_arguments(arguments)
    check_threads(asked.threads)
    if asked.threads is not None:
        torch.set_num_threads(asked.threads)
    for plugin in asked.plugin:
        import_plugin(plugin)
    files = [path for path in asked.runs if path.suffix == ".npz"]
    if files and len(files) < len(asked.runs):
        raise UsageError(f"{files[0]} is a file of codes: it cannot be compared with runs")
    if not files and any(_is_agent(path) for path in asked.runs):
        return _evaluate_agents(asked)
    for flag in ("episodes", "episode_seed", "videos"):
        if getattr(asked, flag) is not None and asked.runs[0].exists():
            raise UsageError(f"--{flag.replace('_', '-')} needs the run of an agent; {asked.runs[0]} is none")
    if files:
        return _evaluate_files(list({path.resolve(): path for path in reversed(files)}.values())[::-1], asked)
    if few := [number for number in asked.iwae if number < 1]:
        raise UsageError(f"--iwae takes numbers of samples, 1 or more, not {few[0]}")
    names = select(asked.metrics, available(), usual(asked.report))
    if asked.iwae and "bound" not in names:
        names = select([*names, "bound"], available(), [])
    for run in asked.runs:
        # All of them are looked at before the first is measured.
        if run.is_file() and not (run.parent.parent / "config.yaml").is_file():
            raise UsageError(f"{run} is neither a run directory nor a checkpoint in one")
        runs.read_config(run if run.is_dir() or not run.exists() else run.parent.parent)
    evaluate_runs(
        asked.runs,
        names,
        paged=asked.report,
        figures=asked.figures,
        reference=asked.reference or None,
        samples=sorted(set(asked.iwae)) or (50,),
    )
    return 0


def _is_agent(path: Path) -> bool:
    """Whether a path is the run of an agent; what is no run at all is refused where runs are read."""
    place = run_directory(path)
    if not (place / "config.yaml").is_file():
        return False
    try:
        runs.read_config(place)
    except UsageError:
        return True  # of the other kind
    return False


def _evaluate_agents(asked: argparse.Namespace) -> int:
    """Evaluates the runs of agents."""
    from equiworld.agents.training import EVALUATION_SEED
    from equiworld.reporting import agents

    for run in asked.runs:
        if not _is_agent(run):
            runs.read_config(run_directory(run))
            raise UsageError(f"{run} is the run of a world model: it cannot be compared with runs of agents")
    for flag in ("figures", "iwae", "reference"):
        if getattr(asked, flag):
            raise UsageError(f"--{flag} needs the run of a world model; {asked.runs[0]} is one of an agent")
    settings = agents.Asked(
        100 if asked.episodes is None else asked.episodes,
        EVALUATION_SEED if asked.episode_seed is None else asked.episode_seed,
        asked.videos or 0,
    )
    places = list({run_directory(path).resolve(): run_directory(path) for path in reversed(asked.runs)}.values())[::-1]
    names = select(asked.metrics, available(), [])
    found = agents.evaluate_agents(places, settings, names, paged=asked.report, told=_told)
    _say([each.measured for each in found], f"{settings.episodes} episodes from seed {settings.first_seed}", False)
    _say_agents(found, asked.report)
    return 0


def _say_agents(found: Sequence[Any], paged: bool) -> None:
    """Prints runs of one kind put together, and agents beside world models; writes the page."""
    from equiworld.reporting import agent_kinds, agent_page

    every = [each.measured for each in found]
    labels = run_labels([each.path for each in every], [each.seed for each in every], [each.kind for each in every])
    groups = agent_kinds.kinds(found)
    tables = [("by agent and by what it sees: 95 % intervals over runs", agent_kinds.kind_rows(groups))]
    if any(each.world is not None for each in found):
        tables.append(("agents and world models", agent_kinds.world_rows(found, labels)))
    for title, (header, rows) in tables:
        widths = [max(len(row[place]) for row in [header, *rows]) for place in range(len(header))]
        shown = Table(title=title)
        for name, width in zip(header, widths, strict=True):
            shown.add_column(name, min_width=width, overflow="fold")
        for row in rows:
            shown.add_row(*row)
        Console(width=max(Console().width, sum(widths) + 3 * len(header) + 1)).print(shown)
    lines = [("videos", [str(each.videos[0].parent) for each in found if each.videos])]
    if paged:
        folder = every[0].path if len(every) == 1 else common_folder([each.path for each in every])
        page = agent_page.build(found, groups, labels)
        runs.write_bytes(folder / "report.html", page.encode())
        runs.write_json(folder / "report.json", report.json_safe(agent_kinds.summary(found, groups)))
        lines.append(("report", [str(folder / "report.html"), str(folder / "report.json")]))
    for what, places in lines:
        if places:
            Console().print(f"{what}: {', '.join(places)}", highlight=False, soft_wrap=True, markup=False)


def _evaluate_files(files: Sequence[Path], asked: argparse.Namespace) -> int:
    """Evaluates files of factors and codes."""
    for flag in ("figures", "iwae"):
        if getattr(asked, flag):
            raise UsageError(f"--{flag} needs a run: a file of codes has no decoder")
    tables = [read_codes(path) for path in files]
    known = known_names(all(table.blocks is not None for table in tables))
    slow = [name for name in known if is_slow(name)]
    names = select(asked.metrics, known, [name for name in known if name not in slow])
    settings: dict[str, Any] = {"paged": asked.report, "reference": asked.reference or None}
    _say([evaluate_codes(path, names, told=_told, **settings) for path in files], "factors and codes", asked.report)
    if slow and not asked.metrics:
        print(f"left out, because they are slow: {', '.join(slow)}; --metrics all computes them too")
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line; returns the exit status."""
    return guarded(lambda: evaluate(sys.argv[1:] if arguments is None else arguments))


if __name__ == "__main__":
    sys.exit(main())
