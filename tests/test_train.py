"""The front door of training: exit statuses, one line for what went wrong, and nothing left half-made."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import equiworld
from equiworld import train
from equiworld.world_models import runs
from equiworld.world_models.vae import VAE

ROOT = Path(equiworld.__file__).parent


@pytest.fixture
def refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], tiny_arguments: list[str]
) -> Callable[..., tuple[int, str]]:
    """Runs a command line that is to fail at once; gives exit status and the line that says why."""

    def run(*arguments: str) -> tuple[int, str]:
        logs = tmp_path / "logs"
        status = train.main([*tiny_arguments, f"--log-dir={logs}", *arguments])
        said = capsys.readouterr()
        assert said.out == ""
        assert said.err.endswith("\n") and said.err.count("\n") == 1
        assert "Traceback" not in said.err
        assert not logs.exists()
        return status, said.err.rstrip()

    return run


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model=rgrv"], "unknown model 'rgrv' (did you mean 'rgrvae'?); there are: annealedvae, betatcvae"),
        (["--model=vae", "--dataset=flat"], "unknown data set 'flat' (did you mean 'flatland'?); there are: "),
        ([], "--model is missing; there are: annealedvae"),
        (["--model=vae", "--gvae-gamma=3"], "unknown option --gvae-gamma for model 'vae'"),
        (["--model=rgrvae", "--group-structure", "c+", "x"], "unknown group structure letter 'x'; there are: 0, CN"),
        (["--model=rgrvae", "--group-structure"], "--group-structure is empty; letters are: 0, CN"),
        (
            ["--model=rgrvae", "--latents=5"],
            "--latents 5: a group acts on pairs of latents, so the number must be even",
        ),
        (["--model=vae", "--latents=-4"], "--latents must be above 0, not -4"),
        (["--model=vae", "--batch-size=-1"], "--batch-size must be above 0, not -1"),
        (["--model=vae", "--epochs=0"], "--epochs must be above 0, not 0"),
        (["--model=vae", "--image-size=-16"], "flatland: image size must be a whole number, 1 or more, got -16"),
        (["--model=vae", "--image-size=24"], "architecture takes images whose sides are multiples of 16: not 24x24"),
        (["--model=vae", "--period=-7"], "flatland: period must be a whole number, 3 or more, got -7"),
        (["--model=vae", "--stride=4"], "flatland: stride must be below half the period 7, got 4"),
        (["--model=vae", "--steps=-5"], "-5 steps are too few"),
        (["--model=rgrvae", "--window=-1"], "--window must be above 0, not -1"),
        (["--model=vae", "--offset=0"], "--offset must be 1 or more, not 0"),
        (["--model=rgrvae", "--offset=2", "--num-action-steps=3"], "--num-action-steps 3 and --offset 2 must agree"),
        (["--model=vae", "--test-split=0.001"], "the split of 49 states leaves the test part empty"),
        (["--model=vae", "--validation-split=0"], "the validation share of the states must lie between 0 and 1"),
        (["--model=vae", "--seed=-1"], "--seed must be 0 or more, not -1"),
        (["--model=vae", "--threads=0"], "--threads must be between 1 and"),
        (["--model=vae", "--noise-name=background", "--backgrounds=nowhere"], "no folder of backgrounds 'nowhere'"),
        (["--model=vae", "--resume=nowhere"], "nowhere is not a run directory: it has no config.yaml"),
        (["--model=rgrvae", "--base-model-path=nowhere"], "nowhere holds no checkpoint"),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(
    refused: Callable[..., tuple[int, str]], arguments: list[str], message: str
) -> None:
    status, said = refused(*arguments)
    assert status == 2
    assert message in said


def test_a_device_that_is_not_there(refused: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    status, said = refused("--model=vae", "--device=cuda")
    assert status == 2
    assert said.endswith("--device cuda: torch sees no such device here; cpu is accepted")


def test_from_the_shell_too(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "train.py"), "--model=vae", "--offset=0", f"--log-dir={tmp_path / 'logs'}"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=120)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "train.py: --offset must be 1 or more, not 0\n"
    assert list(tmp_path.iterdir()) == []


def test_help_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert train.main(["--help"]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert "rgrvae" in said.out and "--resume" in said.out


def test_a_run_directory_holds_everything(trained: dict[str, Path], tiny_arguments: list[str]) -> None:
    for name, run in trained.items():
        found = {path.name for path in run.iterdir()}
        assert {"config.yaml", "environment.json", "split.npz", "checkpoints"} <= found
        assert any(path.startswith("events.out.tfevents") for path in found)
        assert "metrics.json" not in found
        config = yaml.safe_load((run / "config.yaml").read_text())
        assert (config["model"], config["dataset"], config["period"], config["evaluate"]) == (
            name,
            "flatland",
            7,
            False,
        )
        assert runs.load_checkpoint(run)["progress"]["epoch"] == 1
        with np.load(run / "split.npz") as split:
            assert sorted(np.concatenate([split[part] for part in split])) == list(range(49))


def test_training_says_where_to_look_next(
    tmp_path: Path, tiny_arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    logs = tmp_path / "logs"
    command = ["--model=vae", "--architecture=forward", *tiny_arguments, f"--log-dir={logs}"]
    assert train.main(command) == 0
    said = capsys.readouterr()
    assert f"{logs / 'version_0'}" in said.out
    assert f"tensorboard --logdir {logs}" in said.out
    assert "evaluate.py" in said.out
    assert "epoch 1: loss " in said.err
    assert train.main([f"--resume={logs / 'version_0'}", "--epochs=2"]) == 0
    assert runs.load_checkpoint(logs / "version_0")["progress"]["epoch"] == 2
    assert yaml.safe_load((logs / "version_0" / "config.yaml").read_text())["epochs"] == 2
    assert train.main(command) == 0
    assert sorted(path.name for path in logs.iterdir()) == ["version_0", "version_1"]


def test_the_same_seed_gives_the_same_run(tmp_path: Path, tiny_arguments: list[str]) -> None:
    states = []
    for number, seed in enumerate((3, 3, 4)):
        torch.manual_seed(number)
        command = ["--model=rgrvae", *tiny_arguments, f"--log-dir={tmp_path}", f"--seed={seed}"]
        assert train.main(command) == 0
        states.append(runs.load_checkpoint(tmp_path / f"version_{number}")["model"])
    for key, value in states[0].items():
        assert torch.equal(value, states[1][key])
    assert any(not torch.equal(value, states[2][key]) for key, value in states[0].items())


def failure(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line of a command that fails for what is not the user's fault."""
    assert train.main(arguments) == 1
    said = capsys.readouterr()
    lines = [line for line in said.err.splitlines() if not line.startswith("epoch ")]
    assert len(lines) == 1
    return lines[0]


