"""The command line of training: names first, then the options of what was named."""

from __future__ import annotations

import argparse
import contextlib
import copy
import dataclasses
import importlib
import importlib.util
import io
import os
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import tyro
import yaml

from ..datasets import DATASETS
from ..envs.registry import UsageError, nearest
from . import runs
from .assembly import Options, option_types
from .zoo import MODELS

_NAMES = ("model", "dataset", "plugin")


@dataclass
class Request:
    """What the command line asks for: options, and the run to continue if there is one."""

    options: Options
    resume: Path | None


class HelpAsked(Exception):
    """``--help`` was given; the message is the help."""


class _Parser(argparse.ArgumentParser):
    """Raises where argparse would print and leave."""

    def error(self, message: str) -> Any:
        raise UsageError(message)


def read_request(arguments: list[str]) -> Request:
    """Reads a command line.

    Configuration files are read in order, later ones over earlier ones, and the command line over all.

    Raises:
        UsageError: What was given cannot be used.
        HelpAsked: ``--help`` was given.
    """
    parser = _Parser(add_help=False, allow_abbrev=False)
    parser.add_argument("--model")
    parser.add_argument("--dataset")
    parser.add_argument("--config", action="append", default=[])
    parser.add_argument("--plugin", action="append", default=[])
    parser.add_argument("--resume")
    named, rest = parser.parse_known_args(arguments)
    help_asked = any(argument in ("-h", "--help") for argument in rest)
    resume = None if named.resume is None else Path(named.resume)
    config: dict[str, Any] = {}
    if resume is not None:
        config = runs.read_config(resume)
        for name in ("model", "dataset"):
            asked, kept = getattr(named, name), config.get(name)
            if asked is not None and asked != kept:
                raise UsageError(f"--resume {resume} continues {name} {kept!r}; --{name} {asked} cannot change that")
    for file in named.config:
        config |= read_file(Path(file))
    plugins = tuple(dict.fromkeys([*([] if resume else _listed(config.get("plugin", ()))), *named.plugin]))
    for plugin in plugins:
        import_plugin(plugin)
    model = named.model or config.get("model")
    dataset = named.dataset or config.get("dataset") or "flatland"
    if model is None:
        if help_asked:
            raise HelpAsked(overview())
        raise UsageError(f"--model is missing; there are: {', '.join(MODELS.names())}")
    types = option_types(model, dataset)
    defaults = _defaults(types, {key: value for key, value in config.items() if key not in _NAMES}, model, dataset)
    parts = _parse(types, defaults, rest, model, dataset)
    return Request(Options(model, dataset, plugins, **parts), resume)


def read_file(path: Path) -> dict[str, Any]:
    """The options in a YAML file.

    Raises:
        UsageError: It cannot be read as such.
    """
    try:
        content = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--config {path}: {getattr(error, 'strerror', None) or error}") from error
    except yaml.YAMLError as error:
        raise UsageError(f"--config {path} is not YAML: {' '.join(str(error).split())[:200]}") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise UsageError(f"--config {path} must hold 'option: value' lines")
    return {str(key).replace("-", "_"): value for key, value in content.items()}


def import_plugin(name: str) -> None:
    """Imports a module that registers worlds, data sets or models: a dotted name, or a path to a .py file.

    Raises:
        UsageError: There is no such module.
    """
    path = Path(name)
    if path.suffix == ".py":
        if not path.is_file():
            raise UsageError(f"--plugin {name}: there is no such file")
        label = f"equiworld_plugin_{path.stem}"
        if label not in sys.modules:
            spec = importlib.util.spec_from_file_location(label, path)
            if spec is None or spec.loader is None:
                raise UsageError(f"--plugin {name} cannot be imported")
            module = importlib.util.module_from_spec(spec)
            sys.modules[label] = module
            spec.loader.exec_module(module)
        return
    here = os.getcwd()
    if here not in sys.path:
        sys.path.append(here)
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise UsageError(f"--plugin {name}: {error}") from error


