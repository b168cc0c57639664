"""A torus: a circle for each pair of latents, where a rotation of the pair stays on it."""

from __future__ import annotations

import torch
from torch import Tensor

from ..parts import NoOptions
from .base import latent
from .sphere import SphereLatent


class TorusLatent(SphereLatent):
    """A product of circles under the power spherical distribution; a code holds ``(cos, sin)`` of each angle.

    Codes are pairs and not angles, so that nothing jumps where an angle comes round, and so that the group of a world
    of cyclic factors acts on them as it acts on the plane: by 2x2 rotations.

    Args:
        latents: Numbers in a code, two for each circle.
    """

    def __init__(self, latents: int) -> None:
        super().__init__(latents, 2)

    def phases(self, codes: Tensor) -> Tensor:
        """Angles of codes ``[B, 2 F]``, ``[B, F]`` in (-pi, pi]."""
        pairs = self.split(codes)
        return torch.atan2(pairs[..., 1], pairs[..., 0])

    def interpolate(self, first: Tensor, second: Tensor, share: Tensor | float) -> Tensor:
        one, two = self.split(first), self.split(second)
        sine = one[..., 0] * two[..., 1] - one[..., 1] * two[..., 0]
        turn = torch.as_tensor(share, dtype=one.dtype, device=one.device).reshape(-1, 1) * torch.atan2(
            sine, (one * two).sum(-1)
        )
        cos, sin = torch.cos(turn), torch.sin(turn)
        x, y = one.unbind(-1)
        return torch.stack([cos * x - sin * y, sin * x + cos * y], -1).flatten(1)


@latent("torus", NoOptions, "circles, power spherical (De Cao and Aziz 2020, arXiv 2006.04437)")
def torus(options: NoOptions, latents: int) -> TorusLatent:
    """A circle for each two latents."""
    return TorusLatent(latents)
