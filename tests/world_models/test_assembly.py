"""From options to a run and back: windows that hold nothing out of place, and a configuration that says it all."""

from __future__ import annotations

import dataclasses
import itertools
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from equiworld import world_models
from equiworld.envs import UsageError
from equiworld.world_models import runs
from equiworld.world_models.assembly import assemble, load_run, options_from_config, read_options, start_from
from equiworld.world_models.runs import RunError
from equiworld.world_models.zoo import MODELS, PARTS


def test_the_configuration_says_it_all(tiny: Callable[..., Any], tmp_path: Path) -> None:
    assembly = tiny("rgrvae", group_structure=("c+", "c-"), noise_name="salt", gvae_gamma=None, learning_rate=1e-5)
    runs.write_config(tmp_path, assembly.options.flat())
    again = options_from_config(runs.read_config(tmp_path), "test")
    assert again == assembly.options
    same = assemble(again)
    assert all(torch.equal(value, same.model.state_dict()[key]) for key, value in assembly.model.state_dict().items())
    assert np.array_equal(assembly.transitions.states, same.transitions.states)
    assert np.array_equal(assembly.split.test, same.split.test)


def test_no_two_parts_have_an_option_of_one_name() -> None:
    for model in MODELS:
        types, _ = read_options(model, "flatland", {})
        assert list(types)[:4] == ["model", "dataset", "data", "run"]
        assert set(types) <= {"model", "dataset", "data", "run", *PARTS}


@pytest.mark.parametrize("kinds", itertools.combinations(PARTS, 2))
def test_parts_that_can_be_chosen_together_have_no_option_of_one_name(kinds: tuple[str, str]) -> None:
    first, second = (
        {f.name for n in PARTS[kind] for f in dataclasses.fields(PARTS[kind][n].options)} for kind in kinds
    )
    chosen = [{field.name for field in dataclasses.fields(MODELS[model].options)} for model in MODELS]
    assert not first & second or not any(names >= {*kinds} for names in chosen)


def test_an_unknown_key_names_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"config: unknown option 'latnts' for model 'vae' .*did you mean 'latents'"):
        options_from_config({"model": "vae", "latnts": 3}, "config")


@pytest.mark.parametrize("model", ["vae", "rgrvae", "forward"])
@pytest.mark.parametrize("offset", [1, 2])
def test_held_out_states_are_never_trained_on(tiny: Callable[..., Any], model: str, offset: int) -> None:
    extra = {"architecture": "forward"} if model == "vae" else {"window": 2, "offset": offset}
    assembly = tiny(model, steps=600, **extra)
    role = assembly.split.role(49)
    training, validation = assembly.loader("training"), assembly.loader("validation")
    trained, _ = assembly.transitions.gather(training.starts, training.length)
    held, _ = assembly.transitions.gather(validation.starts, validation.length)
    assert set(role[trained].ravel()) == {0}
    assert set(role[held].ravel()) <= {0, 1}
    assert (role[held] == 1).any(1).all()
    # What the estimators draw between updates is of training states as well.
    states, _ = assembly.transitions.gather(assembly.transitions.windows(1, training.allowed), 1)
    assert set(role[states].ravel()) == {0}


@pytest.mark.parametrize("offset", [1, 3])
def test_all_actions_between_two_images_are_kept(tiny: Callable[..., Any], offset: int) -> None:
    assembly = tiny("forward", offset=offset, window=2, steps=300)
    batch = next(iter(assembly.loader("training").epoch(0)))
    assert batch.actions.shape[1:] == (2, offset)
    world, data = assembly.data.world, assembly.data
    pictures = data.images(np.arange(len(data))).flatten(1)
    state = torch.cdist(batch.frames.contiguous().flatten(1), pictures).argmin(1)[batch.index].numpy()
    for window, actions in zip(state, batch.actions.numpy(), strict=True):
        factors = data.index_to_latent(window[:1])
        for place in range(2):
            for action in actions[place]:
                factors = world.act(factors, np.array([action]))
            assert int(data.latent_to_index(factors)[0]) == window[place + 1]


