"""Densities integrate to 1, divergences are their integrals, and samples follow them: by quadrature and by counting."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from equiworld.world_models.latents import LATENTS, LatentSpace
from equiworld.world_models.latents.numerics import log_sinhc
from equiworld.world_models.latents.poincare import PoincareLatent, log_survival

Grid = tuple[Tensor, Tensor]  # codes, and the volume of each


def build(name: str, latents: int, **options: Any) -> LatentSpace:
    return LATENTS[name].build(LATENTS[name].options(**options), latents).double()


def legendre(low: float, high: float, number: int) -> Grid:
    nodes, weights = np.polynomial.legendre.leggauss(number)
    half = (high - low) / 2
    return torch.from_numpy(low + half * (nodes + 1)), torch.from_numpy(half * weights)


def circle(number: int) -> Tensor:
    return torch.arange(number, dtype=torch.float64) * (2 * math.pi / number)


def plane_grid(curvature: float, reach: float = 14.0) -> Grid:
    """Polar coordinates around the origin of a hyperbolic plane."""
    radius, weights = legendre(0, reach, 200)
    angle = circle(128)
    codes = radius[:, None, None] * torch.stack([angle.cos(), angle.sin()], -1)
    volume = weights * radius * torch.exp(log_sinhc(math.sqrt(-curvature) * radius)) * (2 * math.pi / 128)
    return codes.flatten(0, 1), volume[:, None].expand(-1, 128).flatten()


def half_plane_grid(features: Tensor, curvature: float) -> Grid:
    """``(mu, log sigma^2)`` in a box that holds a posterior of raw layers and the prior."""
    alpha, log_beta2, log_gamma2 = features[0].tolist()
    deviations = [math.exp((log_beta2 + log_gamma2) / 2), 1.0]
    mu, across = legendre(min(alpha - 9 * deviations[0], -9), max(alpha + 9 * deviations[0], 9), 200)
    height, along = legendre(-45, 14, 400)
    codes = torch.stack(torch.meshgrid(mu, height, indexing="ij"), -1).flatten(0, 1)
    volume = across[:, None] * along * torch.exp(-height / 2) / (2 * math.sqrt(-curvature))
    return codes, volume.flatten()


def sphere_grid(n: int) -> Grid:
    """Points of one meridian, each with the area of its parallel; densities depend on nothing else."""
    angle, weights = legendre(0, math.pi, 300)
    codes = torch.zeros(300, n, dtype=torch.float64)
    codes[:, 0], codes[:, 1] = angle.cos(), angle.sin()
    area = 2 * math.pi ** ((n - 1) / 2) / math.gamma((n - 1) / 2)
    return codes, weights * area * angle.sin() ** (n - 2)


def interval_grid() -> Grid:
    """The unit interval by its logit, so that both ends are resolved."""
    y, weights = legendre(-36, 36, 400)
    return torch.sigmoid(y)[:, None], weights * torch.sigmoid(y) * torch.sigmoid(-y)


def softplus_inverse(*scales: float) -> list[float]:
    return [scale + math.log(-math.expm1(-scale)) for scale in scales]


HYPERBOLIC: list[tuple[str, dict[str, Any], list[float]]] = [
    ("hyperboloid", {"covariance": "isotropic"}, [0.6, -0.4, *softplus_inverse(0.5)]),
    ("hyperboloid", {"covariance": "diagonal", "curvature": -0.01}, [1.0, 2.0, *softplus_inverse(1.5, 0.4)]),
    ("hyperboloid", {"covariance": "diagonal", "curvature": -10.0}, [0.2, 0.3, *softplus_inverse(0.3, 0.15)]),
    ("hyperboloid", {"covariance": "full"}, [-1.0, 0.5, *softplus_inverse(0.5, 0.7), 0.8]),
    ("hyperboloid", {"covariance": "rotated", "curvature": -0.5}, [-1.0, 0.9, *softplus_inverse(0.6, 0.2)]),
    ("poincare", {"normal": "riemannian"}, [0.7, -1.0, *softplus_inverse(0.6)]),
    ("poincare", {"normal": "riemannian", "curvature": -0.01}, [1.0, 1.0, *softplus_inverse(1.2)]),
    ("poincare", {"normal": "riemannian", "curvature": -10.0}, [0.3, 0.1, *softplus_inverse(0.4)]),
    ("poincare", {"normal": "wrapped"}, [0.4, 0.4, *softplus_inverse(0.6, 0.4)]),
]
MANIFOLD = [(-1.0, [0.5, 0.4, -1.0]), (-0.5, [-1.0, -1.0, 0.5]), (-0.01, [0.2, 0.0, 0.0]), (-10.0, [0.3, 1.0, -2.0])]
SPHERE = [(2, 0.5), (2, -4.0), (3, -2.0), (5, 0.0), (5, -3.0)]
INTERVAL = [({}, [0.3, -1.0]), ({"prior": "beta", "prior_alpha": 3.0, "prior_beta": 11.0}, [-1.0, 0.5])]


def cases() -> dict[str, tuple[LatentSpace, Tensor, Callable[[], Grid]]]:
    """Spaces of one factor, what the encoder says, and a grid that holds posterior and prior."""
    found: dict[str, tuple[LatentSpace, Tensor, Callable[[], Grid]]] = {}

    def add(name: str, latents: int, options: dict[str, Any], features: list[float], grid: Callable[[], Grid]) -> None:
        space = build(name, latents, **options)
        label = " ".join([name, *map(str, options.values()), *map(str, np.round(features, 2))])
        found[label] = (space, torch.tensor([features], dtype=torch.float64), grid)

    for name, options, features in HYPERBOLIC:
        curvature = options.get("curvature", -1.0)
        add(name, 2, options, features, lambda curvature=curvature: plane_grid(curvature))
    for curvature, features in MANIFOLD:
        at = torch.tensor([features], dtype=torch.float64)
        options = {"curvature": curvature, "layers": "raw"}
        add("gaussian-manifold", 2, options, features, lambda at=at, c=curvature: half_plane_grid(at, c))
    for n, raw in SPHERE:
        add("sphere", n, {"factor_size": n}, [1.0, *[0.0] * (n - 1), raw], lambda n=n: sphere_grid(n))
    for options, features in INTERVAL:
        add("unit-interval", 1, options, features, interval_grid)
    return found


CASES = cases()


@pytest.mark.parametrize("case", CASES)
def test_posterior_and_prior_integrate_to_one(case: str) -> None:
    space, features, grid = CASES[case]
    codes, volume = grid()
    with torch.no_grad():
        posterior, prior = space.posterior(features).log_prob(codes), space.prior_log_prob(codes)
    assert float((volume * posterior.exp()).sum()) == pytest.approx(1, abs=1e-4)
    assert float((volume * prior.exp()).sum()) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("case", CASES)
def test_the_divergence_is_the_integral(case: str) -> None:
    space, features, grid = CASES[case]
    codes, volume = grid()
    with torch.no_grad():
        posterior = space.posterior(features)
        log_q = posterior.log_prob(codes)
        exact = float((volume * log_q.exp() * (log_q - space.prior_log_prob(codes))).sum())
        if posterior.closed_form:
            assert float(posterior.kl()[0, 0]) == pytest.approx(exact, rel=1e-4, abs=1e-6)
        ratios = space.posterior(features.repeat(40_000, 1)).draw(torch.Generator().manual_seed(0)).log_ratio[:, 0]
    assert float(ratios.mean()) == pytest.approx(exact, abs=5 * float(ratios.std()) / 200)


@pytest.mark.parametrize("case", CASES)
def test_a_draw_knows_its_densities(case: str) -> None:
    space, features, _ = CASES[case]
    posterior = space.posterior(features.repeat(100, 1))
    with torch.no_grad():
        draw = posterior.draw(torch.Generator().manual_seed(0))
        log_q, log_p = draw.densities
        torch.testing.assert_close(posterior.log_prob(draw.codes), log_q.sum(1), rtol=1e-7, atol=1e-6)
        torch.testing.assert_close(space.prior_log_prob(draw.codes), log_p.sum(1), rtol=1e-7, atol=1e-6)


def samples(space: LatentSpace, features: list[float], number: int = 20_000) -> tuple[Tensor, Tensor]:
    """Codes drawn from a posterior, and its mean's, each ``[number, D]``."""
    posterior = space.posterior(torch.tensor([features], dtype=torch.float64).repeat(number, 1))
    with torch.no_grad():
        return posterior.rsample(torch.Generator().manual_seed(5)), posterior.mean


