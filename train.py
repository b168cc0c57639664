"""Front door: fit a world model, ``python train.py --model=rgrvae --dataset=flatland``, or an agent (``--agent``)."""

from __future__ import annotations

import contextlib
import shlex
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from equiworld.envs.registry import UsageError
from equiworld.world_models.command_line import HelpAsked, Request, names_agent, read_request
from equiworld.world_models.runs import RunError
from equiworld.world_models.trainer import NonFiniteLoss

_NO_MEMORY_SIGNS = ("can't allocate memory", "out of memory", "size calculation overflowed")
_NO_MEMORY = "there is not enough memory for this; smaller images, batches, worlds or numbers of latents are accepted"


class _Bar:
    """A progress bar; nothing of it is shown where the output is not a terminal.

    Args:
        title: What stands before it.
        told: What stands behind it, with ``task.fields`` in it.
    """

    def __init__(self, title: str, told: str) -> None:
        self.console = Console(stderr=True)
        self.title = title
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn(told),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        self.task: Any = None

    def __enter__(self) -> Any:
        self.progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.progress.stop()

    def note(self, line: str) -> None:
        self.console.print(line, highlight=False, soft_wrap=True)


class Bar(_Bar):
    """Of a world model: loss, speed and time left; a line an epoch where the output is not a terminal."""

    def __init__(self, title: str) -> None:
        super().__init__(title, "loss {task.fields[loss]:.4g}  {task.fields[speed]:.0f} images/s")
        self.batches, self.epoch = 1, -1

    def start(self, epochs: int, batches: int, progress: Any) -> None:
        self.batches = batches
        self.task = self.progress.add_task(
            self.title, total=epochs * batches, completed=progress.step, loss=0.0, speed=0.0
        )

    def update(self, progress: Any, loss: float, images_per_second: float, expected: int) -> None:
        self.progress.update(self.task, completed=progress.step, total=expected, loss=loss, speed=images_per_second)
        if not self.console.is_terminal and progress.batch == self.batches:
            mean = progress.sums["loss"] / progress.batch
            self.note(f"epoch {progress.epoch + 1}: loss {mean:.4g}, {images_per_second:.0f} images/s")


class AgentBar(_Bar):
    """Of an agent: mean return of the last episodes, speed and time left."""

    def __init__(self, title: str) -> None:
        super().__init__(title, "return {task.fields[mean]}  {task.fields[speed]:.0f} steps/s")

    def start(self, total: int, done: int) -> None:
        self.task = self.progress.add_task(self.title, total=total, completed=done, mean="-", speed=0.0)

    def update(self, done: int, mean_return: float | None, steps_per_second: float) -> None:
        mean = "-" if mean_return is None else f"{mean_return:.4g}"
        self.progress.update(self.task, completed=done, mean=mean, speed=steps_per_second)


@contextlib.contextmanager
def quiet_writer_thread() -> Iterator[None]:
    """Keeps TensorBoard's writer thread from printing an OSError, which it raises in the main thread as well."""
    before = threading.excepthook

    def hook(told: threading.ExceptHookArgs) -> None:
        if not issubclass(told.exc_type, OSError):
            before(told)

    threading.excepthook = hook
    try:
        yield
    finally:
        threading.excepthook = before


def guarded(work: Callable[[], int]) -> int:
    """Runs a command; what a user or a machine did wrong becomes one line and an exit status.

    Returns:
        The command's status; 2 where it was used wrongly, 1 where it failed, 130 where it was interrupted.
    """
    try:
        try:
            return work()
        except HelpAsked as asked:
            print(asked, flush=True)
            return 0
    except UsageError as error:
        return fail(str(error), 2)
    except KeyboardInterrupt:
        return fail("interrupted", 130)
    except MemoryError:
        return fail(_NO_MEMORY, 1)
    except RuntimeError as error:
        if isinstance(error, RunError):
            return fail(str(error), 1)
        # torch has no error of its own for a CPU that runs out of memory.
        if any(sign in str(error) for sign in _NO_MEMORY_SIGNS):
            return fail(_NO_MEMORY, 1)
        raise
    except (OSError, NonFiniteLoss) as error:
        named = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) and error.filename else str(error)
        return fail(named, 1)


def fail(message: str, status: int) -> int:
    """Says in one line what was wrong."""
    print(f"{Path(sys.argv[0]).name}: {' '.join(message.split())}", file=sys.stderr)
    return status


