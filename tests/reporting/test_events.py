"""Events: curves as they were logged, and scores that take the place of the ones before."""

from __future__ import annotations

from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.tensorboard import SummaryWriter

from equiworld.reporting.events import curves, write_scores


def test_curves_are_what_was_logged(tmp_path: Path) -> None:
    with SummaryWriter(str(tmp_path)) as writer:
        for step in range(1, 1001):
            writer.add_scalar("train/loss", 1000 - step, step)
        writer.add_scalar("train/odd", float("nan"), 1)
        writer.add_scalar("train/odd", 2.0, 2)
    found = curves(tmp_path, points=11)
    steps, values = found["train/loss"]
    assert (steps[0], steps[-1], len(steps)) == (1, 1000, 11)
    assert values == [1000 - step for step in steps]
    assert found["train/odd"] == ([2], [2.0])


def test_a_run_without_events_has_no_curves(tmp_path: Path) -> None:
    assert curves(tmp_path) == {}


def test_scores_are_there_with_their_options_and_once(tmp_path: Path) -> None:
    for score in (0.25, 0.75):
        write_scores(tmp_path, {"beta": 4.0, "seed": 3, "group": ["c+", "c-"]}, {"mig.mig": score, "lost": None})
    assert len(list(tmp_path.iterdir())) == 1
    store = EventAccumulator(str(tmp_path))
    store.Reload()
    assert [event.value for event in store.Scalars("scores/mig.mig")] == [0.75]
    assert store.Tags()["scalars"] == ["scores/mig.mig"]
    content = store.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    assert b"beta" in content and b"['c+', 'c-']" in content
    assert curves(tmp_path) == {}  # they are scores, and no curve of training
