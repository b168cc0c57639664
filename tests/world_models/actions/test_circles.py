"""Factors found one after another, on codes whose factors are known."""

import math

import pytest
import torch

from equiworld.world_models.actions.circles import CircleReader, Effort, characters, peel, slowness

EFFORT = Effort(hidden=64, batch=256, updates=150)


def torus(orders: list[int], strides: list[int], number: int = 4000) -> tuple[torch.Tensor, ...]:
    """Bent codes of random states, those one action later, the states and the actions (factor, sign)."""
    generator = torch.Generator().manual_seed(3)
    sizes = torch.tensor(orders)
    states = torch.stack([torch.randint(order, (number,), generator=generator) for order in orders], 1)
    factor = torch.randint(len(orders), (number,), generator=generator)
    sign = 2 * torch.randint(2, (number,), generator=generator) - 1
    later = states.clone()
    later[torch.arange(number), factor] += sign * torch.tensor(strides)[factor]
    weights = [torch.randn(2 * len(orders), 32, generator=generator), torch.randn(32, 12, generator=generator)]

    def codes(rows: torch.Tensor) -> torch.Tensor:
        phases = 2 * math.pi * rows / sizes
        circles = torch.cat([phases.cos(), phases.sin()], 1)
        bent = torch.tanh(circles @ weights[0] / 2) @ weights[1]
        return bent

    before, after = codes(states), codes(later)
    mean, scale = before.mean(0), before.std(0)
    return (before - mean) / scale, (after - mean) / scale, states, factor, sign


@pytest.fixture(scope="module")
def found():  # type: ignore[no-untyped-def]
    before, after, states, factor, sign = torus([3, 8, 12], [1, 1, 1])
    return peel(before, after, 4, torch.Generator().manual_seed(0), EFFORT), before, after, states, factor, sign


def test_every_factor_is_found_and_no_more(found) -> None:  # type: ignore[no-untyped-def]
    """Angles of 2 pi / 3, 2 pi / 8 and 2 pi / 12, in any order, from codes that hold the factors bent and mixed."""
    peeled = found[0]
    assert peeled.accepted and peeled.unexplained < 0.02
    angles = sorted(float(reader.angle) for reader in peeled.readers)
    assert angles == pytest.approx([2 * math.pi / 12, 2 * math.pi / 8, 2 * math.pi / 3], abs=0.05)


def test_a_circle_turns_with_its_own_factor_alone(found) -> None:  # type: ignore[no-untyped-def]
    """Each pair is told to its factor and its direction."""
    peeled, before, after, _, factor, sign = found
    owners = set()
    for reader in peeled.readers:
        with torch.no_grad():
            first, second = (torch.view_as_complex(reader(codes)) for codes in (before, after))
        turn = (second * first.conj()).angle()
        moves = turn.abs() > float(reader.angle) / 2
        owner = int(factor[moves].mode().values)
        owners.add(owner)
        assert float((moves == (factor == owner)).float().mean()) > 0.98
        agreement = (turn[moves].sign() == sign[moves]).float().mean()
        assert max(float(agreement), 1 - float(agreement)) > 0.98
    assert owners == {0, 1, 2}


def test_codes_that_do_not_move_hold_no_factor() -> None:
    """Nothing is accepted, and the reader that is asked for is not made up."""
    codes = torch.randn(600, 6, generator=torch.Generator().manual_seed(1))
    noise = torch.randn(600, 6, generator=torch.Generator().manual_seed(2))
    peeled = peel(codes, noise, 2, torch.Generator().manual_seed(0), Effort(hidden=16, batch=64, updates=20, looks=2))
    assert not peeled.accepted and peeled.unexplained == 1.0 and not peeled.readers
    assert peeled.report == "factors found: 0; 100.0% of pairs unexplained"


def test_slowness_does_not_depend_on_the_scale_of_features() -> None:
    """Any invertible linear map of the features leaves the loss alone, but for the term that holds their scale."""
    generator = torch.Generator().manual_seed(0)
    first, step = torch.randn(500, 4, generator=generator), torch.randn(500, 4, generator=generator)
    weight, none = torch.rand(500, generator=generator), torch.zeros(500, 0)
    mixing = torch.randn(4, 4, generator=generator)
    unit = 1 / first.var(0, correction=0).mean().sqrt()
    mixed = first @ mixing
    other = 1 / mixed.var(0, correction=0).mean().sqrt()
    one = slowness(unit * first, unit * (first + step), weight, none)
    two = slowness(other * mixed, other * (mixed + step @ mixing), weight, none)
    assert float(one) == pytest.approx(float(two), abs=1e-3)


def test_what_is_known_does_not_count_as_variation() -> None:
    """A feature that a found circle says already varies no more than by chance."""
    generator = torch.Generator().manual_seed(0)
    phase = 2 * math.pi * torch.rand(4000, generator=generator)
    known = characters([torch.polar(torch.ones(4000), phase)])
    told = torch.stack([phase.cos(), phase.sin()], 1) * math.sqrt(2)
    fresh = torch.randn(4000, 2, generator=generator)
    step, weight = 0.1 * torch.randn(4000, 2, generator=generator), torch.ones(4000)
    assert float(slowness(told, told + step, weight, known)) > float(slowness(fresh, fresh + step, weight, known)) + 3


def test_characters_are_orthonormal_on_even_circles() -> None:
    """Orthogonality of characters on a product of two cyclic groups."""
    first, second = (torch.arange(12)[:, None].expand(12, 10), torch.arange(10)[None].expand(12, 10))
    circles = [
        torch.polar(torch.ones(120), 2 * math.pi * state.reshape(-1) / order)
        for state, order in ((first, 12), (second, 10))
    ]
    values = characters(circles)
    assert torch.allclose(values.T @ values / 120, torch.eye(values.shape[1]), atol=1e-5)


def test_a_product_of_planes_turns_least() -> None:
    """Planes that turn by 2 and 3 units hold the circle of one unit: their quotient."""
    reader = CircleReader(4, 8, 4)
    phase = torch.linspace(0, 6, 50)
    features = torch.stack([(2 * phase).cos(), (2 * phase).sin(), (3 * phase).cos(), (3 * phase).sin()], 1)
    reader.powers.copy_(torch.tensor([-1, 1]))
    assert torch.allclose(reader.phases(features), torch.polar(torch.ones(50), phase), atol=1e-5)
