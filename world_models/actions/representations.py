"""Group representations: for each learnt action, the matrix by which it moves a latent."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ...envs.registry import Registry, UsageError


class Representation(nn.Module):
    """One action's matrix on a block of consecutive latents.

    Attributes:
        width: Latents in the block.
        needs_basis: Whether the representation is only complete with a learnable change of basis.
    """

    width = 2
    needs_basis = False

    def block(self, power: int = 1) -> Tensor:
        """The matrix ``[width, width]`` of the action taken ``power`` times; negative powers undo it."""
        raise TypeError(f"{type(self).__name__} has no matrix of its own")

    def penalty(self) -> Tensor:
        """What keeps the parameters in the group, added to the loss; zero where the form alone does."""
        return torch.zeros(())

    @torch.no_grad()
    def fit_(self, block: Tensor) -> None:
        """Sets the parameters to come nearest to ``block [width, width]``; nothing to set by default."""


REPRESENTATIONS = Registry[type[Representation]]("group structure letter")


class Rotation(Representation):
    """A rotation of the plane by a learnable angle in radians, which starts at zero."""

    low, high = 0.0, 0.0

    def __init__(self, generator: torch.Generator) -> None:
        super().__init__()
        start = self.low + (self.high - self.low) * torch.rand((), generator=generator)
        self.angle = nn.Parameter(start)

    def block(self, power: int = 1) -> Tensor:
        angle = self.angle * power
        cosine, sine = torch.cos(angle), torch.sin(angle)
        return torch.stack([torch.stack([cosine, -sine]), torch.stack([sine, cosine])])

    @torch.no_grad()
    def fit_(self, block: Tensor) -> None:
        self.angle.copy_(torch.atan2(block[1, 0] - block[0, 1], block[0, 0] + block[1, 1]))


REPRESENTATIONS.register("c")(Rotation)


@REPRESENTATIONS.register("c+")
class PositiveRotation(Rotation):
    """A rotation whose angle starts in (0, 1). Only the start is positive: learning may turn it round."""

    low, high = 0.0, 1.0


@REPRESENTATIONS.register("c-")
class NegativeRotation(Rotation):
    """A rotation whose angle starts in (-1, 0)."""

    low, high = 0.0, -1.0


@REPRESENTATIONS.register("cn")
class AnyRotation(PositiveRotation):
    """A rotation of any order; starts as ``c+`` does."""


@REPRESENTATIONS.register("CN")
class AnyRotationAnyBasis(PositiveRotation):
    """A rotation of any order in a learnable basis of the whole latent space."""

    needs_basis = True


@REPRESENTATIONS.register("0")
class Identity(Representation):
    """No action at all."""

    def __init__(self, generator: torch.Generator) -> None:
        super().__init__()
        self.identity: Tensor
        self.register_buffer("identity", torch.eye(2))

    def block(self, power: int = 1) -> Tensor:
        return self.identity


class FreeMatrix(Representation):
    """A free matrix, kept invertible by the penalty ``|det - 1|``.

    It starts near the identity: one that starts with all entries equal is singular, and learns slowly for it.
    """

    def __init__(self, generator: torch.Generator) -> None:
        super().__init__()
        noise = 0.1 * torch.randn(self.width, self.width, generator=generator)
        self.entries = nn.Parameter(torch.eye(self.width) + noise)

    def block(self, power: int = 1) -> Tensor:
        matrix: Tensor = torch.linalg.matrix_power(self.entries, power)
        return matrix

    def penalty(self) -> Tensor:
        return (torch.linalg.det(self.entries) - 1.0).abs()

    @torch.no_grad()
    def fit_(self, block: Tensor) -> None:
        self.entries.copy_(block)


REPRESENTATIONS.register("m")(FreeMatrix)


@REPRESENTATIONS.register("m3")
class FreeMatrix3(FreeMatrix):
    """A free matrix on the first three latents."""

    width = 3


@REPRESENTATIONS.register("m4")
class FreeMatrix4(FreeMatrix):
    """A free matrix on the first four latents."""

    width = 4


@REPRESENTATIONS.register("d")
class Reflection(Representation):
    """A reflection about a learnable axis: with ``c+ c-`` on the same pair, the dihedral groups."""

    def __init__(self, generator: torch.Generator) -> None:
        super().__init__()
        # The axis is at half this angle; a right angle swaps the two latents.
        self.angle = nn.Parameter(torch.tensor(torch.pi / 2))

    def block(self, power: int = 1) -> Tensor:
        cosine, sine = torch.cos(self.angle), torch.sin(self.angle)
        if power % 2 == 0:
            return torch.eye(2, device=cosine.device, dtype=cosine.dtype)
        return torch.stack([torch.stack([cosine, sine]), torch.stack([sine, -cosine])])

    @torch.no_grad()
    def fit_(self, block: Tensor) -> None:
        self.angle.copy_(torch.atan2(block[1, 0] + block[0, 1], block[0, 0] - block[1, 1]))


@REPRESENTATIONS.register("ddn")
class Swap(Representation):
    """The fixed reflection that swaps the two latents of a pair."""

    def __init__(self, generator: torch.Generator) -> None:
        super().__init__()
        self.swap: Tensor
        self.register_buffer("swap", torch.tensor([[0.0, 1.0], [1.0, 0.0]]))

    def block(self, power: int = 1) -> Tensor:
        return self.swap if power % 2 else torch.eye(2, device=self.swap.device, dtype=self.swap.dtype)


class GroupBank(nn.Module):
    """The learnt actions: every letter of a structure, on every pair of latents.

    ``c+ c-`` on four latents gives four actions: +pair 0, -pair 0, +pair 1, -pair 1.

    Args:
        structure: Letters of ``REPRESENTATIONS``; each is applied to every latent pair (``m3`` and ``m4`` to the
            first latents, as their width asks).
        latents: Number of latents L, even.
        use_cob: Whether every action has a learnable change of basis P: its matrix is then ``P^-1 R P``.
        generator: Source of the initial parameters.

    Raises:
        UsageError: No letters, an unknown one, or latents that do not come in pairs.
    """

    def __init__(self, structure: Sequence[str], latents: int, use_cob: bool, generator: torch.Generator) -> None:
        super().__init__()
        check_structure(structure, latents)
        self.latents = latents
        self.names: list[str] = []
        self.starts: list[int] = []
        representations: list[Representation] = []
        for pair in range(latents // 2):
            for letter in structure:
                representation = REPRESENTATIONS[letter](generator)
                representations.append(representation)
                self.names.append(f"{letter} on pair {pair}")
                self.starts.append(0 if representation.width > 2 else 2 * pair)
        self.representations = nn.ModuleList(representations)
        self.bases = nn.ParameterList(
            nn.Parameter(torch.eye(latents)) if use_cob or representation.needs_basis else nn.Parameter(torch.empty(0))
            for representation in representations
        )

    def __len__(self) -> int:
        return len(self.starts)

    def matrix(self, action: int, power: int = 1) -> Tensor:
        """The matrix ``[L, L]`` of one learnt action, taken ``power`` times."""
        representation: Representation = self.representations[action]  # type: ignore[assignment]
        basis = self.bases[action]
        with full_precision(basis):
            block = representation.block(power)
            full = torch.eye(self.latents, device=block.device, dtype=block.dtype)
            here = slice(self.starts[action], self.starts[action] + representation.width)
            # Building from pieces keeps the graph out of in-place writes.
            full = full.index_put(_block_index(here, block.device), block.reshape(-1))
            return torch.linalg.solve(basis, full @ basis) if basis.numel() else full

    def matrices(self, power: int = 1) -> Tensor:
        """All of them, ``[A, L, L]``."""
        return torch.stack([self.matrix(action, power) for action in range(len(self))])

    def inverse(self, action: int) -> Tensor:
        """The matrix ``[L, L]`` that undoes one learnt action."""
        return self.matrix(action, -1)

    def act(self, latents: Tensor, actions: Tensor, power: int = 1) -> Tensor:
        """Moves ``latents [B, L]`` by ``actions`` int ``[B]``."""
        with full_precision(latents):
            return torch.einsum("bij,bj->bi", self.matrices(power)[actions], latents)

    def penalty(self) -> Tensor:
        """What keeps all actions in their groups: free matrices near determinant 1, bases of unit columns."""
        total = torch.zeros((), device=next(self.parameters()).device)
        with full_precision(total):
            for representation, basis in zip(self.representations, self.bases, strict=True):
                assert isinstance(representation, Representation)
                total = total + representation.penalty()
                if basis.numel():
                    total = total + (basis.norm(dim=0) - 1.0).abs().sum()
                    if isinstance(representation, Rotation):
                        total = total + 0.1 * representation.angle.abs()
        return total

    @torch.no_grad()
    def fit_(self, action: int, matrix: Tensor) -> None:
        """Sets one action's parameters to come nearest to ``matrix [L, L]``."""
        representation: Representation = self.representations[action]  # type: ignore[assignment]
        here = slice(self.starts[action], self.starts[action] + representation.width)
        representation.fit_(matrix[here, here])


def full_precision(latents: Tensor) -> torch.autocast:
    """Inside it, matrices act in float32 even where the networks compute in fewer bits."""
    return torch.autocast(latents.device.type, enabled=False)


def check_structure(structure: Sequence[str], latents: int) -> None:
    """Refuses a group structure that cannot be laid on ``latents`` latents.

    Raises:
        UsageError: As the message says.
    """
    if not structure:
        raise UsageError(f"--group-structure is empty; letters are: {', '.join(REPRESENTATIONS.names())}")
    if latents < 2 or latents % 2:
        raise UsageError(
            f"--latents {latents}: a group acts on pairs of latents, so the number must be even and at least 2"
        )
    for letter in structure:
        width = REPRESENTATIONS[letter].width
        if width > latents:
            raise UsageError(
                f"--group-structure {letter} acts on {width} latents: --latents must be at least {width}, not {latents}"
            )


def _block_index(here: slice, device: torch.device) -> tuple[Tensor, Tensor]:
    places = torch.arange(here.start, here.stop, device=device)
    return places.repeat_interleave(len(places)), places.repeat(len(places))