def follows(values: Tensor, law: Any) -> bool:
    return float(stats.kstest(values.numpy(), law).pvalue) > 1e-3


@pytest.mark.parametrize("scale", [0.01, 0.5, 20.0])
@pytest.mark.parametrize("curvature", [-0.01, -1.0, -10.0])
def test_wrapped_samples_lie_as_far_as_they_should(curvature: float, scale: float) -> None:
    space = build("hyperboloid", 3, factor_size=3, covariance="isotropic", curvature=curvature)
    codes, mean = samples(space, [1.0, -0.5, 0.2, *softplus_inverse(scale)])
    assert follows(space.distance(mean, codes) / scale, stats.chi(3).cdf)
    with torch.no_grad():
        prior = space.prior_sample(20_000, torch.Generator().manual_seed(2))
    assert follows(space.distance(torch.zeros_like(prior), prior), stats.chi(3).cdf)


@pytest.mark.parametrize("scale", [1e-4, 0.3, 0.9, 1.1, 3.0, 50.0])
def test_riemannian_radii_follow_their_law(scale: float) -> None:
    space = build("poincare", 2)
    assert isinstance(space, PoincareLatent)
    codes, mean = samples(space, [0.5, 0.5, *softplus_inverse(scale)])
    x = space.distance(mean, codes) / scale
    tau = torch.full_like(x, scale)
    assert follows(torch.exp(log_survival(x, tau)), stats.uniform.cdf)

    # The law itself, by another road: the integral of exp(-x^2 / 2) sinh(tau x).
    def mass(low: float) -> float:
        grid, weights = legendre(low, scale + 10, 200)
        log_density = -0.5 * (grid - scale) ** 2 + torch.log(-torch.expm1(-2 * scale * grid))
        return float((torch.exp(log_density) * weights).sum())

    at = torch.tensor([scale + 0.5], dtype=torch.float64)
    edge = float(torch.exp(log_survival(at, torch.tensor([scale], dtype=torch.float64))))
    assert edge == pytest.approx(mass(scale + 0.5) / mass(max(0.0, scale - 10)), rel=1e-6)


