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
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import tyro
import yaml

from ..datasets import DATASETS
from ..datasets.registry import absolute
from ..envs.registry import Registry, UsageError, nearest
from . import runs
from .assembly import Options, fill_options, make_options, options_of_run, read_options
from .zoo import MODELS, PARTS

_NAMES = ("model", "dataset", "plugin")
_CHANGEABLE = ("epochs", "device", "threads", "evaluate")


@dataclass
class Request:
    """What the command line asks for.

    Attributes:
        options: The options.
        resume: The run to continue, if there is one.
        left_out: Options of configuration files that belonged to what was replaced later.
    """

    options: Options
    resume: Path | None
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class Usage:
    """How a command is called, for its help and its error messages.

    Attributes:
        named: The command with the names that decide which options there are.
        program: The same in full.
        where: What the options are for.
        description: What it does.
    """

    named: str
    program: str
    where: str
    description: str


class HelpAsked(Exception):
    """``--help`` was given; the message is the help."""


class NameParser(argparse.ArgumentParser):
    """Raises where argparse would print and leave."""

    def error(self, message: str) -> Any:
        raise UsageError(message)


def front_parser(*names: str) -> NameParser:
    """Reads what decides which options there are: names, configuration files, plugins, and the run to continue."""
    parser = NameParser(add_help=False, allow_abbrev=False)
    for name in names:
        parser.add_argument(f"--{name}")
    parser.add_argument("--config", action="append", default=[])
    parser.add_argument("--plugin", action="append", default=[])
    parser.add_argument("--resume")
    return parser


def import_plugins(config: dict[str, Any], named: argparse.Namespace) -> tuple[str, ...]:
    """Imports what configuration files and the command line name; what a run was made with must be given again.

    Args:
        config: What has been read so far.
        named: What ``front_parser`` read.

    Raises:
        UsageError: There is no such module.
    """
    kept = [] if named.resume else listed(config.get("plugin", ()))
    plugins = tuple(dict.fromkeys([*kept, *named.plugin]))
    for plugin in plugins:
        import_plugin(plugin)
    return plugins


def check_names(config: dict[str, Any], *names: str) -> None:
    """Refuses names in configuration files that are none.

    Raises:
        UsageError: One is no text.
    """
    for name in names:
        if not isinstance(config.get(name, ""), str):
            raise UsageError(f"--config: {name} must be a name, not {config[name]!r}")


def read_request(arguments: list[str]) -> Request:
    """Reads a command line.

    Configuration files are read in order, later ones over earlier ones, and the command line over all.

    Raises:
        UsageError: What was given cannot be used.
        HelpAsked: ``--help`` was given.
    """
    named, rest = front_parser("model", "dataset").parse_known_args(arguments)
    help_asked = any(argument in ("-h", "--help") for argument in rest)
    resume = None if named.resume is None else Path(named.resume)
    config: dict[str, Any] = {} if named.model is None else {"model": named.model}
    if resume is not None:
        config = runs.read_config(resume)
        for name in ("model", "dataset"):
            asked, kept = getattr(named, name), config.get(name)
            if name == "dataset" and asked is not None:
                asked = absolute(asked)
            if asked is not None and asked != kept:
                raise UsageError(f"--resume {resume} continues {name} {kept!r}; --{name} {asked} cannot change that")
    left_out: list[str] = []
    for file in named.config:
        config = _override(config, read_file(Path(file)), left_out)
    source = "--config " + " ".join(named.config) if resume is None else str(resume / "config.yaml")
    plugins = import_plugins(config, named)
    check_names(config, "model", "dataset")
    model = named.model or config.get("model")
    # Absolute, so that the run finds it again from anywhere.
    dataset = absolute(named.dataset or config.get("dataset") or "flatland")
    if model is None:
        if help_asked:
            raise HelpAsked(overview())
        misspelt = [flag for flag in (each.split("=")[0] for each in rest) if nearest(flag, ["--model"])]
        hint = f" (was {misspelt[0]} meant?)" if misspelt else ""
        raise UsageError(f"--model is missing{hint}; there are: {', '.join(MODELS.names())}")
    asked_for = _named(rest)
    if resume is None:
        config = _override(config, {"model": model, "dataset": dataset, **asked_for}, left_out)
    known_names = model in MODELS and dataset in DATASETS
    if resume is not None and not known_names and config.get("plugin"):
        raise UsageError(f"{resume} was made with --plugin {' '.join(listed(config['plugin']))}: give it again")
    values = {key: value for key, value in config.items() if key not in _NAMES}
    if resume is not None:
        _check_parts(resume, config, asked_for)
    types, values = read_options(model, dataset, values, asked_for)
    try:
        defaults = fill_options(types, values, source, f"for model {model!r} on {dataset!r}")
        if resume is not None and not named.config:
            options_of_run(resume, config)
    except UsageError as error:
        if resume is None or named.config:
            raise
        raise runs.RunError(str(error)) from error
    usage = Usage(
        named=f"train.py --model={model}",
        program=f"train.py --model={model} --dataset={dataset}",
        where=f"for model {model!r} on {dataset!r}",
        description=f"{MODELS[model].summary}. Also: --config FILE, --plugin MODULE, --resume RUN.",
    )
    options = make_options(model, dataset, plugins, parse_flags(types, defaults, rest, usage))
    if resume is not None:
        kept = make_options(model, dataset, plugins, defaults).flat()
        check_continuation(resume, kept | runs.read_config(resume), options.flat(), _CHANGEABLE)
    return Request(options, resume, tuple(left_out))


