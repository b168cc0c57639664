"""What TensorBoard shows: the pictures' layout, what their rows hold, and the tags that are there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from equiworld.world_models.panels import (
    action_rows,
    captions,
    entropy,
    grid,
    pseudo_independence,
    step_rows,
    traversals,
)


def test_a_grid_sets_pictures_in_rows_with_grey_between() -> None:
    rows = [torch.stack([torch.full((1, 2, 3), value) for value in (0.1, 0.2)]), torch.full((1, 1, 2, 3), 0.3)]
    picture = grid(rows, gap=1)
    a, b, c, g = 0.1, 0.2, 0.3, 0.5
    expected = [[a, a, a, g, b, b, b]] * 2 + [[g] * 7] + [[c, c, c, g, g, g, g]] * 2
    torch.testing.assert_close(picture, torch.tensor([expected]))


def test_traversals_move_one_latent_each(tiny: Callable[..., Any]) -> None:
    assembly = tiny("vae", latents=3, architecture="forward")
    model, image = assembly.model, assembly.data.images([5])[0]
    rows = traversals(model, image, reach=2.0, number=5)
    assert len(rows) == 3
    code = model.encode(image[None])
    for latent, row in enumerate(rows):
        moved = code.clone()
        moved[0, latent] = -2.0
        torch.testing.assert_close(row[0], model.decode(moved)[0].detach())
        moved[0, latent] = 0.0
        torch.testing.assert_close(row[2], model.decode(moved)[0].detach())


def test_rows_of_repeated_actions(tiny: Callable[..., Any]) -> None:
    assembly = tiny("rgrvae")
    model, image = assembly.model, assembly.data.images([5])[0]
    rows = action_rows(model, image, 4)
    assert len(rows) == 4
    code = model.encode(image[None])
    for action, row in enumerate(rows):
        for power in range(4):
            expected = model.decode(model.act(code, torch.tensor([action]), power))[0].detach()
            torch.testing.assert_close(row[power], expected, atol=1e-5, rtol=1e-4)


def test_pseudo_independence_is_1_when_each_action_has_its_own() -> None:
    true = torch.arange(3).repeat(4)
    assert pseudo_independence(torch.eye(3)[true], true, 3) == pytest.approx(1.0)
    assert pseudo_independence(torch.full((12, 3), 1 / 3), true, 3) == pytest.approx(0.0, abs=1e-6)
    half = torch.tensor([[1.0, 0, 0], [1.0, 0, 0], [0, 0, 1.0]])[true]
    assert pseudo_independence(half, true, 3) == pytest.approx(1 - 1 / 3)


@pytest.mark.parametrize("steps", [1, 2])
def test_steps_end_where_all_inferred_actions_lead(tiny: Callable[..., Any], steps: int) -> None:
    assembly = tiny("rgrvae", offset=steps)
    model, images = assembly.model, assembly.data.images([5, 6, 7])
    rows = step_rows(model, images, images.flip(0))
    assert len(rows) == steps + 2
    torch.testing.assert_close(rows[0], images)
    torch.testing.assert_close(rows[-1], images.flip(0))
    shown, codes = images, model.encode(images)
    for row in rows[1:-1]:
        codes = model.act(codes, model.infer_action(shown, images.flip(0)).argmax(1))
        shown = model.decode(codes).detach()
        torch.testing.assert_close(row, shown)


def test_captions_stand_below_their_columns() -> None:
    strip = captions(["t1 p2", "", "t3 p0"], (3, 40, 40))
    assert strip.shape == (3, 12, 3 * 42 - 2)
    written = [bool(strip[:, :, 42 * column : 42 * column + 40].any()) for column in range(3)]
    assert written == [True, False, True]
    assert captions(["t1"], (5, 40, 40)).shape == (1, 12, 40)


def test_entropy_of_weights() -> None:
    weights = torch.tensor([[2.0, 0.0, 2.0], [5.0, 0.0, 0.0], [0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
    torch.testing.assert_close(entropy(weights), torch.tensor([2.0, 1.0, 1.0, 3.0]).log())


def tags(run: Path) -> dict[str, set[str]]:
    events = EventAccumulator(str(run))
    events.Reload()
    found = events.Tags()
    return {kind: set(found[kind]) for kind in ("scalars", "images", "histograms", "tensors")}


def test_a_group_model_shows_its_actions(trained: dict[str, Path]) -> None:
    found = tags(trained["rgrvae"])
    assert {"recons/recon", "linspaces/linspace", "groups/groups"} <= found["images"]
    assert {"actions/actions", "actions/steps"} <= found["images"]
    assert {"train/loss", "valid/loss", "attn/alignment", "attn/mean_entropy", "attn/independence"} <= found["scalars"]
    assert {"attn/true_action_entropy", "attn/per_action_entropy", "attn/entropy_ratio"} <= found["scalars"]
    assert {"metric/mse_x1", "metric/mse_x2", "metric/mse_z2", "metric/mse_z1_mu2"} <= found["scalars"]
    assert {"forward/mean_angle", "forward/angle_std", "forward/dets_mean"} <= found["scalars"]
    assert {f"cyclic_orders/angle_{number}" for number in range(4)} <= found["scalars"]
    assert {"kl/active_units", *(f"kl/latent_{number}" for number in range(4))} <= found["scalars"]
    assert {"posterior/mean", "attn/attn", "attn/attn_norm", "attn/attn_scaled_dists"} <= found["histograms"]
    texts = {"matrices", "actions/counts", "actions/examples", "actions/density"}
    assert {f"{name}/text_summary" for name in texts} <= found["tensors"]


def test_a_model_without_actions_shows_none(trained: dict[str, Path]) -> None:
    found = tags(trained["vae"])
    assert {"recons/recon", "linspaces/linspace"} <= found["images"]
    assert not {
        tag for kind in found.values() for tag in kind if tag.startswith(("attn", "groups", "actions", "cyclic"))
    }
