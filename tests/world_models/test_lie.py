"""The commutative Lie group VAE: its map is a group's, its penalties are what they say, and it trains."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from equiworld import train
from equiworld.datasets.randomness import torch_generator
from equiworld.envs import FlatLand, UsageError
from equiworld.world_models import load
from equiworld.world_models.lie import LieGroupLatent, LieVAE
from equiworld.world_models.zoo import MODELS, Context


def key(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def space(*bases: Tensor) -> LieGroupLatent:
    """A space whose subgroups have these bases."""
    found = LieGroupLatent([(basis.shape[1], len(basis)) for basis in bases], 0.1, True, key())
    for own, basis in zip(found.bases, bases, strict=True):
        own.data.copy_(basis)
    return found


def build(**options: Any) -> LieVAE:
    world = FlatLand(period=7, stride=2, radius=3, size=16)
    context = Context(world, False, 1, key(options.pop("seed", 0)), 40)
    spec = MODELS["lievae"]
    values = {"latents": 4, "subgroup_sizes": (9, 16)} | options
    model = spec.build(spec.options(**values), context)
    assert isinstance(model, LieVAE)
    return model


def batch(model: LieVAE, assembly: Any = None) -> Any:
    images = torch.rand(6, 1, 16, 16, generator=key(1))
    return type("Batch", (), {"frames": images})()


J = torch.tensor([[0.0, -1.0], [1.0, 0.0]])


def test_a_skew_generator_makes_rotations() -> None:
    angles = torch.tensor([0.0, 0.3, 2.0, -40.0])
    found = space(J[None]).features(angles[:, None]).view(-1, 2, 2)
    cos, sin = angles.cos(), angles.sin()
    expected = torch.stack([torch.stack([cos, -sin], 1), torch.stack([sin, cos], 1)], 1)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


def test_a_generator_makes_a_one_parameter_group() -> None:
    latent = space(torch.randn(1, 4, 4, generator=key()))

    def element(t: float) -> Tensor:
        return latent.elements(torch.tensor([[t]]))[0][0]

    torch.testing.assert_close(element(0.7) @ element(-0.2), element(0.5), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(element(0.0), torch.eye(4))


def test_subgroups_have_coordinates_of_their_own() -> None:
    latent = space(J[None], torch.stack([torch.diag(torch.tensor([1.0, 0, 0])), torch.diag(torch.tensor([0, 2.0, 0]))]))
    assert (latent.size, latent.feature_size, latent.posterior_size) == (3, 13, 13)
    turned, stretched = latent.elements(torch.tensor([[torch.pi, 1.0, 0.5]]))
    torch.testing.assert_close(turned[0], -torch.eye(2), atol=1e-5, rtol=0)
    torch.testing.assert_close(stretched[0], torch.diag(torch.tensor([torch.e, torch.e, 1.0])))


def test_each_subgroups_posterior_reads_its_own_part_of_the_feature() -> None:
    latent = LieGroupLatent([(2, 1), (3, 2)], 0.1, True, key())
    features = torch.randn(5, 13, generator=key(2), requires_grad=True)
    posterior = latent.posterior(features)
    (posterior.mean[:, 1:].sum() + posterior.log_variance[:, 1:].sum()).backward()
    assert features.grad is not None
    assert (features.grad[:, :4] == 0).all() and (features.grad[:, 4:] != 0).any()


def test_commuting_bases_have_no_commutator() -> None:
    diagonal = torch.diag_embed(torch.randn(3, 4, generator=key()))
    first, second = diagonal[:2].diagonal(dim1=1, dim2=2)
    products, commutators = space(diagonal[:2]).algebra()
    assert float(commutators.detach()) == 0.0
    assert float(products) == pytest.approx(2 * float((first * second).square().sum()) / 4)


def test_the_penalties_by_hand() -> None:
    raising, lowering = torch.tensor([[0.0, 1.0], [0.0, 0.0]]), torch.tensor([[0.0, 0.0], [1.0, 0.0]])
    products, commutators = space(torch.stack([raising, lowering])).algebra()
    # Both products have one 1, of four pairs; the commutator is diag(1, -1), twice.
    assert (float(products), float(commutators)) == (0.5, 1.0)
    two = space(torch.stack([raising, lowering]), torch.stack([raising, lowering])).algebra()
    assert (float(two[0]), float(two[1])) == (1.0, 2.0)
    assert [float(each) for each in space(J[None]).algebra()] == [0.0, 0.0]


def test_where_products_vanish_coordinates_factor() -> None:
    """exp(s A + t B) = exp(s A) exp(t B) for commuting A and B, in either order."""
    blocks = torch.zeros(2, 4, 4)
    blocks[0, :2, :2], blocks[1, 2:, 2:] = J, J
    latent = space(blocks)
    assert [float(each) for each in latent.algebra()] == [0.0, 0.0]
    both, first, second = (latent.elements(torch.tensor([[s, t]]))[0][0] for s, t in ((0.4, 1.1), (0.4, 0), (0, 1.1)))
    torch.testing.assert_close(both, first @ second)
    torch.testing.assert_close(both, second @ first)


@pytest.mark.parametrize("options", [{}, {"exp_map": False}, {"hy_commute": 2.0, "hy_rec": 0.0}])
def test_the_loss_is_the_sum_of_its_terms(options: dict[str, Any]) -> None:
    model = build(**options)
    terms = model.terms(batch(model), 0, key(3))
    values = {"hy_rec": 0.1, "hy_hes": 40.0, "hy_commute": 0.0} | options
    expected = terms["reconstruction"] + terms["kl"] + values["hy_rec"] * terms["group-agreement"]
    if model.lie.exp_map:
        expected = expected + values["hy_hes"] * terms["group-products"]
        expected = expected + values["hy_commute"] * terms["group-commutators"]
    torch.testing.assert_close(terms["loss"], expected)


def test_all_parameters_have_finite_gradients() -> None:
    model = build(hy_commute=1.0, lie_alg_init_scale=0.5)
    model.terms(batch(model), 0, key(3))["loss"].backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name
    assert all((basis.grad != 0).all() for basis in model.latent.bases)


def test_the_encoders_feature_is_decoded_as_often_as_asked_and_in_training_alone() -> None:
    for probability, reads_code in ((0.0, True), (1.0, False)):
        model = build(forward_eg_prob=probability, hy_rec=0.0, hy_hes=0.0)
        model.terms(batch(model), 0, key(3))["reconstruction"].backward()
        assert (model.latent.bases[0].grad is not None) == reads_code
        model.zero_grad()
        model.eval()
        model.terms(batch(model), 0, key(3))["reconstruction"].backward()
        assert model.latent.bases[0].grad is not None
    model = build(forward_eg_prob=0.2)
    feature = model.likelihood.loss(model.decoder(model.encoder(batch(model).frames)), batch(model).frames).mean()
    hits = [
        torch.equal(model.terms(batch(model), 0, torch_generator(0, step))["reconstruction"], feature)
        for step in range(100)
    ]
    assert 10 <= sum(hits) <= 32


def test_codes_and_images_have_their_shapes() -> None:
    model = build().eval()
    images = batch(model).frames
    with torch.no_grad():
        codes = model.encode(images)
        assert codes.shape == (6, 4)
        assert model.decode(codes).shape == images.shape
        assert model.decode(50 * codes).isfinite().all()
    assert build(exp_map=False).decode(codes).shape == images.shape


def test_the_generator_alone_decides() -> None:
    states = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        states.append(build(seed=5).state_dict())
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())
    assert not torch.equal(states[0]["latent.bases.0"], build(seed=6).state_dict()["latent.bases.0"])


def test_it_is_trained_saved_and_loaded(tiny_arguments: list[str], tmp_path: Path) -> None:
    small = ["--latents=4", "--subgroup-sizes", "9", "16", "--subspace-sizes", "1", "3"]
    assert train.main(["--model=lievae", *small, *tiny_arguments, f"--log-dir={tmp_path}"]) == 0
    model = load(tmp_path / "version_0")
    assert isinstance(model, LieVAE) and model.latent.counts == [1, 3]
    again = load(tmp_path / "version_0")
    images = torch.rand(3, 1, 16, 16, generator=key())
    assert torch.equal(model.encode(images), again.encode(images))


def test_a_few_updates_lower_the_loss(tiny: Callable[..., Any]) -> None:
    assembly = tiny("lievae", latents=2, subgroup_sizes=(16,), learning_rate=1e-3, steps=40)
    model, loader = assembly.model, assembly.loader("training")
    optimizer, losses, step = torch.optim.Adam(model.parameter_groups()), [], 0
    for epoch in range(8):
        for each in loader.epoch(epoch):
            loss = model.terms(each, step, torch_generator(0, step))["loss"]
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(float(loss.detach()))
            step += 1
    assert sum(losses[-4:]) < 0.8 * sum(losses[:4])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"subgroup_sizes": (10,)}, "--subgroup-sizes takes squares, such as 100 for 10 x 10, not 10"),
        ({"subgroup_sizes": ()}, "--subgroup-sizes takes squares, such as 100 for 10 x 10, not nothing"),
        ({"latents": 5}, "--subspace-sizes must split --latents 5 into 2 (one for each of --subgroup-sizes), not 2 2"),
        ({"subspace_sizes": (4,)}, "--subspace-sizes must split --latents 4 into 2"),
        ({"subspace_sizes": (4, 0)}, "--subspace-sizes must split --latents 4 into 2"),
        ({"hy_hes": -1.0}, "--hy-hes must be 0 or more, not -1"),
        ({"forward_eg_prob": 1.5}, "--forward-eg-prob must be between 0 and 1, not 1.5"),
        ({"lie_alg_init_scale": 0.0}, "--lie-alg-init-scale must be above 0, not 0"),
        ({"exp_map": False, "hy_hes": 1.0}, "--hy-hes is not read with --no-exp-map"),
        ({"latent": "torus"}, "lievae has a latent space of its own: --latent torus is not accepted here"),
        ({"objective": "iwae"}, "--objective iwae decodes more than a sample of each image"),
    ],
)
def test_what_makes_no_sense_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as refused:
        build(**options)
    assert said in str(refused.value) and "\n" not in str(refused.value)


def test_the_default_is_the_published_size() -> None:
    """Of the encoder, its four posterior layers, ten basis matrices and the decoder, for pictures of 64 x 64."""
    spec = MODELS["lievae"]
    model = spec.build(spec.options(), Context(FlatLand(), False, 1, key()))
    convolutions = sum((i * o * 16 + o) for i, o in ((1, 32), (32, 32), (32, 64), (64, 64)))
    encoder = convolutions + 1024 * 256 + 256 + 256 * 100 + 100
    heads = 2 * (100 * 400 + 400 + 400 * 10 + 10)
    transposed = sum((i * o * 16 + o) for i, o in ((64, 64), (64, 32), (32, 32), (32, 1)))
    decoder = 100 * 256 + 256 + (256 * 1024 + 64) + transposed
    assert sum(parameter.numel() for parameter in model.parameters()) == encoder + heads + 10 * 100 + decoder
