"""Hyperbolic geometry against geoopt in double precision, and where geoopt ends: far out, in float32."""

from __future__ import annotations

import geoopt
import pytest
import torch
from torch import Tensor

from equiworld.world_models.latents import hyperbolic
from equiworld.world_models.latents.numerics import unit


def points(scale: float, n: int = 3, seed: int = 0, number: int = 200) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(number, n, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("scale", [0.01, 0.3, 1.5])
@pytest.mark.parametrize("n", [2, 5])
def test_translation_is_transport_and_exponential_map(scale: float, n: int) -> None:
    lorentz = geoopt.Lorentz(1.0)
    p, q = points(scale, n), points(scale, n, 1)
    base = hyperbolic.to_lorentz(p, -1.0)
    tangent = torch.cat([torch.zeros(len(q), 1, dtype=q.dtype), q], 1)
    expected = lorentz.expmap(base, lorentz.transp0(base, tangent))
    found, radius = hyperbolic.translate(p, q)
    torch.testing.assert_close(hyperbolic.to_lorentz(found, -1.0), expected, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(radius, found.norm(dim=1))
    torch.testing.assert_close(
        hyperbolic.distance(p, q), lorentz.dist(base, hyperbolic.to_lorentz(q, -1.0)), rtol=1e-7, atol=1e-7
    )


def test_a_translation_undoes_the_opposite_one() -> None:
    for scale in (1e-3, 0.1, 2.0):
        p, q = points(scale), points(scale, seed=1)
        torch.testing.assert_close(hyperbolic.translate(-p, hyperbolic.translate(p, q)[0])[0], q, rtol=1e-8, atol=1e-12)


def test_geodesics_are_straight() -> None:
    p, q = points(2.0), points(2.0, seed=1)
    whole = hyperbolic.distance(p, q)
    for share in (0.0, 0.2, 0.9, 1.0):
        middle = hyperbolic.interpolate(p, q, torch.tensor(share, dtype=torch.float64))
        torch.testing.assert_close(hyperbolic.distance(p, middle), share * whole, rtol=1e-7, atol=1e-7)
        torch.testing.assert_close(hyperbolic.distance(middle, q), (1 - share) * whole, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("p", [0.0, 1e-4, 0.04, 0.06, 1.0, 8.0, 30.0, 100.0, 316.0])
@pytest.mark.parametrize("r", [1e-5, 0.01, 1.0, 10.0, 100.0, 1000.0])
def test_float32_is_enough_at_any_radius(p: float, r: float) -> None:
    by, moved = (unit(points(1.0, 2, seed)).float() * radius for seed, radius in ((0, p), (1, r)))
    by.requires_grad_()
    found, radius = hyperbolic.translate(by, moved)
    exact, exact_radius = hyperbolic.translate(by.double(), moved.double())
    assert bool(((found - exact).norm(dim=1) <= 1e-4 * exact_radius).all())
    torch.testing.assert_close(radius.double(), exact_radius, rtol=1e-5, atol=1e-9)
    (gradient,) = torch.autograd.grad(found.sum() + radius.sum(), by)
    assert torch.isfinite(gradient).all()


def test_distances_far_out_are_those_of_the_triangle() -> None:
    # At radius 100 and an angle of 1 the hyperbolic law of cosines gives 200 + 2 log sin(1/2).
    angle = torch.tensor(1.0)
    one = torch.tensor([[100.0, 0.0]])
    two = 100 * torch.stack([angle.cos(), angle.sin()])[None]
    expected = 200 + 2 * torch.log(torch.sin(angle / 2))
    torch.testing.assert_close(hyperbolic.distance(one, two)[0], expected)
    torch.testing.assert_close(hyperbolic.distance(one, 1.5 * one)[0], torch.tensor(50.0), rtol=1e-6, atol=0.0)


@pytest.mark.parametrize("curvature", [-0.01, -0.5, -1.0, -10.0])
def test_models_of_the_space_round_trip(curvature: float) -> None:
    root = (-curvature) ** 0.5
    for radius in (1e-6, 0.1, 3.0, 30.0, 80.0):
        there = unit(points(1.0, 2)).float() * radius / root
        back = hyperbolic.from_lorentz(hyperbolic.to_lorentz(there, curvature), curvature)
        assert float((back - there).norm(dim=1).max()) <= 1e-6 * radius / root
        wide = there.double()
        for forth, back_again in (
            (hyperbolic.to_half_plane, hyperbolic.from_half_plane),
            (hyperbolic.to_lorentz, hyperbolic.from_lorentz),
        ):
            again = back_again(forth(wide, curvature), curvature)
            assert float((again - wide).norm(dim=1).max()) <= 1e-6 * radius / root
        if radius < 15:
            again = hyperbolic.from_ball(hyperbolic.to_ball(wide, curvature), curvature)
            assert float((again - wide).norm(dim=1).max()) <= 1e-6 * radius / root
        if radius < 5:
            again = hyperbolic.from_half_plane(hyperbolic.to_half_plane(there, curvature), curvature)
            assert float((again - there).norm(dim=1).max()) <= 1e-6 * radius / root


@pytest.mark.parametrize("curvature", [-0.5, -2.0])
def test_models_of_the_space_are_isometric(curvature: float) -> None:
    p, q = points(0.7, 2), points(0.7, 2, 1)
    root = (-curvature) ** 0.5
    expected = hyperbolic.distance(p * root, q * root) / root
    lorentz = geoopt.Lorentz(1 / -curvature)
    one, two = hyperbolic.to_lorentz(p, curvature), hyperbolic.to_lorentz(q, curvature)
    torch.testing.assert_close(lorentz.dist(one, two), expected, rtol=1e-6, atol=1e-6)
    ball = geoopt.PoincareBall(-curvature)
    torch.testing.assert_close(
        ball.dist(hyperbolic.to_ball(p, curvature), hyperbolic.to_ball(q, curvature)), expected, rtol=1e-6, atol=1e-6
    )
    (a, b), (c, d) = (hyperbolic.to_half_plane(each, curvature).unbind(1) for each in (p, q))
    square = (-curvature * (a - c) ** 2 + (b.exp() - d.exp()) ** 2) / (4 * torch.exp(b + d))
    torch.testing.assert_close(2 * torch.asinh(square.sqrt()) / root, expected, rtol=1e-7, atol=1e-7)