@pytest.mark.parametrize("scale", [0.05, 0.8, 1.3, 6.0])
def test_riemannian_samples_move_with_their_scale_as_the_quantiles_do(scale: float) -> None:
    space = build("poincare", 2)
    raw = torch.tensor(softplus_inverse(scale), dtype=torch.float64, requires_grad=True)
    noise = torch.tensor([[[math.log(chance), 0.3]] for chance in (0.95, 0.5, 0.01)], dtype=torch.float64)

    def radii(at: Tensor) -> Tensor:
        codes = space.posterior(torch.cat([torch.zeros(2), at])[None].expand(3, -1)).at(noise).codes
        return codes.norm(dim=1)

    step = 1e-4
    slopes = [torch.autograd.grad(radius, raw, retain_graph=True)[0] for radius in radii(raw)]
    with torch.no_grad():
        differences = (radii(raw + step) - radii(raw - step)) / (2 * step)
    torch.testing.assert_close(torch.cat(slopes), differences, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("log_gamma2", [-12.0, -3.0, 0.0, 4.0])
def test_gaussian_manifold_samples_are_normal_and_gamma(log_gamma2: float) -> None:
    k, alpha, log_beta2 = 0.5, 0.7, -0.6
    space = build("gaussian-manifold", 2, layers="raw", curvature=-k)
    codes, _ = samples(space, [alpha, log_beta2, log_gamma2])
    g = math.exp(-log_gamma2) / (4 * k)
    assert follows(codes[:, 0], stats.norm(alpha, math.exp((log_beta2 + log_gamma2) / 2)).cdf)
    assert follows(codes[:, 1].exp(), stats.gamma(g + 1, scale=math.exp(log_beta2) / g).cdf)


@pytest.mark.parametrize("n", [2, 3, 6])
@pytest.mark.parametrize("raw", [-16.0, -2.0, 1.0])
def test_power_spherical_samples_have_beta_cosines(n: int, raw: float) -> None:
    space = build("sphere", n, factor_size=n)
    codes, mean = samples(space, [0.3, *[-0.5] * (n - 1), raw])
    torch.testing.assert_close(codes.norm(dim=1), torch.ones(len(codes), dtype=torch.float64))
    sine2 = 0.25 * (codes - mean).square().sum(1)  # of half the angle
    half, concentration = (n - 1) / 2, 2 * math.exp(-raw)
    assert follows(sine2, stats.beta(half, half + concentration).cdf)


def test_unit_interval_samples_and_priors() -> None:
    space = build("unit-interval", 1, prior="beta", prior_alpha=0.4, prior_beta=3.0)
    codes, _ = samples(space, [0.5, -1.0])
    assert follows(torch.logit(codes[:, 0]), stats.norm(0.5, math.exp(-0.5)).cdf)
    prior = space.prior_sample(20_000, torch.Generator().manual_seed(2))
    assert follows(prior[:, 0], stats.beta(0.4, 3.0).cdf)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("euclidean", {}),
        ("gaussian-manifold", {"curvature": -0.5}),
        ("poincare", {"curvature": -2.0}),
        ("hyperboloid", {}),
        ("torus", {}),
        ("sphere", {"factor_size": 4}),
        ("unit-interval", {}),
    ],
)
def test_prior_samples_have_the_priors_density(name: str, options: dict[str, Any]) -> None:
    # E_p[q / p] is 1 for any density q: here that of a posterior well inside the prior.
    space = build(name, 4, **options)
    features = torch.zeros(1, space.posterior_size, dtype=torch.float64)
    if name == "sphere":
        features[:, 0] = 1.0
    features[:, -space.factors :] = -0.7
    with torch.no_grad():
        codes = space.prior_sample(100_000, torch.Generator().manual_seed(3)).double()
        ratio = torch.exp(space.posterior(features).log_prob(codes) - space.prior_log_prob(codes))
    assert float(ratio.mean()) == pytest.approx(1, abs=5 * float(ratio.std()) / math.sqrt(100_000))
