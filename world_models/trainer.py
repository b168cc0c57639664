"""The training loop: Lightning Fabric, TensorBoard, checkpoints that continue bit by bit."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from lightning_fabric import Fabric
from torch.utils.tensorboard import SummaryWriter

from ..datasets.randomness import torch_generator
from . import runs
from .vae import VAE

_TRAIN, _VALID = 11, 12  # keep the noise of the two apart


class NonFiniteLoss(ArithmeticError):
    """A loss that is no longer a number; the message names step, term and the last good checkpoint."""


@dataclass
class Progress:
    """Where training stands, and the sums of the running epoch.

    Attributes:
        epoch: Epochs completed.
        batch: Batches completed in the running epoch.
        step: Updates made.
        sums: Sum of each term over the running epoch's batches.
        counts: Batches that had each term.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)


class Loader(Protocol):
    """Batches of an epoch: ``WindowLoader`` where models look at pictures, ``SequenceLoader`` where they read codes."""

    def __len__(self) -> int:
        """Batches an epoch."""
        ...

    def epoch(self, number: int, skip: int = 0) -> Iterator[Any]:
        """The batches of an epoch from some batch on; each has ``frames``, and moves to a device with ``to``."""
        ...


class Listener(Protocol):
    """What is told how training goes; a progress bar, say."""

    def start(self, epochs: int, batches: int, progress: Progress) -> None:
        """Training begins: of so many epochs with so many batches each, at this point."""
        ...

    def update(self, progress: Progress, loss: float, images_per_second: float, expected: int) -> None:
        """An update was made; so many are expected in all."""
        ...

    def note(self, line: str) -> None:
        """The model has something to say."""
        ...


def decay(kind: str, gamma: float, epochs: int) -> Callable[[int], float]:
    """Multiplier of all learning rates after a number of completed epochs.

    Args:
        kind: ``none``, ``exp`` (``gamma ** epoch``) or ``cosine`` (from 1 to 0 over ``epochs``).
        gamma: Of ``exp``.
        epochs: Of ``cosine``; a run that is continued with more epochs has another schedule.
    """
    if kind == "exp":
        return lambda epoch: gamma**epoch
    if kind == "cosine":
        return lambda epoch: 0.5 * (1 + math.cos(math.pi * min(1.0, epoch / epochs)))
    return lambda epoch: 1.0


Monitor = Callable[[VAE, SummaryWriter, int], None]


