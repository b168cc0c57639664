"""What every latent space keeps to: shapes, geodesics, generators, models over it, options, refusals in one line."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import geoopt
import pytest
import torch
from torch import Tensor

import equiworld
from equiworld import train
from equiworld.envs import UsageError
from equiworld.world_models import load
from equiworld.world_models.command_line import read_request
from equiworld.world_models.latents import LATENTS, EuclideanLatent, LatentSpace
from equiworld.world_models.latents.hyperboloid import HyperboloidLatent, WrappedNormal
from equiworld.world_models.latents.poincare import PoincareLatent
from equiworld.world_models.latents.sphere import SphereLatent
from equiworld.world_models.latents.torus import TorusLatent

NAMES = LATENTS.names()
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {name: (name, {}) for name in NAMES} | {
    "raw": ("gaussian-manifold", {"layers": "raw", "learn_curvature": True}),
    "isotropic": ("hyperboloid", {"covariance": "isotropic", "factor_size": 3}),
    "full": ("hyperboloid", {"covariance": "full", "factor_size": None}),
    "rotated": ("hyperboloid", {"covariance": "rotated", "factor_size": None, "learn_curvature": True}),
    "wrapped": ("poincare", {"normal": "wrapped", "factor_size": 6}),
    "learnt": ("unit-interval", {"prior": "beta", "prior_alpha": 2.0, "learn_prior": True}),
}


def key(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def build(variant: str, latents: int = 6) -> LatentSpace:
    name, options = VARIANTS[variant]
    return LATENTS[name].build(LATENTS[name].options(**options), latents)


def features(space: LatentSpace, number: int = 20) -> Tensor:
    return torch.randn(number, space.posterior_size, generator=key(4))


@pytest.mark.parametrize("variant", VARIANTS)
def test_shapes(variant: str) -> None:
    space = build(variant)
    posterior = space.posterior(features(space))
    draw = posterior.draw(key())
    assert space.size == 6
    assert posterior.mean.shape == posterior.deviation.shape == draw.codes.shape == (20, 6)
    assert posterior.kl().shape == draw.log_ratio.shape == posterior.divergence(draw).shape == (20, space.factors)
    assert posterior.log_prob(draw.codes).shape == space.prior_log_prob(draw.codes).shape == (20,)
    assert space.features(draw.codes).shape == (20, space.feature_size)
    assert space.prior_sample(7, key()).shape == (7, 6)
    assert space.distance(posterior.mean, draw.codes).shape == (20,)
    assert bool((posterior.deviation > 0).all())


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_generator_alone_decides(variant: str) -> None:
    space = build(variant)
    posterior = space.posterior(features(space))
    found = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        found.append((posterior.rsample(key(3)), space.prior_sample(5, key(3)), posterior.kl()))
    assert all(torch.equal(one, two) for one, two in zip(*found, strict=True))
    assert not torch.equal(posterior.rsample(key(5)), found[0][0])


@pytest.mark.parametrize("variant", VARIANTS)
def test_rows_are_posteriors_of_their_own(variant: str) -> None:
    space = build(variant)
    told = features(space)
    rows = torch.tensor([3, 3, 7])
    posterior, chosen = space.posterior(told), space.posterior(told[rows])
    torch.testing.assert_close(posterior[rows].mean, chosen.mean)
    torch.testing.assert_close(posterior[rows].rsample(key()), chosen.rsample(key()))
    codes = posterior.rsample(key())[:4]
    pairs = posterior.pairwise_log_prob(codes)
    assert pairs.shape == (4, 20)
    torch.testing.assert_close(pairs[2], posterior.log_prob(codes[2:3].expand(20, -1)))


@pytest.mark.parametrize("variant", VARIANTS)
def test_geodesics_divide_distances(variant: str) -> None:
    space = build(variant).double()
    one = space.posterior(features(space).double()).mean.detach()
    two = one.roll(1, 0)
    whole = space.distance(one, two)
    torch.testing.assert_close(whole, space.distance(two, one))
    assert bool((whole > 0).all())
    shares = torch.linspace(0, 1, 20, dtype=torch.float64)
    for share in (0.0, 0.3, 1.0, shares):
        middle = space.interpolate(one, two, share)
        torch.testing.assert_close(space.distance(one, middle), share * whole, rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(space.distance(middle, two), (1 - share) * whole, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_mean_is_in_the_middle_of_narrow_samples(variant: str) -> None:
    space = build(variant)
    told = features(space)
    told[:, space.size :] = -8.0  # the spread, which all spaces read last
    if VARIANTS[variant][0] == "gaussian-manifold":
        told[:, : 2 * space.factors] = features(space)[:, : 2 * space.factors]
        told[:, 2 * space.factors :] = -12.0
    posterior = space.posterior(told)
    spread = torch.stack([space.distance(posterior.mean, posterior.rsample(key(seed))) for seed in range(20)])
    assert float(spread.max()) < 0.15
    middle = torch.stack([posterior.rsample(key(seed)) for seed in range(200)]).mean(0)
    close = (middle - posterior.mean).abs() < 0.4 * posterior.deviation + 1e-4
    assert float(close.float().mean()) > 0.95


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_model_over_it_is_trained(variant: str, tiny: Callable[..., Any]) -> None:
    name, options = VARIANTS[variant]
    assembly = tiny("vae", latent=name, latents=6, architecture="forward", **options)
    model, batch = assembly.model, next(iter(assembly.loader("training").epoch(0)))
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    losses = []
    for step in range(25):
        terms = model.terms(batch, step, key(step))
        torch.testing.assert_close(terms["loss"], terms["reconstruction"] + terms["kl"])
        optimizer.zero_grad()
        terms["loss"].backward()
        assert all(bool(torch.isfinite(each.grad).all()) for each in model.parameters() if each.grad is not None)
        optimizer.step()
        losses.append(float(terms["loss"].detach()))
    assert losses[-1] < 0.7 * losses[0]
    assert all(each.grad is not None for each in model.latent.parameters())
    codes = model.encode(batch.frames)
    assert codes.shape == (len(batch.frames), 6)
    assert model.decode(codes).shape == batch.frames.shape


@pytest.mark.parametrize("estimator", ["exact", "reinforce"])
def test_a_group_acts_on_the_torus(estimator: str, tiny: Callable[..., Any]) -> None:
    assembly = tiny("rgrvae", latent="torus", estimator=estimator, latents=4)
    model, batch = assembly.model, next(iter(assembly.loader("training").epoch(0)))
    terms = model.terms(batch, 0, key())
    terms["loss"].backward()
    assert bool(torch.isfinite(terms["loss"]))
    codes = model.encode(batch.frames)
    for action in range(model.num_actions):
        moved = model.act(codes, torch.full((len(codes),), action), power=3)
        torch.testing.assert_close(model.latent.features(moved), moved)
        before = model.latent.distance(codes, codes.roll(1, 0))
        torch.testing.assert_close(model.latent.distance(moved, moved.roll(1, 0)), before, rtol=1e-4, atol=1e-5)


def test_numbers_off_the_space_are_read_at_the_nearest_code() -> None:
    torch.testing.assert_close(TorusLatent(2).features(torch.tensor([[3.0, 4.0]])), torch.tensor([[0.6, 0.8]]))
    assert build("unit-interval").features(torch.tensor([[-1.0, 0.3, 2.0, 0, 1, 1]]))[0, :3].tolist() == [
        0.0,
        pytest.approx(0.3),
        1.0,
    ]


def test_what_is_learnt_of_a_space_is_in_the_checkpoint() -> None:
    assert list(build("hyperboloid").state_dict()) == list(build("euclidean").state_dict()) == []
    assert build("raw").state_dict()["curvature.log_size"].tolist() == [0.0] * 3
    assert build("learnt").state_dict()["logs"].shape == (2, 6)


def test_learnt_curvatures_and_priors_have_the_right_gradient() -> None:
    for variant in ("raw", "rotated", "learnt"):
        space = build(variant, 2).double()
        told = features(space, 1).double()
        (learnt,) = space.parameters()
        noise = space.posterior(told).noise(key(1)).detach()

        def value(space: LatentSpace = space, told: Tensor = told, noise: Tensor = noise) -> Tensor:
            posterior = space.posterior(told)
            draw = posterior.at(noise)
            return posterior.divergence(draw).sum() + draw.log_ratio.sum() + space.features(draw.codes).sum()

        (slope,) = torch.autograd.grad(value(), learnt)
        with torch.no_grad():
            for place in range(learnt.numel()):
                step = torch.zeros_like(learnt).flatten()
                step[place] = 1e-6
                learnt += step.view_as(learnt)
                above = value()
                learnt -= 2 * step.view_as(learnt)
                below = value()
                learnt += step.view_as(learnt)
                found = float((above - below) / 2e-6)
                assert found == pytest.approx(float(slope.flatten()[place]), rel=1e-5, abs=1e-6)


def test_a_rotated_covariance_lies_along_the_mean() -> None:
    space = HyperboloidLatent(2, covariance="rotated")
    mean = torch.tensor([[-1.2, 1.6]])
    posterior = space.posterior(torch.cat([mean, torch.tensor([[4.0, -4.0]])], 1))
    assert isinstance(posterior, WrappedNormal)
    variances = torch.nn.functional.softplus(torch.tensor([4.0, -4.0]))
    along, across = (posterior.spread.make(each[None, None]) for each in torch.eye(2))
    # The first axis goes to the mean's direction, or its opposite.
    torch.testing.assert_close(along[0, 0] / variances[0].sqrt(), torch.tensor([0.6, -0.8]), rtol=1e-2, atol=1e-2)
    assert float(along.flatten() @ across.flatten()) == pytest.approx(0, abs=1e-6)
    noise = torch.tensor([[[0.3, -0.8]]])
    torch.testing.assert_close(posterior.spread.noise_of(posterior.spread.make(noise)), noise)


def test_the_manifolds_are_those_of_geoopt() -> None:
    codes = torch.randn(10, 4, generator=key(), dtype=torch.float64)
    other = codes.roll(1, 0)
    for space in (HyperboloidLatent(4, 4, curvature=-0.5), PoincareLatent(4, 4, "wrapped", curvature=-0.5)):
        distances = space.manifold().dist(space.points(codes), space.points(other))
        torch.testing.assert_close(distances, space.double().distance(codes, other), rtol=1e-5, atol=1e-6)
    sphere = SphereLatent(4, 4)
    one, two = (each / each.norm(dim=1, keepdim=True) for each in (codes, other))
    assert isinstance(sphere.manifold(), geoopt.Sphere)
    torch.testing.assert_close(sphere.manifold().dist(one, two), sphere.distance(one, two))


def test_a_rotation_of_pairs_is_an_isometry_of_the_torus() -> None:
    space = TorusLatent(4)
    one, two = space.prior_sample(10, key()), space.prior_sample(10, key(1))
    turn = torch.tensor([[math.cos(1.0), -math.sin(1.0)], [math.sin(1.0), math.cos(1.0)]])
    both = torch.block_diag(turn, torch.eye(2))
    torch.testing.assert_close(space.distance(one @ both.T, two @ both.T), space.distance(one, two))
    moved = (space.phases(one @ both.T) - space.phases(one)).remainder(2 * math.pi)
    torch.testing.assert_close(moved[:, 0], torch.ones(10), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        ("gmvae", {"curvature": 1.0}, r"--curvature must be below 0 \(hyperbolic\), not 1.0"),
        ("hvae", {"curvature": 0.0}, "--curvature must be below 0"),
        ("pvae", {"curvature": float("nan")}, "--curvature must be a finite number"),
        ("gmvae", {"latents": 7}, "--latents 7 cannot be split into planes: multiples of 2 are accepted"),
        ("hvae", {"latents": 7}, "--latents 7 cannot be split into factors of --factor-size 2: multiples of 2"),
        ("hvae", {"factor_size": 0}, "--latents 8 cannot be split into factors of --factor-size 0"),
        ("vae", {"latent": "torus", "latents": 3}, "--latents 3 cannot be split into circles"),
        ("vae", {"latent": "sphere", "factor_size": 1}, "--factor-size must be 2 or more on spheres, not 1"),
        ("vae", {"latent": "spere"}, "unknown latent space 'spere' .*did you mean 'sphere'"),
        ("vae", {"latent": 3}, "latent must be a name, not 3"),
        ("vae", {"curvature": -1.0}, "unknown option 'curvature' for model 'vae'"),
        ("vae", {"latent": "hyperboloid", "prior": "beta"}, "unknown option 'prior'"),
        ("pvae", {"factor_size": 4}, "--normal riemannian lives on planes: --factor-size 2 is accepted, not 4"),
        ("vae", {"latent": "unit-interval", "prior": "beta", "prior_beta": 0.0}, "--prior-beta must be above 0, not 0"),
        ("vae", {"latent": "unit-interval", "prior_beta": 2.0}, "--prior-beta is not read by --prior uniform"),
        ("rgrvae", {"latent": "hyperboloid"}, "--latent hyperboloid is not accepted here"),
        ("rgrvae", {"latent": "torus"}, "--estimator exact or reinforce of rgrvae is accepted"),
        ("forward", {"latent": "torus"}, "--estimator exact or reinforce of rgrvae is accepted"),
        (
            "rgrvae",
            {"latent": "torus", "estimator": "exact", "group_structure": ("c+", "m")},
            "--group-structure m moves codes off the torus; accepted: c, c\\+, c-",
        ),
        ("rgrvae", {"latent": "torus", "estimator": "exact", "use_cob": True}, "--use-cob mixes the circles"),
    ],
)
def test_refusals(model: str, options: dict[str, Any], message: str, tiny: Callable[..., Any]) -> None:
    with pytest.raises(UsageError, match=message) as refusal:
        tiny(model, **options)
    assert "\n" not in str(refusal.value)


def test_the_command_line_has_the_options_of_the_space_that_is_named() -> None:
    chosen = read_request(["--model=vae", "--latent=hyperboloid", "--covariance=full", "--curvature=-2"]).options
    latent = chosen.parts["latent"]
    assert (latent.covariance, latent.curvature) == ("full", -2.0)
    assert read_request(["--model=betavae", "--latent", "torus", "--beta=2"]).options.model.latent == "torus"
    assert {"latent": "hyperboloid", "covariance": "full"}.items() <= chosen.flat().items()
    # A model's own space may have its own defaults; another one has those that it has elsewhere.
    assert read_request(["--model=rown"]).options.parts["latent"].covariance == "rotated"
    assert read_request(["--model=rown"]).options.parts["latent"].factor_size is None
    assert read_request(["--model=gmvae", "--latent=hyperboloid"]).options.parts["latent"].covariance == "diagonal"
    with pytest.raises(UsageError, match="unknown option --covariance for model 'gmvae'"):
        read_request(["--model=gmvae", "--covariance=full"])


def test_no_option_of_a_space_is_one_of_a_run() -> None:
    for name in NAMES:
        read_request(["--model=betavae", f"--latent={name}"])
        fields = dataclasses.fields(LATENTS[name].options)
        assert all(each.default is not dataclasses.MISSING for each in fields)


def test_a_run_comes_back(tmp_path: Path, tiny_arguments: list[str]) -> None:
    asked = ["--model=gmvae", "--latents=4", "--learn-curvature", "--curvature=-0.7", f"--log-dir={tmp_path}"]
    assert train.main([*asked, *tiny_arguments]) == 0
    model = load(tmp_path / "version_0")
    assert model.latent.size == 4
    sizes = torch.exp(model.latent.curvature.log_size.detach())
    assert 0.6 < float(sizes.min()) <= float(sizes.max()) < 0.8
    assert not torch.equal(sizes, torch.full_like(sizes, 0.7))


def test_a_space_from_outside_is_one_file(tmp_path: Path, tiny_arguments: list[str]) -> None:
    file = tmp_path / "my_latent.py"
    page = (Path(equiworld.__file__).parent / "docs" / "models" / "latents.md").read_text("utf-8")
    (source,) = re.findall(r"<!-- file: my_latent.py -->\n```python\n(.*?)```", page, re.S)
    file.write_text(source)
    asked = ["--plugin", str(file), "--model=vae", "--latent=positive", "--unit=2", "--architecture=forward"]
    assert train.main([*asked, *tiny_arguments, f"--log-dir={tmp_path / 'logs'}"]) == 0
    model = load(tmp_path / "logs" / "version_0")
    assert isinstance(model.latent, EuclideanLatent)
    torch.testing.assert_close(model.latent.features(torch.zeros(1, 10)), torch.full((1, 10), 2.0))