class Stop:
    """Set by Ctrl-C or SIGTERM, so that training stops after the running update; a second Ctrl-C stops at once.

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


def train(request: Request) -> int:
    """Trains what was asked for, and evaluates it; returns the exit status."""
    import torch

    from equiworld.datasets import make_ready
    from equiworld.datasets.prepare import waiting
    from equiworld.datasets.sequences import SequenceLoader
    from equiworld.world_models import runs
    from equiworld.world_models.assembly import (
        assemble,
        check_actions,
        check_device,
        keep_backgrounds,
        keep_base,
        read_split,
        self_contained,
        write_split,
    )
    from equiworld.world_models.dynamics.panels import DynamicsPanels
    from equiworld.world_models.panels import Panels
    from equiworld.world_models.trainer import Trainer, decay

    if request.left_out:
        names = ", ".join(name.replace("_", "-") for name in request.left_out)
        print(f"left out, as what they belong to was replaced: {names}", file=sys.stderr)
    written = request.options.flat()
    options = request.options if request.resume is None else self_contained(request.options, request.resume)
    check_device(options.run.device)
    check_actions(options)
    with waiting(options.dataset_name) as told:
        make_ready(options.dataset_name, options.dataset, told)
    assembly = assemble(options)
    if options.run.threads:
        torch.set_num_threads(options.run.threads)
    if request.resume:
        assembly.split = read_split(request.resume, assembly.split, assembly.data)
    training, validation = assembly.loader("training"), assembly.loader("validation")
    panels = (
        DynamicsPanels(validation, options.flat())
        if isinstance(validation, SequenceLoader)
        else Panels(validation, len(assembly.data.world.actions), options.flat())
    )
    if request.resume is None and not options.run.log_dir:
        raise UsageError("--log-dir is empty; logs is the default")
    run = request.resume or runs.claim_version(Path(options.run.log_dir))
    again = " ".join([shlex.quote(str(run)), *(f"--plugin {shlex.quote(each)}" for each in options.plugins)])
    began = time.perf_counter()
    with Bar(str(run)) as bar, Stop() as stop, quiet_writer_thread():
        trainer = Trainer(
            assembly.model,
            training,
            validation,
            run,
            epochs=options.model.epochs,
            seed=options.run.seed,
            clip_norm=options.model.clip_norm,
            decay=decay(options.model.lr_scheduler, options.model.lr_scheduler_gamma, options.model.epochs),
            accelerator=options.run.device,
            precision=options.run.precision,
            monitor=panels,
            listener=bar,
        )
        if request.resume:
            trainer.resume()
        else:
            keep_backgrounds(options, run)
            keep_base(assembly.base, run)
            write_split(run, assembly.split, assembly.data)
        runs.write_config(run, written)
        runs.write_environment(run, options.run.seed, str(trainer.fabric.device))
        complete = trainer.fit(stop)
    if stop.signal:
        how = "python evaluate.py" if complete else "python train.py --resume"
        print(f"interrupted at update {trainer.progress.step}; continue with: {how} {again}", file=sys.stderr)
        return 128 + stop.signal
    minutes = (time.perf_counter() - began) / 60
    print(f"trained {trainer.progress.step} updates in {minutes:.1f} minutes: {run}")
    if (warning := assembly.model.warning()) is not None:
        print(f"beware: {warning}", file=sys.stderr)
    if options.run.evaluate:
        from equiworld.evaluate import evaluate_runs

        evaluate_runs([run])
    look = f"tensorboard --logdir {shlex.quote(str(run.parent))}"
    print(f"look at it: {look}    measure it again: python evaluate.py {again}")
    return 0


def train_agent(arguments: list[str]) -> int:
    """Trains the agent that a command line asks for; returns the exit status."""
    import torch

    from equiworld.agents.algorithms import DreamPPOOptions
    from equiworld.agents.loop import DreamLoop
    from equiworld.agents.options import read_agent_request
    from equiworld.agents.training import LIBRARIES, AgentTrainer
    from equiworld.world_models import runs

    request = read_agent_request(arguments)
    options = request.options
    written = options.flat()
    if options.run.threads:
        torch.set_num_threads(options.run.threads)
    kind: Any = DreamLoop if isinstance(options.agent, DreamPPOOptions) else AgentTrainer
    trainer = kind(options, request.resume)
    run = request.resume or runs.claim_version(Path(options.run.log_dir))
    again = " ".join([shlex.quote(str(run)), *(f"--plugin {shlex.quote(each)}" for each in options.plugins)])
    began, before = time.perf_counter(), trainer.steps
    with contextlib.closing(trainer), AgentBar(str(run)) as bar, Stop() as stop, quiet_writer_thread():
        runs.write_config(run, written)
        runs.write_environment(run, options.run.seed, str(trainer.device), LIBRARIES)
        complete = trainer.fit(run, bar, stop)
    if not complete:
        print(f"interrupted at step {trainer.steps}; continue with: python train.py --resume {again}", file=sys.stderr)
        return 128 + stop.signal
    minutes = (time.perf_counter() - began) / 60
    print(f"trained {trainer.steps - before} steps in {minutes:.1f} minutes: {run}")
    print(f"look at it: tensorboard --logdir {shlex.quote(str(run.parent))}")
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line; returns the exit status."""
    given = sys.argv[1:] if arguments is None else arguments
    return guarded(lambda: train_agent(given) if names_agent(given) else train(read_request(given)))


if __name__ == "__main__":
    sys.exit(main())
