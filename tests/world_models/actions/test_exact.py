"""The exact estimator: the expectation over all actions, in place of a sample of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from equiworld.envs import UsageError
from equiworld.world_models.actions.base import consecutive
from equiworld.world_models.actions.exact import Exact


def setting(tiny: Callable[..., Any], **options: Any) -> Any:
    assembly = tiny("rgrvae", estimator="exact", **options)
    model = assembly.model
    assert isinstance(model.estimator, Exact)
    torch.nn.init.normal_(model.estimator.policy.last.weight, generator=torch.Generator().manual_seed(1))
    return model, next(iter(assembly.loader("training").epoch(0)))


def test_the_prediction_term_is_the_sum_over_actions(tiny: Callable[..., Any]) -> None:
    model, batch = setting(tiny)
    terms = model.terms(batch, 0, torch.Generator().manual_seed(0))
    first, second = consecutive(batch)
    codes = model.encode(batch.frames)
    chances = model.infer_action(batch.frames[first], batch.frames[second])
    expected = torch.zeros(len(first))
    for action in range(4):
        moved = model.act(codes[first], torch.full((len(first),), action))
        expected = expected + chances[:, action] * (moved - codes[second]).square().sum(1)
    torch.testing.assert_close(terms["prediction"], expected.mean())
    entropy = torch.distributions.Categorical(chances).entropy().mean()
    torch.testing.assert_close(terms["policy_entropy"], entropy)
    torch.testing.assert_close(terms["policy_spread"], torch.distributions.Categorical(chances.mean(0)).entropy())


def test_the_loss_is_the_sum_of_its_terms_and_finite_with_its_gradient(tiny: Callable[..., Any]) -> None:
    model, batch = setting(tiny, gvae_gamma=7.0, entropy_weight=0.3, information_weight=2.0)
    with torch.no_grad():
        model.estimator.policy.last.weight.mul_(1e4)  # chances of exactly 0 and 1
    terms = model.terms(batch, 0, torch.Generator().manual_seed(0))
    assert all(bool(torch.isfinite(term)) for term in terms.values())
    expected = terms["reconstruction"] + terms["penalty"] + 7 * terms["prediction"] + terms["group_penalty"]
    torch.testing.assert_close(terms["loss"], expected - 0.3 * terms["policy_entropy"] - 2 * terms["policy_spread"])
    terms["loss"].backward()
    for parameter in model.parameters():
        assert parameter.grad is None or bool(torch.isfinite(parameter.grad).all())


def test_information_counts_twice_gamma_by_default(tiny: Callable[..., Any]) -> None:
    assert setting(tiny, gvae_gamma=7.0)[0].estimator.information_weight == 14.0


def test_rotations_start_large_and_with_the_sign_of_their_letter(tiny: Callable[..., Any]) -> None:
    angles = [float(each.angle.detach()) for each in setting(tiny)[0].bank.representations]
    assert [math.copysign(1, angle) for angle in angles] == [1, -1, 1, -1]
    assert all(1.2 <= abs(angle) <= 1.4 for angle in angles)


def test_angles_are_held_until_the_policy_has_decided(tiny: Callable[..., Any]) -> None:
    model, batch = setting(tiny)
    torch.nn.init.zeros_(model.estimator.policy.last.weight)
    rates = []
    for sharpness, training in ((0.0, True), (1e4, False), (1e4, True)):
        if sharpness:
            torch.nn.init.normal_(model.estimator.policy.last.weight, std=sharpness, generator=torch.Generator())
        model.train(training)
        model.terms(batch, 0, torch.Generator().manual_seed(0))
        rates.append((model.rate(0, "bank"), model.rate(0, "networks")))
    assert rates == [(0.05, 1.0), (0.05, 1.0), (1.0, 1.0)]
    assert bool(model.state_dict()["estimator.has_decided"])


def test_it_takes_single_actions(tiny: Callable[..., Any]) -> None:
    with pytest.raises(UsageError, match="--estimator exact takes single actions: use procrustes or reinforce"):
        setting(tiny, offset=2)
