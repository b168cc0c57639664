"""The command line of rollouts: collect, info, export, import."""

from __future__ import annotations

import argparse
import json
import shlex
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from ...envs.policies import POLICIES
from ...envs.registry import UsageError
from .codec import COMPRESSIONS
from .collector import Collected, Plan, collect
from .info import describe
from .reader import Rollouts
from .shards import collect_shard, collect_shards, shard_path

_NAME = "python -m equiworld.datasets.rollouts"


class Stop:
    """Set by Ctrl-C or SIGTERM, so that a collection stops after the running step; a second Ctrl-C stops at once.

    The signals are watched inside a ``with`` block only.
    """

    def __init__(self) -> None:
        self.signal = 0
        self.before: dict[int, Any] = {}

    def __enter__(self) -> Stop:
        for number in (signal.SIGINT, signal.SIGTERM):
            self.before[number] = signal.signal(number, self._set)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def _set(self, number: int, frame: FrameType | None) -> None:
        if self.signal and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = number

    def __call__(self) -> bool:
        return bool(self.signal)


class _Parser(argparse.ArgumentParser):
    """Raises where argparse would print and leave."""

    def error(self, message: str) -> Any:
        raise UsageError(message)


def parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    top = _Parser(prog=_NAME, description="Recorded rollouts in HDF5.", allow_abbrev=False)
    commands = top.add_subparsers(dest="command", required=True, metavar="collect | info | export | import")
    made = commands.add_parser(
        "collect",
        help="play an environment and record it",
        description="Plays an environment and records it. Ctrl-C stops; whole episodes are kept, and --resume goes on.",
        allow_abbrev=False,
    )
    made.add_argument("--env", required=True, help="id of a Gymnasium environment; module:id imports a module first")
    made.add_argument("--policy", default="random", help=f"{', '.join(POLICIES.names())} (default: random)")
    made.add_argument("--steps", required=True, type=_number, help="steps in the end, of all shards together")
    made.add_argument("--out", required=True, type=Path, help="the file; a folder with --shards or --shard")
    made.add_argument("--seed", type=_number, default=0, help="source of everything random (default: 0)")
    made.add_argument("--num-envs", type=_number, default=16, help="copies that are played at once (default: 16)")
    made.add_argument("--env-options", nargs="+", default=[], metavar="KEY=VALUE", help="arguments of the environment")
    made.add_argument("--policy-options", nargs="+", default=[], metavar="KEY=VALUE", help="arguments of the policy")
    made.add_argument("--compression", default="lz4", help=f"{', '.join(COMPRESSIONS)} (default: lz4)")
    made.add_argument("--resume", "--continue", action="store_true", help="go on with what is there")
    made.add_argument("--shards", type=_number, metavar="K", help="collect into K files, by K processes")
    made.add_argument("--shard", type=_shard, metavar="I/K", help="collect the I-th of K files, counted from 0")
    made.set_defaults(run=_collect)
    about = "say what is in a file"
    told = commands.add_parser("info", help=about, description=_sentence(about), allow_abbrev=False)
    told.add_argument("file", help="a file, a folder of shards, or a pattern")
    told.set_defaults(run=_info)
    about = "write a file as a data set of Minari, where Minari keeps its data sets (MINARI_DATASETS_PATH)"
    given = commands.add_parser("export", help=about, description=_sentence(about), allow_abbrev=False)
    given.add_argument("file", help="a file, a folder of shards, or a pattern")
    given.add_argument("--id", required=True, help="of the data set, such as equiworld/flatland/random-v0")
    given.set_defaults(run=_export)
    about = "write a data set of Minari as a file"
    taken = commands.add_parser("import", help=about, description=_sentence(about), allow_abbrev=False)
    taken.add_argument("--id", required=True, help="of a data set that Minari has on this machine")
    taken.add_argument("--out", required=True, type=Path, help="the file")
    taken.add_argument("--compression", default="lz4", help=f"{', '.join(COMPRESSIONS)} (default: lz4)")
    taken.set_defaults(run=_import)
    return top


def _sentence(words: str) -> str:
    return f"{words[0].upper()}{words[1:]}."


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line.

    Returns:
        The exit status: 2 where it was used wrongly, 1 where it failed, 128 + n where signal n stopped it.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        asked = parser().parse_args(given)
        return int(asked.run(asked, given))
    except UsageError as error:
        return _fail(str(error), 2)
    except KeyboardInterrupt:
        return _fail("interrupted", 130)
    except MemoryError:
        return _fail("there is not enough memory for this; fewer copies (--num-envs) are accepted", 1)
    except OSError as error:
        named = f"{error.filename}: {error.strerror}" if error.filename else error.strerror or str(error)
        return _fail(named, 1)


