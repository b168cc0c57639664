"""The floors of the tree: no import runs upwards between the packages, and none in a circle."""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import equiworld

ROOT = Path(equiworld.__file__).resolve().parent
# What each package may import of the others. The front doors, which stand on top, may import all of them.
BELOW: dict[str, set[str]] = {
    "metrics": set(),
    "envs": set(),
    "datasets": {"envs"},
    "world_models": {"envs", "datasets"},
    "agents": {"envs", "datasets", "metrics", "world_models"},
    "reporting": {"envs", "datasets", "metrics", "world_models", "agents"},
}
FRONT_DOORS = {"train", "evaluate"}


def imports(source: str, place: tuple[str, ...]) -> set[str]:
    """The parts of the tree (packages, front doors) that a file imports, wherever in the file.

    Args:
        source: The file's text.
        place: The folders that the file lies in, from the root: ``("world_models", "latents")``.
    """
    package = ("equiworld", *place)
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names.update(name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (base, node.module) if part)
            names.update({module, *(f"{module}.{name.name}" for name in node.names)})
    found = {name.split(".")[1] for name in names if name.startswith("equiworld.")}
    return found & (BELOW.keys() | FRONT_DOORS)


def imports_by_file(package: str) -> dict[str, set[str]]:
    """What each file of a package imports of the other parts of the tree."""
    files = {path.relative_to(ROOT): path.read_text(encoding="utf-8") for path in (ROOT / package).rglob("*.py")}
    return {str(path): imports(text, path.parts[:-1]) - {package} for path, text in files.items()}


@pytest.mark.parametrize("package", BELOW)
def test_no_import_runs_upwards(package: str) -> None:
    found = imports_by_file(package)
    assert f"{package}/__init__.py" in found
    assert {path: names - BELOW[package] for path, names in found.items() if names - BELOW[package]} == {}


def test_no_import_runs_in_a_circle() -> None:
    graph = {package: set().union(*imports_by_file(package).values()) for package in BELOW}
    try:
        order = list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(f"a circle of imports: {' <- '.join(error.args[1])}")
    assert set(order) == BELOW.keys()
    assert order.index("envs") < order.index("datasets")


@pytest.mark.parametrize(
    ("source", "place", "found"),
    [
        ("from ..envs.world import World", ("datasets",), {"envs"}),
        ("from .. import envs, agents", ("datasets",), {"envs", "agents"}),
        ("from ...datasets import load", ("world_models", "latents"), {"datasets"}),
        ("from .splits import Split", ("datasets",), {"datasets"}),
        ("import equiworld.agents.latent", ("datasets",), {"agents"}),
        ("from equiworld import metrics", ("datasets",), {"metrics"}),
        ("def f():\n    from ..agents import dream", ("envs",), {"agents"}),
        ("from .. import train", ("agents",), {"train"}),
        ("from equiworld.evaluate import main", ("agents",), {"evaluate"}),
        ("from .train import step", ("agents",), {"agents"}),
        ("import numpy\nfrom scipy.stats import norm", ("metrics",), set()),
    ],
)
def test_every_spelling_of_an_import_is_seen(source: str, place: tuple[str, ...], found: set[str]) -> None:
    assert imports(source, place) == found
