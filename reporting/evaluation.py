"""One run or file of codes measured: its results in ``metrics.json`` and TensorBoard, and what a page shows of it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import __version__
from ..metrics import MetricResult, report
from ..world_models import runs
from ..world_models.assembly import load_run
from .across import Shared, agreement, shared
from .codes_file import measure_codes, read_codes
from .events import write_scores
from .figures import strips, write_figures
from .gather import View, view_of_codes, view_of_run
from .measures import available, measure_subject
from .scores import run_labels
from .subject import Subject


def silent(said: str) -> None:
    """Says nothing."""


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
        shared: What is compared with other runs, where that was asked for.
        options: Its hyper-parameters.
    """

    path: Path
    kind: str
    seed: int | None
    results: list[MetricResult]
    written: Path
    view: View | None
    figures: Sequence[Path] = ()
    shared: Shared | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

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
    run: Path,
    names: Sequence[str] | None = None,
    *,
    paged: bool = False,
    figures: bool = False,
    room: float = 1.0,
    reference: bool | None = None,
    samples: Sequence[int] = (50,),
    told: Callable[[str], object] = silent,
) -> Measured:
    """Measures a run, writes its ``metrics.json``, and puts the scores beside its training curves.

    What an earlier evaluation of the same weights found is kept, and shown on the page.

    Args:
        run: A run directory, or a checkpoint in one.
        names: What to measure; None: the usual.
        paged: Whether to gather what the page shows.
        figures: Whether to write pictures into the run directory.
        room: The share of the page that the run's explorer may take.
        reference: As in ``metrics.compute``: whether chance and ceiling are found by computing.
        samples: Of each posterior, for importance-weighted bounds.
        told: Called with the name of each metric before it is computed, and with lines on what takes long.
    """
    assembly = load_run(run)
    subject, place = Subject(assembly, samples), run_directory(run)
    if not os.access(place, os.W_OK):
        raise runs.RunError(f"{place} cannot be written to: copy the run to where its results may lie")
    results = measure_subject(subject, names, told, reference)
    options = assembly.options
    content = {
        "equiworld": __version__,
        "model": options.model_name,
        "dataset": options.dataset_name,
        "seed": options.run.seed,
        "test_states": len(assembly.split.test),
        "sha256": digest(run if run.is_file() else run / runs.CHECKPOINT),
    }
    written = place / "metrics.json"
    known = write_results(written, content, results, told)
    write_scores(place, options.flat(), report.flatten(known))
    shown = strips(subject) if paged or figures else {}
    drawn = write_figures(place / "figures", shown) if figures else []
    view = view_of_run(str(place), place, subject, known, room, shown) if paged else None
    compared = shared(subject) if names is not None and "udr" in names else None
    return Measured(
        place, options.model_name, options.run.seed, results, written, view, drawn, compared, options.flat()
    )


def evaluate_codes(
    path: Path,
    names: Sequence[str],
    *,
    paged: bool = False,
    reference: bool | None = None,
    told: Callable[[str], object] = silent,
) -> Measured:
    """Measures a file of factors and codes, and writes ``NAME.metrics.json`` beside it."""
    table = read_codes(path)
    results = measure_codes(table, names, told=told, reference=reference)
    content = {"equiworld": __version__, "codes": path.name, "rows": table.rows, "sha256": digest(path)}
    written = path.with_name(f"{path.stem}.metrics.json")
    known = write_results(written, content, results, told)
    view = view_of_codes(path, table, known) if paged else None
    return Measured(path, "codes", None, results, written, view)


def compare(found: Sequence[Measured]) -> None:
    """Adds what is measured of the runs together to the results of each."""
    compared = [each.shared for each in found if each.shared is not None]
    if len(compared) < 2:
        return
    labels = run_labels([each.path for each in found], [each.seed for each in found], [each.kind for each in found])
    for each, result in zip(found, agreement(compared, labels), strict=True):
        each.results[:] = [result if known.name == result.name else known for known in each.results]
        content = json.loads(each.written.read_text(encoding="utf-8"))
        known = write_results(each.written, content, [result])
        write_scores(each.path, each.options, report.flatten(known))
        if each.view is not None:
            each.view.results[:] = known


def write_results(
    path: Path, content: dict[str, Any], results: Sequence[MetricResult], told: Callable[[str], object] = silent
) -> list[MetricResult]:
    """Writes results into a file, and keeps those of other measures that it holds of the same thing.

    Args:
        path: The file.
        content: What was measured, by which version; ``sha256`` tells whether it is the same thing.
        results: What was found of it.
        told: Called with a line where the file was damaged.

    Returns:
        What the file holds now.
    """
    merged = {result.name: result for result in _earlier(path, content, told)}
    for result in results:
        merged[result.name] = _fuller(merged.get(result.name), result)
    order = [name for name in available() if name in merged]
    known = [merged[name] for name in [*order, *(name for name in merged if name not in order)]]
    about = {key: value for key, value in content.items() if key not in ("values", "missing", "results")}
    measured = {"values": report.flatten(known), "missing": report.reasons(known)}
    full = {"results": [result.to_dict() for result in known]}
    runs.write_json(path, report.json_safe(about | measured | full))
    return known


def _fuller(before: MetricResult | None, now: MetricResult) -> MetricResult:
    """The newer of two results of one thing, unless it has less: no value, or no chance and ceiling for the same."""
    if before is None:
        return now
    if all(value is None for value in now.values.values()):
        return before if any(value is not None for value in before.values.values()) else now
    bare = not (now.chance or now.ceiling) and (before.chance or before.ceiling)
    return before if bare and (before.values, before.options) == (now.values, now.options) else now


def _earlier(path: Path, content: dict[str, Any], told: Callable[[str], object]) -> list[MetricResult]:
    """What the file holds of the same thing by the same version."""
    if not path.is_file():
        return []
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
        if any(held.get(key) != content[key] for key in ("equiworld", "sha256")):
            return []
        return [MetricResult.from_dict(each) for each in held["results"]]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        told(f"{path} is damaged, and is written anew: {error}")
        return []


def digest(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