def _fail(message: str, status: int) -> int:
    sys.stderr.write(f"rollouts: {' '.join(message.split())}\n")
    return status


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _collect(asked: argparse.Namespace, given: list[str]) -> int:
    if asked.shards is not None and asked.shard is not None:
        raise UsageError("--shards collects all shards, --shard one of them: only one of the two is accepted")
    plan = Plan(
        asked.env,
        asked.policy,
        asked.seed,
        key_values(asked.env_options, "--env-options"),
        key_values(asked.policy_options, "--policy-options"),
        asked.shard or (0, 1),
    )
    settings = {"num_envs": asked.num_envs, "compression": asked.compression, "resume": asked.resume}
    place = asked.out if asked.shard is None else shard_path(asked.out, asked.shard)
    console = Console(stderr=True)
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("steps"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )
    with Stop() as stop, progress:
        task = progress.add_task(str(asked.out), total=asked.steps)
        run = _runner(asked, plan, settings)
        try:
            done = run(lambda steps: progress.update(task, completed=steps), stop)
        except OSError as error:
            if isinstance(error.errno, int):
                raise OSError(error.errno, f"{error.strerror}; {_kept(place)}", str(place)) from error
            raise
    if done.note:
        console.print(f"beware: {done.note}", highlight=False, soft_wrap=True, markup=False)
    held = f"{done.episodes} whole episodes with {done.steps} steps"
    if done.complete:
        added = f", {done.steps - done.before} of them new" if done.before else ""
        _say(f"{place}: {held}{added}")
        return 0
    again = shlex.join([*given, *([] if asked.resume else ["--resume"])])
    sys.stderr.write(f"rollouts: interrupted; {place} holds {held}; continue with: {_NAME} {again}\n")
    return 128 + stop.signal


def _kept(place: Path) -> str:
    """What a collection that failed has left behind."""
    try:
        with Rollouts(place) as rollouts:
            held = f"{rollouts.episodes} whole episodes with {rollouts.steps} steps"
    except UsageError:
        return "there was no whole episode yet to be kept"
    except OSError:  # it needs to be recovered, which cannot be done now
        return "what was whole is kept, and --resume goes on with it"
    return f"{held} are kept, and --resume goes on with them"


def _runner(
    asked: argparse.Namespace, plan: Plan, settings: dict[str, Any]
) -> Callable[[Callable[[int], object], Callable[[], bool]], Collected]:
    """What collects as asked, given whom to tell and whom to ask whether to stop."""
    if asked.shards is not None:
        return lambda told, stop: collect_shards(
            plan, asked.steps, asked.out, asked.shards, told=told, stopped=stop, **settings
        )
    if asked.shard is not None:
        return lambda told, stop: collect_shard(plan, asked.steps, asked.out, told=told, stopped=stop, **settings)
    return lambda told, stop: collect(plan, asked.steps, asked.out, told=told, stopped=stop, **settings)


def _info(asked: argparse.Namespace, given: list[str]) -> int:
    with Rollouts(asked.file) as rollouts:
        lines = list(describe(rollouts))
    width = max(len(name) for name, _ in lines)
    for name, what in lines:
        _say(f"{name:<{width}}  {what}")
    return 0


def _export(asked: argparse.Namespace, given: list[str]) -> int:
    from .exchange import export_minari

    with Rollouts(asked.file) as rollouts:
        path = export_minari(rollouts, asked.id)
        _say(f"{asked.id}: {rollouts.episodes} episodes with {rollouts.steps} steps in {path}")
    return 0


def _import(asked: argparse.Namespace, given: list[str]) -> int:
    from .exchange import import_minari

    left_out = import_minari(asked.id, asked.out, compression=asked.compression)
    if left_out:
        sys.stderr.write(f"rollouts: beware: no column can hold these, they are left out: {', '.join(left_out)}\n")
    with Rollouts(asked.out) as rollouts:
        _say(f"{asked.out}: {rollouts.episodes} episodes with {rollouts.steps} steps")
    return 0


def _number(text: str) -> int:
    try:
        return int(text.replace("_", ""))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number") from None


def _shard(text: str) -> tuple[int, int]:
    parts = text.split("/")
    if len(parts) != 2 or not all(part.isdecimal() for part in parts):
        raise argparse.ArgumentTypeError(f"{text!r} is no shard; 0/4 is the first of four")
    return int(parts[0]), int(parts[1])


def key_values(pairs: Sequence[str], flag: str) -> dict[str, Any]:
    """``key=value`` pairs; values are read as JSON (numbers, true, null, lists), and as text where they are none.

    Raises:
        UsageError: A pair is none; ``flag`` is the option that it was given to.
    """
    found = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not key.isidentifier():
            raise UsageError(f"{flag} takes KEY=VALUE pairs, got {pair!r}")
        try:
            found[key] = json.loads(text)
        except ValueError:
            found[key] = text
    return found
