"""Minari and back: nothing is lost, whatever the shapes; what Minari itself recorded is read too."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

from equiworld.datasets.rollouts import (
    Column,
    Header,
    Plan,
    Rollouts,
    RolloutWriter,
    collect,
    export_minari,
    import_minari,
)
from equiworld.datasets.rollouts.command_line import main
from equiworld.envs import UsageError


@pytest.fixture
def minari(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Minari, with a folder of its own for this test."""
    found = pytest.importorskip("minari")
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    return found


def same(first: Path, second: Path) -> None:
    with Rollouts(first) as one, Rollouts(second) as other:
        assert one.header == other.header
        assert one.columns == other.columns
        assert np.array_equal(one.offsets, other.offsets) and np.array_equal(one.seeds, other.seeds)
        for name in one.columns:
            assert np.array_equal(one.all(name), other.all(name)), name


def test_there_and_back(tmp_path: Path, minari: Any, capsys: pytest.CaptureFixture[str]) -> None:
    path, again = tmp_path / "a.h5", tmp_path / "b.h5"
    options = {"period": 7, "stride": 2, "radius": 3, "size": 40, "channels": 3, "max_episode_steps": 20}
    collect(Plan("equiworld/FlatLand-v0", seed=4, env_options=options), 90, path)
    assert main(["export", str(path), "--id", "equiworld/flat/random-v0"]) == 0
    dataset = minari.load_dataset("equiworld/flat/random-v0")
    assert dataset.total_episodes == 5 and dataset.total_steps == 90
    with Rollouts(path) as rollouts:
        for episode in dataset.iterate_episodes():
            rows = rollouts.rows_of([episode.id])
            assert np.array_equal(episode.observations, rollouts.read("observation", rows))  # T + 1, pixel by pixel
            assert np.array_equal(episode.actions, rollouts.read("action", rows[:-1]))
            assert np.array_equal(episode.truncations, rollouts.read("truncated", rows[:-1]))
            assert np.array_equal(episode.infos["factors"], rollouts.read("factors", rows))
    assert dataset.recover_environment().spec.kwargs["period"] == 7
    assert main(["import", "--id", "equiworld/flat/random-v0", "--out", str(again)]) == 0
    same(path, again)
    said = capsys.readouterr()
    assert said.err == "" and said.out.splitlines()[1] == f"{again}: 5 episodes with 90 steps"


@pytest.mark.parametrize(
    "space",
    [
        spaces.Box(0, 255, (3, 40, 40), np.uint8),  # channels first and stacks of frames, which JPEG could not hold
        spaces.Box(0, 255, (4, 40, 40), np.uint8),
        spaces.Box(0, 255, (40, 40, 3), np.uint8),
        spaces.Box(-1, 1, (2,), np.float32),
        spaces.Discrete(7, start=2),
        spaces.Dict({"image": spaces.Box(0, 255, (36, 36), np.uint8), "pair": spaces.Tuple([spaces.Discrete(3)] * 2)}),
    ],
    ids=str,
)
def test_all_kinds_of_spaces(tmp_path: Path, minari: Any, space: Any) -> None:
    space.seed(0)
    header = Header(space, spaces.MultiDiscrete([2, 3]), environment={"id": "none", "options": {}})
    extra = [Column("info/deep/score", np.dtype(np.float32), (2,)), Column("info/lives", np.dtype(np.int64), ())]
    rng = np.random.default_rng(0)
    with RolloutWriter(tmp_path / "a.h5", header, extra=extra) as writer:
        for steps in (1, 5):
            drawn = [space.sample() for _ in range(steps + 1)]
            columns: dict[str, Any] = {
                "action": rng.integers(0, 2, (steps, 2)),
                "reward": rng.random(steps),
                "info/deep/score": rng.random((steps + 1, 2)).astype(np.float32),
                "info/lives": np.arange(steps + 1),
            }
            if isinstance(space, spaces.Dict):
                columns["observation/image"] = np.stack([each["image"] for each in drawn])
                for place in range(2):
                    columns[f"observation/pair/{place}"] = np.array([each["pair"][place] for each in drawn])
            else:
                columns["observation"] = np.stack(drawn)
            writer.append(columns, seed=steps)
    export_minari(Rollouts(tmp_path / "a.h5"), "any-v0")
    assert import_minari("any-v0", tmp_path / "b.h5") == []
    same(tmp_path / "a.h5", tmp_path / "b.h5")


