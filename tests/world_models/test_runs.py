"""Run directories: files are there whole or not at all, and what cannot be read is refused in one line."""

from __future__ import annotations

import errno
import json
import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import equiworld
from equiworld.envs import UsageError
from equiworld.world_models import runs
from equiworld.world_models.runs import RunError

STATE = {"model": {"weight": torch.arange(3.0)}, "optimizer": {}, "progress": {"epoch": 1}}


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def refused(kind: type[Exception], path: Path) -> str:
    with pytest.raises(kind) as refusal:
        runs.load_checkpoint(path)
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


def test_versions_count_on_above_all_that_are_there(tmp_path: Path) -> None:
    assert runs.claim_version(tmp_path / "none") == tmp_path / "none" / "version_0"
    for name in ("version_0", "version_10", "version_x", "other"):
        (tmp_path / name).mkdir()
    assert [runs.claim_version(tmp_path).name for _ in range(2)] == ["version_11", "version_12"]
    assert (tmp_path / "version_12").is_dir()


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "values.json"
    runs.write_json(path, {"a": [1, 2]})
    runs.write_json(path, {"a": None})
    assert json.loads(path.read_text()) == {"a": None}
    assert files(tmp_path) == ["deep/values.json"]


@pytest.mark.parametrize("place", ["write", "fsync", "replace"])
def test_a_write_that_fails_leaves_what_was_there_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"before")

    def full(*given: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def write(stream: Any) -> None:
        stream.write(b"after")
        if place == "write":
            full()

    if place != "write":
        monkeypatch.setattr(os, place, full)
    with pytest.raises(OSError, match="No space left on device"):
        runs.write_whole(path, write)
    assert (path.read_bytes(), files(tmp_path)) == (b"before", ["file"])


def test_what_json_cannot_hold_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"not JSON compliant|Out of range"):
        runs.write_json(tmp_path / "file", {"loss": float("nan")})
    assert files(tmp_path) == []


def test_a_configuration_comes_back_as_it_was(tmp_path: Path) -> None:
    config = {"model": "rgrvae", "rate": 1e-5, "structure": ["c+", "c-"], "none": None, "flag": False, "text": "é: #"}
    runs.write_config(tmp_path, config)
    assert runs.read_config(tmp_path) == config


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff\xfe\x00", "cannot be read: "),
        (b"a: [1", "cannot be read: "),
        (b"!!python/object/apply:os.mkdir [owned]", "cannot be read: "),
        (b"just text", "is not the configuration of a run: it names no model"),
        (b"", "is not the configuration of a run: it names no model"),
        (b"latents: 3", "is not the configuration of a run: it names no model"),
    ],
)
def test_a_damaged_configuration_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_bytes(content)
    with pytest.raises(RunError, match=message) as refusal:
        runs.read_config(tmp_path)
    assert "\n" not in str(refusal.value)
    assert files(tmp_path) == ["config.yaml"] and not (tmp_path / "owned").exists()


def test_no_configuration_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"is not a run directory: it has no config\.yaml"):
        runs.read_config(tmp_path)


def test_a_checkpoint_comes_back_from_its_file_or_its_run(tmp_path: Path) -> None:
    path = runs.save_checkpoint(tmp_path, STATE)
    assert path == tmp_path / "checkpoints" / "last.pt"
    for place in (path, tmp_path):
        content = runs.load_checkpoint(place)
        assert torch.equal(content["model"]["weight"], torch.arange(3.0))
        assert (content["format"], content["equiworld"]) == (1, equiworld.__version__)
    assert files(tmp_path) == ["checkpoints/last.pt"]


@pytest.mark.parametrize("damage", ["empty", "text", "half", "flipped"])
def test_a_damaged_checkpoint_is_refused(tmp_path: Path, damage: str) -> None:
    path = runs.save_checkpoint(tmp_path, STATE)
    whole = path.read_bytes()
    middle = len(whole) // 2
    path.write_bytes(
        {"empty": b"", "text": b"hello", "half": whole[:middle], "flipped": whole[:60] + b"\xff" * 60 + whole[120:]}[
            damage
        ]
    )
    assert "is damaged or not a checkpoint" in refused(RunError, tmp_path)


