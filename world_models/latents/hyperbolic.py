"""Hyperbolic geometry in normal coordinates at the origin: the one representation that float32 holds at any radius.

A point is the tangent vector at the origin whose geodesic ends there. Its length is the point's distance from the
origin, where the hyperboloid's coordinates overflow (beyond 88) and the ball's saturate (beyond 8). Functions without
``curvature`` take coordinates in units in which the curvature is -1: multiply by ``sqrt(-curvature)`` before.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .numerics import norm, unit

_NEAR = 0.05
_FLOOR = -1e4  # the logarithm of nothing


def translate(by: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
    """The isometry that takes the origin to ``by`` along their geodesic, applied to ``points``.

    Equally: parallel transport of the tangent vector ``points`` from the origin to ``by``, then the exponential map.

    Args:
        by: ``[..., n]``.
        points: ``[..., n]``.

    Returns:
        The images ``[..., n]``, and their distances from the origin ``[...]``.
    """
    p, r = norm(by), norm(points)
    near = (torch.minimum(p, r) < _NEAR)[..., None]
    small, small_scale = _smooth(by, points)
    # Each branch gets arguments that suit it, so that the gradient of the one not taken is finite.
    first = torch.nn.functional.one_hot(torch.zeros_like(p, dtype=torch.long), by.shape[-1]).to(by)
    large, large_scale = _split(torch.where(near, first, by), torch.where(near, first, points))
    vector = torch.where(near, small, large)
    scale = torch.where(near[..., 0], small_scale, large_scale)
    # The spatial part of the point on the hyperboloid is vector * exp(scale), of length sinh(distance).
    length = norm(vector)
    log_sinh = scale + torch.log(length.clamp(min=1e-37))
    moderate = torch.asinh(length * torch.exp(scale.clamp(max=20.0)))
    far = (log_sinh > 10) | (scale > 20)
    distance = torch.where(far, _arsinh_exp(torch.where(far, log_sinh, torch.ones_like(log_sinh))), moderate)
    return unit(vector) * distance[..., None], distance


def _arsinh_exp(y: Tensor) -> Tensor:
    """``asinh(exp(y))``."""
    low = torch.asinh(torch.exp(y.clamp(max=10.0)))
    return torch.where(y > 10, y + math.log(2), low)


def _smooth(by: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
    """``translate``'s spatial vector and the logarithm of its scale, for when one of the two is near the origin."""
    p, r = norm(by), norm(points)
    safe_p, safe_r = p.clamp(min=1e-6), r.clamp(min=1e-6)
    # exp(-x) times cosh(x), sinh(x)/x and (cosh(x) - 1)/x^2
    cosh_r, cosh_p = 0.5 * (1 + torch.exp(-2 * r)), torch.exp(-p)
    sinhc_r, sinhc_p = -torch.expm1(-2 * safe_r) / (2 * safe_r), -torch.expm1(-2 * safe_p) / (2 * safe_p)
    bend = 0.5 * (torch.expm1(-safe_p) / safe_p).square()
    inner = (by * points).sum(-1, keepdim=True)
    along = (cosh_r * sinhc_p)[..., None] * by
    across = sinhc_r[..., None] * (cosh_p[..., None] * points + bend[..., None] * inner * by)
    return along + across, p + r


