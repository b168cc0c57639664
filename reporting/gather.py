"""What the page shows of one run, or of one file of codes, gathered in one place."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..metrics import MetricResult, closure_errors, nearest_order, rotation_angles
from .codes_file import CodesFile
from .events import Curve, DamagedEvents, curves
from .explorer import Explorer, explore
from .figures import Strips, action_names, strips
from .subject import Array, Subject


@dataclass
class Map:
    """A learnt matrix and what it is like.

    Attributes:
        name: The action.
        matrix: float64 [L, L].
        angles: Unsigned angles of its planes, radians, descending.
        orders: The fraction (k, n) of a turn nearest to each.
        closes: |M^n - I| / sqrt(L) for the order of its largest angle.
    """

    name: str
    matrix: Array
    angles: list[float]
    orders: list[tuple[int, int]]
    closes: float


@dataclass
class View:
    """What the page shows of one run.

    Attributes:
        label: What it is called beside others.
        place: Where it lies.
        results: What was measured.
        factors: [N, K].
        codes: [N, D].
        factor_names: Of the columns of ``factors``.
        cyclic: Which factors go round.
        true_actions: Names by code.
        config: Its options.
        environment: Its versions, seed and device.
        curves: Its training.
        strips: Its pictures.
        maps: Its learnt matrices.
        explorer: Pictures decoded beforehand.
        blocks: Columns of ``block_codes`` that the learnt actions mix with each other.
        block_codes: The codes in coordinates that have blocks, where these are not their own.
        damaged: What cannot be read, by the section that it is missing from.
    """

    label: str
    place: Path
    results: list[MetricResult]
    factors: Array
    codes: Array
    factor_names: list[str]
    cyclic: list[bool]
    true_actions: list[str] = field(default_factory=list)
    config: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, Any] = field(default_factory=dict)
    curves: dict[str, Curve] = field(default_factory=dict)
    strips: dict[str, Strips] = field(default_factory=dict)
    maps: list[Map] = field(default_factory=list)
    explorer: Explorer | None = None
    blocks: list[list[int]] | None = None
    block_codes: Array | None = None
    damaged: dict[str, str] = field(default_factory=dict)

    @property
    def rotated(self) -> bool:
        """Whether the blocks are of other coordinates than the latents."""
        return self.block_codes is not None

    def detail(self, metric: str, key: str) -> Any:
        """A detail of a result; None where there is no such thing."""
        return next((result.details.get(key) for result in self.results if result.name == metric), None)


def view_of_run(
    label: str,
    run: Path,
    subject: Subject,
    results: list[MetricResult],
    room: float = 1.0,
    shown: dict[str, Strips] | None = None,
) -> View:
    """Gathers a run.

    Args:
        label: What it is called.
        run: Its directory.
        subject: What was measured.
        results: The measurements.
        room: Its share of the room for the explorer's pictures.
        shown: Its pictures, where they have been made.
    """
    names = [] if subject.group is None else action_names(subject)
    damaged: dict[str, str] = {}
    environment = _read_environment(run / "environment.json", damaged)
    try:
        drawn = curves(run)
    except DamagedEvents as error:
        drawn, damaged["training"] = {}, str(error)
    rows, names_of_factors, cyclic = subject.known(subject.states)
    turned = None
    if subject.group is not None and not np.array_equal(subject.block_codes, subject.codes):
        turned = subject.block_codes
    return View(
        label,
        run,
        results,
        rows,
        subject.codes,
        names_of_factors,
        cyclic,
        [action.name for action in subject.world.actions],
        subject.assembly.options.flat(),
        environment,
        drawn,
        strips(subject) if shown is None else shown,
        [] if subject.group is None else describe(subject.matrices, names),
        explore(subject, names, room),
        blocks=None if subject.group is None else subject.blocks,
        block_codes=turned,
        damaged=damaged,
    )


def view_of_agent(label: str, run: Path, config: dict[str, Any], results: list[MetricResult]) -> View:
    """Gathers an agent's run, which has no codes of its own.

    Args:
        label: What it is called.
        run: Its directory.
        config: Its options.
        results: The measurements.
    """
    damaged: dict[str, str] = {}
    environment = _read_environment(run / "environment.json", damaged)
    try:
        drawn = curves(run)
    except DamagedEvents as error:
        drawn, damaged["training"] = {}, str(error)
    nothing = np.zeros((0, 0))
    return View(
        label,
        run,
        results,
        nothing,
        nothing,
        [],
        [],
        config=config,
        environment=environment,
        curves=drawn,
        damaged=damaged,
    )


def _read_environment(path: Path, damaged: dict[str, str]) -> dict[str, Any]:
    """Versions, seed and device; where the file is damaged that is noted instead."""
    if not path.is_file():
        return {}
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        damaged["configuration"] = f"{path.name} cannot be read: {error}"
        return {}
    if isinstance(held, dict):
        return held
    damaged["configuration"] = f"{path.name} cannot be read: it holds no mapping"
    return {}


def view_of_codes(path: Path, table: CodesFile, results: list[MetricResult]) -> View:
    """Gathers a file of factors and codes."""
    factors, codes = table.arrays["factors"], table.arrays["codes"]
    return View(
        path.name, path, results, factors, codes, table.factor_names, [False] * factors.shape[1], blocks=table.blocks
    )


def describe(matrices: Array, names: Sequence[str]) -> list[Map]:
    """Angles and nearest orders of learnt maps [A, L, L]."""
    maps = []
    for name, matrix in zip(names, np.asarray(matrices, dtype=np.float64), strict=True):
        angles = [float(angle) for angle in rotation_angles(matrix)]
        orders = [nearest_order(angle) for angle in angles]
        maps.append(Map(name, matrix, angles, orders, float(closure_errors(matrix[None], orders[0][1])[0])))
    return maps
