"""What is measured: which names stand for what, blocks of the group, and models that can only encode."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from equiworld import metrics
from equiworld.envs.registry import UsageError
from equiworld.reporting import measures
from equiworld.reporting.figures import strips
from equiworld.reporting.subject import Subject


def test_names_are_read_however_they_are_separated() -> None:
    known = ["angles", "mig", "lsbd"]
    for asked in (["mig,angles"], ["mig angles"], ["mig", "angles", "mig"], ["mig, angles"]):
        assert measures.select(asked, known, ["lsbd"]) == ["angles", "mig"]
    assert measures.select([], known, ["lsbd"]) == ["lsbd"]
    assert measures.select(["all"], known, ["lsbd"]) == known
    with pytest.raises(UsageError, match=r"there is no 'mg' \(did you mean 'mig'\?\); there are: angles, mig, lsbd"):
        measures.select(["mg"], known, [])


def test_slow_metrics_are_left_out_of_fast_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = metrics.Metric("tried", "information", metrics.METRICS["mig"].function, of_codes=True, slow=True)
    monkeypatch.setitem(metrics.METRICS, "tried", slow)
    assert measures.select(["fast"], ["mig", "tried"], []) == ["mig"]
    assert measures.select(["all"], ["mig", "tried"], []) == ["mig", "tried"]
    assert "tried" in measures.available()


def test_every_metric_of_codes_can_be_asked_of_a_run(reported: dict[str, Any]) -> None:
    subject = reported["rgrvae"].subject
    assert set(measures.available()) >= {*measures.MEASURES, *metrics.names(of_codes=True)}
    (result,) = measures.measure_subject(subject, ["mig"])
    assert result.n == 49 and 0 <= result.values["mig"] <= 1


def test_blocks_are_what_the_learnt_actions_mix(reported: dict[str, Any]) -> None:
    assert reported["rgrvae"].subject.blocks == [[0, 1], [2, 3]]


def test_a_metric_over_blocks_gets_those_of_the_group(
    reported: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def tried(factors: Any, codes: Any, *held: Any, seed: int = 0, blocks: Any = None) -> metrics.MetricResult:
        return metrics.MetricResult("tried", {"blocks": len(blocks or []), "seed": seed}, n=len(codes))

    monkeypatch.setitem(metrics.METRICS, "tried", metrics.Metric("tried", "information", tried, of_codes=True))
    plain, blocked = measures.measure_subject(reported["rgrvae"].subject, ["tried", "tried_blocks"])
    assert (plain.values["blocks"], blocked.values["blocks"], blocked.name) == (0, 2, "tried_blocks")
    assert measures.family("tried_blocks") == "information" and "tried_blocks" in measures.available()
    (none,) = measures.measure_subject(reported["vae"].subject, ["tried_blocks"])
    assert none.reason == "vae has no actions"


class Encoder(torch.nn.Module):
    """A model of which nothing is known but that it encodes."""

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        return images.flatten(1)[:, ::37]


def test_a_model_that_can_only_encode_is_measured(tiny: Any) -> None:
    assembly = tiny("vae", latents=4, architecture="forward")
    assembly.model = Encoder()
    results = {result.name: result for result in measures.measure(assembly)}
    assert results["reconstruction"].reason == "the model has no decoder"
    subject = Subject(assembly)
    assert subject.codes.shape == (49, 7) and np.isfinite(results["mig"].values["mig"])
    assert results["action_prediction"].values["accuracy"] > 0
    assert strips(subject) == {}
