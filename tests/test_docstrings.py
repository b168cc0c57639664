"""Public things are documented, and the examples in their docstrings run."""

from __future__ import annotations

import doctest
import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import equiworld

ROOT = Path(equiworld.__file__).parent
# The sub-packages alone: the front doors are scripts, and tests and benchmarks are not installed.
FOLDERS = ("agents", "datasets", "envs", "metrics", "reporting", "world_models")
MODULES = [
    ".".join(("equiworld", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__")
    for folder in FOLDERS
    for path in sorted((ROOT / folder).rglob("*.py"))
]


def undocumented(module: ModuleType) -> Iterator[str]:
    for name, value in vars(module).items():
        defined_here = getattr(value, "__module__", None) == module.__name__
        if name.startswith("_") or not defined_here or not (inspect.isclass(value) or inspect.isfunction(value)):
            continue
        # Not getdoc: a class does not take over what its base class says of itself. Nor what dataclass makes up.
        if not value.__doc__ or value.__doc__.startswith(f"{name}("):
            yield name
        if inspect.isclass(value):
            for member, entry in vars(value).items():
                is_method = inspect.isfunction(entry) or isinstance(entry, property | classmethod | staticmethod)
                # getdoc: a method that overrides a documented one means what that one says.
                if is_method and not member.startswith("_") and not inspect.getdoc(getattr(value, member)):
                    yield f"{name}.{member}"


@pytest.mark.parametrize("name", MODULES)
def test_public_things_are_documented(name: str) -> None:
    assert list(undocumented(importlib.import_module(name))) == []


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_run(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS).failed == 0


class Base:
    """Base."""

    def act(self) -> None:
        """Acts."""


class Child(Base):
    def act(self) -> None: ...

    def more(self) -> None: ...

    @property
    def size(self) -> int: ...

    def _own(self) -> None: ...


def test_the_check_finds_what_is_undocumented() -> None:
    module = ModuleType(__name__)
    module.Base, module.Child = Base, Child
    assert list(undocumented(module)) == ["Child", "Child.more", "Child.size"]
