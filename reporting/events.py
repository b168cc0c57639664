"""A run's TensorBoard events: training curves read from them, scores with their hyper-parameters written to them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

Curve = tuple[list[int], list[float]]

_SUFFIX = ".scores"
SCORES = "scores/"
"""What the tags of scores begin with."""


class DamagedEvents(Exception):
    """A file of events holds none that can be read."""


def curves(run: Path, points: int = 200) -> dict[str, Curve]:
    """The scalars of a run by their tag, each as steps and values.

    Args:
        run: A run directory; it need not hold any events.
        points: At most so many of each, evenly thinned, the first and the last among them.

    Returns:
        Finite values only, in the order of steps; where a step was logged again, the last value.

    Raises:
        DamagedEvents: There is a file of events, and nothing in it can be read.
    """
    if not any(run.glob("events.out.tfevents.*")):
        return {}
    store = EventAccumulator(str(run), size_guidance={"scalars": 0, "images": 1, "histograms": 1, "tensors": 1})
    for path in sorted(run.glob("events.out.tfevents.*")):
        if path.stat().st_size and not _begins_whole(path):
            raise DamagedEvents(f"{path.name} is damaged: it does not begin with an event")
    store.Reload()
    found: dict[str, Curve] = {}
    for tag in sorted(store.Tags()["scalars"]):
        last = {event.step: float(event.value) for event in store.Scalars(tag) if np.isfinite(event.value)}
        if tag.startswith(SCORES) or not last:
            continue
        steps = sorted(last)
        kept = np.unique(np.linspace(0, len(steps) - 1, min(points, len(steps))).round().astype(int))
        found[tag] = ([steps[place] for place in kept], [last[steps[place]] for place in kept])
    return found


def _begins_whole(path: Path) -> bool:
    """Whether a file begins with a record of events: its length with a checksum that fits."""
    with path.open("rb") as stream:
        head = stream.read(12)
    return len(head) == 12 and masked_crc32c(head[:8]) == int.from_bytes(head[8:], "little")


def write_scores(run: Path, options: Mapping[str, Any], values: Mapping[str, float | None]) -> None:
    """Writes scores beside the training curves, with the options as hyper-parameters, for TensorBoard's HParams.

    They take the place of those of an earlier evaluation, which are left as they are if this one fails.

    Args:
        run: The run directory.
        options: Hyper-parameters by name; what is no number, text or truth value is written as text.
        values: Scores by name; missing ones are left out.
    """
    before = list(run.glob(f"events.out.tfevents.*{_SUFFIX}"))
    known = {f"{SCORES}{name}": value for name, value in values.items() if value is not None}
    settings = {
        name: value if isinstance(value, bool | int | float | str) else str(value) for name, value in options.items()
    }
    with SummaryWriter(str(run), filename_suffix=_SUFFIX) as writer:
        # What add_hparams does, but into the run's own directory rather than one below it.
        for summary in hparams(settings, known):
            writer._get_file_writer().add_summary(summary)
        for tag, value in known.items():
            writer.add_scalar(tag, value, 0)
    for path in before:
        path.unlink()
