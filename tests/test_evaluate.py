"""The front door of evaluation: what is measured of a tiny run, and what is said where something cannot be."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from equiworld import evaluate, metrics
from equiworld.world_models import runs
from equiworld.world_models.assembly import load_run

ACTING = ["alignment", "angles", "group_errors", "prediction"]
OTHERS = ["decomposition", "independence", "lsbd", "mig", "action_prediction", "reconstruction", "ima", "dynamics"]


@pytest.fixture(scope="module")
def copies(trained: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Runs that may be written to; of rgrvae there are two."""
    folder = tmp_path_factory.mktemp("evaluated")
    places = {"rgrvae": "rgrvae", "again": "rgrvae", "vae": "vae"}
    return {name: Path(shutil.copytree(trained[source], folder / name)) for name, source in places.items()}


@pytest.fixture(scope="module")
def reports(copies: dict[str, Path]) -> dict[str, Any]:
    for name in ("rgrvae", "vae"):
        evaluate.evaluate_run(copies[name])
    return {name: json.loads((copies[name] / "metrics.json").read_text()) for name in ("rgrvae", "vae")}


def test_the_report_of_a_group_model(reports: dict[str, Any]) -> None:
    report = reports["rgrvae"]
    assert (report["model"], report["dataset"], report["seed"], report["test_states"]) == ("rgrvae", "flatland", 0, 5)
    assert {result["name"] for result in report["results"]} == set(ACTING + OTHERS)
    values = report["values"]
    assert {key.split(".")[0] for key in values} == set(ACTING + OTHERS)
    for key in ("alignment.latent", "prediction.within_20", "reconstruction.squared_error", "reconstruction.kl"):
        assert math.isfinite(values[key])
    for key, value in values.items():
        assert value is not None or key.split(".")[0] in report["missing"], key


def test_a_model_without_actions_says_what_it_lacks(reports: dict[str, Any]) -> None:
    report = reports["vae"]
    for name in ACTING:
        assert report["values"][f"{name}.{name}"] is None
        assert report["missing"][name] == "vae has no actions"
    assert report["values"]["reconstruction.negative_log_likelihood"] > 0
    assert not set(OTHERS) & {name for name in report["missing"] if report["missing"][name] == "vae has no actions"}


def test_what_is_reported_is_of_test_states(copies: dict[str, Path]) -> None:
    assembly = load_run(copies["rgrvae"])
    subject = evaluate.Subject(assembly)
    test = assembly.split.test
    states, following, actions = subject.transitions(test, None)
    assert len(states) == 4 * len(test) and set(states) == set(test)
    expected = assembly.data.world.act(assembly.data.index_to_latent(states), actions)
    assert np.array_equal(assembly.data.index_to_latent(following), expected)
    role = assembly.split.role(49)
    states, following, _ = subject.transitions(assembly.split.train, role == 0)
    assert set(role[states]) == set(role[following]) == {0}


def test_reconstruction_is_what_the_model_says(copies: dict[str, Path], reports: dict[str, Any]) -> None:
    assembly = load_run(copies["vae"])
    images = assembly.data.images(assembly.split.test)
    posterior = assembly.model.posterior(images)
    error = (assembly.model.decode(posterior.mean) - images).square().sum((1, 2, 3)).mean()
    values = reports["vae"]["values"]
    assert values["reconstruction.squared_error"] == pytest.approx(float(error.detach()), rel=1e-5)
    assert values["reconstruction.kl"] == pytest.approx(float(posterior.kl().sum(1).mean().detach()), rel=1e-5)


def test_the_same_run_gives_the_same_report(copies: dict[str, Path], reports: dict[str, Any]) -> None:
    evaluate.evaluate_run(copies["rgrvae"] / runs.CHECKPOINT)
    again = json.loads((copies["rgrvae"] / "metrics.json").read_text())
    for report in (again, reports["rgrvae"]):
        for result in report["results"]:
            result.pop("seconds", None)  # all but the time that it takes
    assert again == reports["rgrvae"]


def test_scores_lie_in_the_run_with_their_options(copies: dict[str, Path], reports: dict[str, Any]) -> None:
    store = EventAccumulator(str(copies["vae"]))
    store.Reload()
    (event,) = store.Scalars("scores/reconstruction.kl")
    assert event.value == pytest.approx(reports["vae"]["values"]["reconstruction.kl"])
    assert b"learning_rate" in store.SummaryMetadata("_hparams_/session_start_info").plugin_data.content


