"""How far latent dynamics can be trusted: errors of imagined codes, images, rewards and ends on held-out episodes."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..datasets.sequences import Recording, SequenceLoader, Sequences
from ..metrics import MetricResult
from ..world_models.dynamics.base import imagine
from ..world_models.dynamics.model import DynamicsModel
from .subject import Subject

HORIZONS = (1, 2, 5, 10, 20)
"""Steps after which imagined codes and images are compared with what was recorded."""
_WINDOWS = 500  # of held-out episodes, at most
_STEPS = 20_000  # of held-out episodes, at most, whose reward and termination are predicted


@torch.no_grad()
def dynamics(subject: Subject) -> MetricResult:
    """Errors of imagined codes, images, rewards and terminations on test episodes.

    Codes: the squared distance as a share of the codes' variance. Images: the squared error, summed over pixels. Chance
    is copying what was seen last, the ceiling decoding the true code. Rewards: root of the mean squared error of one
    step, beside that of their mean. Terminations: the share of steps that are told right, beside always the same.
    """
    model = subject.model
    if not isinstance(model, DynamicsModel):
        without = f"{subject.assembly.options.model_name} has no dynamics"
        return MetricResult("dynamics", {"latent_1": None}, reason=without)
    data, episodes = subject.assembly.recorded, subject.assembly.episodes.test
    recording = model.recording(data, episodes)
    moves, context = model.dynamics, model.dynamics.context
    starts, batch = _windows(recording, context + HORIZONS[-1], _WINDOWS)
    dream = imagine(moves, batch.latents[:, :-1], batch.actions)
    rows = data.rollouts.rows_of(episodes)
    spread = float(moves.scale.square().sum())
    values: dict[str, float | None] = {}
    chance, ceiling, counts = dict(values), dict(values), dict[str, int]()
    for ahead in HORIZONS:
        now, then = context, context + ahead
        there = batch.mask[:, then - 1].bool()
        counts[str(ahead)] = int(there.sum())
        if not there.any():
            values |= {f"latent_{ahead}": None, f"image_{ahead}": None}
            continue
        guess, true, last = dream.latents[there, then - 1], batch.latents[there, then], batch.latents[there, now]
        for found, shown in ((values, guess), (chance, last), (ceiling, true)):
            found[f"latent_{ahead}"] = _distance(shown, true) / spread
        first = starts[there.numpy()]
        image, before = (subject.images(data.states[rows[first + step]], 5) for step in (then, now))
        decoded, again = (subject.in_chunks(model.decode, codes) for codes in (guess, true))
        for found, shown in ((values, decoded), (chance, before), (ceiling, again)):
            found[f"image_{ahead}"] = _distance(shown, image)
    missing = [ahead for ahead in HORIZONS if not counts[str(ahead)]]
    reason = f"no test episode goes on for {context + missing[0]} steps" if missing else None
    values = dict(sorted(values.items(), key=lambda item: item[0].startswith("image")))
    judged, ends = _judged(model, recording)
    values |= {name: found for name, (found, _) in judged.items()}
    chance |= {name: found for name, (_, found) in judged.items()}
    details = {"windows": counts, "test_episodes": len(episodes)} | ends
    return MetricResult("dynamics", values, details, reason, chance, ceiling, n=len(starts))


def _distance(shown: torch.Tensor, true: torch.Tensor) -> float:
    """Mean over a batch of the squared distance."""
    return float((shown - true).flatten(1).square().sum(1).mean())


def _windows(recording: Recording, length: int, most: int) -> tuple[NDArray[np.int64], Sequences]:
    """Windows from all over a recording, and the rows that they begin at."""
    loader = SequenceLoader(recording, length, length, most=most)
    return loader.starts, loader.gather(loader.starts, torch.Generator())


def _judged(model: DynamicsModel, recording: Recording) -> tuple[dict[str, tuple[float, float]], dict[str, Any]]:
    """How rewards and ends of single steps from true codes are told, beside knowing nothing; and more of the ends."""
    moves = model.dynamics
    _, batch = _windows(recording, moves.context + 1, _STEPS)
    whole = batch.mask[:, -1].bool()
    batch = Sequences(*(each[whole] for each in vars(batch).values()))
    if not len(batch.mask):
        return {}, {"steps": 0}
    dream = imagine(moves, batch.latents[:, :-1], batch.actions)
    rewards, ends, told = batch.rewards[:, -1], batch.ends[:, -1].bool(), dream.continues[:, -1] < 0.5
    share, error = float(ends.float().mean()), (dream.rewards[:, -1] - rewards).square().mean().sqrt()
    found = {
        "reward_error": (float(error), float(rewards.std(correction=0))),
        "termination_accuracy": (float((told == ends).float().mean()), max(share, 1 - share)),
    }
    known = float((told & ends).sum() / ends.sum()) if ends.any() else None
    return found, {"steps": len(ends), "ends": int(ends.sum()), "ends_found": known}
