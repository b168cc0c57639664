"""FlatLand's data sets: what they hold, that they can be trained with, and what is said where there is no group."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from equiworld.datasets import DATASETS, draw_uniform, load
from equiworld.envs import UsageError, make_world, true_groups
from equiworld.reporting.measures import measure
from equiworld.world_models.assembly import Assembly

SETS: dict[str, tuple[dict[str, int], int, int]] = {
    "flatland": ({}, 7**2, 1),
    "flatland-permuted": ({"order_seed": 2}, 7**2, 1),
    "flatland-walls": ({}, 7**2, 1),
    "flatland-hue": ({"hue_period": 5}, 7**2 * 5, 3),
    "flatland-rotor": ({"turn_period": 5, "turn_stride": 1}, 7**2 * 5, 1),
    "flatland-discs": ({"spacing": 1, "small_radius": 2}, 7**4, 3),
    "flatland-dihedral": ({"period": 20}, 40, 1),
}
"""Options beside those of the tiny runs, the number of states, and the channels."""
SMALL = {"period": 7, "stride": 2, "radius": 3, "image_size": 16}


@pytest.mark.parametrize("name", SETS)
def test_a_data_set_holds_every_state_of_its_world_once(name: str) -> None:
    options, states, channels = SETS[name]
    data = load(name, **{**SMALL, **options})
    assert len(data) == states
    index = np.arange(0, states, 11)
    images = data.images(index)
    assert images.shape == (len(index), channels, 16, 16)
    asked = {**SMALL, **options}
    world = make_world(name, size=asked.pop("image_size"), **asked)
    assert (world.factors, world.actions) == (data.factors, data.world.actions)
    expected = world.render(data.generative_factors(index))
    assert np.array_equal((images.numpy() * 255).round().astype(np.uint8).transpose(0, 2, 3, 1), expected)
    drawn = draw_uniform(data, 30)
    before, after = data.generative_factors(drawn.states[:, 0]), data.generative_factors(drawn.states[:, 1])
    assert np.array_equal(world.act(before, drawn.actions[:, 0]), after)


def test_continuous_places_are_drawn_once() -> None:
    data, again, other = (load("flatland-continuous", items=300, channels=3, seed=seed) for seed in (1, 1, 2))
    assert len(data) == 300 and data.factors.names == ("x", "y")
    rows = data.generative_factors(np.arange(300))
    assert rows.dtype == np.float64 and (rows >= 0).all() and (rows < 33).all()
    assert np.abs(rows.mean(axis=0) - 16.5).max() < 2 and np.abs(rows.std(axis=0) - 33 / 12**0.5).max() < 1
    assert np.array_equal(rows, again.generative_factors(np.arange(300)))
    assert not np.array_equal(rows, other.generative_factors(np.arange(300)))
    assert np.array_equal(data.frames([5, 7]), make_world("flatland-continuous", channels=3).render(rows[[5, 7]]))
    with pytest.raises(UsageError, match="flatland-continuous: stride must be below half the period"):
        load("flatland-continuous", stride=20.0)


def test_the_sets_at_their_defaults() -> None:
    sizes = {name: len(load(name)) for name in SETS}
    assert sizes == {
        "flatland": 1089,
        "flatland-permuted": 1089,
        "flatland-walls": 1089,
        "flatland-hue": 13068,
        "flatland-rotor": 35937,
        "flatland-discs": 6561,
        "flatland-dihedral": 72,
    }
    assert {*sizes, "flatland-continuous"} == {name for name in DATASETS.names() if name.startswith("flatland")}
    orders = {name: [g.order for g in true_groups(load(name).world).values()] for name in sizes if "dih" not in name}
    assert orders == {
        "flatland": [33, 33],
        "flatland-permuted": [33, 33],
        "flatland-walls": [],
        "flatland-hue": [33, 33, 12],
        "flatland-rotor": [33, 33, 33],
        "flatland-discs": [9, 9, 9, 9],
    }


@pytest.mark.parametrize("name", SETS)
def test_the_default_model_trains_on_every_set(name: str, tiny: Callable[..., Assembly]) -> None:
    options = SETS[name][0]
    assembly = tiny("rgrvae", dataset=name, steps=400, window=2, latents=8, architecture="forward", **options)
    batch = next(assembly.loader("training").epoch(0))
    terms: dict[str, Any] = assembly.model.terms(batch, 0, None)
    terms["loss"].backward()
    assert np.isfinite(float(terms["loss"].detach()))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("flatland-walls", "no cyclic group acts on this world"),
        ("flatland-dihedral", "the actions of this world do not commute: their group is no product of cyclic groups"),
    ],
)
def test_metrics_of_cyclic_groups_say_where_there_are_none(
    name: str, reason: str, tiny: Callable[..., Assembly]
) -> None:
    assembly = tiny("rgrvae", dataset=name, steps=400, window=2, **SETS[name][0])
    results = measure(assembly, ["alignment", "angles", "group_errors", "decomposition", "mig"])
    assert {result.name: result.reason for result in results if result.name in ("angles", "decomposition")} == {
        "angles": reason,
        "decomposition": reason,
    }
    assert all(result.values[result.name] is not None for result in results if result.name in ("alignment", "mig"))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("flatland-hue", {"hue_stride": 6}, "flatland-hue: hue stride must be below half its period 12, got 6"),
        ("flatland-hue", {"channels": 3}, "the data set 'flatland-hue' has no option 'channels'; it takes: "),
        ("flatland-rotr", {}, "unknown data set 'flatland-rotr' (did you mean 'flatland-rotor'?); there are: "),
    ],
)
def test_refusals_are_one_line(name: str, options: dict[str, int], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        load(name, **options)
    assert str(caught.value).startswith(message) and "\n" not in str(caught.value)
