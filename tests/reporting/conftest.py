"""Tiny runs that were evaluated with a page and figures, for all tests of reports."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from equiworld import evaluate
from equiworld.reporting.gather import View
from equiworld.reporting.subject import Subject
from equiworld.world_models.assembly import load_run


@dataclass
class Reported:
    """A run with its page."""

    run: Path
    subject: Subject
    view: View
    page: str


@pytest.fixture(scope="session")
def reported(trained: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Reported]:
    """Runs that have a page and figures, by the name of their model; and both together, under ``compared``."""
    folder = tmp_path_factory.mktemp("reported")
    names = ["independence", "mig", "alignment", "angles", "group_errors", "prediction", "reconstruction"]
    copies = [Path(shutil.copytree(trained[name], folder / name)) for name in ("rgrvae", "vae")]
    found = {}
    for run in copies:
        measured = evaluate.evaluate_run(run, names, paged=True, figures=True, room=0.2)
        assert measured.view is not None
        subject = Subject(load_run(run))
        path = evaluate._write_page([measured], [str(run)])
        found[run.name] = Reported(run, subject, measured.view, path.read_text(encoding="utf-8"))
    return found