def _override(config: dict[str, Any], later: dict[str, Any], left_out: list[str]) -> dict[str, Any]:
    """A configuration with another over it, and without options that only what is replaced by it has.

    Their names are added to ``left_out``.
    """
    merged = config | later
    before, after = _option_names(config), _option_names(merged)
    gone = [] if before is None or after is None else [name for name in config if name in before - after]
    gone = [name for name in gone if name not in later]
    left_out += gone
    return {name: value for name, value in merged.items() if name not in gone}


def _option_names(config: dict[str, Any]) -> set[str] | None:
    """The options that there are with what a configuration names; None if it does not say, or names what is unknown."""
    model, dataset = config.get("model"), config.get("dataset", "flatland")
    parts = [config[kind] for kind in (*PARTS, "base_model") if kind in config]
    if not all(isinstance(name, str) for name in (model, dataset, *parts)):
        return None
    try:
        types, _ = read_options(str(model), absolute(str(dataset)), dict(config))
    except UsageError:
        return None
    return {*_NAMES, *(field.name for kind in types.values() for field in dataclasses.fields(kind))}


def names_agent(arguments: list[str]) -> bool:
    """Whether a command line is about an agent, by itself or by a configuration or run that it names."""
    named, _ = front_parser("agent", "model").parse_known_args(arguments)
    if named.agent is not None or named.model is not None:
        return named.agent is not None
    files = [Path(file) for file in named.config]
    if named.resume is not None:
        files.append(Path(named.resume) / "config.yaml")
    # What is wrong with a file is told by whoever reads it.
    return any(re.search(rb"^agent\s*:", file.read_bytes(), re.MULTILINE) for file in files if file.is_file())


def _named(arguments: list[str]) -> dict[str, str]:
    """The options on the command line that decide which others there are."""
    parser = NameParser(add_help=False, allow_abbrev=False)
    for kind in (*PARTS, "base_model"):
        parser.add_argument(f"--{kind.replace('_', '-')}", dest=kind)
    return {kind: name for kind, name in vars(parser.parse_known_args(arguments)[0]).items() if name is not None}


def _check_parts(run: Path, config: dict[str, Any], asked_for: dict[str, str]) -> None:
    """A continued run has the parts that it had; others would have other options."""
    for kind, asked in asked_for.items():
        kept = config.get(kind)
        known_as = PARTS[kind].known_as if kind in PARTS else str
        if isinstance(kept, str) and known_as(asked) != known_as(kept):
            flag = f"--{kind.replace('_', '-')}"
            raise UsageError(f"--resume {run} continues {kind} {kept!r}; {flag} {asked} cannot change that")


def check_continuation(run: Path, before: dict[str, Any], after: dict[str, Any], changeable: Sequence[str]) -> None:
    """Refuses to continue a run as another one than it was.

    Args:
        run: The run.
        before: Its options.
        after: Those that it is to have.
        changeable: The options that may change: how long and where it runs.

    Raises:
        UsageError: Another option has changed.
    """
    given_again = (*changeable, "plugin")
    changed = [name for name, value in after.items() if name not in given_again and before.get(name, value) != value]
    if changed:
        raise UsageError(
            f"--resume {run} cannot change {', '.join(changed)}; it takes other values only of {', '.join(changeable)}"
        )


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
    if path.suffix != ".py":
        here = os.getcwd()
        if here not in sys.path:
            sys.path.append(here)
        _run_plugin(name, lambda: importlib.import_module(name))
        return
    if not path.is_file():
        raise UsageError(f"--plugin {name}: there is no such file")
    # The whole path stands in the label, so that two files of one name are two modules.
    label = "equiworld_plugin_" + re.sub(r"\W", "_", str(path.resolve()))
    if label in sys.modules:
        return
    spec = importlib.util.spec_from_file_location(label, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"--plugin {name} cannot be imported")
    module, loader = importlib.util.module_from_spec(spec), spec.loader
    sys.modules[label] = module
    try:
        _run_plugin(name, lambda: loader.exec_module(module))
    except UsageError:
        del sys.modules[label]
        raise


