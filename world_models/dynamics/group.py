"""The learnt group itself as dynamics: a step multiplies the code by the matrix of its action."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ...envs.registry import UsageError
from ..group import GroupVAE
from .base import Dynamics, Point, Setting, State, dynamics, positive

UNMATCHED = -1
"""In the place of a learnt action: nothing moves."""


@dataclass
class GroupDynamicsOptions:
    """Options of the dynamics."""

    hidden_width: int = 128
    """Units in each of the two hidden layers that predict reward and termination."""


class GroupDynamics(Dynamics):
    """Matrices that a group model has learnt, one for each action of the environment.

    Which learnt action stands for which action of the environment is not known where the model learnt without labels,
    and is found in the recording: for each the one that brings the codes before its steps nearest to those after.

    Args:
        group: The group model.
        actions: Actions of the environment, A.
        width: Units of the hidden layers of the heads.
        generator: Source of the initial weights.

    Attributes:
        matched: The learnt action that stands for each action of the environment, int64 [A]; -1 where that does
            nothing, or was not recorded.
        matrices: What each action of the environment does to a code, [A, L, L].
    """

    matched: Tensor
    matrices: Tensor
    learnt: Tensor

    def __init__(self, group: GroupVAE, actions: int, width: int, generator: torch.Generator) -> None:
        size = group.latent.size
        super().__init__(size, actions, 0, width, generator)
        self.register_buffer("learnt", group.matrices().detach().clone())
        self.register_buffer("matched", torch.full((actions,), UNMATCHED))
        self.register_buffer("matrices", torch.eye(size).repeat(actions, 1, 1))

    def predict(self, state: State, actions: Tensor) -> tuple[Point, None]:
        matrices = torch.einsum("ba,aij->bij", actions, self.matrices)
        return Point(torch.einsum("bij,bj->bi", matrices, state.latent), self.scale), None

    @torch.no_grad()
    def prepare(self, before: Tensor, actions: Tensor, after: Tensor) -> None:
        super().prepare(before, actions, after)
        still = torch.eye(self.latents, device=self.learnt.device)[None]
        known = torch.cat([still, self.learnt])  # the first of equals is taken: none rather than any
        codes = actions.argmax(1)
        for action in range(self.actions):
            rows = codes == action
            if rows.any():
                moved = torch.einsum("kij,bj->kbi", known, before[rows])
                best = int((moved - after[rows]).square().sum(2).mean(1).argmin())
                self.matched[action] = best - 1
                self.matrices[action] = known[best]


@dynamics("group", GroupDynamicsOptions, "the matrices that a group model has learnt; discrete actions")
def group(options: GroupDynamicsOptions, setting: Setting) -> GroupDynamics:
    """The group of the world model underneath.

    Raises:
        UsageError: It has none, or actions are no codes.
    """
    positive(options, "hidden_width")
    if not isinstance(setting.base, GroupVAE):
        raise UsageError("--dynamics group needs a world model with a group, such as rgrvae; others take gru or mlp")
    if len(setting.code.choices) != 1:
        raise UsageError(
            f"--dynamics group takes actions of a Discrete space, not {type(setting.code.space).__name__}; gru or mlp"
            " take these"
        )
    return GroupDynamics(setting.base, setting.code.size, options.hidden_width, setting.generator)