class Trainer:
    """Fits a model to windows of transitions, or of their codes.

    Everything random is drawn from generators keyed by the seed and the update, so that a run continued from a
    checkpoint makes the same updates as one that was not interrupted.

    Args:
        model: What is trained.
        training: Batches for the updates.
        validation: Batches whose loss is reported after each epoch.
        run: The run directory; checkpoints and TensorBoard events go there.
        epochs: Passes over the training batches, at most.
        seed: Source of the noise in the loss.
        clip_norm: Norm to which gradients are clipped.
        decay: Multiplier of all learning rates after a number of epochs.
        accelerator: Lightning Fabric's: ``cpu``, ``cuda``, ``auto``, ...
        precision: Lightning Fabric's: ``32-true``, ``bf16-mixed``, ...
        monitor: Called after each epoch with the model, to log pictures and scores.
        listener: Told how training goes.
    """

    def __init__(
        self,
        model: VAE,
        training: Loader,
        validation: Loader,
        run: Path,
        *,
        epochs: int,
        seed: int,
        clip_norm: float,
        decay: Callable[[int], float] = lambda epoch: 1.0,
        accelerator: str = "cpu",
        precision: Any = "32-true",
        monitor: Monitor | None = None,
        listener: Listener,
    ) -> None:
        self.fabric = Fabric(accelerator=accelerator, devices=1, precision=precision)
        self.model, self.training, self.validation, self.run = model, training, validation, run
        self.epochs, self.seed, self.clip_norm, self.precision = epochs, seed, clip_norm, precision
        self.monitor, self.listener, self.decay = monitor, listener, decay
        self.progress = Progress()
        groups = model.parameter_groups()
        self.base_rates = [float(group["lr"]) for group in groups]  # type: ignore[arg-type]
        optimizer = torch.optim.Adam(groups, betas=(model.adam_beta1, 0.999))
        self.wrapped, self.optimizer = self.fabric.setup(model, optimizer)
        self.wrapped.mark_forward_method("terms")

    def resume(self) -> None:
        """Continues from the run's checkpoint.

        Raises:
            UsageError: There is none.
            RunError: It is damaged or of another model.
        """
        content = runs.load_checkpoint(self.run)
        runs.load_weights(self.model, content["model"], self.run / runs.CHECKPOINT)
        try:
            self.optimizer.optimizer.load_state_dict(content["optimizer"])
            self.progress = Progress(**content["progress"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
            raise runs.RunError(f"{self.run / runs.CHECKPOINT} cannot be continued: {reason}") from error
        progress = self.progress
        counts = (progress.epoch, progress.batch, progress.step)
        if not all(type(each) is int and each >= 0 for each in counts) or progress.batch > len(self.training):
            raise runs.RunError(f"{self.run / runs.CHECKPOINT} cannot be continued: its progress makes no sense")
        for parameter, state in self.optimizer.optimizer.state.items():
            moments = (value for value in state.values() if torch.is_tensor(value) and value.dim())
            if any(moment.shape != parameter.shape for moment in moments):
                raise runs.RunError(
                    f"{self.run / runs.CHECKPOINT} cannot be continued: its optimiser is of another model"
                )

    def fit(self, stopped: Callable[[], bool] = lambda: False) -> bool:
        """Trains until the epochs are over, the model has finished, or ``stopped`` says so.

        Returns:
            Whether training is complete; if not, the checkpoint holds where it stopped.

        Raises:
            NonFiniteLoss: The loss is no longer a number.
        """
        progress = self.progress
        if not progress.step:
            self.save()  # so that the run can be loaded, and continued, from its first update on
        with SummaryWriter(str(self.run), purge_step=progress.epoch + 1 if progress.step else None) as writer:
            self.listener.start(self.epochs, len(self.training), progress)
            while progress.epoch < self.epochs and not self.model.finished(progress.step):
                if not self._epoch(stopped):
                    self.save()
                    return False
                self._end_epoch(writer)
                self.save()
        return True

    def save(self) -> None:
        """Writes the checkpoint."""
        runs.save_checkpoint(
            self.run,
            {
                "model": self.model.state_dict(),
                "optimizer": self.optimizer.optimizer.state_dict(),
                "progress": asdict(self.progress),
            },
        )

    def _epoch(self, stopped: Callable[[], bool]) -> bool:
        """The updates of one epoch, or what is left of them; whether it was completed."""
        progress = self.progress
        self.wrapped.train()
        began, images = time.perf_counter(), 0
        for batch in self.training.epoch(progress.epoch, progress.batch):
            if stopped():
                return False
            values = self._update(batch.to(self.fabric.device))
            images += len(batch.frames)
            for name, value in values.items():
                progress.sums[name] = progress.sums.get(name, 0.0) + value
                progress.counts[name] = progress.counts.get(name, 0) + 1
            progress.step += 1
            progress.batch += 1
            for line in self.model.advance(self.training, progress.step):
                self.listener.note(line)
            batches = len(self.training)
            expected = self.model.expected_updates(progress.step, self.epochs * batches)
            expected = -(-expected // batches) * batches  # training ends with an epoch
            self.listener.update(progress, values["loss"], images / (time.perf_counter() - began), expected)
        return True

    def _update(self, batch: Any) -> dict[str, float]:
        step = self.progress.step
        for group, base in zip(self.optimizer.param_groups, self.base_rates, strict=True):
            group["lr"] = base * self.model.rate(step, group["name"]) * self.decay(self.progress.epoch)
            self._check({f"rate of {group['name']}": group["lr"]}, step)
        terms = self.wrapped.terms(batch, step, torch_generator(self.seed, _TRAIN, step))
        values = _as_numbers(terms)
        self._check(values, step)
        self.optimizer.zero_grad()
        self.fabric.backward(terms["loss"])
        norm = self.fabric.clip_gradients(
            self.wrapped, self.optimizer, max_norm=self.clip_norm, error_if_nonfinite=False
        )
        if norm is not None:
            self._check({"gradient": float(norm)}, step)
        self.optimizer.step()
        return values

    def _check(self, values: dict[str, float], step: int) -> None:
        wrong = [name for name, value in values.items() if value != value or value in (float("inf"), float("-inf"))]
        if wrong:
            # The sum is named only when no part of it is to blame.
            named = next((name for name in wrong if name != "loss"), "loss")
            kept = self.run / runs.CHECKPOINT
            last = f"the last good checkpoint is {kept}" if kept.exists() else "no checkpoint had been written yet"
            raise NonFiniteLoss(f"the loss is not finite at update {step}: term {named!r} is {values[named]}; {last}")

    @torch.no_grad()
    def _end_epoch(self, writer: SummaryWriter) -> None:
        progress = self.progress
        for name, total in progress.sums.items():
            writer.add_scalar(f"train/{name}", total / progress.counts[name], progress.epoch + 1)
        self.wrapped.eval()
        totals: dict[str, float] = {}
        for number, batch in enumerate(self.validation.epoch(0)):
            generator = torch_generator(self.seed, _VALID, number)
            for name, value in _as_numbers(
                self.wrapped.terms(batch.to(self.fabric.device), progress.step, generator)
            ).items():
                totals[name] = totals.get(name, 0.0) + value
        self._check(totals, progress.step)
        for name, total in totals.items():
            writer.add_scalar(f"valid/{name}", total / len(self.validation), progress.epoch + 1)
        for group in self.optimizer.param_groups:
            writer.add_scalar(f"rate/{group['name']}", group["lr"], progress.epoch + 1)
        if self.monitor is not None:
            self.monitor(self.model, writer, progress.epoch + 1)
        writer.flush()
        progress.epoch += 1
        progress.batch = 0
        progress.sums, progress.counts = {}, {}


def _as_numbers(terms: dict[str, torch.Tensor]) -> dict[str, float]:
    """All terms in one transfer."""
    device = terms["loss"].device
    values = torch.stack([term.detach().float().reshape(()).to(device) for term in terms.values()]).tolist()
    return dict(zip(terms, values, strict=True))
