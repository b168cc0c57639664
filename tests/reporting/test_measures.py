"""What is measured: which names stand for what, blocks of the group, and models that can only encode."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from equiworld import metrics
from equiworld.envs.factors import Factor, FactorSpace
from equiworld.envs.registry import UsageError
from equiworld.reporting import bounds, measures
from equiworld.reporting.figures import strips
from equiworld.reporting.subject import Subject
from equiworld.world_models.bounds import Information


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


def test_blocks_are_found_under_a_change_of_basis(tiny: Any) -> None:
    subject = Subject(tiny("vae", latents=4, architecture="forward"))
    # Two circles in a skew basis, turned by commuting maps: each map mixes all four latents.
    rng = np.random.default_rng(0)
    phases = 2 * np.pi * subject.factors / 7
    circles = np.stack([np.cos(phases), np.sin(phases)], -1).reshape(49, 4)
    basis = rng.normal(size=(4, 4))
    turn = np.array([[np.cos(0.9), -np.sin(0.9)], [np.sin(0.9), np.cos(0.9)]])
    maps = np.stack([np.eye(4), np.eye(4)])
    maps[0, :2, :2] = maps[1, 2:, 2:] = turn
    subject.__dict__["state_codes"] = circles @ basis.T
    subject.__dict__["matrices"] = basis @ maps @ np.linalg.inv(basis)
    assert [len(block) for block in subject.blocks] == [2, 2]
    found = metrics.compute("mig", subject.factors, subject.block_codes, blocks=subject.blocks)
    straight = metrics.compute("mig", subject.factors, subject.codes, blocks=[[0, 1], [2, 3]])
    assert found.values["mig"] > 0.95 > 0.6 > straight.values["mig"]


def test_the_contrast_of_a_decoder_is_that_of_its_jacobians(reported: dict[str, Any]) -> None:
    subject = reported["vae"].subject
    (result,) = measures.measure_subject(subject, ["c_ima"])
    codes = subject.in_chunks(subject.model.encode, subject.images(subject.tested, 11))
    stack = [torch.autograd.functional.jacobian(lambda z: subject.model.decode(z[None]).flatten(), z) for z in codes]
    expected = metrics.c_ima(torch.stack(stack).double().numpy())
    assert result.values == pytest.approx(expected.values, rel=1e-3, abs=1e-6)
    assert result.n == len(subject.tested)


def test_bounds_and_information_of_a_run(reported: dict[str, Any]) -> None:
    subject = Subject(reported["vae"].subject.assembly, samples=(1, 20))
    bound, information = measures.measure_subject(subject, ["bound", "information"])
    assert list(bound.values) == ["elbo", "iwae_1", "iwae_20"]
    assert bound.values["iwae_20"] > bound.values["iwae_1"] - 0.5
    assert 0 <= information.values["lower"] <= information.values["upper"] + 1e-6
    assert information.values["lower"] <= np.log(information.n) + 1e-6
    assert -0.01 < information.values["mmd"] < 2
    assert information.values["active_units"] == sum(information.details["active"])
    (named,) = measures.measure_subject(reported["rgrvae"].subject, ["bound"])
    assert list(named.values) == ["elbo", "iwae_50"]


def test_what_bounds_do_not_say_is_noted(reported: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    subject = Subject(reported["vae"].subject.assembly, samples=(2, 10))
    most = math.log(len(subject.tested))
    for lower, full in ((most - 2, False), (most - 0.5, True)):
        monkeypatch.setattr(bounds, "mutual_information", lambda *_, lower=lower: Information(lower, 9.0, 20.0))
        (found,) = measures.measure_subject(subject, ["information"])
        assert found.values["aggregate_kl"] == (None if full else pytest.approx(20 - lower))
        assert ("stands at its limit" in (found.reason or "")) == full
    few = subject.tested[:3]
    monkeypatch.setattr(bounds, "_images_of_tested", lambda subject, most=None: subject.images(few[:most], 5))
    monkeypatch.setattr(bounds, "_DECODINGS", 10)
    monkeypatch.setattr(bounds, "_LEAST_IMAGES", 2)
    (found,) = measures.measure_subject(subject, ["bound"])
    assert found.details["images"] == {"elbo": 3, "iwae_2": 3, "iwae_10": 2}
    grey = bool(((images := subject.images(few, 5)) > 0).logical_and(images < 1).any())
    assert found.reason == "of fewer images: iwae_10 of 2" + (
        "; pixels are grey: bernoulli's cross-entropy is no density of them, and compares models alone" if grey else ""
    )


def test_what_is_no_likelihood_has_no_bound(tiny: Any) -> None:
    subject = Subject(tiny("vae", latents=4, architecture="forward", likelihood="squared"))
    (result,) = measures.measure_subject(subject, ["bound"])
    assert result.reason == "Squared is no likelihood, so there is nothing to bound"


def test_a_hierarchy_is_a_level_that_goes_with_reward(tiny: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    subject = Subject(tiny("vae", latents=4, architecture="forward"))
    (none,) = measures.measure_subject(subject, ["hierarchy"])
    assert none.reason == "no rewards were recorded with these images"
    rewards = np.arange(49, dtype=np.float64)
    monkeypatch.setattr(subject.data, "rewards_so_far", rewards, raising=False)
    codes = torch.zeros(len(subject.tested), 4)
    codes[:, 0], codes[:, 2] = torch.arange(len(subject.tested)) % 2, torch.from_numpy(50 - rewards[subject.tested])
    monkeypatch.setattr(subject.model, "encode", lambda images: codes)
    (found,) = measures.measure_subject(subject, ["hierarchy"])
    assert found.values["correlation"] == pytest.approx(-1.0, abs=1e-6)
    assert found.details["by_factor"][1] == 0.0 and abs(found.details["by_factor"][2]) == pytest.approx(1.0, abs=1e-6)


def test_deviations_reach_the_metric_that_reads_them(reported: dict[str, Any]) -> None:
    subject = reported["vae"].subject
    (result,) = measures.measure_subject(subject, ["rmig"])
    posterior = subject.model.posterior(subject.images(subject.states, 0, np.zeros(49, dtype=np.int64)))
    spread = posterior.log_variance.mul(0.5).exp().detach().double().numpy()
    assert result.details["posterior"] == "gaussian"
    expected = metrics.rmig(subject.factors, subject.codes, deviations=spread)
    assert result.values == pytest.approx(expected.values, rel=1e-4)


def test_of_many_states_some_are_looked_at(tiny: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assembly = tiny("vae", latents=4, architecture="forward")
    whole = Subject(assembly)
    assert len(whole.codes) == len(whole.tested) + 44 == 49
    for name, value in (("_ROWS", (20, 10)), ("_STATES", 3), ("_TRANSITIONS", 8), ("_GRID", 40), ("_PIECE", 5)):
        monkeypatch.setattr(f"equiworld.reporting.subject.{name}", value)
    some = Subject(assembly)
    assert len(some.tested) == 3 and set(some.tested) <= set(whole.tested)
    assert len(some.held_out.actions) == len(some.trained.actions) == 8
    assert len(some.codes) == 30 and len(set(some.states.tolist())) == 30
    assert np.allclose(some.codes, whole.codes[some.states], atol=1e-6)
    assert np.allclose(some.whole_codes, whole.whole_codes, atol=1e-6)
    results = {result.name: result for result in measures.measure_subject(some, ["mig", "factor_vae", "sap"])}
    assert [results[name].n for name in ("mig", "factor_vae", "sap")] == [20, 20, 20]
    monkeypatch.setattr("equiworld.reporting.subject._GRID", 49)
    (drawn,) = measures.measure_subject(Subject(assembly), ["factor_vae"])
    assert drawn.n == 49 and drawn.details["whole_grid"]


def test_chance_of_slow_metrics_is_found_when_asked_for(reported: dict[str, Any]) -> None:
    subject = reported["vae"].subject
    plain, full = (measures.measure_subject(subject, ["dci"], reference=asked)[0] for asked in (None, True))
    assert plain.chance == {} and plain.values == full.values
    assert set(full.chance) == set(full.ceiling) == set(full.values)
    assert full.ceiling["disentanglement"] > 0.9 > full.chance["disentanglement"]


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


def test_lsbd_says_when_data_hold_some_of_the_states_only() -> None:
    class Some(list[int]):
        factors = FactorSpace([Factor("x", 5, "cyclic"), Factor("y", 5, "cyclic")])

    subject: Any = SimpleNamespace(data=Some(range(7)), small=True)
    with pytest.raises(UsageError, match="it needs the codes of all 25 states, and the data hold 7"):
        measures.MEASURES["lsbd"].function(subject)  # type: ignore[misc]
