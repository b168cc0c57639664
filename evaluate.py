"""Front door: the metric report of one run or many, or of codes in a file. ``python evaluate.py logs/version_0``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from equiworld import __version__, metrics
from equiworld.envs.registry import UsageError
from equiworld.metrics import MetricResult, report
from equiworld.reporting.codes_file import measure_codes, read_codes
from equiworld.reporting.events import write_scores
from equiworld.reporting.figures import strips, write_figures
from equiworld.reporting.gather import View, view_of_codes, view_of_run
from equiworld.reporting.measures import MEASURES, available, is_slow, measure, measure_subject, select, usual
from equiworld.reporting.page import build
from equiworld.reporting.scores import common_folder, run_labels, scores, text_rows
from equiworld.reporting.subject import Codes, Subject
from equiworld.train import guarded
from equiworld.world_models import runs
from equiworld.world_models.assembly import check_threads, load_run
from equiworld.world_models.command_line import import_plugin

__all__ = ["MEASURES", "Codes", "Subject", "evaluate", "evaluate_run", "evaluate_runs", "main", "measure"]

_NAME = 24  # columns of the terminal that a metric's name has at least


@dataclass
class Measured:
    """What was measured of a run or a file.

    Attributes:
        path: The run directory, or the file.
        kind: Its model, or what it is.
        seed: Its seed, if it has one.
        results: The measurements.
        written: The file that holds them.
        view: What the page shows of it, where a page is wanted.
        figures: Pictures that were written.
    """

    path: Path
    kind: str
    seed: int | None
    results: list[MetricResult]
    written: Path
    view: View | None
    figures: Sequence[Path] = ()

    @property
    def values(self) -> dict[str, float | None]:
        """The flat values."""
        return report.flatten(self.results)

    @property
    def missing(self) -> dict[str, str]:
        """Why some are missing, or not to be trusted."""
        return report.reasons(self.results)


def run_directory(path: Path) -> Path:
    """The run directory that a path names, be it the directory or a checkpoint in it."""
    return path.parent.parent if path.is_file() else path


def evaluate_run(
    run: Path, names: Sequence[str] | None = None, *, paged: bool = False, figures: bool = False, room: float = 1.0
) -> Measured:
    """Measures a run, writes its ``metrics.json``, and puts the scores beside its training curves.

    Args:
        run: A run directory, or a checkpoint in one.
        names: What to measure; None: the usual.
        paged: Whether to gather what the page shows.
        figures: Whether to write pictures into the run directory.
        room: The share of the page that the run's explorer may take.
    """
    assembly = load_run(run)
    subject, place = Subject(assembly), run_directory(run)
    results = measure_subject(subject, names, _told)
    options = assembly.options
    content = {
        "equiworld": __version__,
        "model": options.model_name,
        "dataset": options.dataset_name,
        "seed": options.run.seed,
        "test_states": len(assembly.split.test),
    }
    written = _write_results(place / "metrics.json", content, results)
    write_scores(place, options.flat(), report.flatten(results))
    shown = strips(subject) if paged or figures else {}
    drawn = write_figures(place / "figures", shown) if figures else []
    view = view_of_run(str(place), place, subject, results, room, shown) if paged else None
    return Measured(place, options.model_name, options.run.seed, results, written, view, drawn)


def evaluate_codes(path: Path, names: Sequence[str], *, paged: bool = False) -> Measured:
    """Measures a file of factors and codes, and writes ``NAME.metrics.json`` beside it."""
    arrays = read_codes(path)
    results = measure_codes(arrays, names, told=_told)
    content = {"equiworld": __version__, "codes": path.name, "rows": {name: len(each) for name, each in arrays.items()}}
    written = _write_results(path.with_name(f"{path.stem}.metrics.json"), content, results)
    view = view_of_codes(path, arrays, results) if paged else None
    return Measured(path, "codes", None, results, written, view)


def _write_results(path: Path, content: dict[str, Any], results: list[MetricResult]) -> Path:
    measured = {"values": report.flatten(results), "missing": report.reasons(results)}
    full = {"results": [result.to_dict() for result in results]}
    runs.write_json(path, report.json_safe(content | measured | full))
    return path


def _told(said: str) -> None:
    """Prints how far a slow metric is; of the others only their names come here."""
    if said not in available():
        Console(stderr=True).print(said, highlight=False, soft_wrap=True, markup=False)
    elif is_slow(said):
        Console(stderr=True).print(f"computing {said}, which may take minutes", highlight=False)


def evaluate_runs(
    paths: Sequence[Path], names: Sequence[str] | None = None, *, paged: bool = False, figures: bool = False
) -> dict[str, dict[str, float | None]]:
    """Measures runs one by one and prints the table; returns the flat values by run."""
    distinct = list(dict.fromkeys(paths))
    found = [evaluate_run(path, names, paged=paged, figures=figures, room=1 / len(distinct)) for path in distinct]
    _say(found, "on held-out states; on all where a metric needs them", paged)
    return {str(path): each.values for path, each in zip(distinct, found, strict=True)}


def _say(found: Sequence[Measured], title: str, paged: bool) -> None:
    """Prints the table, why something is missing, and what was written; writes the page."""
    console = Console()
    labels = run_labels([each.path for each in found], [each.seed for each in found], [each.kind for each in found])
    header, groups = text_rows(scores({label: each.results for label, each in zip(labels, found, strict=True)}))
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
    text = build(views)
    runs.write_whole(path, lambda stream: stream.write(text.encode()))
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
        description="Measure runs on held-out states: prints a table, and writes metrics.json into each run. "
        "A file of factors and codes (.npz) is measured too; its results are written beside it.",
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
    parser.add_argument("--report", action="store_true", help="write report.html, which opens without a network")
    parser.add_argument("--figures", action="store_true", help="write figures/ into each run, as PNG and GIF")
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
    if files:
        return _evaluate_files(list(dict.fromkeys(files)), asked)
    names = select(asked.metrics, available(), usual(asked.report))
    for run in asked.runs:
        # All of them are looked at before the first is measured.
        if run.is_file() and not (run.parent.parent / "config.yaml").is_file():
            raise UsageError(f"{run} is neither a run directory nor a checkpoint in one")
        runs.read_config(run if run.is_dir() or not run.exists() else run.parent.parent)
    evaluate_runs(asked.runs, names, paged=asked.report, figures=asked.figures)
    return 0


def _evaluate_files(files: Sequence[Path], asked: argparse.Namespace) -> int:
    """Evaluates files of factors and codes."""
    if asked.figures:
        raise UsageError("--figures needs a run: a file of codes has no decoder")
    known = metrics.names(of_codes=True)
    slow = [name for name in known if is_slow(name)]
    names = select(asked.metrics, known, [name for name in known if name not in slow])
    for path in files:
        read_codes(path)
    _say([evaluate_codes(path, names, paged=asked.report) for path in files], "factors and codes", asked.report)
    if slow and not asked.metrics:
        print(f"left out, because they are slow: {', '.join(slow)}; --metrics all computes them too")
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line; returns the exit status."""
    return guarded(lambda: evaluate(sys.argv[1:] if arguments is None else arguments))


if __name__ == "__main__":
    sys.exit(main())
