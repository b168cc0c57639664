"""What every action estimator offers, and the table of their names."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ...datasets.loader import Batch, WindowLoader

if TYPE_CHECKING:
    from ..group import GroupVAE

Terms = dict[str, Tensor]


class Estimator(nn.Module):
    """Decides which learnt action happened between two images, and trains a group model with it."""

    def terms(self, model: GroupVAE, batch: Batch, step: int, generator: torch.Generator) -> Terms:
        """The terms of the loss on a batch; ``"loss"`` is what is minimised."""
        raise TypeError(f"{type(self).__name__} has no loss of its own")

    def infer(self, model: GroupVAE, before: Tensor, after: Tensor) -> Tensor:
        """Probabilities ``[B, A]`` of the learnt actions."""
        raise TypeError(f"{type(self).__name__} infers nothing")

    def policy_parameters(self) -> Iterable[nn.Parameter]:
        """Parameters that learn at the policy's rate."""
        return []

    def rate(self, step: int, group: str) -> float:
        """Multiplier of the learning rate of a parameter group (``networks``, ``bank``, ``policy``) at an update."""
        return 1.0

    def advance(self, model: GroupVAE, loader: WindowLoader, step: int) -> list[str]:
        """Called after each update; returns lines for the log."""
        return []

    def start_from(self, model: GroupVAE) -> None:
        """Called when the model's encoder and decoder have been taken from another run."""
        return

    def warning(self) -> str | None:
        """What the user should know about the outcome of training, in one line; None if all is well."""
        return None

    def expected_updates(self, step: int, most: int) -> int:
        """How many updates there will be as far as is known after ``step`` of them, ``most`` at most."""
        return most

    def finished(self, step: int) -> bool:
        """Whether training has nothing left to do."""
        return False


def consecutive(batch: Batch) -> tuple[Tensor, Tensor]:
    """Places in ``batch.frames`` of the image before and the image after each transition, each int ``[S * T]``."""
    return batch.index[:, :-1].reshape(-1), batch.index[:, 1:].reshape(-1)
