"""Runs on worlds of another kind: very many states, longer actions instead of more, and no actions at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from equiworld import evaluate, train
from equiworld.envs import UsageError
from equiworld.reporting import subject as subjects
from equiworld.reporting.measures import measure_subject
from equiworld.reporting.subject import Subject
from equiworld.world_models.assembly import Assembly, assemble, options_from_config

SPRITES = {"shapes": ("heart",), "scales": 3, "orientations": 4, "positions": 3, "image_size": 16, "channels": 1}
SMALL = {"architecture": "forward", "batch_size": 10, "epochs": 1, "steps": 400}


@pytest.fixture
def sprites() -> Callable[..., Assembly]:
    """A run on a small grid of sprites."""

    def make(model: str, **options: Any) -> Assembly:
        return assemble(
            options_from_config({"model": model, "dataset": "sprites", **SPRITES, **SMALL, **options}, "test")
        )

    return make


def test_the_offset_of_sprites_makes_actions_longer(sprites: Callable[..., Assembly]) -> None:
    grid = {"positions": 32, "orientations": 40, "scales": 6}
    usual, longer = sprites("rgrvae", **grid), sprites("rgrvae", offset=7, **grid)
    assert [action.amount for action in usual.data.world.actions[::2]] == [2, 4, 4, 4]
    assert [action.amount for action in longer.data.world.actions[::2]] == [2, 7, 7, 7]
    assert longer.transitions.offset == usual.transitions.offset == 1
    again = assemble(options_from_config(longer.options.flat(), "test"))
    assert again.options == longer.options and again.data.world.actions == longer.data.world.actions
    assert sprites("vae", offset=2).data.world.actions  # no number of actions, so no complaint of models without
    with pytest.raises(UsageError, match="--offset 7 and --stride 3 are the same option of sprites: give one"):
        sprites("rgrvae", offset=7, stride=3)


def test_very_many_states_are_drawn_from(sprites: Callable[..., Assembly], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("_ROWS", (40, 20)), ("_GRID", 60), ("_STATES", 5), ("_TRANSITIONS", 40)):
        monkeypatch.setattr(subjects, name, value)
    assembly = sprites("rgrvae")
    subject, again = Subject(assembly), Subject(assembly)
    assert len(assembly.data) == 108 and len(assembly.data.world.actions) == 8
    assert len(subject.states) == 60 and np.array_equal(subject.states, again.states)
    with torch.no_grad():
        codes = assembly.model.encode(assembly.data.images(subject.states))
    np.testing.assert_allclose(subject.state_codes, codes.double().numpy(), atol=1e-5)
    assert len(subject.tested) == 5 and set(subject.tested) <= set(assembly.split.test)
    assert len(subject.held_out.actions) == 40 and len(subject.trained.actions) <= 40
    refused = {result.name: result.reason for result in measure_subject(subject, ["lsbd", "mig", "prediction"])}
    assert "108 states are too many" in refused.pop("lsbd")
    assert "too many" not in str(refused)


def test_few_states_are_all_evaluated(sprites: Callable[..., Assembly]) -> None:
    assembly = sprites("rgrvae")
    subject = Subject(assembly)
    assert np.array_equal(subject.states, np.arange(108))
    assert np.array_equal(subject.tested, assembly.split.test)


def test_models_of_single_images_need_no_actions(tmp_path: Path) -> None:
    arguments = ["--dataset=ima-sprites", "--items=60", "--image-size=16", "--architecture=forward", "--epochs=1"]
    arguments += [f"--log-dir={tmp_path}", "--batch-size=10"]
    assert train.main(["--model=vae", *arguments]) == 0
    assert train.main(["--model=rgrvae", *arguments]) == 2
    (result,) = [evaluate.evaluate_run(tmp_path / "version_0", ["reconstruction", "mig", "independence"])]
    assert result.values["reconstruction.squared_error"] is not None and result.values["mig.mig"] is not None
    assert result.missing["independence"] == "this world has no actions"


def test_every_item_is_an_image_of_its_own() -> None:
    options = {"model": "betavae", "dataset": "ima-sprites", "items": 50, "image_size": 16, "architecture": "forward"}
    assembly = assemble(options_from_config({**options, "batch_size": 4}, "test"))
    loader = assembly.loader("training")
    batches = list(loader.epoch(0))
    assert sum(len(batch.frames) for batch in batches) == 40 == len(assembly.split.train)
    assert batches[0].actions.shape == (4, 0, 1)
    with pytest.raises(UsageError, match="--model rgrvae learns from actions, of which --dataset ima-sprites has none"):
        assemble(options_from_config({**options, "model": "rgrvae"}, "test"))