def overview() -> str:
    """What ``--help`` says when no model is named."""
    models = "\n".join(f"  {name:<10} {MODELS[name].summary}" for name in MODELS)
    return (
        "usage: train.py --model=NAME [--dataset=NAME] [OPTIONS]\n\n"
        f"models:\n{models}\n\ndata sets:\n  {', '.join(DATASETS.names())} (default: flatland)\n\n"
        "  --config FILE    options from a YAML file; may be given several times, later ones win\n"
        "  --plugin MODULE  import a module (or .py file) that registers more worlds, data sets or models\n"
        "  --resume RUN     continue an interrupted run, or a complete one with more --epochs\n\n"
        "The options of a model: train.py --model=NAME --help"
    )


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def _defaults(types: dict[str, type[Any]], config: dict[str, Any], model: str, dataset: str) -> dict[str, Any]:
    """Option objects with the values of the configuration files."""
    known = {field.name: part for part, kind in types.items() for field in dataclasses.fields(kind)}
    values: dict[str, dict[str, Any]] = {part: {} for part in types}
    for key, value in config.items():
        if key not in known:
            raise UsageError(
                f"--config: unknown option {key!r} for model {model!r} on {dataset!r}{nearest(key, list(known))}"
            )
        values[known[key]][key] = tuple(value) if isinstance(value, list) else value
    return {part: kind(**values[part]) for part, kind in types.items()}


def _parse(
    types: dict[str, type[Any]], defaults: dict[str, Any], arguments: list[str], model: str, dataset: str
) -> dict[str, Any]:
    combined = _combined(types, defaults)
    program = f"train.py --model={model} --dataset={dataset}"
    out, err = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), _wide(arguments):
            parsed = tyro.cli(
                combined,
                prog=program,
                description=f"{MODELS[model].summary}. Also: --config FILE, --plugin MODULE, --resume RUN.",
                args=arguments,
                config=(tyro.conf.OmitArgPrefixes, tyro.conf.FlagCreatePairsOff),
            )
    except SystemExit as leaving:
        if leaving.code == 0:
            raise HelpAsked(out.getvalue().rstrip()) from None
        known = sorted(field.name for kind in types.values() for field in dataclasses.fields(kind))
        raise UsageError(_one_line(err.getvalue(), arguments, known, model, dataset)) from None
    return {part: getattr(parsed, part) for part in types}


def _combined(types: dict[str, type[Any]], defaults: dict[str, Any]) -> Any:
    fields = [
        (part, kind, dataclasses.field(default_factory=partial(copy.copy, defaults[part])))
        for part, kind in types.items()
    ]
    return dataclasses.make_dataclass("Combined", fields)


@contextlib.contextmanager
def _wide(arguments: list[str]) -> Any:
    """Keeps error messages on one line; help follows the terminal."""
    before = os.environ.get("COLUMNS")
    if not any(argument in ("-h", "--help") for argument in arguments):
        os.environ["COLUMNS"] = "2000"
    try:
        yield
    finally:
        if before is None:
            os.environ.pop("COLUMNS", None)
        else:
            os.environ["COLUMNS"] = before


def _one_line(text: str, arguments: list[str], known: list[str], model: str, dataset: str) -> str:
    """The parser's boxed message as one line, with the nearest known option for an unknown one."""
    flags = [argument.split("=")[0] for argument in arguments if argument.startswith("--")]
    for flag in flags:
        name = flag[2:].replace("-", "_").removeprefix("no_")
        if name not in known and flag[2:].replace("-", "_") not in known:
            hint = nearest(name, known).replace("_", "-").replace("'", "")
            where = f"for model {model!r} on {dataset!r}"
            return f"unknown option {flag} {where}{hint}; train.py --model={model} --help lists them"
    lines = [line.strip(" │╭╮╰╯─|+") for line in text.splitlines()]
    # The first line is the box's title; what was wrong is the line below it.
    content = [line for line in lines if line.strip("-")]
    body = content[1] if len(content) > 1 else " ".join(content)
    return f"{body or 'the command line cannot be read'}; train.py --model={model} --help lists the options"
