"""Named parts of a model (latent space, objective, likelihood, networks), each with options of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from ..envs.registry import Registry

Build = TypeVar("Build", bound=Callable[..., Any])


@dataclass
class NoOptions:
    """Options of a part that has none."""


@dataclass(frozen=True)
class Part:
    """One thing that a name stands for.

    Attributes:
        options: The dataclass of its options, all with defaults and a docstring each, which ``--help`` shows.
        build: Makes it: takes the options, then what its kind of part is made for.
        summary: One line: what it is, and whose.
    """

    options: type[Any]
    build: Callable[..., Any]
    summary: str


class Parts(Registry[Part]):
    """The parts of one kind by name.

    Args:
        kind: What the names stand for, as it reads in an error message.
        aliases: Other names that are understood.
    """

    def __init__(self, kind: str, aliases: Mapping[str, str] | None = None) -> None:
        super().__init__(kind)
        self.aliases = dict(aliases or {})

    def part(self, name: str, options: type[Any], summary: str) -> Callable[[Build], Build]:
        """Registers the decorated function, which makes the part called ``name`` from its options.

        Args:
            name: What the command line takes.
            options: The dataclass of its options.
            summary: One line: what it is, and whose.

        Raises:
            UsageError: The name is taken by something else.
        """

        def enter(build: Build) -> Build:
            self.register(name)(Part(options, build, summary))
            return build

        return enter

    def known_as(self, name: str) -> str:
        """The name under which a part is registered.

        Raises:
            UsageError: There is no such part.
        """
        found = self.aliases.get(name, name)
        self[found]
        return found
