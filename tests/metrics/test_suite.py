"""Many metrics at once: what is encoded, how often, and what is said of names and data that cannot be used."""

import itertools
import warnings

import numpy as np
import pytest
import torch

from equiworld.datasets import FactorDataset
from equiworld.envs import FlatLand
from equiworld.metrics import METRICS, Metric, MetricResult, compute, evaluate, metric
from equiworld.metrics.suite import choose_states

DATA = FactorDataset(FlatLand(period=9, stride=2, radius=3, size=16))


class Counting:
    """Tells the disc's phases from the picture, and how often each picture was shown."""

    def __init__(self):
        self.pictures = DATA.images(np.arange(len(DATA))).flatten(1)
        phases = 2 * np.pi * DATA.generative_factors(np.arange(len(DATA))) / 9
        self.codes = torch.from_numpy(np.stack([np.cos(phases), np.sin(phases)], -1).reshape(len(DATA), -1))
        self.shown = np.zeros(len(DATA), dtype=int)

    def __call__(self, images):
        states = torch.cdist(images.flatten(1), self.pictures).argmin(1)
        np.add.at(self.shown, states.numpy(), 1)
        return self.codes[states].requires_grad_()


def test_every_state_is_encoded_once_for_all_metrics():
    model = Counting()
    results = evaluate(model, DATA, ["mig", "sap", "mcc"], batch=10)
    assert list(results) == ["mig", "sap", "mcc"]
    assert model.shown.tolist() == [1] * 81
    assert all(isinstance(result, MetricResult) and result.seconds is not None for result in results.values())
    assert results["mig"].n == 54


def test_it_is_what_compute_says_of_the_same_rows():
    train, test = choose_states(81, (10_000, 5_000), 3)
    phases = 2 * np.pi * DATA.generative_factors(np.arange(81)) / 9
    codes = np.stack([np.cos(phases), np.sin(phases)], -1).reshape(81, -1)
    factors = DATA.generative_factors(np.arange(81))
    expected = compute("sap", factors[train], codes[train], factors[test], codes[test], seed=3)
    assert evaluate(Counting(), DATA, ["sap"], seed=3)["sap"].values == pytest.approx(expected.values)


def test_batches_with_factors_held_still_are_drawn_from_all_states():
    model = Counting()
    results = evaluate(model, DATA, ["factor_vae", "mig"], rows=(30, 20))
    assert model.shown.tolist() == [1] * 81
    assert results["factor_vae"].n == 81 and results["factor_vae"].details["whole_grid"]
    assert results["mig"].n == 30
    fewer = Counting()
    rows = evaluate(fewer, DATA, ["factor_vae"], rows=(30, 20), whole=80)["factor_vae"]
    assert fewer.shown.sum() == 50
    assert rows.n == 30 and not rows.details["whole_grid"]


def test_metrics_take_options_of_their_own():
    results = evaluate(Counting(), DATA, ["mig", "dmig"], options={"mig": {"bins": 5}})
    assert results["mig"].details["bins"] == 5 != results["dmig"].details["bins"]
    assert results["mig"].options == {"seed": 0, "bins": 5}
    with pytest.raises(ValueError, match="there are options for 'sap', which is not computed; mig are"):
        evaluate(Counting(), DATA, ["mig"], options={"sap": {}})


@pytest.mark.parametrize(
    ("number", "rows", "sizes"), [(100, (50, 20), (50, 20)), (30, (200, 100), (20, 10)), (2, (10, 5), (1, 1))]
)
def test_states_to_fit_on_and_to_test_on_are_different(number, rows, sizes):
    train, test = choose_states(number, rows, 0)
    assert (len(train), len(test)) == sizes
    assert len({*train.tolist(), *test.tolist()}) == sum(sizes)
    assert max(train.max(), test.max()) < number


def test_what_cannot_be_measured_is_said():
    with pytest.raises(ValueError, match="'alignment' is not a metric of factors and codes; there are: beta_vae"):
        evaluate(Counting(), DATA, ["alignment"])
    with pytest.raises(ValueError, match="rows must be 1 or more"):
        evaluate(Counting(), DATA, ["mig"], rows=(0, 5))
    heard = []
    results = evaluate(lambda images: np.full((len(images), 2), np.nan), DATA, ["mig"], told=heard.append)
    assert results["mig"].values == {"mig": None}
    assert "not finite" in results["mig"].reason
    assert heard == ["mig"]


def test_slow_metrics_say_how_far_they_are():
    heard = []
    results = evaluate(Counting(), DATA, ["dci"], rows=(40, 20), told=heard.append)
    assert results["dci"].values["disentanglement"] > 0.5
    assert heard[0] == "dci"
    assert [line.split(" in ")[0] for line in heard[1:]] == [f"dci: {done} of 2 factors" for done in (0, 1, 2)]
    assert "s left" in heard[1]


@pytest.mark.parametrize("size", [1e200, 1e-200])
def test_factors_of_any_size_have_a_ceiling(size):
    grid = np.stack(np.divmod(np.arange(49), 7), axis=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = compute("mcc", grid * size, np.hstack([grid, grid[:, :1] ** 2]), continuous=[0, 1])
    assert found.ceiling["mcc"] == pytest.approx(1)
    assert found.values["mcc"] == pytest.approx(1)


def test_a_metric_that_fails_says_so_in_its_place(monkeypatch):
    def broken(factors, codes, factors_test=None, codes_test=None, *, seed=0):
        raise RuntimeError("it broke")

    monkeypatch.setitem(METRICS, "broken", Metric("broken", "information", broken, of_codes=True))
    results = evaluate(Counting(), DATA, ["broken", "mig"])
    assert results["broken"].values == {"broken": None} and results["broken"].reason == "RuntimeError('it broke')"
    assert results["mig"].values["mig"] is not None


def test_seeds_and_options_are_looked_at_first():
    for seed in (-1, 1.5, True):
        with pytest.raises(ValueError, match="seed must be a whole number, 0 or more, not"):
            compute("mig", np.zeros((3, 1)), np.zeros((3, 1)), seed=seed)
    with pytest.raises(ValueError, match="mig has no option 'bin'; it takes: factors, codes"):
        evaluate(Counting(), DATA, ["mig"], options={"mig": {"bin": 3}})
    with pytest.raises(ValueError, match="names must be a list of names"):
        evaluate(Counting(), DATA, "mig")


def test_chance_is_the_same_however_long_it_takes(monkeypatch):
    arrays = np.arange(60).reshape(-1, 1) % 7, np.random.default_rng(0).normal(size=(60, 3))
    first = compute("mig", *arrays).chance
    clock = itertools.count(0, 10.0)
    monkeypatch.setattr("equiworld.metrics.registry.time.perf_counter", lambda: next(clock))
    assert compute("mig", *arrays).chance == first


def test_a_metric_of_another_module_does_not_replace_one():
    def mig(factors, codes):
        return MetricResult("mig", {"mig": 0.0})

    mig.__qualname__ = METRICS["mig"].function.__qualname__
    with pytest.raises(ValueError, match="the metric 'mig' is registered already"):
        metric("mig", family="information")(mig)
