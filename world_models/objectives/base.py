"""What every objective offers, and the table of their names."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from ...envs.registry import Registry


class Objective(Protocol):
    """Turns a posterior's divergence from the prior into a term of the loss."""

    def penalty(self, kl: Tensor, step: int) -> Tensor:
        """The term for a batch.

        Args:
            kl: Divergence of each image's posterior from the prior in nats, ``[B]``.
            step: Training updates made so far. Validation does not advance it.
        """
        ...


OBJECTIVES = Registry[type]("objective")