def test_what_is_asked_for_is_measured_and_nothing_else(
    copies: dict[str, Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "250")
    assert evaluate.main(["--metrics", "reconstruction,mig", str(copies["vae"])]) == 0
    content = json.loads((copies["vae"] / "metrics.json").read_text())
    mig = next(result for result in content["results"] if result["name"] == "mig")
    assert mig["n"] == 49 and 0 <= mig["chance"]["mig"] < mig["ceiling"]["mig"] <= 1 + 1e-9
    out = capsys.readouterr().out
    assert "lsbd" not in out
    (line,) = [line for line in out.splitlines() if "mig.mig" in line]
    cells = [cell.strip() for cell in line.strip(" │|").replace("|", "│").split("│")]
    assert cells[-1] == "binned"
    assert [float(cell) for cell in cells[1:-1]] == pytest.approx(
        [mig["values"]["mig"], mig["chance"]["mig"], mig["ceiling"]["mig"], 49], rel=1e-3
    )
    assert "information" in out


def test_what_was_measured_before_is_kept_while_the_weights_are_the_same(
    trained: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Path(shutil.copytree(trained["vae"], tmp_path / "run"))
    (run / "metrics.json").unlink(missing_ok=True)

    def held(*names: str) -> list[str]:
        assert evaluate.main([str(run), "--metrics", *names]) == 0
        return [result["name"] for result in json.loads((run / "metrics.json").read_text())["results"]]

    assert held("mcc") == ["mcc"]
    assert held("mig", "lsbd") == ["lsbd", "mig", "mcc"]
    store = EventAccumulator(str(run)).Reload()
    assert {"scores/mcc.mcc", "scores/mig.mig"} <= set(store.Tags()["scalars"])
    (run / "metrics.json").write_text("{")
    capsys.readouterr()
    assert held("mig") == ["mig"]
    assert "metrics.json is damaged, and is written anew" in capsys.readouterr().err
    state = torch.load(run / runs.CHECKPOINT, weights_only=True)
    state["model"] = {name: tensor * 1.5 for name, tensor in state["model"].items()}
    torch.save(state, run / runs.CHECKPOINT)
    assert held("mcc") == ["mcc"]


def test_runs_are_compared_by_their_codes(
    copies: dict[str, Path], trained: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate.main([str(copies["vae"]), "--metrics", "udr"]) == 0
    assert "udr: it compares runs: name two or more of one data set" in capsys.readouterr().out
    pair = [copies["rgrvae"], copies["again"], copies["vae"]]
    assert evaluate.main([*map(str, pair), "--metrics", "udr"]) == 0
    found = {}
    for run in pair:
        (found[run.name],) = [
            result for result in json.loads((run / "metrics.json").read_text())["results"] if result["name"] == "udr"
        ]
    subjects = [evaluate.Subject(load_run(run)) for run in pair]
    images = subjects[0].images(np.arange(49), 0, np.zeros(49, dtype=np.int64))
    codes = [subject.model.encode(images).detach().double().numpy() for subject in subjects]
    kl = [subject.model.posterior(images).kl().mean(0).detach().double().numpy() for subject in subjects]
    expected = metrics.compute("udr", codes, kl)
    assert {tuple(result["details"]["partners"]) for result in found.values()} == {("rgrvae", "again", "vae")}
    if expected.reason is None:
        scores = [found[run.name]["values"]["udr"] for run in pair]
        assert scores == pytest.approx(expected.details["model_scores"], abs=1e-5)
    else:
        assert {found[run.name]["reason"] for run in pair} == {expected.reason}


def test_one_run_prints_its_values(
    copies: dict[str, Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "250")
    assert evaluate.main([str(copies["vae"])]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert "metric" in said.out and "value" in said.out
    assert "reconstruction.kl" in said.out
    assert str(copies["vae"] / "metrics.json") in said.out


def test_several_runs_print_mean_spread_and_each(
    copies: dict[str, Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    assert evaluate.main([str(copies["rgrvae"]), str(copies["again"])]) == 0
    out = capsys.readouterr().out
    assert "mean" in out and "std" in out
    kl = json.loads((copies["rgrvae"] / "metrics.json").read_text())["values"]["reconstruction.kl"]
    (line,) = [line for line in out.splitlines() if "reconstruction.kl " in line]
    cells = [cell.strip() for cell in line.strip(" │|").replace("|", "│").split("│")]
    assert cells[0] == "reconstruction.kl"
    assert [float(cell) for cell in cells[1:5]] == pytest.approx([kl, 0.0, kl, kl], rel=1e-3)
    for name in ("rgrvae", "again"):
        assert (copies[name] / "metrics.json").is_file()


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        ([], 2, "the following arguments are required: RUN"),
        (["nowhere"], 2, "nowhere is not a run directory: it has no config.yaml"),
        (["{vae}", "nowhere"], 2, "nowhere is not a run directory: it has no config.yaml"),
        (["{vae}", "--threads=0"], 2, "--threads must be between 1 and"),
        (["{vae}", "--thread=1"], 2, "unrecognized arguments: --thread=1"),
        (["{vae}", "--metrics", "mg"], 2, "--metrics: there is no 'mg' (did you mean 'mig'?); there are: alignment, "),
        (["{vae}", "--plugin=nowhere.py"], 2, "--plugin nowhere.py: there is no such file"),
        (["{empty}"], 2, "holds no checkpoint"),
        (["{damaged}"], 1, "is damaged or not a checkpoint"),
        (["{garbled}"], 1, "cannot be read"),
        (["{vae}", "{garbled}"], 1, "cannot be read"),
    ],
)
def test_what_cannot_be_evaluated_is_one_line(
    trained: dict[str, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    status: int,
    message: str,
) -> None:
    places = {name: tmp_path / name for name in ("empty", "damaged", "garbled")}
    for place in places.values():
        shutil.copytree(trained["vae"], place)
    (places["empty"] / runs.CHECKPOINT).unlink()
    (places["damaged"] / runs.CHECKPOINT).write_bytes(b"something else")
    (places["garbled"] / "config.yaml").write_text("a: [")
    given = [argument.format(vae=trained["vae"], **places) for argument in arguments]
    assert evaluate.main(given) == status
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1 and message in said.err
    assert list(tmp_path.rglob("metrics.json")) == []


def test_a_disk_that_is_full_leaves_no_report(
    copies: dict[str, Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (copies["vae"] / "metrics.json").unlink(missing_ok=True)

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(runs.os, "fsync", full)
    assert evaluate.main([str(copies["vae"])]) == 1
    assert "No space left on device" in capsys.readouterr().err
    assert not [path for path in copies["vae"].iterdir() if "metrics" in path.name]
