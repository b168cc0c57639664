"""The errors of dynamics: nothing for those that know the world, and those of copying as they are by hand."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from equiworld import evaluate, train
from equiworld.datasets.rollouts import Plan, collect
from equiworld.envs import FlatLand
from equiworld.reporting.dynamics import HORIZONS
from equiworld.reporting.measures import measure_subject, usual
from equiworld.reporting.subject import Subject
from equiworld.world_models.assembly import Assembly, assemble, options_from_config
from equiworld.world_models.dynamics.base import Dynamics, Point, State
from equiworld.world_models.dynamics.model import DynamicsModel

TORUS = {"period": 7, "stride": 2, "radius": 3, "size": 16}
WORLD = FlatLand(**TORUS)


class Knowing(Dynamics):
    """Finds the state that a code is of, and does there what the world does."""

    def __init__(self, codes: Tensor, shift: float = 0.0) -> None:
        super().__init__(codes.shape[1], 4, 0, 4, torch.Generator().manual_seed(0))
        self.codes, self.shift = codes, shift
        self.scale.copy_(codes.std(0, correction=0))

    def predict(self, state: State, actions: Tensor) -> tuple[Point, None]:
        states = torch.cdist(state.latent - self.shift, self.codes).argmin(1).numpy()
        moved = WORLD.act(WORLD.factors.from_index(states), actions.argmax(1).numpy())
        return Point(self.codes[WORLD.factors.to_index(moved)] + self.shift, self.scale), None


@pytest.fixture(scope="module")
def assembly(tmp_path_factory: pytest.TempPathFactory, trained: dict[str, Path]) -> Assembly:
    path = tmp_path_factory.mktemp("recorded") / "torus.h5"
    collect(
        Plan("equiworld/FlatLand-v0", seed=0, env_options={**TORUS, "max_episode_steps": 30}), 600, path, num_envs=4
    )
    config = {"model": "dynamics", "base_model_path": str(trained["vae"]), "dataset": str(path), "dynamics": "mlp"}
    return assemble(options_from_config(config, "test"))


def all_codes(model: DynamicsModel) -> Tensor:
    images = torch.from_numpy(WORLD.render(WORLD.factors.grid())).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        return model.encode(images)


def test_dynamics_that_know_the_world_make_no_error(assembly: Assembly) -> None:
    model = assembly.model
    assert isinstance(model, DynamicsModel)
    codes = all_codes(model)
    model.dynamics = Knowing(codes)
    (found,) = measure_subject(Subject(assembly), ["dynamics"])
    assert found.reason is None and found.n is not None and found.n > 50
    for ahead in HORIZONS:
        assert found.values[f"latent_{ahead}"] == pytest.approx(0, abs=1e-9) and found.ceiling[f"latent_{ahead}"] == 0
        assert found.values[f"image_{ahead}"] == pytest.approx(found.ceiling[f"image_{ahead}"], rel=1e-4)
        assert found.chance[f"latent_{ahead}"] > 0.1
    # No rewards and no ends here: heads that begin at 0 are right about the first, and copying is about both.
    assert found.values["reward_error"] == 0 and found.chance["termination_accuracy"] == 1
    assert found.details["ends"] == 0 and found.details["ends_found"] is None


def test_errors_are_shares_of_the_variance(assembly: Assembly) -> None:
    model = assembly.model
    assert isinstance(model, DynamicsModel)
    codes = all_codes(model)
    model.dynamics = Knowing(codes, shift=1e-3)  # so little that the state is told
    (found,) = measure_subject(Subject(assembly), ["dynamics"])
    expected = codes.shape[1] * 1e-6 / float(codes.var(0, correction=0).sum())
    for ahead in HORIZONS:
        assert found.values[f"latent_{ahead}"] == pytest.approx(expected, rel=1e-2)


def test_copying_is_the_distance_between_rows(assembly: Assembly) -> None:
    model = assembly.model
    assert isinstance(model, DynamicsModel)
    model.dynamics = Knowing(all_codes(model))
    (found,) = measure_subject(Subject(assembly), ["dynamics"])
    rollouts, test = assembly.recorded.rollouts, assembly.episodes.test
    assert found.details["test_episodes"] == len(test) and found.details["windows"]["1"] == rollouts.lengths[
        test
    ].sum() - len(test)
    for ahead in (1, 5, 20):
        starts = rollouts.starts(ahead + 1, test)
        shown, later = (rollouts.read("observation", starts + step) / 255.0 for step in (0, ahead))
        assert found.chance[f"image_{ahead}"] == pytest.approx(np.square(shown - later).sum((1, 2, 3)).mean(), rel=1e-4)
        assert found.details["windows"][str(ahead)] == len(starts)


def test_what_cannot_be_measured_says_why(assembly: Assembly, trained: dict[str, Path], tmp_path: Path) -> None:
    model = assembly.model
    assert isinstance(model, DynamicsModel)
    model.dynamics = Knowing(all_codes(model))
    model.dynamics.context = 15  # 15 and 20 are more than the 30 steps of an episode
    (found,) = measure_subject(Subject(assembly), ["dynamics"])
    assert found.values["latent_20"] is None and found.values["image_20"] is None
    assert found.reason == "no test episode goes on for 35 steps"
    assert found.values["latent_10"] == pytest.approx(0, abs=1e-9)
    run = Path(shutil.copytree(trained["vae"], tmp_path / "run"))
    measured = evaluate.evaluate_run(run, ["dynamics"])
    assert measured.missing["dynamics"] == "vae has no dynamics" and "dynamics" in usual()


def test_a_run_is_evaluated_as_a_whole(
    assembly: Assembly, trained: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset = assembly.options.dataset_name
    front = ["--model=dynamics", f"--dataset={dataset}", f"--base-model-path={trained['rgrvae']}", "--dynamics=group"]
    assert train.main([*front, "--epochs=1", f"--log-dir={tmp_path}"]) == 0  # and evaluates it
    run = tmp_path / "version_0"
    assert evaluate.main([str(run), "--metrics=dynamics reconstruction mig", "--report"]) == 0
    assert "dynamics.latent_10" in capsys.readouterr().out
    page = (run / "report.html").read_text(encoding="utf-8").replace("<wbr/>", "")
    assert "dynamics.latent_10" in page and "dynamics has no actions" in page
