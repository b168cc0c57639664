"""Rollout files as data sets: states and steps are the world's, nothing held out is shown, models train on them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces

from equiworld import evaluate, train
from equiworld.datasets import DATASETS, RecordedDataset, RolloutOptions, WindowLoader, load
from equiworld.datasets.rollouts import Header, Plan, Rollouts, RolloutWriter, collect
from equiworld.envs import FlatLand, UsageError, make_world, true_groups
from equiworld.world_models.assembly import load_run

SMALL = {"period": 5, "stride": 1, "radius": 2, "size": 16}
WORLD = FlatLand(**SMALL)


def record(path: Path, name: str = "FlatLand", steps: int = 600, seed: int = 0, **options: Any) -> Path:
    settings = {**SMALL, "max_episode_steps": 20, **options}
    collect(Plan(f"equiworld/{name}-v0", seed=seed, env_options=settings), steps, path, num_envs=4)
    return path


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return record(tmp_path_factory.mktemp("recorded") / "flatland.h5")


@pytest.fixture(scope="module")
def data(path: Path) -> RecordedDataset:
    return RecordedDataset(path)


def test_states_are_the_worlds_and_in_its_order(data: RecordedDataset) -> None:
    assert len(data) == 25 and data.factors == WORLD.factors  # 600 steps pass through all of them
    everything = np.arange(25)
    assert np.array_equal(data.frames(everything), WORLD.render(WORLD.factors.grid()))
    assert np.array_equal(data.generative_factors(everything), WORLD.factors.grid())
    assert data.latent_to_index([[1, 2], [0, 0]]).tolist() == [7, 0] and data.latent_to_index([1, 2]) == 7
    image, factors = data[7]
    assert image.shape == (1, 16, 16) and factors.tolist() == [1, 2]
    assert torch.equal(data.get_img_by_latent([1, 2]), image)
    assert data.sample_latent(4).shape == (4, 2) and data.sample_latent().shape == (2,)
    assert data.images([[3, 4], [5, 6]]).shape == (2, 2, 1, 16, 16)


def test_pictures_are_read_on_demand_where_they_are_many(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("equiworld.datasets.factors.CACHE_BYTES", 0)
    monkeypatch.setattr("equiworld.datasets.rollouts.reader.CACHE_BYTES", 0)
    data = RecordedDataset(path)
    assert np.array_equal(data.frames(np.arange(25)), WORLD.render(WORLD.factors.grid()))
    assert data._cache is None and data.frames(3).shape == (16, 16, 1)


def test_actions_do_what_they_do_in_the_world(data: RecordedDataset) -> None:
    states, actions = np.repeat(WORLD.factors.grid(), 4, axis=0), np.tile(np.arange(4), 25)
    assert np.array_equal(data.world.act(states, actions), WORLD.act(states, actions))
    assert data.world.actions == WORLD.actions and true_groups(data.world) == true_groups(WORLD)


def test_steps_are_what_was_recorded(path: Path, data: RecordedDataset) -> None:
    rollouts, steps = Rollouts(path), data.transitions()
    assert len(steps) == 600
    starts = steps.windows(3)
    states, actions = steps.gather(starts, 3)
    assert states.shape == (len(starts), 4) and actions.shape == (len(starts), 3, 1)
    rows = rollouts.starts(4)[:, None] + np.arange(4)
    assert np.array_equal(data.generative_factors(states), rollouts.read("factors", rows))
    assert np.array_equal(actions[..., 0], rollouts.read("action", rows[:, :3]))
    for step in range(3):
        after = WORLD.act(data.generative_factors(states[:, step]), actions[:, step, 0])
        assert np.array_equal(after, data.generative_factors(states[:, step + 1]))
    (before, action), after = steps[5]
    assert action.shape == () and torch.equal(before, data.images(states[5, 0]))
    assert torch.equal(after, data.images(states[5, 1]))
    with pytest.raises(UsageError, match="runs over the end of its trajectory"):
        steps.gather([[0, 18]], 3)


def test_several_actions_between_images(data: RecordedDataset) -> None:
    steps = data.transitions(3)
    starts = steps.windows(2)
    assert starts[:, 1].max() == 14
    states, actions = steps.gather(starts, 2)
    assert actions.shape == (len(starts), 2, 3)
    moved = data.generative_factors(states[:, 0])
    for part in range(3):
        moved = WORLD.act(moved, actions[:, 0, part])
    assert np.array_equal(moved, data.generative_factors(states[:, 1]))
    assert steps.single_steps(10).offset == 1 and steps[0][0][1].shape == (3,)
    with pytest.raises(UsageError, match="the longest episode has 20 steps: too few for an offset of 21"):
        data.transitions(21)


def test_loaders_show_allowed_states_only(data: RecordedDataset) -> None:
    steps = data.transitions()
    allowed = np.arange(25) % 5 != 2
    starts = steps.windows(2, allowed)
    states, _ = steps.gather(starts, 2)
    assert allowed[states].all() and 0 < len(starts) < len(steps.windows(2))
    batch = next(WindowLoader(steps, starts, 2, 20).epoch(0))
    assert batch.index.shape == (10, 3) and batch.frames.shape[1:] == (1, 16, 16)


def test_states_are_held_out_where_episodes_show_the_same(data: RecordedDataset) -> None:
    split = data.split(0.1, 0.2, seed=3)
    assert [len(part) for part in (split.train, split.validation, split.test)] == [18, 2, 5]
    with pytest.raises(UsageError, match=r"30 episodes cannot be split .* --split-by states is accepted"):
        RecordedDataset(data.rollouts.files, split_by="episodes").split(0.1, 0.2)


def test_episodes_are_held_out_where_they_differ(tmp_path: Path) -> None:
    path = record(tmp_path / "a.h5", "FlatLandContinuous", 600)
    data = RecordedDataset(path)
    split = data.split(0.1, 0.2, seed=3)
    assert np.array_equal(
        split.role(len(data)), RecordedDataset(path, split_by="episodes").split(0.1, 0.2, 3).role(len(data))
    )
    episodes = [set(data.rollouts.episode_of(data.rows[part])) for part in (split.train, split.validation, split.test)]
    assert [len(part) for part in episodes] == [21, 3, 6] and not episodes[0] & episodes[2]
    shown = [{frame.tobytes() for frame in data.frames(part)} for part in (split.train, split.test)]
    assert not shown[0] & shown[1]
    states = RecordedDataset(path, split_by="states").split(0.1, 0.2, 3)
    assert len(set(data.rollouts.episode_of(data.rows[states.test]))) > 15


def test_continuous_factors_and_actions(tmp_path: Path) -> None:
    path = record(tmp_path / "a.h5", "FlatLandContinuous", 200)
    data = RecordedDataset(path)
    rollouts = Rollouts(path)
    assert data.generative_factors([0]).dtype == np.float64 and data.world.actions == ()
    rows = rollouts.starts(1)
    assert np.array_equal(data.generative_factors(data.states[rows]), rollouts.read("factors", rows))
    assert not data.transitions().gather([[0, 0]], 3)[1].any()
    found = data.latent_to_index(data.generative_factors(np.arange(len(data))))
    assert np.array_equal(found, np.arange(len(data)))


def test_steps_that_were_not_recorded(tmp_path: Path) -> None:
    data = RecordedDataset(record(tmp_path / "a.h5", steps=12))
    assert len(data) < 13
    with pytest.raises(UsageError, match=r"^the state x=\d, y=\d was never recorded$"):
        data.latent_to_index(WORLD.factors.grid())
    # The world's actions say what the recorded steps bear out.
    first = data.generative_factors([0])
    assert np.array_equal(data.world.act(first, [2]), WORLD.act(first, np.array([2])))
    states, actions = np.repeat(np.arange(len(data)), 4), np.tile(np.arange(4), len(data))
    after = WORLD.act(data.generative_factors(states), actions)
    seen = (after[:, None] == data.generative_factors(np.arange(len(data)))[None]).all(2)
    assert np.array_equal(data.following(states, actions), np.where(seen.any(1), seen.argmax(1), -1))
    assert (data.following(states, actions) < 0).any()


def test_actions_that_do_something_else_than_they_are_said_to(tmp_path: Path) -> None:
    small = {"period": 5, "stride": 1, "radius": 6, "size": 16}
    dihedral = make_world("flatland-dihedral", **small)
    data = RecordedDataset(record(tmp_path / "a.h5", "FlatLandDihedral", 400, **small))
    states, actions = np.repeat(dihedral.factors.grid(), 3, axis=0), np.tile(np.arange(3), 10)
    assert np.array_equal(data.world.act(states, actions), dihedral.act(states, actions))
    with pytest.raises(UsageError, match="do not commute"):
        true_groups(data.world)
    few = RecordedDataset(record(tmp_path / "b.h5", "FlatLandDihedral", 4, **small))
    with pytest.raises(
        UsageError, match=r"^the action [\w ]+ in the state orientation=\d, mirror=\d was never recorded$"
    ):
        few.world.act(
            np.repeat(few.generative_factors(np.arange(len(few))), 3, axis=0), np.tile(np.arange(3), len(few))
        )
    assert set(few.following(np.repeat(np.arange(len(few)), 3), np.tile(np.arange(3), len(few)))) >= {-1, 0}
    with pytest.raises(UsageError, match="action codes are 0 to 2, got 7 to 7"):
        few.world.act(few.generative_factors([0]), [7])


def test_messages_name_a_few_factors_only(tmp_path: Path) -> None:
    collect(Plan("equiworld/Breakout-v0", env_options={"image_size": 20}), 30, tmp_path / "a.h5", num_envs=1)
    data = RecordedDataset(tmp_path / "a.h5")
    with pytest.raises(UsageError, match=r"ball_x=-1, .*, brick_0_1=1 and 108 more was never recorded$"):
        data.world.act(data.generative_factors([0]), [3])


def by_hand(path: Path, **header: Any) -> Path:
    """Two episodes of three pictures, the same in both, with a factor that they do not determine."""
    settings = {"observation_space": spaces.Box(0, 255, (4, 4), np.uint8), "action_space": spaces.Discrete(2, start=5)}
    made = Header(**settings | header)
    with RolloutWriter(path, made, factor_dtype=np.int64 if made.factors else None) as writer:
        for episode in range(2):
            images = np.zeros((3, 4, 4), np.uint8)
            images[:, 0, 0] = [10, 20, 10]
            rows: dict[str, Any] = {"observation": images, "action": [5, 6]}
            writer.append(rows | ({"factors": [[0, -1], [1, 3], [0, episode]]} if made.factors else {}))
    return path


def test_factors_of_which_only_names_are_known(tmp_path: Path) -> None:
    factors = tuple({"name": name, "kind": "unknown"} for name in ("n", "v"))
    data = RecordedDataset(by_hand(tmp_path / "a.h5", factors=factors))
    assert [(factor.name, factor.size, factor.kind) for factor in data.factors.factors] == [
        ("n", 2, "ordinal"),
        ("v", None, "continuous"),
    ]
    assert data.generative_factors(np.arange(len(data))).tolist() == [[0, -1], [0, 0], [0, 1], [1, 3]]
    assert data.states.tolist() == [0, 3, 1, 0, 3, 2]
    assert [action.name for action in data.world.actions] == ["5", "6"] and data.codes.tolist() == [0, 1, 0, 0, 1, 0]
    assert data.world.act(np.array([[0.0, -1.0]]), [0]).tolist() == [[1, 3]]
    with pytest.raises(UsageError, match=r"^the action 6 in the state n=1, v=3 did not always lead to the same state$"):
        data.world.act(np.array([[1.0, 3.0]]), [1])
    with pytest.raises(UsageError, match=r"^the action 5 in the state n=1, v=3 was never recorded$"):
        data.world.act(np.array([[1.0, 3.0]]), [0])


def test_pictures_without_factors(tmp_path: Path) -> None:
    data = RecordedDataset(by_hand(tmp_path / "a.h5"))
    assert len(data) == 2 and data.states.tolist() == [0, 1, 0, 0, 1, 0]
    assert data.images([0, 1]).shape == (2, 1, 4, 4)
    for call in (lambda: data.generative_factors([0]), lambda: data.latent_to_index([0])):
        with pytest.raises(UsageError, match="these rollouts record no factors"):
            call()


@pytest.mark.parametrize(
    ("space", "column", "message"),
    [
        (spaces.Box(0, 1, (3,)), None, "models look at pictures, uint8 [H, W] or [H, W, channels], of which there are"),
        (spaces.Box(0, 255, (3, 8, 8), np.uint8), None, "models look at pictures"),
        (
            spaces.Dict({n: spaces.Box(0, 255, (4, 4), np.uint8) for n in "ab"}),
            None,
            "there are several columns of pict",
        ),
        (
            spaces.Dict({n: spaces.Box(0, 255, (4, 4), np.uint8) for n in "ab"}),
            "observation/c",
            "--column observation/c",
        ),
    ],
)
def test_what_is_no_picture(tmp_path: Path, space: Any, column: str | None, message: str) -> None:
    parts = space.spaces if isinstance(space, spaces.Dict) else {"": space}
    with RolloutWriter(tmp_path / "a.h5", Header(space, spaces.Discrete(2))) as writer:
        names = [f"observation/{key}".rstrip("/") for key in parts]
        shown = {name: np.zeros((2, *part.shape), part.dtype) for name, part in zip(names, parts.values(), strict=True)}
        writer.append(shown | {"action": [0]})
    with pytest.raises(UsageError) as caught:
        RecordedDataset(tmp_path / "a.h5", column)
    assert str(caught.value).startswith(message)
    if len(parts) > 1:
        assert RecordedDataset(tmp_path / "a.h5", "observation/b").column == "observation/b"


def test_by_name(path: Path) -> None:
    assert str(path) in DATASETS and "no/such/file" in DATASETS and "flat" not in DATASETS
    assert DATASETS[str(path)].options is RolloutOptions and str(path) not in DATASETS.names()
    data = load(str(path), split_by="states", noise_name="salt", seed=2)
    assert isinstance(data, RecordedDataset) and data.split_by == "states" and data.noise.independent
    clean, noisy = load(str(path)).images([3]), data.images([3])
    assert not torch.equal(clean, noisy) and torch.equal(noisy, data.images([3]))
    with pytest.raises(UsageError, match="has no option 'period'; it takes: "):
        load(str(path), period=5)
    with pytest.raises(UsageError, match=r"'flatlnd' .*, and the paths of recorded rollouts \(FILE.h5"):
        load("flatlnd")


# Training and evaluation


TINY = ["--batch-size=10", "--epochs=1", "--latents=4"]


@pytest.fixture
def fitted(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    def fit(model: str, file: Path = path, *arguments: str) -> Path:
        monkeypatch.chdir(file.parent)
        command = [f"--model={model}", f"--dataset={file.name}", *TINY, f"--log-dir={tmp_path / 'logs'}", *arguments]
        assert train.main([*command, "--no-evaluate"]) == 0
        monkeypatch.chdir(tmp_path)  # from where the file is not to be seen
        return max((tmp_path / "logs").iterdir())

    return fit


def test_a_group_model_trains_on_a_file_and_is_measured(fitted: Callable[..., Path], path: Path) -> None:
    run = fitted("rgrvae", path, "--split-by=states")
    assembly = load_run(run)
    assert assembly.options.dataset_name == str(path) and isinstance(assembly.data, RecordedDataset)
    assert len(assembly.split.test) == 2
    measured = evaluate.evaluate_run(run)
    values = {name for name, value in measured.values.items() if value is not None}
    assert {"alignment.alignment", "angles.max", "group_errors.inverse", "lsbd.lsbd", "mig.mig"} <= values
    assert {"prediction.within_5", "independence.independence", "reconstruction.squared_error"} <= values
    assert train.main(["--resume", str(run), "--epochs=2", "--no-evaluate"]) == 0


def test_of_a_short_recording_what_is_known_is_measured(fitted: Callable[..., Path], tmp_path: Path) -> None:
    data = record(tmp_path / "short.h5", steps=45)
    run = fitted("rgrvae", data, "--split-by=states", "--steps=10000", "--test-split=0.2")
    assert evaluate.main([str(run), "--metrics=alignment mig prediction", "--report"]) == 0
    values = json.loads((run / "metrics.json").read_text())["values"]
    assert values["alignment.alignment"] is not None and values["mig.mig"] is not None
    assert (run / "report.html").exists()


def test_labelled_and_plain_models_train_on_a_file(fitted: Callable[..., Path], path: Path) -> None:
    for model in ("forward", "vae"):
        measured = evaluate.evaluate_run(fitted(model, path), ["mig", "reconstruction", "action_prediction"])
        assert all(value is not None for value in measured.values.values())


def test_continuous_worlds_say_what_cannot_be_measured(fitted: Callable[..., Path], tmp_path: Path) -> None:
    file = record(tmp_path / "c.h5", "FlatLandContinuous", 200)
    run = fitted("rgrvae", file)
    measured = evaluate.evaluate_run(run)
    assert measured.values["mig.mig"] is not None and measured.values["reconstruction.squared_error"] is not None
    missing = json.loads((run / "metrics.json").read_text())["missing"]
    assert {"alignment", "angles", "group_errors", "decomposition", "prediction", "lsbd"} <= missing.keys()
    assert all("\n" not in reason and reason for reason in missing.values())


def test_a_file_that_has_moved_or_grown(
    fitted: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = record(tmp_path / "g.h5", "FlatLandContinuous", 200)
    run = fitted("vae", file)
    content = file.read_bytes()
    collect(
        Plan("equiworld/FlatLandContinuous-v0", env_options={**SMALL, "max_episode_steps": 20}), 260, file, resume=True
    )
    capsys.readouterr()
    assert evaluate.main([str(run), "--metrics", "mig"]) == 1
    assert (
        "/split.npz is damaged or of another run, or the data have changed: the split covers "
        in capsys.readouterr().err
    )
    (tmp_path / "moved.h5").write_bytes(content)
    file.unlink()
    assert evaluate.main([str(run), "--metrics", "mig"]) == 2
    assert capsys.readouterr().err.endswith(f": there is no rollout file {file}\n")
    config = run / "config.yaml"
    config.write_text(config.read_text().replace(str(file), str(tmp_path / "moved.h5")))
    assert evaluate.main([str(run), "--metrics", "mig"]) == 0


def test_pictures_alone_can_be_trained_on(fitted: Callable[..., Path], tmp_path: Path) -> None:
    space = spaces.Box(0, 255, (16, 16, 3), np.uint8)
    rng = np.random.default_rng(0)
    with RolloutWriter(tmp_path / "p.h5", Header(space, spaces.Box(-1, 1, (1,)))) as writer:
        for _ in range(12):
            writer.append({"observation": rng.integers(0, 256, (20, 16, 16, 3), np.uint8), "action": np.zeros((19, 1))})
    measured = evaluate.evaluate_run(fitted("vae", tmp_path / "p.h5"))
    assert measured.values["reconstruction.squared_error"] is not None
    assert measured.missing["mig"] == "these rollouts record no factors"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model=vae", "--dataset=nowhere.h5"], "there is no rollout file "),
        (
            ["--model=vae", "--dataset=FILE", "--steps=50"],
            "--steps is not read with rollouts, which are recorded already",
        ),
        (["--model=vae", "--dataset=FILE", "--transitions=uniform"], "--transitions is not read with rollouts"),
        (["--model=vae", "--dataset=FILE", "--period=5"], "unknown option --period for model 'vae' on "),
        (
            ["--model=dforward", "--dataset=CONTINUOUS"],
            "this model learns from the codes of actions, which the data has",
        ),
        (["--model=vae", "--dataset=TEXT"], "TEXT cannot be read: it is damaged or no HDF5 file"),
    ],
)
def test_wrong_usage_is_one_line(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    text = tmp_path / "text.h5"
    text.write_text("hello")
    places = {"FILE": str(path), "TEXT": str(text)}
    if "CONTINUOUS" in arguments[1]:
        places["CONTINUOUS"] = str(record(tmp_path / "c.h5", "FlatLandContinuous", 100))
    for name, place in places.items():
        arguments, message = [each.replace(name, place) for each in arguments], message.replace(name, place)
    status = train.main([*arguments, *TINY, f"--log-dir={tmp_path / 'logs'}"])
    said = capsys.readouterr()
    assert status == (1 if "damaged" in message else 2) and said.out == "" and said.err.count("\n") == 1
    assert message in said.err and not (tmp_path / "logs").exists()
