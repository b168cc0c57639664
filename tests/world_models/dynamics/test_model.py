"""Runs of dynamics: what is continued equals what was never interrupted, and the run needs no other."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from equiworld import train
from equiworld.datasets import RecordedDataset
from equiworld.datasets.rollouts import Header, Plan, RolloutWriter, collect
from equiworld.world_models import load, runs
from equiworld.world_models.assembly import assemble, load_run, options_from_config
from equiworld.world_models.dynamics.model import DynamicsModel
from equiworld.world_models.dynamics.panels import DynamicsPanels
from equiworld.world_models.group import GroupVAE
from equiworld.world_models.runs import RunError
from equiworld.world_models.trainer import Trainer

TORUS = {"period": 7, "stride": 2, "radius": 3, "size": 16, "max_episode_steps": 15}


class Quiet:
    def start(self, epochs: int, batches: int, progress: Any) -> None: ...
    def update(self, progress: Any, loss: float, images_per_second: float, expected: int) -> None: ...
    def note(self, line: str) -> None: ...


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recorded") / "torus.h5"
    collect(Plan("equiworld/FlatLand-v0", seed=0, env_options=TORUS), 300, path, num_envs=4)
    return path


def arguments(base: Path, dataset: Path, logs: Path, **options: Any) -> list[str]:
    given = {"epochs": 1, "window": 4, "batch_size": 40, "hidden_width": 16, **options}
    named = [f"--{name.replace('_', '-')}={value}" for name, value in given.items()]
    front = ["--model=dynamics", f"--base-model-path={base}", f"--dataset={dataset}", f"--log-dir={logs}"]
    return [*front, "--no-evaluate", *named]


def config(base: Path, dataset: Path, **options: Any) -> dict[str, Any]:
    given = {"epochs": 1, "window": 4, "batch_size": 40, "hidden_width": 16, **options}
    return {"model": "dynamics", "base_model_path": str(base), "dataset": str(dataset), **given}


def same(one: Any, two: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.equal(one, two)
    if isinstance(one, dict):
        return one.keys() == two.keys() and all(same(one[key], two[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(two) and all(same(*pair) for pair in zip(one, two, strict=True))
    return bool(one == two)


def trainer(run: Path, options: dict[str, Any], epochs: int) -> Trainer:
    assembly = assemble(options_from_config(options, "test"))
    training, validation = assembly.loader("training"), assembly.loader("validation")
    return Trainer(
        assembly.model,
        training,
        validation,
        run,
        epochs=epochs,
        seed=0,
        clip_norm=1.0,
        monitor=DynamicsPanels(validation, {"a": 1}),
        listener=Quiet(),
    )


@pytest.mark.parametrize(
    "options",
    [
        {"dynamics": "group"},
        {"dynamics": "mlp"},
        {"dynamics": "gru", "memory": 8, "teacher_forcing": 0.5, "sample_latents": True},
        {"dynamics": "mdn-gru", "memory": 8, "teacher_forcing": 0.5, "context": 1},
    ],
    ids=lambda options: options["dynamics"],
)
def test_what_is_continued_was_never_interrupted(
    trained: dict[str, Path], recorded: Path, tmp_path: Path, options: dict[str, Any]
) -> None:
    wanted = config(trained["rgrvae"], recorded, **options)
    straight, parts = tmp_path / "straight", tmp_path / "parts"
    first = trainer(straight, wanted, 2)
    batches = len(first.training)
    assert batches >= 3 and first.fit()
    for stop in (2, batches):  # within the first epoch, and within the second
        part = trainer(parts, wanted, 2)
        if (parts / runs.CHECKPOINT).exists():
            part.resume()
        asked = iter(range(stop))
        assert not part.fit(lambda asked=asked: next(asked, None) is None)
    torch.manual_seed(5)  # the global state has no say
    last = trainer(parts, wanted, 2)
    last.resume()
    assert last.fit()
    one, two = runs.load_checkpoint(straight), runs.load_checkpoint(parts)
    for part_of in ("model", "optimizer", "progress"):
        assert same(one[part_of], two[part_of]), part_of
    base = runs.load_checkpoint(trained["rgrvae"])["model"]
    assert all(torch.equal(one["model"][f"base.{name}"], value) for name, value in base.items())  # it stays as it is


def test_a_run_needs_no_other(trained: dict[str, Path], recorded: Path, tmp_path: Path) -> None:
    base, logs = Path(shutil.copytree(trained["rgrvae"], tmp_path / "base")), tmp_path / "logs"
    images = RecordedDataset(recorded).images(np.arange(9))
    before = load(base)
    assert isinstance(before, GroupVAE)
    assert train.main(arguments(base, recorded, logs, dynamics="group")) == 0
    shutil.rmtree(base)
    moved = Path(shutil.move(logs / "version_0", tmp_path / "moved"))
    model = load(moved)
    assert isinstance(model, DynamicsModel) and not model.training
    codes = before.encode(images)
    assert torch.equal(model.encode(images), codes) and torch.equal(model.decode(codes), before.decode(codes))
    actions = torch.arange(4).repeat(3)[:9]
    assert torch.equal(model.act(codes, actions), before.act(codes, actions))  # what it has not of its own
    assert model.latent.size == 4 and model.image_shape == (16, 16, 1) and model.num_actions == 4
    outcome = model.dynamics.step(model.dynamics.initial(codes), model.action_code.encode(actions))
    assert outcome.state.latent.shape == codes.shape and (outcome.continues > 0.5).all()  # no episode ended
    # It is continued, and is itself what others are made over.
    assert train.main(["--resume", str(moved), "--epochs=2", "--no-evaluate"]) == 0
    assert runs.load_checkpoint(moved)["progress"]["epoch"] == 2
    assert train.main(arguments(moved, recorded, logs, dynamics="mlp")) == 0
    again = load(logs / "version_0")
    assert torch.equal(again.encode(images), codes)


@pytest.mark.parametrize(
    ("options", "steps"),
    [({"dynamics": "mlp"}, 4), ({"dynamics": "gru", "memory": 8, "context": 1}, 3)],  # counted from what was seen last
    ids=["mlp", "gru"],
)
def test_what_tensorboard_shows(
    trained: dict[str, Path], recorded: Path, tmp_path: Path, options: dict[str, Any], steps: int
) -> None:
    assert train.main(arguments(trained["vae"], recorded, tmp_path, epochs=2, **options)) == 0
    events = EventAccumulator(str(tmp_path / "version_0"))
    events.Reload()
    shown = events.Tags()
    wanted = {f"{part}/{term}" for part in ("train", "valid") for term in ("loss", "latent", "reward", "termination")}
    wanted |= {f"{part}/after_{step}" for part in ("error", "copying") for step in range(1, steps + 1)} | {
        "rate/dynamics"
    }
    assert wanted == set(shown["scalars"]) and shown["images"] == ["dream/dream"]


def write(path: Path, space: spaces.Space[Any], actions: np.ndarray, episodes: int = 4) -> Path:
    """Episodes of random pictures with these actions, [T]; the last step of each ends it with a reward of 2."""
    rng = np.random.default_rng(0)
    rows = len(actions) + 1
    with RolloutWriter(path, Header(spaces.Box(0, 255, (16, 16, 1), np.uint8), space)) as writer:
        for _ in range(episodes):
            ends = np.arange(rows - 1) == rows - 2
            shown = {"observation": rng.integers(0, 256, (rows, 16, 16, 1), np.uint8), "action": actions}
            writer.append(shown | {"reward": 2.0 * ends, "terminated": ends})
    return path


@pytest.mark.parametrize(
    ("space", "actions", "size"),
    [
        (spaces.Discrete(3, start=4), np.array([4, 5, 6, 4, 5]), 3),
        (spaces.MultiDiscrete([2, 3]), np.array([[0, 2], [1, 0], [1, 1], [0, 0], [0, 1]]), 5),
        (spaces.Box(2, 4, (2,), np.float32), np.linspace(2, 4, 10, dtype=np.float32).reshape(5, 2), 2),
    ],
    ids=["discrete", "multi-discrete", "box"],
)
def test_actions_of_every_kind(
    trained: dict[str, Path], tmp_path: Path, space: Any, actions: np.ndarray, size: int
) -> None:
    path = write(tmp_path / "a.h5", space, actions)
    assembly = assemble(options_from_config(config(trained["vae"], path, dynamics="gru", memory=8), "test"))
    model = assembly.model
    assert isinstance(model, DynamicsModel) and model.action_code.size == size
    loader = assembly.loader("training")
    batch = loader.gather(np.array([0, 3]), torch.Generator())
    assert torch.allclose(batch.actions[0], model.action_code.encode(actions[:4]))
    assert batch.mask.tolist() == [[1, 1, 1, 1], [1, 1, 0, 0]]
    assert batch.rewards[1].tolist()[:2] == [0, 2] and batch.ends[1].tolist()[:2] == [0, 1]
    train_rows = assembly.recorded.rollouts.rows_of(assembly.episodes.train)
    shown = assembly.recorded.images(assembly.recorded.states[train_rows[:5]])
    assert torch.allclose(batch.latents[0], model.encode(shown), atol=1e-5)
    assert torch.isfinite(model.terms(batch, 0, torch.Generator())["loss"])


def test_episodes_are_held_out_whole(trained: dict[str, Path], recorded: Path) -> None:
    assembly = assemble(options_from_config(config(trained["vae"], recorded), "test"))
    parts = assembly.episodes
    assert sorted(np.concatenate([parts.train, parts.validation, parts.test]).tolist()) == list(
        range(assembly.recorded.rollouts.episodes)
    )
    lengths = assembly.recorded.rollouts.lengths
    assert np.array_equal(assembly.loader("training").recording.lengths, lengths[parts.train])
    assert np.array_equal(assembly.loader("validation").recording.lengths, lengths[parts.validation])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"base_model_path": "nowhere"}, "nowhere is not a run directory: it has no config.yaml"),
        ({"dataset": "flatland"}, "learns from recorded actions and rewards, of which --dataset flatland has none"),
        ({"base_model_path": None}, "--base-model-path RUN is needed"),
        ({"window": 0}, "--window must be 1 or more, not 0"),
        ({"epochs": 0}, "--epochs must be above 0, not 0"),
        ({"context": 4, "dynamics": "gru"}, "--context 4 leaves nothing to imagine of --window 4"),
        ({"reward_weight": -1}, "--reward-weight must be 0 or more, not -1"),
        ({"dynamics": "grue"}, "unknown dynamics 'grue' (did you mean 'gru'?)"),
        ({"dynamics": "group"}, "--dynamics group needs a world model with a group, such as rgrvae"),
        ({"offset": 2}, "--offset is not read by --model dynamics"),
        ({"noise_name": "salt"}, "--noise-name is not read by --model dynamics"),
        ({"steps": 50}, "--steps is not read with rollouts"),
        ({"latents": 3}, "unknown option --latents for model 'dynamics'"),
    ],
)
def test_what_cannot_be_trained_is_refused_in_a_line(
    trained: dict[str, Path],
    recorded: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    changes: dict[str, Any],
    message: str,
) -> None:
    given = {**config(trained["vae"], recorded), **changes}
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in given.items() if value is not None]
    assert train.main([*flags, f"--log-dir={tmp_path / 'logs'}"]) == 2
    said = capsys.readouterr()
    assert message in said.err and said.err.count("\n") == 1 and said.out == ""
    assert not (tmp_path / "logs").exists()


def test_a_recording_that_does_not_fit_is_refused(
    trained: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.h5"
    collect(Plan("equiworld/FlatLand-v0", seed=0, env_options={**TORUS, "size": 32}), 60, other, num_envs=4)
    few = write(tmp_path / "few.h5", spaces.Discrete(2), np.array([0, 1]), episodes=2)
    bits = write(tmp_path / "bits.h5", spaces.MultiBinary(2), np.array([[0, 1], [1, 1]]))
    for path, message in (
        (other, "looks at images of 16x16x1 (height, width, channels); those of the recording are 32x32x1"),
        (few, "3 or more are needed; the recording has 2"),
        (bits, "dynamics take actions of Discrete, MultiDiscrete and Box spaces, not of MultiBinary"),
    ):
        assert train.main(arguments(trained["vae"], path, tmp_path / "logs")) == 2
        said = capsys.readouterr()
        assert message in said.err and said.err.count("\n") == 1
    assert not (tmp_path / "logs").exists()


def test_a_damaged_run_is_told(trained: dict[str, Path], recorded: Path, tmp_path: Path) -> None:
    assert train.main(arguments(trained["vae"], recorded, tmp_path)) == 0
    run = tmp_path / "version_0"
    (run / "base.json").write_text('{"config": 3}')
    with pytest.raises(RunError, match=r"base.json is missing or damaged"):
        load_run(run)
    (run / "base.json").unlink()
    with pytest.raises(RunError, match=r"base.json is missing or damaged"):
        load_run(run)


def test_the_kinds_and_their_options_are_told(capsys: pytest.CaptureFixture[str], tiny: Callable[..., Any]) -> None:
    assert train.main(["--help"]) == 0
    assert "--dynamics:\n  group" in capsys.readouterr().out
    assert train.main(["--model=dynamics", "--dataset=a.h5", "--dynamics=mdn-gru", "--help"]) == 0
    help_text = capsys.readouterr().out
    assert "--components" in help_text and "--hidden-layers" not in help_text
