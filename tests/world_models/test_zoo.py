"""The models by name: what each is made of, the published sizes, and what they refuse."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch

from equiworld.envs import FlatLand, UsageError
from equiworld.world_models.actions.exact import Exact
from equiworld.world_models.actions.procrustes import Procrustes
from equiworld.world_models.actions.reinforce import Reinforce
from equiworld.world_models.assembly import options_from_config
from equiworld.world_models.objectives import Beta, Capacity
from equiworld.world_models.zoo import MODELS, Context


def context(seed: int = 0, offset: int = 1, static: bool = False, size: int = 16) -> Context:
    world = FlatLand() if size == 64 else FlatLand(period=7, stride=2, radius=3, size=size)
    return Context(world, static, offset, torch.Generator().manual_seed(seed))


def build(name: str, where: Context | None = None, **options: Any) -> Any:
    small = {"architecture": "forward"} if "architecture" not in options else {}
    filled = options_from_config({"model": name, **small, **options}, "test")
    return MODELS[name].build(filled.model, dataclasses.replace(where or context(), parts=filled.parts))


def test_these_are_known() -> None:
    assert {"betavae", "dforward", "forward", "gmvae", "hvae", "pvae", "rgrvae", "rown", "vae"} <= set(MODELS.names())
    assert all(MODELS[name].summary for name in MODELS)


@pytest.mark.parametrize("name", ["betavae", "dforward", "forward", "gmvae", "rgrvae", "vae"])
def test_the_same_generator_gives_the_same_model(name: str) -> None:
    states = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        states.append(build(name, context(7)).state_dict())
    assert all(torch.equal(value, states[1][key]) for key, value in states[0].items())


def test_rgrvae_has_the_published_size() -> None:
    model = build("rgrvae", context(size=64), estimator="reinforce")
    assert sum(parameter.numel() for parameter in model.parameters()) == 442_289


def test_the_estimator_is_the_one_that_is_named() -> None:
    for name, kind, rate, window in (
        ("procrustes", Procrustes, 0.003, 5),
        ("exact", Exact, 0.01, 1),
        ("reinforce", Reinforce, 0.1, 1),
    ):
        model = build("rgrvae", estimator=name)
        assert type(model.estimator) is kind
        assert (model.group_learning_rate, model.window) == (rate, window)


def test_the_objective_is_the_one_that_is_named() -> None:
    weights = {"vae": 1.0, "betavae": 4.0, "rgrvae": 1.0, "forward": 1.0}
    for name, beta in weights.items():
        made = build(name).objective
        assert isinstance(made, Beta)
        assert made.beta == beta
    for name in ("betavae", "rgrvae"):
        made = build(name, objective="capacity", gamma=5.0, C_max=2.0, C_stop_iter=9).objective
        assert isinstance(made, Capacity)
        assert (made.gamma, made.C_max, made.C_stop_iter) == (5.0, 2.0, 9)
    assert isinstance(build("rgrvae", base_model="annealedvae").objective, Capacity)
    assert build("rgrvae", base_model="annealedvae", gamma=3.0).objective.gamma == 3.0


def test_a_preset_says_what_its_parts_are_like_until_another_part_is_named() -> None:
    assert options_from_config({"model": "rown"}, "test").parts["latent"].covariance == "rotated"
    other = options_from_config({"model": "rown", "latent": "poincare"}, "test")
    assert (other.model.latent, other.parts["latent"].factor_size) == ("poincare", 2)
    assert options_from_config({"model": "rown", "covariance": "full"}, "test").parts["latent"].covariance == "full"


@pytest.mark.parametrize("name", [name for name in MODELS if MODELS[name].defaults])
def test_what_a_preset_sets_is_there_to_be_set(name: str) -> None:
    flat = options_from_config({"model": name}, "test").flat()
    assert {key: flat[key] for key in MODELS[name].defaults} == dict(MODELS[name].defaults)


def test_options_of_earlier_runs_are_read() -> None:
    both = {"gamma": 1000.0, "C_max": 25.0, "C_stop_iter": 100_000}
    earlier = options_from_config({"model": "rgrvae", "objective": "H", "beta": 1.0, **both}, "test")
    assert (earlier.model.objective, earlier.parts["objective"].beta) == ("beta", 1.0)
    earlier = options_from_config({"model": "betavae", "objective": "B", "beta": 4.0, **both, "C_max": 3.0}, "test")
    assert (earlier.model.objective, earlier.parts["objective"].C_max) == ("capacity", 3.0)
    with pytest.raises(UsageError, match="unknown option 'C_max' for model 'betavae'"):
        options_from_config({"model": "betavae", "objective": "H", "C_max": 3.0}, "test")


def test_labels_are_used_by_forward_and_dforward_alone() -> None:
    assert [build(name).estimator.problem.labelled for name in ("forward", "dforward", "rgrvae")] == [True, True, False]
    assert build("forward").bank.names == ["m on pair 0"] * 2 + ["m on pair 1"] * 2
    assert (
        build("dforward").bank.names
        == build("rgrvae").bank.names
        == [f"{c} on pair {n}" for n in "01" for c in ("c+", "c-")]
    )


def test_backgrounds_get_latents_that_nothing_moves() -> None:
    assert build("rgrvae", context(static=True)).latent.size == 8
    assert build("rgrvae", context(static=True), static_latents=1).latent.size == 5
    assert build("rgrvae").latent.size == 4


def test_gamma_is_beta_unless_it_is_given() -> None:
    assert build("rgrvae", estimator="exact", gvae_gamma=None, beta=2.5).estimator.gamma == 2.5
    assert build("rgrvae", estimator="exact", gvae_gamma=0.0).estimator.gamma == 0.0


def test_options_reach_the_policy_gradient() -> None:
    model = build(
        "rgrvae",
        context(offset=3),
        estimator="reinforce",
        num_action_steps=3,
        multi_action_strategy="returns",
        reinforce_discount=0.7,
        use_regret=True,
        base_policy_weight=0.4,
        base_policy_epsilon=0.2,
        entropy_weight=0.05,
        policy_learning_rate=0.02,
        group_learning_rate=0.04,
        use_cob=True,
    )
    made = model.estimator
    assert (made.steps, made.strategy, made.discount, made.use_regret, made.epsilon) == (3, "returns", 0.7, True, 0.2)
    assert (float(made.policy_weight), made.entropy_weight) == (pytest.approx(0.4), 0.05)
    assert (model.policy_learning_rate, model.group_learning_rate) == (0.02, 0.04)
    assert [basis.numel() for basis in model.bank.bases] == [16] * 4


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("vae", {"latents": 0}, "--latents must be above 0, not 0"),
        ("vae", {"learning_rate": float("nan")}, "--learning-rate must be above 0, not nan"),
        ("vae", {"architecture": "forwards"}, "unknown architecture 'forwards' .*did you mean 'forward'"),
        ("betavae", {"beta": -1.0}, "--beta must be 0 or more, not -1.0"),
        ("betavae", {"objective": "B", "C_stop_iter": 0}, "--C-stop-iter must be above 0, not 0"),
        ("betavae", {"objective": "B", "gamma": -2.0}, "--gamma must be above 0, not -2.0"),
        ("rgrvae", {"latents": 5}, "--latents 5: a group acts on pairs of latents"),
        ("rgrvae", {"num_action_steps": 2}, "--num-action-steps 2 and --offset 1 must agree"),
        ("rgrvae", {"window": 0}, "--window must be above 0, not 0"),
        ("rgrvae", {"static_latents": -1}, "--static-latents must be 0 or more, not -1"),
        ("rgrvae", {"slowness": -1.0}, "--slowness must be 0 or more, not -1"),
        ("rgrvae", {"policy_learning_rate": 0.0}, "--policy-learning-rate must be above 0, not 0.0"),
        (
            "rgrvae",
            {"estimator": "reinforce", "base_policy_weight": 1.5},
            "--base-policy-weight must be between 0 and 1",
        ),
        (
            "rgrvae",
            {"estimator": "reinforce", "reinforce_discount": -0.5},
            "--reinforce-discount must be between 0 and 1",
        ),
        ("rgrvae", {"group_structure": ("q",)}, "unknown group structure letter 'q'"),
        ("rgrvae", {"estimator": "magic"}, "unknown estimator 'magic'; there are: exact, peeling, procrustes, rein"),
        ("rgrvae", {"estimator": "exact", "entropy_weight": -1.0}, "--entropy-weight must be 0 or more"),
        ("rgrvae", {"base_model": "rgrvae"}, "--base-model rgrvae is not a model of single images"),
        ("betavae", {"objective": "C"}, "unknown objective 'C'; there are: beta, capacity"),
        ("vae", {"lr_scheduler_gamma": 0.5}, "--lr-scheduler-gamma is not read by --lr-scheduler none"),
    ],
)
def test_options_out_of_range_are_refused_in_one_line(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message) as refusal:
        build(name, **options)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("estimator", ["exact", "reinforce"])
@pytest.mark.parametrize("structure", [("d", "c"), ("ddn", "CN"), ("m3",), ("m4", "0"), ("m", "cn")])
def test_every_letter_trains(tiny: Callable[..., Any], estimator: str, structure: tuple[str, ...]) -> None:
    assembly = tiny("rgrvae", estimator=estimator, group_structure=structure)
    model, batch = assembly.model, next(iter(assembly.loader("training").epoch(0)))
    terms = model.terms(batch, 0, torch.Generator().manual_seed(0))
    terms["loss"].backward()
    assert all(bool(torch.isfinite(term)) for term in terms.values())
    for parameter in model.bank.parameters():
        assert parameter.numel() == 0 or (parameter.grad is not None and bool(torch.isfinite(parameter.grad).all()))
