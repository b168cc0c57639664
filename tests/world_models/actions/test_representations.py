"""Group representations: their matrices, powers and inverses, and the bank that lays them on latents."""

from __future__ import annotations

import math

import pytest
import torch

from equiworld.envs import UsageError
from equiworld.world_models.actions.representations import REPRESENTATIONS, GroupBank

LETTERS = REPRESENTATIONS.names()


def bank(*structure: str, latents: int = 4, use_cob: bool = False, seed: int = 0) -> GroupBank:
    made = GroupBank(structure, latents, use_cob, torch.Generator().manual_seed(seed))
    generator = torch.Generator().manual_seed(seed + 1)
    with torch.no_grad():  # away from special places
        for parameter in made.parameters():
            parameter += 0.2 * torch.randn(parameter.shape, generator=generator)
    return made


def rotation(angle: float) -> torch.Tensor:
    return torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])


def test_all_letters_are_there() -> None:
    assert sorted(["c", "c+", "c-", "cn", "CN", "0", "m", "m3", "m4", "d", "ddn"]) == LETTERS


@pytest.mark.parametrize(
    ("letter", "low", "high"), [("c", 0, 0), ("c+", 0, 1), ("c-", -1, 0), ("cn", 0, 1), ("CN", 0, 1)]
)
def test_rotations_start_where_their_letter_says(letter: str, low: float, high: float) -> None:
    angles = [float(REPRESENTATIONS[letter](torch.Generator().manual_seed(seed)).angle.detach()) for seed in range(50)]
    assert all(low <= angle <= high for angle in angles)
    assert max(angles) - min(angles) >= 0.8 * (high - low)


def test_rotations_turn_by_their_angle() -> None:
    made = REPRESENTATIONS["c+"](torch.Generator())
    torch.nn.init.constant_(made.angle, 0.7)
    torch.testing.assert_close(made.block(), rotation(0.7))
    torch.testing.assert_close(made.block(3), rotation(2.1))
    torch.testing.assert_close(made.block(-1), rotation(-0.7))


@pytest.mark.parametrize("use_cob", [False, True])
@pytest.mark.parametrize("letter", LETTERS)
def test_powers_are_powers_of_the_matrix_and_negative_ones_undo(letter: str, use_cob: bool) -> None:
    """Of the matrix, not of its entries."""
    made = bank(letter, use_cob=use_cob)
    close = {"atol": 1e-4, "rtol": 1e-4}
    for action in range(len(made)):
        matrix = made.matrix(action)
        torch.testing.assert_close(made.matrix(action, 0), torch.eye(4), **close)
        for power in (2, 3):
            torch.testing.assert_close(made.matrix(action, power), torch.linalg.matrix_power(matrix, power), **close)
            torch.testing.assert_close(made.matrix(action, -power) @ made.matrix(action, power), torch.eye(4), **close)


@pytest.mark.parametrize("use_cob", [False, True])
@pytest.mark.parametrize("letter", LETTERS)
def test_acting_is_multiplying(letter: str, use_cob: bool) -> None:
    made = bank(letter, "c+", use_cob=use_cob)
    generator = torch.Generator().manual_seed(5)
    latents, actions = torch.randn(9, 4, generator=generator), torch.randint(4, (9,), generator=generator)
    for power in (1, -1, 2):
        expected = torch.stack([made.matrix(int(a), power) @ z for a, z in zip(actions, latents, strict=True)])
        torch.testing.assert_close(made.act(latents, actions, power), expected)
    torch.testing.assert_close(made.matrices(), torch.stack([made.matrix(action) for action in range(4)]))