def _run_plugin(name: str, load: Callable[[], object]) -> None:
    """Runs a plugin's code; whatever it raises is the user's to mend, and is told in one line."""
    try:
        load()
    except (Exception, SystemExit) as error:
        raise UsageError(f"--plugin {name}: {type(error).__name__}: {error}") from error


def overview() -> str:
    """What ``--help`` says when no model is named."""
    models = _listing(MODELS)
    parts = "".join(f"--{kind}:\n{_listing(registry)}\n\n" for kind, registry in PARTS.items())
    return (
        "usage: train.py --model=NAME [--dataset=NAME] [OPTIONS]\n"
        "       train.py --agent=NAME --env=ID [OPTIONS]   (train.py --agent=NAME --help)\n\n"
        f"models:\n{models}\n\ndata sets:\n  {', '.join(DATASETS.names())} (default: flatland)\n"
        "  or the path of a file of recorded rollouts (.h5), or of a folder of them\n"
        "  or folder:PATH, a folder of images\n\n"
        f"{parts}"
        "  --config FILE    options from a YAML file; may be given several times, later ones win\n"
        "  --plugin MODULE  import a module (or .py file) that registers more worlds, data sets or models\n"
        "  --resume RUN     continue an interrupted run, or a complete one with more --epochs\n\n"
        "The options of a model: train.py --model=NAME --help"
    )


def _listing(registry: Registry[Any]) -> str:
    return "\n".join(f"  {name:<18} {registry[name].summary}" for name in registry)


def listed(value: Any) -> list[str]:
    """A plugin or a list of them.

    Raises:
        UsageError: It is neither.
    """
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list | tuple) or not all(isinstance(each, str) for each in names):
        raise UsageError(f"plugin must be a module name or a list of them, not {value!r}")
    return list(names)


def parse_flags(
    types: dict[str, type[Any]], defaults: dict[str, Any], arguments: list[str], usage: Usage
) -> dict[str, Any]:
    """Option objects from a command line.

    Args:
        types: The option dataclasses, by part.
        defaults: An option object for each, whose values hold where nothing else is given.
        arguments: The command line, without what has been read already.
        usage: How the command is called.

    Raises:
        UsageError: An option is unknown, or its value cannot be used.
        HelpAsked: ``--help`` was given.
    """
    combined = _combined(types, defaults)
    out, err = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), _wide(arguments):
            parsed = tyro.cli(
                combined,
                prog=usage.program,
                description=usage.description,
                args=arguments,
                config=(tyro.conf.OmitArgPrefixes,),
            )
    except SystemExit as leaving:
        if leaving.code == 0:
            raise HelpAsked(out.getvalue().rstrip()) from None
        known = sorted(field.name for kind in types.values() for field in dataclasses.fields(kind))
        raise UsageError(_one_line(err.getvalue(), arguments, known, usage)) from None
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


def _one_line(text: str, arguments: list[str], known: list[str], usage: Usage) -> str:
    """The parser's boxed message as one line, with the nearest known option for an unknown one."""
    flags = [argument.split("=")[0] for argument in arguments if argument.startswith("--")]
    for flag in flags:
        name = flag[2:].replace("-", "_").removeprefix("no_")
        if name not in known and flag[2:].replace("-", "_") not in known:
            hint = nearest(name, known).replace("_", "-").replace("'", "")
            return f"unknown option {flag} {usage.where}{hint}; {usage.named} --help lists them"
    lines = [line.strip(" │╭╮╰╯─|+") for line in text.splitlines()]
    # The first line is the box's title; what was wrong is the line below it.
    content = [line for line in lines if line.strip("-")]
    body = content[1] if len(content) > 1 else " ".join(content)
    body = body.rstrip(".")
    return f"{body or 'the command line cannot be read'}; {usage.named} --help lists the options"
