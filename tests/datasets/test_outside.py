"""A world from a folder outside the package: the file that docs/adding-a-world.md shows, used as it says."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import equiworld

PAGE = Path(equiworld.__file__).resolve().parent / "docs" / "adding-a-world.md"

PROGRAM = """
import importlib, json, sys
sys.path.insert(0, ".")
importlib.import_module("my_world")  # what --plugin does
import numpy as np
from equiworld import datasets
from equiworld.envs import UsageError, make_world, true_groups

world = make_world("clock", places=6, size=32)
data = datasets.load("clock", places=6, image_size=32, noise_name="background")
clean = datasets.load("clock")
pairs = datasets.record_trajectory(clean, 200, offset=2)
starts, actions = pairs.gather(pairs.windows(1), 1)
factors = clean.index_to_latent(starts[:, 0])
for step in range(2):
    factors = clean.world.act(factors, actions[:, 0, step])
frames = clean.frames(np.arange(len(clean)))
try:
    datasets.load("clock", places=1)
    refusal = ""
except UsageError as error:
    refusal = str(error)
print(json.dumps({
    "states": [world.factors.size, len(data), len(clean)],
    "shape": list(data.images([0, 1]).shape),
    "follows": bool((clean.latent_to_index(factors) == starts[:, 1]).all()),
    "distinct": len(np.unique(frames.reshape(len(frames), -1), axis=0)),
    "groups": [[g.name, g.codes, g.order] for g in true_groups(clean.world).values()],
    "options": sorted(vars(datasets.DATASETS["clock"].options())),
    "noon": [int(frames[0, row, 32, 0]) for row in (10, 25, 40)],
    "refusal": refusal,
}))
"""


@pytest.fixture(scope="module")
def answer(tmp_path_factory: pytest.TempPathFactory) -> dict:
    folder = tmp_path_factory.mktemp("outside")
    (source,) = re.findall(r"<!-- file: my_world.py -->\n```python\n(.*?)```", PAGE.read_text("utf-8"), re.S)
    (folder / "my_world.py").write_text(source, encoding="utf-8")
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_world_and_its_data_set_are_there_by_name(answer: dict) -> None:
    assert answer["states"] == [36, 36, 144]
    assert answer["shape"] == [2, 1, 32, 32]
    assert answer["options"] == ["image_size", "places"]
    assert answer["refusal"] == "clock: 3 places and 8 pixels or more are accepted, got 1 and 64"


def test_its_pictures_tell_its_states_apart(answer: dict) -> None:
    assert answer["distinct"] == 144
    assert answer["noon"] == [255, 255, 0]  # both hands point upwards


def test_its_transitions_and_groups_follow_from_it(answer: dict) -> None:
    assert answer["follows"]
    assert answer["groups"] == [["hour", [0, 1], 12], ["minute", [2, 3], 12]]
