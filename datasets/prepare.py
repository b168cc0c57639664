"""``python -m equiworld.datasets.prepare NAME PATH``: makes one file of the images of a published set, once."""

from __future__ import annotations

import argparse
import contextlib
import shlex
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from ..envs.registry import UsageError
from .images.data import PUBLISHED
from .images.file import ImageFile, Told, is_prepared, write_images
from .images.pictures import Shape
from .rollouts.command_line import Stop

_NAME = "python -m equiworld.datasets.prepare"


@contextlib.contextmanager
def waiting(title: str) -> Iterator[Told]:
    """A progress bar on a terminal, which appears when there is something to wait for; else one line at its beginning.

    Ctrl-C and SIGTERM end it where it is told something: KeyboardInterrupt or SystemExit is raised there. (Raised
    anywhere, it can be lost within a library.) A second Ctrl-C ends it at once.

    Args:
        title: What is waited for.

    Yields:
        What is to be told how many are done, and of how many.
    """
    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )
    tasks: list[Any] = []

    def check() -> None:
        if stop.signal == signal.SIGINT:
            raise KeyboardInterrupt
        if stop.signal:
            raise SystemExit(128 + stop.signal)

    def told(done: int, total: int) -> None:
        check()
        if not tasks:
            tasks.append(bar.add_task(title, total=total))
            bar.start()
            if not console.is_terminal:
                console.print(f"{title}: {total} in all", highlight=False, soft_wrap=True, markup=False)
        bar.update(tasks[0], completed=done)

    with Stop() as stop:
        try:
            yield told
            check()
        finally:
            bar.stop()


class _Parser(argparse.ArgumentParser):
    """Raises where argparse would print and leave."""

    def error(self, message: str) -> Any:
        raise UsageError(message)


def parser() -> argparse.ArgumentParser:
    """The parser of the command line."""
    known = "\n".join(f"  {name:<10} {_summary(name)}" for name in PUBLISHED)
    made = _Parser(
        prog=_NAME,
        description="Makes one HDF5 file of the images of a published set, or of a folder of your own. Training then\n"
        "reads that file, which may be larger than memory. (train.py does it by itself on first use.)\n\n"
        f"sets:\n{known}\n\n(dsprites is read as it is published, and breakout-frames are played on first use.)",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    made.add_argument("name", metavar="NAME", help=", ".join(PUBLISHED.names()))
    made.add_argument("path", metavar="PATH", type=Path, help="the folder of the published files, unpacked")
    made.add_argument("--out", type=Path, help="the file to be made (default: NAME-SIZE.h5 in PATH)")
    made.add_argument("--image-size", type=_size, help="height and width in pixels, or full: as they are")
    made.add_argument("--crop", type=int, help="first keep the middle, of this height and width; 0: the largest square")
    made.add_argument("--grayscale", action="store_true", help="one channel")
    return made


def _summary(name: str) -> str:
    kind = PUBLISHED[name]
    return f"{(kind.read.__doc__ or '').strip().splitlines()[0]}\n{'':<13}{kind.expected}\n{'':<13}{kind.source}"


def _size(text: str) -> int | str:
    if text == "full":
        return text
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a whole number nor 'full'") from None


def prepare(asked: argparse.Namespace) -> int:
    """Makes the file that the command line asks for, and says how it is used."""
    kind = PUBLISHED[asked.name]
    size = kind.options().image_size if asked.image_size is None else asked.image_size
    shape = Shape(None if size == "full" else size, asked.crop, asked.grayscale)
    if is_prepared(asked.path):
        raise UsageError(f"{asked.path} is prepared already: name the published files")
    if asked.out is not None and asked.out.exists() and not is_prepared(asked.out):
        raise UsageError(f"--out {asked.out} is there and no file of prepared images: it is not replaced")
    pictures, out = kind.pictures(asked.path), asked.out or kind.place(asked.path, shape)
    began = time.perf_counter()
    with waiting(str(out)) as told:
        write_images(out, pictures, shape, kind.name, told)
    made, seconds = ImageFile(out), time.perf_counter() - began
    height, width, channels = made.shape
    sys.stdout.write(
        f"{out}: {len(made)} images, {height} x {width} x {channels}, {out.stat().st_size / 1e6:.1f} MB,"
        f" in {seconds:.0f} s\n"
    )
    place = shlex.quote(str(out))
    use = f"folder:{place}" if kind.name == "folder" else f"{kind.name} --data-path={place}"
    sys.stdout.write(f"train with it: python train.py --model=betavae --dataset={use}\n")
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line.

    Returns:
        The exit status: 2 where it was used wrongly, 1 where it failed, 128 + n where signal n stopped it.
    """
    try:
        return prepare(parser().parse_args(arguments))
    except UsageError as error:
        return _fail(str(error), 2)
    except KeyboardInterrupt:
        return _fail("interrupted; nothing was written", 130)
    except MemoryError:
        return _fail("there is not enough memory for this", 1)
    except OSError as error:
        return _fail(f"{error.filename}: {error.strerror}" if error.filename else str(error), 1)


def _fail(message: str, status: int) -> int:
    sys.stderr.write(f"prepare: {' '.join(message.split())}\n")
    return status


if __name__ == "__main__":
    sys.exit(main())
