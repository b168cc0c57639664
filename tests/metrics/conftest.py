"""Recorded values of published metric code, and maps with a known structure."""

import json
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

DATA = Path(__file__).parent / "data"


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


class Recordings:
    """Known representations of two factor spaces, and what published metric code gave for them.

    ``rows("mini", "noisy")`` are factors and codes to train on, then to test on; the sizes are those of a 5x5x5x5 grid
    ("mini") and of 3D Shapes ("shapes3d"). Expected values lie under the publisher ("disentanglement_lib", "others",
    "leakage", "udr") and a key such as "mini/noisy/mig".
    """

    SIZES: ClassVar = {"mini": (5, 5, 5, 5), "shapes3d": (10, 10, 10, 8, 4, 15)}

    def __init__(self):
        with np.load(DATA / "representations.npz") as arrays:
            self._arrays = {name: arrays[name] for name in arrays.files}
        self.expected = json.loads((DATA / "expected.json").read_text())

    def rows(self, space, name):
        parts = (self._part(space, name, part) for part in ("train", "test"))
        return tuple(array for pair in parts for array in pair)

    def _part(self, space, name, part):
        factors = self._arrays[f"{space}__factors_{part}"].astype(np.int64)
        sizes = np.array(self.SIZES[space], dtype=np.float64)
        perfect = (factors - (sizes - 1) / 2) / np.sqrt((sizes**2 - 1) / 12)
        stored = self._arrays.get(f"{space}__{name}_{part}")
        if name == "dead_dims":
            codes = np.hstack([perfect, stored])
        elif name == "missing":
            codes = np.hstack([perfect[:, :-1], stored])
        elif stored is not None:
            codes = stored
        else:
            codes = self._derived(name, perfect, 2 * np.pi * factors / sizes)
        return factors, codes

    @staticmethod
    def _derived(name, perfect, angles):
        count = perfect.shape[1]
        if name == "permuted_scaled":
            signs = np.where(np.arange(count) % 2 == 0, 1.0, -1.0)
            return perfect[:, np.random.RandomState(3).permutation(count)] * signs * (0.5 + np.arange(count))
        return {
            "perfect": perfect,
            "monotone": perfect**3,
            "duplicated": np.hstack([perfect, perfect]),
            "sincos": np.stack([np.cos(angles), np.sin(angles)], axis=-1).reshape(len(perfect), -1),
            "constant": np.zeros_like(perfect),
        }[name]


@pytest.fixture(scope="session")
def recordings():
    return Recordings()


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
    """Tests that take ``space`` and ``name`` run on every recording, those with ``mini_name`` on the small space."""
    if {"space", "name"} <= set(metafunc.fixturenames):
        cases = [("mini", name) for name in MINI]
        cases += [("shapes3d", name) for name in MINI if name not in NOT_OF_SHAPES3D]
        metafunc.parametrize(("space", "name"), cases)
    if "mini_name" in metafunc.fixturenames:
        metafunc.parametrize("mini_name", MINI)