def _split(by: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
    """The same for when both are away from the origin, without cancellation where they point apart."""
    p, r = norm(by), norm(points)
    axis = unit(by)
    inner = (points * axis).sum(-1)
    rest = points - inner[..., None] * axis
    side = norm(rest)
    # r + inner, which cancels where the two point apart.
    apart = inner < 0
    forward = torch.where(apart, side.square() / (r + inner.abs()), r + inner)
    # Along the axis: sinh(p - r) + sinh(r) / r * cosh(p) * forward; across it: sinh(r) / r * rest. In logarithms, and
    # less the larger of p and r, whose rounding would otherwise be that of the exponents.
    high, low = torch.maximum(p, r), torch.minimum(p, r)
    chord = torch.log(-torch.expm1(-2 * r)) - torch.log(2 * r)
    forward_log = _log(forward) + chord + low + torch.log1p(torch.exp(-2 * p)) - math.log(2)
    side_log = _log(side) + chord + torch.where(p > r, r - p, torch.zeros_like(r))
    scale = torch.maximum(torch.maximum(-low, forward_log), side_log).detach()
    gap = 0.5 * (torch.exp(-low - scale) - torch.exp(low - 2 * high - scale))
    along = torch.where(p > r, gap, -gap) + torch.exp(forward_log - scale)
    return along[..., None] * axis + torch.exp(side_log - scale)[..., None] * unit(rest), high + scale


def _log(x: Tensor) -> Tensor:
    """The logarithm of what is 0 or more, with a floor in place of minus infinity."""
    nothing = x < 1e-37
    return torch.where(nothing, torch.full_like(x, _FLOOR), torch.log(torch.where(nothing, torch.ones_like(x), x)))


def distance(first: Tensor, second: Tensor) -> Tensor:
    """Geodesic distance of points ``[..., n]``, ``[...]``."""
    return translate(-first, second)[1]


def interpolate(first: Tensor, second: Tensor, share: Tensor) -> Tensor:
    """The points at ``share`` (which broadcasts) of the way from ``first`` to ``second``, ``[..., n]``."""
    return translate(first, share * translate(-first, second)[0])[0]


# Other models of the same space. Each takes the curvature, below 0, and coordinates in true lengths.


def to_lorentz(points: Tensor, curvature: float) -> Tensor:
    """Hyperboloid coordinates ``(t, x) [..., n + 1]`` of normal ones: ``|x|^2 - t^2 = 1 / curvature``."""
    root = math.sqrt(-curvature)
    r = norm(points) * root
    return torch.cat([torch.cosh(r)[..., None], torch.sinh(r)[..., None] * unit(points)], -1) / root


def from_lorentz(points: Tensor, curvature: float) -> Tensor:
    """Normal coordinates ``[..., n]`` of hyperboloid ones ``[..., n + 1]``; only the last n are read."""
    root = math.sqrt(-curvature)
    space = points[..., 1:] * root
    return unit(space) * torch.asinh(norm(space))[..., None] / root


def to_ball(points: Tensor, curvature: float) -> Tensor:
    """Coordinates ``[..., n]`` in the Poincaré ball, of radius ``1 / sqrt(-curvature)``."""
    root = math.sqrt(-curvature)
    return unit(points) * torch.tanh(0.5 * root * norm(points))[..., None] / root


def from_ball(points: Tensor, curvature: float) -> Tensor:
    """Normal coordinates ``[..., n]`` of those in the Poincaré ball."""
    root = math.sqrt(-curvature)
    return unit(points) * (2 * torch.atanh(root * norm(points)))[..., None] / root


def to_half_plane(points: Tensor, curvature: Tensor | float) -> Tensor:
    """``(a, log b)`` in the half-plane ``b > 0`` of metric ``da^2 / b^2 + db^2 / (-curvature b^2)``, ``[..., 2]``.

    The origin is (0, 0), and the first axis points to larger ``b``. ``a`` grows as ``exp(r)``: float32 holds it to a
    radius of 88.
    """
    k = -torch.as_tensor(curvature, dtype=points.dtype, device=points.device)
    r = norm(points) * k.sqrt()
    axis = unit(points)
    up, side = axis[..., 0], axis[..., 1]
    # 1 / b = cosh r - sinh r cos(angle) = exp(r) sin^2(angle / 2) + exp(-r) cos^2(angle / 2): no cancellation.
    wide = torch.where(up > 0, side.square() / (2 * (1 + up.abs())), 0.5 * (1 + up.abs()))
    narrow = torch.where(up > 0, 0.5 * (1 + up.abs()), side.square() / (2 * (1 + up.abs())))
    far = -torch.logaddexp(r + _log(wide), _log(narrow) - r)
    low = r.clamp(max=1.0)
    near = -torch.log1p(2 * torch.sinh(0.5 * low).square() - torch.sinh(low) * up)
    log_height = torch.where(r < 1, near, far)
    sine = 0.5 * -torch.expm1(-2 * r)  # sinh(r) exp(-r)
    across = -torch.exp(r + log_height) * sine * side * k.rsqrt()
    return torch.stack([across, log_height], -1)


def from_half_plane(points: Tensor, curvature: Tensor | float) -> Tensor:
    """Normal coordinates ``[..., 2]`` of ``(a, log b)`` in the half-plane."""
    k = -torch.as_tensor(curvature, dtype=points.dtype, device=points.device)
    across, log_height = points[..., 0], points[..., 1]
    half = 0.5 * log_height
    # With q = sqrt(k) a / sqrt(b): sinh^2(r / 2) = q^2 / 4 + sinh^2(log(b) / 2), and the direction is that of
    # (q^2 / 2 + sinh(log b), -q exp(-log(b) / 2)). Scaled by m, so that no square overflows.
    q = k.sqrt() * across * torch.exp(-half)
    m = torch.maximum(q.abs(), torch.exp(half.abs())).detach()
    q_m, sinh_m, cosh_m = q / m, torch.sinh(half) / m, torch.cosh(half) / m
    square = 0.25 * q_m.square() + sinh_m.square()  # sinh^2(r / 2) / m^2
    x = 0.5 * q_m.square() + 2 * sinh_m * cosh_m
    y = -q_m * torch.exp(-half) / m
    sinh = m * norm(torch.stack([0.5 * q_m, sinh_m], -1))
    # r / sinh(r), with r = 2 asinh(sinh): its series where r is small.
    small = sinh < 0.05
    low = m.clamp(max=3.0).square()
    w = (square * low).clamp(max=0.0025)
    series = 1 - w * (2 / 3 - w * (8 / 15 - w * (16 / 35 - w * (128 / 315 - w * 256 / 693))))
    safe = torch.where(small, torch.ones_like(square), square)
    high = torch.where(small, torch.ones_like(sinh), sinh)
    ratio = torch.where(small, series * low, torch.asinh(high) * torch.rsqrt(1 + high.reciprocal().square()) / safe)
    return torch.stack([x, y], -1) * (ratio * k.rsqrt())[..., None]
