"""The peeling estimator: what it makes of the factors that were found, and how it goes from one part to the next."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from equiworld.envs import UsageError
from equiworld.world_models.actions import peeling
from equiworld.world_models.actions.circles import CircleReader, Peeled
from equiworld.world_models.actions.peeling import Peeling


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> Peeled:
    """Two of the three factors that six latents have room for."""
    readers = []
    for angle in (0.7, 2.1):
        reader = CircleReader(12, 256)
        reader.angle.fill_(angle)
        reader.powers.copy_(torch.tensor([1, 0, 0]))
        readers.append(reader)
    peeled = Peeled(readers, 0.0, "two")
    monkeypatch.setattr(peeling, "peel", lambda *given: peeled)
    return peeled


def setting(tiny: Callable[..., Any], **options: Any) -> tuple[Any, Peeling]:
    assembly = tiny("rgrvae", estimator="peeling", latents=6, search_steps=5, **options)
    estimator = assembly.model.estimator
    assert isinstance(estimator, Peeling)
    estimator.peeling = replace(estimator.peeling, teach_steps=10, again=3)
    return assembly, estimator


def test_found_angles_fill_the_bank_and_the_rest_rests(tiny: Callable[..., Any], found: Peeled) -> None:
    assembly, estimator = setting(tiny)
    model = assembly.model
    lines = estimator.advance(model, assembly.loader("training"), 5)
    assert lines == ["actions found after 5 updates: two"]
    angles = {
        name: float(entry.angle.detach())
        for name, entry in zip(model.bank.names, model.bank.representations, strict=True)
    }
    assert sorted(angles.values()) == pytest.approx([-2.1, -0.7, 0, 0, 0.7, 2.1], abs=1e-5)
    assert int(estimator.in_use.sum()) == 4
    identity = torch.eye(6)
    for entry, used in enumerate(estimator.in_use.tolist()):
        assert used != torch.allclose(model.matrices()[entry], identity, atol=1e-6)


def test_actions_at_rest_are_never_inferred(tiny: Callable[..., Any], found: Peeled) -> None:
    assembly, estimator = setting(tiny)
    loader = assembly.loader("training")
    estimator.advance(assembly.model, loader, 5)
    batch = next(iter(loader.epoch(0)))
    means = torch.randn(*batch.index.shape, 6, generator=torch.Generator().manual_seed(0))
    chosen = estimator._chosen(means, assembly.model.matrices(), batch)
    assert set(chosen.flatten().tolist()) <= set(estimator.in_use.nonzero()[:, 0].tolist())
    assert len(chosen.unique()) == 4


def test_each_part_has_its_own_loss(tiny: Callable[..., Any], found: Peeled) -> None:
    """Search on images, then the distance to the circles, then the group loss; the circles are not learnt on."""
    assembly, estimator = setting(tiny)
    model, loader = assembly.model, assembly.loader("training")
    batch = next(iter(loader.epoch(0)))

    def terms(step: int) -> dict[str, torch.Tensor]:
        return dict(estimator.terms(model, batch, step, torch.Generator().manual_seed(0)))

    assert "distance" not in terms(4) and "prediction" not in terms(4)
    estimator.advance(model, loader, 5)
    taught = terms(6)
    assert "distance" in taught
    taught["loss"].backward()
    assert all(parameter.grad is None for parameter in estimator.readers.parameters())
    assert model.encoder.head.weight.grad is not None
    assert "prediction" in terms(15)
    assert estimator.rate(14, "networks") == estimator.schedule.search_rate
    assert not estimator.finished(15 + estimator.schedule.refine_steps - 1)
    assert estimator.finished(15 + estimator.schedule.refine_steps)
    assert estimator.expected_updates(6, 10**9) == 5 + 10 + estimator.schedule.refine_steps


def test_it_is_tried_again_until_all_is_explained(
    tiny: Callable[..., Any], found: Peeled, monkeypatch: pytest.MonkeyPatch
) -> None:
    assembly, estimator = setting(tiny)
    loader = assembly.loader("training")
    monkeypatch.setattr(peeling, "peel", lambda *given: Peeled([], 1.0, "none"))
    tried = [
        step for step in range(1, 10) if estimator.advance(assembly.model, loader, step) == ["no actions yet: none"]
    ]
    assert tried == [5, 8]
    assert estimator.searching and "train for more --epochs" in str(estimator.warning())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"group_structure": ("c+",)}, "--estimator peeling takes --group-structure c\\+ c-"),
        ({"group_structure": ("c+", "c-", "0")}, "--estimator peeling takes --group-structure c\\+ c-"),
        ({"static_latents": 2}, "--estimator peeling has no static latents"),
        ({"offset": 2}, "--estimator peeling takes single actions"),
        ({"slowness": 3.0}, "--slowness is not read by --estimator peeling"),
    ],
)
def test_what_it_cannot_do_is_refused(tiny: Callable[..., Any], options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        tiny("rgrvae", estimator="peeling", **options)


def test_search_steps_are_the_estimators(tiny: Callable[..., Any]) -> None:
    assert tiny("rgrvae", estimator="peeling", search_steps=77).model.estimator.peeling.search_steps == 77
    with pytest.raises(UsageError, match="--search-steps is not read by --estimator procrustes"):
        tiny("rgrvae", search_steps=77)