def test_a_structure_is_laid_on_every_pair_and_leaves_the_others() -> None:
    made = bank("c+", "c-", latents=6)
    assert made.names == [f"{letter} on pair {pair}" for pair in range(3) for letter in ("c+", "c-")]
    for action in range(6):
        matrix, pair = made.matrix(action), slice(2 * (action // 2), 2 * (action // 2) + 2)
        torch.testing.assert_close(matrix[pair, pair], rotation(float(made.representations[action].angle.detach())))
        rest = matrix.clone()
        rest[pair, pair] = torch.eye(2)
        assert torch.equal(rest, torch.eye(6))


@pytest.mark.parametrize(("letter", "width"), [("m3", 3), ("m4", 4)])
def test_wide_matrices_act_on_the_first_latents(letter: str, width: int) -> None:
    made = bank(letter, latents=6)
    for action in range(3):
        matrix = made.matrix(action)
        assert torch.equal(matrix[:width, :width], made.representations[action].entries)
        assert torch.equal(matrix[width:, width:], torch.eye(6 - width))
        assert float(matrix[:width, width:].abs().max() + matrix[width:, :width].abs().max()) == 0.0


@pytest.mark.parametrize("letter", ["d", "ddn"])
def test_with_a_rotation_a_reflection_makes_a_dihedral_group(letter: str) -> None:
    made = bank(letter, "c+").double()
    reflection, turn = made.matrix(0), made.matrix(1)
    torch.testing.assert_close(reflection @ reflection, torch.eye(4, dtype=torch.float64))
    torch.testing.assert_close(reflection @ turn @ reflection, made.matrix(1, -1))
    assert float(torch.linalg.det(reflection)) == pytest.approx(-1.0)


def test_the_fixed_reflection_swaps() -> None:
    assert REPRESENTATIONS["ddn"](torch.Generator()).block().tolist() == [[0.0, 1.0], [1.0, 0.0]]
    torch.testing.assert_close(REPRESENTATIONS["d"](torch.Generator()).block(), torch.tensor([[0.0, 1.0], [1.0, 0.0]]))


@pytest.mark.parametrize("letter", ["m", "m3", "m4"])
def test_free_matrices_start_invertible_and_are_kept_at_determinant_1(letter: str) -> None:
    for seed in range(30):
        made = REPRESENTATIONS[letter](torch.Generator().manual_seed(seed))
        assert float(torch.linalg.svdvals(made.block())[-1]) > 0.3
    with torch.no_grad():
        made.entries.copy_(2 * torch.eye(made.width))
    assert float(made.penalty()) == pytest.approx(2.0**made.width - 1)
    made.penalty().backward()
    assert torch.isfinite(made.entries.grad).all()


def test_no_power_of_the_identity_moves() -> None:
    made = GroupBank(["0"], 4, False, torch.Generator())
    assert torch.equal(made.matrices(), torch.eye(4).repeat(2, 1, 1))
    assert [parameter.numel() for parameter in made.parameters()] == [0, 0]


def test_a_change_of_basis_conjugates() -> None:
    plain, turned = bank("c+", "m"), bank("c+", "m", use_cob=True)
    for action, representation in enumerate(turned.representations):
        plain.representations[action].load_state_dict(representation.state_dict())
        basis = turned.bases[action]
        for power in (1, -2):
            expected = torch.linalg.inv(basis) @ plain.matrix(action, power) @ basis
            torch.testing.assert_close(turned.matrix(action, power), expected, atol=1e-4, rtol=1e-4)


def test_a_change_of_basis_starts_as_none_and_CN_always_has_one() -> None:
    for letter, use_cob, size in (("cn", False, 0), ("cn", True, 16), ("CN", False, 16), ("CN", True, 16)):
        made = GroupBank([letter], 4, use_cob, torch.Generator().manual_seed(0))
        assert [basis.numel() for basis in made.bases] == [size, size]
        angle = float(made.representations[0].angle.detach())
        torch.testing.assert_close(made.matrix(0)[:2, :2], rotation(angle))


def test_the_penalty_asks_for_bases_of_unit_columns_and_small_angles_in_them() -> None:
    made = GroupBank(["c"], 2, True, torch.Generator())
    assert float(made.penalty()) == 0.0
    with torch.no_grad():
        made.bases[0].copy_(torch.tensor([[3.0, 0.0], [4.0, 0.5]]))
        made.representations[0].angle.fill_(-2.0)
    assert float(made.penalty()) == pytest.approx(4.0 + 0.5 + 0.2)


@pytest.mark.parametrize("letter", [letter for letter in LETTERS if letter not in ("0", "ddn")])
def test_fitting_recovers_a_matrix_of_its_own_kind(letter: str) -> None:
    wanted = bank(letter, seed=3)
    made = GroupBank([letter], 4, False, torch.Generator())
    for basis in wanted.bases:
        if basis.numel():
            torch.nn.init.eye_(basis)
    for action in range(len(made)):
        made.fit_(action, wanted.matrix(action).detach())
        torch.testing.assert_close(made.matrix(action), wanted.matrix(action))


def test_fitting_a_rotation_finds_the_nearest_one() -> None:
    made = REPRESENTATIONS["c"](torch.Generator())
    target = 1.7 * rotation(-2.5) + torch.tensor([[0.3, 0.1], [0.1, -0.3]])  # nothing of it is a rotation but the first
    made.fit_(target)
    assert float(made.angle) == pytest.approx(-2.5, abs=1e-6)


@pytest.mark.parametrize(
    ("structure", "latents", "message"),
    [
        (["c+", "k"], 4, "unknown group structure letter 'k'; there are: 0, CN, c, c"),
        (["c"], 3, "--latents 3: a group acts on pairs of latents, so the number must be even and at least 2"),
        (["c"], 0, "--latents 0: .* at least 2"),
        (["c"], -2, "--latents -2: .* at least 2"),
        (["m3"], 2, "--group-structure m3 acts on 3 latents: --latents must be at least 3, not 2"),
        (["m4"], 2, "--group-structure m4 acts on 4 latents: --latents must be at least 4, not 2"),
        ([], 4, "--group-structure is empty; letters are: 0, CN, c"),
    ],
)
def test_what_cannot_be_laid_on_the_latents_is_refused_in_one_line(
    structure: list[str], latents: int, message: str
) -> None:
    with pytest.raises(UsageError, match=message) as refusal:
        GroupBank(structure, latents, False, torch.Generator())
    assert "\n" not in str(refusal.value)