@pytest.mark.parametrize("at", ["fsync", "mkstemp"])
def test_a_full_disk_is_one_line_and_status_1(
    tmp_path: Path,
    tiny_arguments: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    at: str,
) -> None:
    def full(*given: Any, **named: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os if at == "fsync" else runs.tempfile, at, full)
    said = failure(["--model=vae", "--architecture=forward", *tiny_arguments, f"--log-dir={tmp_path}"], capsys)
    assert "No space left on device" in said
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_disk_that_fills_up_in_the_middle_leaves_the_checkpoint_before(
    tmp_path: Path, tiny_arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, save = [], runs.save_checkpoint

    def second_fails(run: Path, content: dict[str, Any]) -> Path:
        if kept:
            monkeypatch.setattr(os, "fsync", lambda handle: (_ for _ in ()).throw(OSError(errno.ENOSPC, "disk full")))
        kept.append(save(run, content).read_bytes())
        return run

    monkeypatch.setattr(runs, "save_checkpoint", second_fails)
    arguments = ["--model=vae", "--architecture=forward", *tiny_arguments, "--epochs=3", f"--log-dir={tmp_path}"]
    assert "disk full" in failure(arguments, capsys)
    checkpoints = tmp_path / "version_0" / "checkpoints"
    assert [path.name for path in checkpoints.iterdir()] == ["last.pt"]
    assert (checkpoints / "last.pt").read_bytes() == kept[0]
    assert runs.load_checkpoint(tmp_path / "version_0")["progress"]["step"] == 0


def test_a_place_that_cannot_be_written(
    tmp_path: Path, tiny_arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    arguments = ["--model=vae", "--architecture=forward", *tiny_arguments]
    assert "Not a directory" in failure([*arguments, f"--log-dir={tmp_path / 'file' / 'logs'}"], capsys)

    def read_only(self: Path, *given: Any, **named: Any) -> None:
        raise OSError(errno.EROFS, "Read-only file system", str(self))

    monkeypatch.setattr(Path, "mkdir", read_only)
    said = failure([*arguments, f"--log-dir={tmp_path / 'logs'}"], capsys)
    assert said.endswith("logs: Read-only file system")
    assert not (tmp_path / "logs").exists()


def test_a_loss_that_is_no_number_is_one_line_and_status_1(
    tmp_path: Path, tiny_arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = VAE.terms

    def spoilt(self: VAE, batch: Any, step: int, generator: Any) -> Any:
        terms = whole(self, batch, step, generator)
        if step >= 10:
            terms["kl"] = terms["kl"] * float("nan")
        return terms

    monkeypatch.setattr(VAE, "terms", spoilt)
    arguments = ["--model=vae", "--architecture=forward", *tiny_arguments, "--epochs=9", f"--log-dir={tmp_path}"]
    said = failure(arguments, capsys)
    assert "the loss is not finite at update 10: term 'kl' is nan; the last good checkpoint is " in said
    assert said.endswith(str(tmp_path / "version_0" / "checkpoints" / "last.pt"))
    runs.load_checkpoint(tmp_path / "version_0")


@pytest.mark.parametrize("damage", [b"", b"not a checkpoint"])
def test_a_damaged_run_is_not_continued(
    trained: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: bytes
) -> None:
    run = tmp_path / "version_0"
    (run / "checkpoints").mkdir(parents=True)
    config = (trained["vae"] / "config.yaml").read_bytes()
    (run / "config.yaml").write_bytes(config)
    (run / "checkpoints" / "last.pt").write_bytes(damage)
    assert "is damaged or not a checkpoint" in failure([f"--resume={run}", "--epochs=2"], capsys)
    assert (run / "config.yaml").read_bytes() == config
    assert {path.name for path in run.iterdir()} == {"config.yaml", "checkpoints"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_after_the_running_update(
    tmp_path: Path,
    tiny_arguments: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    number: signal.Signals,
) -> None:
    terms = VAE.terms

    def interrupted(self: VAE, batch: Any, step: int, generator: torch.Generator) -> Any:
        if step == 4:
            signal.raise_signal(number)
        return terms(self, batch, step, generator)

    monkeypatch.setattr(VAE, "terms", interrupted)
    command = ["--model=vae", "--architecture=forward", *tiny_arguments, f"--log-dir={tmp_path}"]
    assert train.main([*command, "--batch-size=5"]) == 128 + number
    run = tmp_path / "version_0"
    assert f"continue with: python train.py --resume {run}" in capsys.readouterr().err
    assert runs.load_checkpoint(run)["progress"]["step"] == 5
    monkeypatch.setattr(VAE, "terms", terms)
    assert train.main([f"--resume={run}"]) == 0
    assert runs.load_checkpoint(run)["progress"]["epoch"] == 1


def test_a_kill_in_the_middle_of_training_leaves_a_run_that_continues(
    tmp_path: Path, tiny_arguments: list[str]
) -> None:
    command = [sys.executable, str(ROOT / "train.py"), "--model=vae", "--architecture=forward", *tiny_arguments]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    child = subprocess.Popen([*command, "--epochs=100000", "--threads=1", f"--log-dir={tmp_path}"], **quiet)
    run, patience = tmp_path / "version_0", time.monotonic() + 60

    def epochs_kept() -> int:
        there = (run / runs.CHECKPOINT).exists()
        return int(runs.load_checkpoint(run)["progress"]["epoch"]) if there else 0

    while epochs_kept() < 1 and time.monotonic() < patience:
        time.sleep(0.05)
    child.kill()
    assert child.wait(30) == -signal.SIGKILL
    epochs = runs.load_checkpoint(run)["progress"]["epoch"]
    assert epochs >= 1
    assert train.main([f"--resume={run}", f"--epochs={epochs + 1}"]) == 0
    assert runs.load_checkpoint(run)["progress"]["epoch"] == epochs + 1


@pytest.mark.parametrize(
    "line",
    ["epochs: many", "latents: [1, 2]", "steps: null", "log_dir: 3", "model: [vae]", "dataset: 7", "dataset: []"],
)
def test_values_of_a_wrong_kind_in_a_configuration_file(
    line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "one.yaml").write_text(line)
    arguments = ["--architecture=forward", "--no-evaluate", f"--config={tmp_path / 'one.yaml'}"]
    arguments += ["--period=7", "--stride=2", "--radius=3", "--image-size=16"]
    arguments += [] if line.startswith("model") else ["--model=vae"]
    arguments += [] if line.startswith("steps") else ["--steps=80"]
    arguments += [] if line.startswith("epochs") else ["--epochs=1"]
    arguments += [] if line.startswith("log_dir") else [f"--log-dir={tmp_path / 'logs'}"]
    assert train.main(arguments) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_signals_are_given_back_after_training(tmp_path: Path, tiny_arguments: list[str]) -> None:
    before = signal.getsignal(signal.SIGTERM)
    train.main(["--model=vae", "--architecture=forward", *tiny_arguments, f"--log-dir={tmp_path}"])
    assert signal.getsignal(signal.SIGTERM) == before


def test_the_schedule_that_is_asked_for_is_the_one_that_trains(
    tmp_path: Path, tiny_arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--model=vae", "--architecture=forward", *tiny_arguments, "--epochs=3", f"--log-dir={tmp_path}"]
    assert train.main([*arguments, "--learning-rate=0.001", "--lr-scheduler=exp", "--lr-scheduler-gamma=0.5"]) == 0
    events = EventAccumulator(str(tmp_path / "version_0"))
    events.Reload()
    rates = [each.value for each in events.Scalars("rate/networks")]
    assert rates == pytest.approx([0.001, 0.0005, 0.00025])
    capsys.readouterr()


def test_a_link_that_leads_nowhere_is_one_line(
    tmp_path: Path, tiny_arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "nowhere" / "further")
    said = failure(["--model=vae", "--architecture=forward", *tiny_arguments, f"--log-dir={tmp_path / 'link'}"], capsys)
    assert "File exists" in said


@pytest.mark.parametrize("channels", [2, 5])
def test_channels_that_are_no_colours_can_be_trained_on(
    tmp_path: Path, tiny_arguments: list[str], capsys: pytest.CaptureFixture[str], channels: int
) -> None:
    arguments = ["--model=vae", "--architecture=forward", *tiny_arguments, f"--channels={channels}"]
    assert train.main([*arguments, f"--log-dir={tmp_path}"]) == 0
    capsys.readouterr()


def test_resuming_keeps_the_record_of_what_came_before(
    tmp_path: Path, tiny_arguments: list[str], trained: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    base = f"--base-model-path={trained['vae']}"
    arguments = ["--model=rgrvae", "--estimator=reinforce", base, *tiny_arguments, f"--log-dir={tmp_path}"]
    assert train.main(arguments) == 0
    run = tmp_path / "version_0"
    before = (run / "config.yaml").read_text()
    assert train.main([f"--resume={run}", "--epochs=2"]) == 0
    assert (run / "config.yaml").read_text() == before.replace("epochs: 1", "epochs: 2")
    environment = json.loads((run / "environment.json").read_text())
    assert [part["seed"] for part in environment["before"]] == [0]
    assert train.main([f"--resume={run}", "--log-dir=elsewhere"]) == 2
    assert "cannot change log_dir" in capsys.readouterr().err