@pytest.mark.filterwarnings("ignore::UserWarning")  # what it recommends to say of an author
def test_what_minari_recorded_itself(tmp_path: Path, minari: Any, capsys: pytest.CaptureFixture[str]) -> None:
    from minari.data_collector import EpisodeBuffer

    rng = np.random.default_rng(0)
    buffers = [
        EpisodeBuffer(
            seed=3 if steps == 4 else None,
            observations=rng.random((steps + 1, 2)),
            actions=rng.integers(0, 3, steps),
            rewards=rng.random(steps),
            terminations=[False] * (steps - 1) + [True],
            truncations=[False] * steps,
            infos={
                "factors": rng.random((steps + 1, 2)),
                "name": np.array(["a"] * (steps + 1), "S1"),
                "n": np.arange(steps + 1),
            },
        )
        for steps in (4, 6)
    ]
    minari.create_dataset_from_buffers(
        "group/name-v3",
        buffers,
        env="CartPole-v1",
        algorithm_name="by hand",
        observation_space=spaces.Box(0, 1, (2,), np.float64),
        action_space=spaces.Discrete(3),
    )
    assert main(["import", "--id", "group/name-v3", "--out", str(tmp_path / "a.h5"), "--compression", "zstd"]) == 0
    assert capsys.readouterr().err == "rollouts: beware: no column can hold these, they are left out: name\n"
    with Rollouts(tmp_path / "a.h5") as found:
        assert found.lengths.tolist() == [5, 7] and found.seeds.tolist() == [3, -1]
        for number, buffer in enumerate(buffers):
            rows = found.rows_of([number])
            assert np.array_equal(found.read("observation", rows), buffer.observations)
            assert np.array_equal(found.read("reward", rows[:-1]), buffer.rewards)
            assert np.array_equal(found.read("factors", rows), buffer.infos["factors"])
            assert np.array_equal(found.read("info/n", rows), buffer.infos["n"])
            assert found.read("terminated", rows).tolist() == [False] * (len(rows) - 2) + [True, False]
        assert found.header.environment["id"] == "CartPole-v1" and found.header.policy["name"] == "by hand"
        assert found.header.origin["dataset_id"] == "group/name-v3"
        assert found.header.known_factors() is None


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_what_minari_draws_and_says_itself(tmp_path: Path, minari: Any, capsys: pytest.CaptureFixture[str]) -> None:
    from minari.data_collector import EpisodeBuffer

    drawn = [2**64 - 2, 2**63, 2**63 - 1, 0, None]  # seeds of 64 bits, where the user gives none
    buffers = [
        EpisodeBuffer(
            seed=seed,
            options={"low": 0.5},
            observations=np.zeros((2, 1), np.float32),
            actions=np.zeros(1, np.int64),
            rewards=np.zeros(1),
            terminations=np.ones(1, bool),
            truncations=np.zeros(1, bool),
        )
        for seed in drawn
    ]
    minari.create_dataset_from_buffers(
        "drawn-v0",
        buffers,
        author_email="a@b.org",
        requirements=["some==1"],
        observation_space=spaces.Box(0, 1, (1,)),
        action_space=spaces.Discrete(1),
    )
    assert main(["import", "--id", "drawn-v0", "--out", str(tmp_path / "a.h5")]) == 0
    assert capsys.readouterr().err.endswith("they are left out: the options of resets\n")
    found = Rollouts(tmp_path / "a.h5")
    assert found.seeds.tolist() == [-2, -(2**63), 2**63 - 1, 0, -1]
    origin = found.header.origin
    assert list(origin["author_email"]) == ["a@b.org"] or origin["author_email"] == "a@b.org"
    assert origin["requirements"] == ["some==1"]
    export_minari(found, "again-v0")
    storage = minari.load_dataset("again-v0").storage
    assert [about.get("seed") for about in storage.get_episode_metadata(range(5))] == drawn


def test_refusals(tmp_path: Path, minari: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.h5"
    collect(Plan("CartPole-v1"), 30, path)
    rollouts = Rollouts(path)
    export_minari(rollouts, "here-v0")
    for call, message in (
        (lambda: export_minari(rollouts, "here-v0"), "Minari has a data set here-v0 already"),
        (lambda: export_minari(rollouts, "../there"), "Minari: Malformed dataset ID: ../there"),
        (lambda: import_minari("nowhere-v0", tmp_path / "b.h5"), "Minari has no data set nowhere-v0 on this machine"),
        (lambda: import_minari("here-v0", path), f"{path} exists already"),
    ):
        with pytest.raises(UsageError) as caught:
            call()
        assert str(caught.value).startswith(message) and "\n" not in str(caught.value)

    def fails(*arguments: Any, **options: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("minari.dataset._storages.hdf5_storage.HDF5Storage.update_episodes", fails)
    with pytest.raises(OSError, match="No space left"):
        export_minari(rollouts, "full-v0")
    assert not (tmp_path / "minari" / "full-v0").exists()
    monkeypatch.setattr(RolloutWriter, "append", fails)
    with pytest.raises(OSError, match="No space left"):
        import_minari("here-v0", tmp_path / "b.h5")
    assert not list(tmp_path.glob("*b.h5*"))


def test_without_minari(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    real = builtins.__import__

    def refuse(name: str, *arguments: Any, **options: Any) -> Any:
        if name.partition(".")[0] == "minari":
            raise ImportError("No module named 'minari'")
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", refuse)
    path = tmp_path / "a.h5"
    collect(Plan("CartPole-v1"), 30, path)
    for command in (["export", str(path), "--id", "a-v0"], ["import", "--id", "a-v0", "--out", str(tmp_path / "b.h5")]):
        assert main(command) == 2
        said = capsys.readouterr().err
        assert said == "rollouts: this needs Minari, which is not installed: pip install 'equiworld[minari]'\n"
    assert [file.name for file in tmp_path.iterdir()] == ["a.h5"]