@pytest.mark.parametrize("content", [[1, 2], {"state_dict": {}, "epoch": 3}, torch.zeros(3), {"model": {}}])
def test_a_foreign_checkpoint_is_refused(tmp_path: Path, content: Any) -> None:
    torch.save(content, tmp_path / "other.pt")
    assert refused(RunError, tmp_path / "other.pt").endswith("is not a checkpoint of this package")


def test_a_newer_format_names_the_version_that_reads_it(tmp_path: Path) -> None:
    torch.save({"format": 2, "equiworld": "9.9", "model": {}}, tmp_path / "new.pt")
    assert refused(RunError, tmp_path / "new.pt").endswith("has format 2, newer than 1: load it with equiworld 9.9")


def test_a_missing_checkpoint_is_named(tmp_path: Path) -> None:
    assert "holds no checkpoint" in refused(UsageError, tmp_path)
    assert "holds no checkpoint" in refused(UsageError, tmp_path / "nowhere")


class Malicious:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("how", ["torch", "pickle"])
def test_nothing_in_a_checkpoint_is_executed(tmp_path: Path, how: str) -> None:
    path, mark = tmp_path / "bad.pt", tmp_path / "owned"
    content = {"format": 1, "model": Malicious(mark)}
    if how == "torch":
        torch.save(content, path)
    else:
        path.write_bytes(pickle.dumps(content))
    assert "is damaged or not a checkpoint" in refused(RunError, path)
    assert not mark.exists()


def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    model = torch.nn.Linear(2, 3)
    runs.load_weights(model, {"weight": torch.ones(3, 2), "bias": torch.ones(3)}, tmp_path)
    assert float(model.weight.detach().sum()) == 6.0
    for state in ({"weight": torch.ones(4, 2), "bias": torch.ones(3)}, {"weight": torch.ones(3, 2)}, {}):
        with pytest.raises(RunError, match="does not fit the configured model: ") as refusal:
            runs.load_weights(model, state, tmp_path)
        assert "\n" not in str(refusal.value)


def test_the_environment_names_what_numbers_depend_on() -> None:
    found = runs.environment(3, "cpu")
    assert (found["seed"], found["device"], found["versions"]["torch"]) == (3, "cpu", torch.__version__)
    assert json.loads(json.dumps(found)) == found
    assert yaml.safe_dump(found)


KILLED = """
import os, sys, time
from pathlib import Path
import torch
from equiworld.world_models import runs
run, opened = Path(sys.argv[1]), os.fdopen
class Half:
    def __init__(self, handle, mode):
        self.stream = opened(handle, mode)
    def __enter__(self):
        return self
    def __exit__(self, *error):
        self.stream.close()
    def write(self, content):
        self.stream.write(content[: len(content) // 2])
        self.stream.flush()
        print("half", flush=True)
        time.sleep(60)
runs.save_checkpoint(run, {"model": {"weight": torch.zeros(1000)}})
os.fdopen = Half
runs.save_checkpoint(run, {"model": {"weight": torch.ones(1000)}})
"""


def test_a_kill_while_saving_leaves_the_checkpoint_before(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "half\n"
    child.send_signal(signal.SIGKILL)
    assert child.wait(30) == -signal.SIGKILL
    child.stdout.close()
    assert len(files(tmp_path)) == 2  # the half of the second lies beside the whole of the first
    assert torch.equal(runs.load_checkpoint(tmp_path)["model"]["weight"], torch.zeros(1000))
    runs.save_checkpoint(tmp_path, {"model": {"weight": torch.ones(1000)}})
    assert len(files(tmp_path)) == 1  # and is cleared away by the next
