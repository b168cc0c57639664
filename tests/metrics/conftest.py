"""Recorded values of published metric code, and maps with a known structure."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest

DATA = Path(__file__).parent / "data"


def load_recordings():
    """The list of recorded values, which benchmarks/recorded.py reads too; tests are imported by path."""
    spec = importlib.util.spec_from_file_location("recordings_of_metrics", Path(__file__).with_name("recordings.py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


LIST = load_recordings()


class Recorded:
    """Recorded inputs and the scores that the published code gave for them."""

    def __init__(self):
        with np.load(DATA / "recorded.npz") as arrays:
            self._arrays = {name: arrays[name] for name in arrays.files}
        self.expected = json.loads((DATA / "recorded.json").read_text())

    def array(self, family, name):
        return self._arrays[f"{family}__{name}"]


@pytest.fixture(scope="session")
def recorded():
    return Recorded()


@pytest.fixture(scope="session")
def rotate():
    """Makes a map from the angles of its planes: rotate([a, b], dims=6, basis=q) turns the first four dimensions."""

    def make(angles, dims=None, basis=None):
        size = 2 * len(angles) if dims is None else dims
        matrix = np.eye(size)
        for plane, angle in enumerate(angles):
            cosine, sine = np.cos(angle), np.sin(angle)
            matrix[2 * plane : 2 * plane + 2, 2 * plane : 2 * plane + 2] = [[cosine, -sine], [sine, cosine]]
        return matrix if basis is None else basis @ matrix @ basis.T

    return make


@pytest.fixture(scope="session")
def orthogonal():
    """Makes a random orthogonal matrix."""

    def make(dims, seed=0):
        return np.linalg.qr(np.random.default_rng(seed).standard_normal((dims, dims)))[0]

    return make


@pytest.fixture(scope="session")
def torus():
    """Makes the perfect code of a grid of cyclic factors: (cos, sin) of each, at any frequency."""

    def make(sizes, frequencies=None):
        index = np.meshgrid(*(np.arange(size) for size in sizes), indexing="ij")
        waves = [1] * len(sizes) if frequencies is None else frequencies
        parts = []
        for axis, (size, frequency) in enumerate(zip(sizes, waves, strict=True)):
            angle = 2 * np.pi * frequency * index[axis] / size
            parts += [np.cos(angle), np.sin(angle)]
        return np.stack(parts, axis=-1)

    return make


@pytest.fixture(scope="session")
def flat_maps(rotate):
    """FlatLand's maps in a basis, which is made: codes 0, 2 turn the second plane and 1, 3 the first."""
    step = 2 * np.pi * 5 / 33

    def make(basis=None):
        dims = None if basis is None else len(basis)
        pairs = ([0, -step], [-step, 0], [0, step], [step, 0])
        return np.stack([rotate(angles, dims=dims, basis=basis) for angles in pairs])

    return make


@pytest.fixture(scope="session")
def recordings():
    """Recorded rows and scores: see ``Recordings``."""
    return LIST.recordings()


@pytest.fixture(scope="session")
def recorded_list():
    """The module with the list of all recorded values."""
    return LIST


MINI = [
    "perfect",
    "permuted_scaled",
    "monotone",
    "dead_dims",
    "rotated",
    "noisy",
    "duplicated",
    "paired",
    "missing",
    "sincos",
    "random",
    "constant",
]
NOT_OF_SHAPES3D = {"noisy", "paired", "sincos"}


def pytest_generate_tests(metafunc):
    """Tests that take ``space`` and ``name`` run on every recording.

    Those with ``family`` and ``entry`` run on every recorded value that takes no time.
    """
    if {"family", "entry"} <= set(metafunc.fixturenames):
        entries = [(family, key) for family in LIST.FAMILIES for key in family.entries() if family.is_fast(key)]
        metafunc.parametrize(
            ("family", "entry"), entries, ids=[f"{key}-{family.publisher}-{family.how}" for family, key in entries]
        )
    if {"space", "name"} <= set(metafunc.fixturenames):
        cases = [("mini", name) for name in MINI]
        cases += [("shapes3d", name) for name in MINI if name not in NOT_OF_SHAPES3D]
        metafunc.parametrize(("space", "name"), cases)
