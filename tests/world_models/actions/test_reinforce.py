"""The policy-gradient estimator: its stable logarithms, its rewards, its exploration and its several steps."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from equiworld.world_models.actions.base import consecutive
from equiworld.world_models.actions.reinforce import Reinforce, log_one_minus_exp, policy_loss
from equiworld.world_models.group import GroupVAE


def setting(tiny: Callable[..., Any], **options: Any) -> tuple[GroupVAE, Reinforce, Any]:
    assembly = tiny("rgrvae", estimator="reinforce", **options)
    batch = next(iter(assembly.loader("training").epoch(0)))
    model = assembly.model
    assert isinstance(model.estimator, Reinforce)
    return model, model.estimator, batch


def key(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_log_of_the_complement_keeps_its_digits() -> None:
    chance = torch.tensor([1e-6, 1e-3, 0.1, 0.5, 0.7, 0.99, 0.9999], dtype=torch.float64)
    found = log_one_minus_exp(chance.log())
    torch.testing.assert_close(found, torch.log1p(-chance), rtol=1e-9, atol=0.0)
    single = log_one_minus_exp(chance.log().float())
    torch.testing.assert_close(single[:4].double(), torch.log1p(-chance)[:4], rtol=1e-5, atol=0.0)


@pytest.mark.parametrize("reward", [-2.0, 0.0, 3.0])
@pytest.mark.parametrize("log_chance", [-math.inf, -1e4, -1e-30, 0.0])
def test_a_saturated_policy_has_a_finite_loss_and_gradient(log_chance: float, reward: float) -> None:
    log_probability = torch.tensor([log_chance], requires_grad=True)
    loss = policy_loss(log_probability, torch.tensor([reward]))
    loss.backward()
    assert math.isfinite(float(loss.detach()))
    assert log_probability.grad is not None and bool(torch.isfinite(log_probability.grad).all())


@pytest.mark.parametrize("logits", [(0.0, 400.0), (400.0, 0.0), (-1e5, 1e5)])
def test_and_so_it_has_through_the_softmax(logits: tuple[float, float]) -> None:
    parameter = torch.tensor([logits], requires_grad=True)
    for reward in (-1.0, 1.0):
        loss = policy_loss(torch.log_softmax(parameter, 1)[:, 0], torch.tensor([reward]))
        (gradient,) = torch.autograd.grad(loss, parameter)
        assert math.isfinite(float(loss.detach()))
        assert bool(torch.isfinite(gradient).all())


def test_in_the_middle_it_is_the_naive_formula_with_its_gradient() -> None:
    chance = torch.rand(200, generator=key(), dtype=torch.float64) * 0.98 + 0.01
    reward = torch.randn(200, generator=key(1), dtype=torch.float64)
    log_probability = chance.log().requires_grad_()
    stable = policy_loss(log_probability, reward)
    other = chance.log().requires_grad_()
    naive = -(reward.abs() * torch.where(reward >= 0, other, torch.log(1 - other.exp()))).mean()
    torch.testing.assert_close(stable, naive)
    torch.testing.assert_close(*torch.autograd.grad(stable, log_probability), *torch.autograd.grad(naive, other))


def test_the_sign_of_the_reward_says_whether_the_chance_rises() -> None:
    for reward, sign in ((1.0, -1.0), (-1.0, 1.0)):
        log_probability = torch.tensor([-1.0], requires_grad=True)
        policy_loss(log_probability, torch.tensor([reward])).backward()
        assert log_probability.grad is not None
        assert float(log_probability.grad.sign()) == sign


def test_the_policy_gets_its_weight_in_training_alone(tiny: Callable[..., Any]) -> None:
    model, estimator, batch = setting(tiny, base_policy_weight=0.2, base_policy_epsilon=0.5)
    model.eval()
    model.terms(batch, 0, key())
    assert float(estimator.policy_weight) == pytest.approx(0.2)
    model.train()
    seen = []
    for _ in range(3):
        model.terms(batch, 0, key())
        seen.append(float(estimator.policy_weight))
    assert seen == pytest.approx([0.6, 0.8, 0.9])
    assert "estimator.policy_weight" in model.state_dict()


def test_the_weight_mixes_the_policy_with_the_uniform_one(tiny: Callable[..., Any]) -> None:
    _, estimator, _ = setting(tiny, base_policy_weight=0.5)
    estimator.train()
    log_policy = torch.tensor([[1.0, 0.0, 0.0, 0.0]]).clamp_min(1e-30).log().expand(40_000, -1)
    shares = estimator._choose(log_policy, key()).bincount(minlength=4) / 40_000
    assert shares.tolist() == pytest.approx([0.625, 0.125, 0.125, 0.125], abs=0.01)
    estimator.policy_weight.fill_(1.0)
    assert set(estimator._choose(log_policy, key()).tolist()) == {0}


def test_evaluation_takes_the_likeliest_action(tiny: Callable[..., Any]) -> None:
    _, estimator, _ = setting(tiny)
    estimator.eval()
    log_policy = torch.log_softmax(torch.randn(50, 4, generator=key()), 1)
    assert torch.equal(estimator._choose(log_policy, key(1)), log_policy.argmax(1))


def test_rewards_are_how_much_nearer_the_target_the_latent_came(tiny: Callable[..., Any]) -> None:
    model, estimator, _ = setting(tiny)
    latents, moved, target = (torch.tensor([each]) for each in ([1.0, 0, 0, 0], [0.0, 2, 0, 0], [0.0, 3, 0, 0]))
    assert estimator._rewards(model, latents, moved, target).tolist() == [10.0 - 1.0]


def test_regret_takes_off_what_the_best_action_would_have_brought_more(tiny: Callable[..., Any]) -> None:
    model, estimator, _ = setting(tiny, use_regret=True)
    latents, target = torch.randn(2, 6, 4, generator=key())
    moved = model.act(latents, torch.zeros(6, dtype=torch.long))
    before = (latents - target).square().sum(1)
    plain = before - (moved - target).square().sum(1)
    every = torch.stack([before - (model.act(latents, torch.full((6,), a)) - target).square().sum(1) for a in range(4)])
    expected = plain - (every.max(0).values - plain).mean()
    torch.testing.assert_close(estimator._rewards(model, latents, moved, target), expected.detach())


class Watched:
    """Stands in for the policy network: says always the same, and keeps what it was shown."""

    def __init__(self, policy: torch.nn.Module) -> None:
        self.policy, self.shown = policy, []

    def __call__(self, before: Tensor, after: Tensor) -> Tensor:
        self.shown.append(before)
        return self.policy(before, after)


def watched(estimator: Reinforce) -> Watched:
    watch = Watched(estimator.policy)
    del estimator.policy  # a plain object cannot take the place of a module
    object.__setattr__(estimator, "policy", watch)
    return watch


def test_between_actions_the_policy_is_shown_decoded_images_not_logits(tiny: Callable[..., Any]) -> None:
    model, estimator, batch = setting(tiny, offset=3)
    with torch.no_grad():
        model.decoder.body[-1].bias.fill_(40.0)  # far from [0, 1], were it logits
    watch = watched(estimator)
    model.terms(batch, 0, key())
    assert len(watch.shown) == 3
    assert torch.equal(watch.shown[0], batch.frames[consecutive(batch)[0]])
    for images in watch.shown[1:]:
        assert not images.requires_grad
        assert 0.5 < float(images.min()) <= float(images.max()) <= 1.0


def test_each_of_several_actions_has_its_own_reward_or_the_discounted_sum_so_far(
    tiny: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from equiworld.world_models.actions import reinforce

    credits: dict[str, list[Tensor]] = {}
    for strategy in ("reward", "returns"):
        model, _, batch = setting(tiny, offset=3, multi_action_strategy=strategy, reinforce_discount=0.5)
        kept: list[Tensor] = []
        credits[strategy] = kept

        def keep(log_probability: Tensor, credit: Tensor, kept: list[Tensor] = kept) -> Tensor:
            kept.append(credit)
            return log_probability.mean()

        monkeypatch.setattr(reinforce, "policy_loss", keep)
        model.terms(batch, 0, key())
    own = credits["reward"]
    assert len(own) == 3
    torch.testing.assert_close(credits["returns"][0], own[0])
    torch.testing.assert_close(credits["returns"][1], own[0] + 0.5 * own[1])
    torch.testing.assert_close(credits["returns"][2], own[0] + 0.5 * own[1] + 0.25 * own[2])


def test_the_loss_is_the_sum_of_its_terms(tiny: Callable[..., Any]) -> None:
    model, _, batch = setting(tiny, gvae_gamma=7.0, entropy_weight=0.3, group_structure=("m",))
    terms = model.terms(batch, 0, key())
    expected = (
        terms["reconstruction"]
        + terms["penalty"]
        + 7 * terms["prediction"]
        + terms["policy_loss"]
        - 0.3 * terms["policy_entropy"]
        + terms["group_penalty"]
    )
    torch.testing.assert_close(terms["loss"], expected)
    assert float(terms["policy_entropy"].detach()) == pytest.approx(math.log(2), rel=1e-5)
    assert float(terms["group_penalty"].detach()) > 0


def test_the_policy_learns_at_a_rate_of_its_own(tiny: Callable[..., Any]) -> None:
    model, estimator, _ = setting(tiny, policy_learning_rate=0.03, learning_rate=0.004)
    groups = {group["name"]: group for group in model.parameter_groups()}
    assert (groups["policy"]["lr"], groups["bank"]["lr"], groups["networks"]["lr"]) == (0.03, 0.1, 0.004)
    assert sum(len(group["params"]) for group in groups.values()) == len(list(model.parameters()))
    assert {id(each) for each in groups["policy"]["params"]} == {id(each) for each in estimator.policy.parameters()}