def test_pairs_drawn_apart_have_windows_of_one(tiny: Callable[..., Any]) -> None:
    assert tiny("rgrvae", transitions="uniform").model.window == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": -1}, "--seed must be 0 or more, not -1"),
        ({"threads": 0}, "--threads must be between 1 and"),
        ({"offset": 0}, "--offset must be 1 or more, not 0"),
        ({"steps": 0}, "0 steps are too few for an offset of 1"),
        ({"validation_split": 1.5}, "the validation share of the states must lie between 0 and 1, got 1.5"),
        ({"test_split": 0.001}, "the split of 49 states leaves the test part empty"),
        ({"validation_split": 0.6, "test_split": 0.6}, "leaves the training part empty"),
        ({"period": 2}, "flatland: period must be a whole number, 3 or more, got 2"),
        ({"noise_name": "salt", "noise_level": 2.0}, "the level of the noise 'salt' must be between 0 and 1, got 2.0"),
        ({"base_model_path": "nowhere"}, "nowhere holds no checkpoint"),
    ],
)
def test_what_cannot_be_assembled_is_refused(tiny: Callable[..., Any], options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        tiny("rgrvae", **options)


def test_too_short_a_record_for_a_window_is_refused(tiny: Callable[..., Any]) -> None:
    with pytest.raises(UsageError, match="no training window of 40 transitions: raise --steps, or lower --window"):
        tiny("rgrvae", window=40).loader("training")


def test_a_run_is_loaded_as_it_was_trained(trained: dict[str, Path]) -> None:
    run = trained["rgrvae"]
    by_run, by_file = load_run(run), load_run(run / runs.CHECKPOINT)
    state = runs.load_checkpoint(run)["model"]
    for assembly in (by_run, by_file):
        assert not assembly.model.training
        assert all(torch.equal(value, state[key]) for key, value in assembly.model.state_dict().items())
    with np.load(run / "split.npz") as kept:
        for part in ("train", "validation", "test"):
            assert np.array_equal(kept[part], getattr(by_run.split, part))
    images = by_run.data.images([3, 4])
    assert torch.equal(world_models.load(run).encode(images), by_run.model.encode(images))
    assert world_models.load_run(str(run)).options == by_run.options


def test_a_run_that_does_not_fit_together_is_refused(trained: dict[str, Path], tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained["rgrvae"], run)
    config = yaml.safe_load((run / "config.yaml").read_text())
    for change, kind, message in (
        ({"latents": 6}, RunError, "does not fit the configured model"),
        ({"model": "mine", "plugin": ["my_models.py"]}, UsageError, "made with --plugin my_models.py: give it again"),
        ({"dataset": "mine"}, UsageError, "on data set 'mine', which are not known here"),
        ({"lattents": 4}, RunError, "did you mean 'latents'"),
        ({"dataset": [3]}, RunError, "is damaged: its keys, and the names of model and data set, must be text"),
        ({1: 1}, RunError, "is damaged: its keys"),
    ):
        runs.write_config(run, {**config, **change})
        with pytest.raises(kind, match=message) as refusal:
            load_run(run)
        assert "\n" not in str(refusal.value)


def test_a_configuration_that_was_cut_short_is_refused(trained: dict[str, Path], tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained["rgrvae"], run)
    lines = (run / "config.yaml").read_text().splitlines(keepends=True)
    (run / "config.yaml").write_text("".join(lines[: len(lines) // 2]))
    with pytest.raises(RunError, match=r"config.yaml is damaged: it holds \d+ of \d+ options"):
        load_run(run)
    (run / "config.yaml").write_text("".join(lines[1:]))  # as the first versions wrote it
    assert load_run(run).options.model_name == "rgrvae"


@pytest.mark.parametrize(
    "parts",
    [
        {"train": np.arange(3), "validation": np.arange(3, 5), "test": np.arange(5, 9)},  # of another world
        {"train": np.arange(49.0), "validation": np.zeros(0), "test": np.zeros(0)},
        {"train": np.arange(49), "validation": np.zeros((0, 1), int), "test": np.zeros(0, int)},
        {"train": np.arange(49)},
    ],
)
def test_a_damaged_split_is_refused(trained: dict[str, Path], tmp_path: Path, parts: dict[str, Any]) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained["vae"], run)
    np.savez(run / "split.npz", **parts)
    with pytest.raises(RunError, match=r"split\.npz is damaged or of another run"):
        load_run(run)
    (run / "split.npz").write_bytes(b"")
    with pytest.raises(RunError, match=r"split\.npz is damaged or of another run"):
        load_run(run)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"learning_rate": 1e300}, "--learning-rate must be at most 1e"),
        ({"steps": 10**22}, "--steps must be at most 2147483647"),
        ({"threads": 10**12}, "--threads must be at most 2147483647"),
        ({"threads": 10**6}, "--threads must be between 1 and"),
        ({"offset": 3}, "--offset is not read by --model vae, which looks at single images"),
    ],
)
def test_numbers_that_no_machine_can_take(tiny: Callable[..., Any], options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        tiny("vae", architecture="forward", **options)


def test_a_base_model_gives_its_networks(trained: dict[str, Path], tiny: Callable[..., Any]) -> None:
    base = load_run(trained["vae"]).model
    made = tiny("rgrvae", estimator="reinforce", base_model_path=str(trained["vae"])).model
    for part in ("encoder", "decoder"):
        state = getattr(made, part).state_dict()
        assert all(torch.equal(value, state[key]) for key, value in getattr(base, part).state_dict().items())
    with pytest.raises(UsageError, match=r"--base-model-path: .* does not fit the configured model"):
        tiny("rgrvae", estimator="reinforce", latents=6, base_model_path=str(trained["vae"]))
    assert made.group_latents == 4
    start_from(made, trained["vae"] / runs.CHECKPOINT)


def test_a_base_model_has_an_effect_on_the_default_estimator(
    trained: dict[str, Path], tiny: Callable[..., Any]
) -> None:
    """The search starts from its networks, or it is refused."""
    try:
        model = tiny("rgrvae", base_model_path=str(trained["vae"])).model
    except UsageError:
        return  # refusing is as good
    base = load_run(trained["vae"]).model
    found = model.estimator.search[0].trunk.state_dict()
    assert all(torch.equal(value, found[key]) for key, value in base.encoder.trunk.state_dict().items())
