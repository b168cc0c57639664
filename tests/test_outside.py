"""A model and a world from outside the package: the files that docs/ shows, trained and evaluated as it says."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import equiworld
from equiworld.world_models.command_line import read_request

ROOT = Path(equiworld.__file__).resolve().parent
SHORT = ["--epochs=1", "--steps=300", "--batch-size=20", "--threads=1", "--no-evaluate"]

# The front doors in one process, with each command's exit code and what it wrote to stderr.
PROGRAM = """
import contextlib, io, json, sys
from equiworld import evaluate, train

answers = []
for door, *arguments in json.loads(sys.argv[1]):
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        code = {"train": train, "evaluate": evaluate}[door].main(arguments)
    answers.append([code, said.getvalue()])
print(json.dumps(answers))
"""


def in_folder(folder: Path, *commands: list[str]) -> list[tuple[int, str]]:
    """Exit code and stderr of each command, all run in one new process in ``folder``."""
    program = [sys.executable, "-c", PROGRAM, json.dumps(commands)]
    done = subprocess.run(program, cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return [tuple(answer) for answer in json.loads(done.stdout)]


def shown(page: str, name: str) -> str:
    """The file ``name`` that a page of the documentation shows."""
    text = (ROOT / "docs" / page).read_text("utf-8")
    (source,) = re.findall(rf"<!-- file: {re.escape(name)} -->\n```python\n(.*?)```", text, re.S)
    return source


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both files, and a short run of each."""
    path = tmp_path_factory.mktemp("outside")
    for page, name in (("adding-a-model.md", "my_model.py"), ("adding-a-world.md", "my_world.py")):
        (path / name).write_text(shown(page, name), encoding="utf-8")
    model = ["--plugin", "my_model.py", "--model=my-model", "--dataset=flatland", "--sparsity=4", "--log-dir=model"]
    model += ["--period=12", "--radius=8", "--image-size=32"]
    world = ["--plugin", "my_world", "--model=rgrvae", "--dataset=clock", "--places=6", "--log-dir=world"]
    world += ["--image-size=32"]
    answers = in_folder(path, ["train", *model, *SHORT], ["train", *world, *SHORT])
    assert [code for code, _ in answers] == [0, 0], answers
    return path


@pytest.fixture(scope="module")
def measured(folder: Path) -> Path:
    """The same folder, evaluated by another process."""
    answers = in_folder(
        folder,
        ["evaluate", "--threads=1", "model/version_0"],
        ["evaluate", "--threads=1", "--plugin", "my_model.py", "model/version_0"],
        ["evaluate", "--threads=1", "--plugin", "my_world", "world/version_0"],
    )
    assert [code for code, _ in answers] == [2, 0, 0], answers
    assert "--plugin my_model.py" in answers[0][1]
    assert answers[0][1].count("\n") == 1
    return folder


def test_a_run_records_its_plugin_and_its_options(folder: Path) -> None:
    model = yaml.safe_load((folder / "model/version_0/config.yaml").read_text("utf-8"))
    assert {key: model[key] for key in ("model", "dataset", "plugin", "sparsity", "sparsity_steps", "latents")} == {
        "model": "my-model",
        "dataset": "flatland",
        "plugin": ["my_model.py"],
        "sparsity": 4.0,
        "sparsity_steps": 1000,
        "latents": 10,
    }
    world = yaml.safe_load((folder / "world/version_0/config.yaml").read_text("utf-8"))
    assert (world["dataset"], world["plugin"], world["places"]) == ("clock", ["my_world"], 6)


def test_a_model_from_outside_is_measured_like_any_other(measured: Path) -> None:
    report = json.loads((measured / "model/version_0/metrics.json").read_text("utf-8"))
    assert (report["model"], report["dataset"], report["test_states"]) == ("my-model", "flatland", 14)
    assert 0 <= report["values"]["lsbd.lsbd"] <= 1.5
    assert report["values"]["alignment.alignment"] is None
    assert report["missing"]["alignment"] == "my-model has no actions"


def test_a_world_from_outside_gives_the_truth_to_the_metrics(measured: Path) -> None:
    report = json.loads((measured / "world/version_0/metrics.json").read_text("utf-8"))
    assert (report["model"], report["dataset"], report["test_states"]) == ("rgrvae", "clock", 4)
    confusion = next(result for result in report["results"] if result["name"] == "alignment")["details"]["confusion"]
    assert sum(map(sum, confusion)) == 4 * 4  # every action from every held-out state


def test_published_settings_can_be_read() -> None:
    files = sorted((ROOT / "configs").glob("*.yaml"))
    assert files
    for file in files:
        options = read_request(["--config", str(file)]).options
        content = yaml.safe_load(file.read_text("utf-8"))
        flat = options.flat()
        assert {key: flat[key] for key in content} == content, file.name


def test_the_original_run_is_the_published_one() -> None:
    options = read_request(["--config", str(ROOT / "configs/rgrvae-original.yaml")]).options
    assert (options.model_name, options.dataset_name, options.model.estimator) == ("rgrvae", "flatland", "reinforce")
    assert (options.model.gvae_gamma, options.model.group_structure) == (10.0, ("c+", "c-"))
    assert (options.model.batch_size, options.model.epochs, options.model.window) == (128, 200, 1)
