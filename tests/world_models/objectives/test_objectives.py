"""What every objective keeps to: it trains, continues bit by bit, follows the generator alone, refuses in one line."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import equiworld
from equiworld import train
from equiworld.datasets import DATASETS
from equiworld.envs import FlatLand, UsageError
from equiworld.world_models import load
from equiworld.world_models.assembly import read_options
from equiworld.world_models.latents import LATENTS
from equiworld.world_models.objectives import OBJECTIVES
from equiworld.world_models.trainer import Trainer
from equiworld.world_models.zoo import MODELS, PARTS, Context

NAMES = OBJECTIVES.names()
SMALL: dict[str, dict[str, Any]] = {
    "capacity": {"C_stop_iter": 5},
    "factor": {"discriminator_layers": 2, "discriminator_width": 16},
    "iwae": {"importance_samples": 3, "decoded_at_once": 7},
    "tc": {"sampling": "stratified"},
}
NEEDS: dict[str, dict[str, Any]] = {"ima": {"likelihood": "gaussian"}}
GAUSSIAN_ALONE = ("dip-i", "dip-ii", "tc")


class Quiet:
    def start(self, *given: Any) -> None: ...

    def update(self, *given: Any) -> None: ...

    def note(self, line: str) -> None: ...


def build(name: str, latent: str = "euclidean", latents: int = 6, seed: int = 0) -> Any:
    part = OBJECTIVES[name]
    context = Context(
        FlatLand(period=7, stride=2, radius=3, size=16),
        static_content=False,
        offset=1,
        generator=torch.Generator().manual_seed(seed),
        images=40,
        parts={"objective": part.options(**SMALL.get(name, {}))},
    )
    spec = MODELS["vae"]
    needs = NEEDS.get(name, {})
    options = spec.options(objective=name, latent=latent, latents=latents, architecture="forward", **needs)
    return spec.build(options, context)


def pictures(number: int) -> Tensor:
    return torch.rand(number, 1, 16, 16, generator=torch.Generator().manual_seed(1))


def terms(model: Any, number: int = 8, step: int = 3, seed: int = 2) -> dict[str, Tensor]:
    return model.objective.terms(model, pictures(number), step, torch.Generator().manual_seed(seed))


def trainer(tiny: Callable[..., Any], run: Path, name: str, epochs: int) -> Trainer:
    options = SMALL.get(name, {}) | NEEDS.get(name, {})
    assembly = tiny("vae", objective=name, latents=4, architecture="forward", steps=50, **options)
    training, validation = assembly.loader("training"), assembly.loader("validation")
    return Trainer(assembly.model, training, validation, run, epochs=epochs, seed=0, clip_norm=1000.0, listener=Quiet())


@pytest.mark.parametrize("name", NAMES)
def test_it_trains_and_continues_bit_by_bit(tiny: Callable[..., Any], tmp_path: Path, name: str) -> None:
    whole = trainer(tiny, tmp_path / "whole", name, 2)
    before = {key: value.clone() for key, value in whole.model.state_dict().items()}
    assert whole.fit()
    after = whole.model.state_dict()
    assert all(torch.isfinite(value).all() for value in after.values())
    moved = {key for key, _ in whole.model.named_parameters() if not torch.equal(before[key], after[key])}
    assert moved == {key for key, parameter in whole.model.named_parameters() if parameter.requires_grad}

    assert len(whole.training) == 4
    stops = iter([False] * 6 + [True])  # in the middle of the second epoch
    first = trainer(tiny, tmp_path / "parts", name, 2)
    assert not first.fit(lambda: next(stops))
    second = trainer(tiny, tmp_path / "parts", name, 2)
    second.resume()
    assert second.progress.step == 6
    assert second.fit()
    for key, value in second.model.state_dict().items():
        assert torch.equal(value, after[key]), key


@pytest.mark.parametrize("name", NAMES)
def test_the_generator_alone_decides(name: str) -> None:
    found = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        model = build(name)
        found.append(terms(model))
    assert set(found[0]) == set(found[1])
    assert all(torch.equal(value, found[1][key]) for key, value in found[0].items())
    assert not torch.equal(terms(build(name), seed=5)["loss"], found[0]["loss"])
    assert not torch.equal(terms(build(name, seed=1))["loss"], found[0]["loss"])


@pytest.mark.parametrize("name", NAMES)
def test_validation_changes_nothing(name: str) -> None:
    model = build(name)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    held = terms(model)["loss"].detach()
    model.eval()
    with torch.no_grad():
        for seed in range(3):
            assert torch.isfinite(terms(model, seed=seed)["loss"])
    model.train()
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    torch.testing.assert_close(terms(model)["loss"].detach(), held)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("number", [1, 2, 3, 7])
def test_batches_may_be_small_and_odd(name: str, number: int) -> None:
    model = build(name)
    found = terms(model, number)
    found["loss"].backward()
    assert all(torch.isfinite(value) for value in found.values())
    assert all(torch.isfinite(each.grad).all() for each in model.parameters() if each.grad is not None)


@pytest.mark.parametrize("latent", LATENTS.names())
@pytest.mark.parametrize("name", NAMES)
def test_it_goes_with_a_latent_space_or_says_in_one_line_that_it_does_not(name: str, latent: str) -> None:
    if name in GAUSSIAN_ALONE and latent != "euclidean":
        with pytest.raises(UsageError, match=f"--objective {name} needs Gaussian posteriors: --latent euclidean"):
            build(name, latent)
        return
    try:
        model = build(name, latent)
    except UsageError as error:
        assert name not in SMALL and "\n" not in str(error)
        return
    found = terms(model)
    assert all(value.dim() == 0 and torch.isfinite(value) for value in found.values())
    found["loss"].backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters())


@pytest.mark.parametrize("name", NAMES)
def test_its_parameters_are_in_one_group_each(name: str) -> None:
    model = build(name)
    held = [id(parameter) for group in model.parameter_groups() for parameter in group["params"]]
    assert len(held) == len(set(held)) and set(held) == {id(parameter) for parameter in model.parameters()}


@pytest.mark.parametrize(
    ("name", "objective", "values"),
    [
        ("factorvae", "factor", {"gamma": 6.4, "learning_rate": 1e-4, "batch_size": 128, "discriminator_width": 1000}),
        ("dipvae-i", "dip-i", {"lambda_od": 10.0, "lambda_d": 100.0}),
        ("dipvae-ii", "dip-ii", {"lambda_od": 10.0, "lambda_d": 10.0}),
        ("betatcvae", "tc", {"alpha": 1.0, "beta": 6.0, "gamma": 1.0, "sampling": "weighted"}),
        (
            "infovae",
            "info",
            {
                "alpha": 0.5,
                "lambda_prior": 1.0,
                "mmd_scale": 1e4,
                "adam_beta1": 0.5,
                "latents": 64,
                "bandwidth": "dim-squared",
            },
        ),
    ],
)
def test_presets_have_the_published_settings(
    tiny: Callable[..., Any], name: str, objective: str, values: dict[str, Any]
) -> None:
    flat = tiny(name, batch_size=values.get("batch_size", 10)).options.flat()
    assert flat["objective"] == objective
    assert {key: flat[key] for key in values} == values


def test_no_option_of_an_objective_is_one_of_what_it_goes_with() -> None:
    def check(dataset: str, parts: dict[str, str]) -> None:
        types, _ = read_options("vae", dataset, {}, parts)
        names = [field.name for options in types.values() for field in dataclasses.fields(options)]
        assert len(names) == len(set(names)), (dataset, parts)

    for name in NAMES:
        for kind, registry in PARTS.items():
            for other in registry.names() if kind != "objective" else ():
                check("flatland", {"objective": name, kind: other})
        for dataset in DATASETS.names():
            check(dataset, {"objective": name})


def test_models_of_actions_take_those_that_weigh_the_divergence() -> None:
    context = Context(FlatLand(period=7, stride=2, radius=3, size=16), False, 1, torch.Generator())
    spec = MODELS["rgrvae"]
    for name in ("dip-i", "dip-ii", "factor", "info", "iwae", "tc"):
        part = OBJECTIVES[name]
        options = {"objective": part.options(**SMALL.get(name, {}))}
        with pytest.raises(UsageError, match=f"--objective {name} weighs more than the divergence"):
            spec.build(spec.options(objective=name), replace(context, parts=options))


def test_one_from_outside_is_one_file(tmp_path: Path, tiny_arguments: list[str]) -> None:
    file = tmp_path / "my_objective.py"
    page = (Path(equiworld.__file__).parent / "docs" / "models" / "objectives.md").read_text("utf-8")
    (source,) = re.findall(r"<!-- file: my_objective.py -->\n```python\n(.*?)```", page, re.S)
    file.write_text(source)
    asked = ["--plugin", str(file), "--model=vae", "--objective=free-bits", "--free-nats=2", "--architecture=forward"]
    assert train.main([*asked, *tiny_arguments, f"--log-dir={tmp_path / 'logs'}"]) == 0
    model = load(tmp_path / "logs" / "version_0")
    assert type(model.objective).__name__ == "FreeBits"
    with torch.no_grad():
        evidence = model.evidence(pictures(8), torch.Generator().manual_seed(0))
    found = {name: float(value) for name, value in model.objective.loss(evidence, 0).items()}
    assert found["penalty"] == pytest.approx(sum(max(2.0, float(each)) for each in evidence.kl.mean(0)))
    assert found["loss"] == pytest.approx(found["reconstruction"] + found["penalty"])
    assert train.main([*asked, "--free-nats=-1", *tiny_arguments, f"--log-dir={tmp_path / 'logs'}"]) == 2
