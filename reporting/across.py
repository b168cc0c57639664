"""What is measured of several runs together: how far their codes agree (UDR)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .. import metrics
from ..metrics import MetricResult
from ..metrics.suite import choose_states
from .subject import Array, Subject

_ROWS = 10_000  # observations that runs are compared on, at most, as published
_LOOKED_AT = 16  # images that tell one data set from another


@dataclass(frozen=True)
class Shared:
    """What of a run is compared with other runs.

    Attributes:
        data: Tells its data set from others.
        codes: Of the same observations in every run of one data set, [N, D].
        kl: Divergence of each dimension from the prior [D], where the model has posteriors.
    """

    data: str
    codes: Array
    kl: Array | None


def shared(subject: Subject) -> Shared:
    """What of a run is compared with others: the same states, whatever its seed."""
    number = len(subject.data)
    states = np.sort(choose_states(number, (_ROWS, 1), 0)[0]) if number > _ROWS else np.arange(number)
    shown = subject.data.frames(np.linspace(0, number - 1, min(_LOOKED_AT, number)).round().astype(int))
    name = hashlib.sha256(repr((subject.data.factors, shown.shape)).encode() + shown.tobytes()).hexdigest()
    kl = None
    if hasattr(subject.model, "posterior"):
        kl = subject.encode(states, lambda images: subject.model.posterior(images).kl()).mean(0)
    return Shared(name, subject.encode(states, subject.model.encode), kl)


def agreement(runs: Sequence[Shared], labels: Sequence[str]) -> list[MetricResult]:
    """The unsupervised disentanglement ranking, a result for each run; all their labels stand in its details."""
    if len({run.data for run in runs}) > 1:
        return [MetricResult("udr", {"udr": None}, reason="the runs are of different data") for _ in runs]
    amounts = [run.kl for run in runs]
    kl = None if any(each is None for each in amounts) else amounts
    try:
        whole = metrics.compute("udr", [run.codes for run in runs], kl)
    except ValueError as error:
        whole = MetricResult("udr", {"udr": None}, reason=" ".join(str(error).split()))
    found = []
    for place in range(len(runs)):
        own = MetricResult.from_dict(whole.to_dict())
        own.values = {"udr": None}
        own.details["partners"] = list(labels)
        if "model_scores" in whole.details:
            own.values["udr"] = whole.details["model_scores"][place]
            own.chance, own.ceiling = ({"udr": each["udr"]} for each in (whole.chance, whole.ceiling))
        found.append(own)
    return found
