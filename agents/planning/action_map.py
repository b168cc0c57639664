"""Which of an environment's actions each learnt action is, found by trying them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray

from ...envs.registry import UsageError
from ...world_models.group import GroupVAE
from .pictures import encode_pictures, seen

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ActionMap:
    """What each action of an environment does to codes, in terms of the learnt ones.

    Attributes:
        learnt: The learnt action that each action of the environment is, int64 [E]; -1 where it is none of them, or
            changes nothing.
        votes: In what share of the states that was the nearest, float64 [E].
        error: How far the codes were from where it leads, as a share of how far they moved (root mean squares),
            float64 [E]; 1 explains nothing.
        first: The environment's code of the first of its actions.
    """

    learnt: Ints
    votes: Floats
    error: Floats
    first: int = 0

    @property
    def codes(self) -> tuple[int, ...]:
        """The learnt actions that can be carried out, ascending."""
        return tuple(np.unique(self.learnt[self.learnt >= 0]).tolist())

    def carried_out(self, actions: NDArray[Any]) -> Ints:
        """Learnt actions int64 [T] in the environment's codes; of several that do the same the most certain.

        Raises:
            UsageError: No action of the environment is one of them.
        """
        order = np.argsort(-self.votes, kind="stable")
        names = {int(self.learnt[code]): self.first + int(code) for code in order[::-1] if self.learnt[code] >= 0}
        for action in np.unique(actions).tolist():
            if action not in names:
                raise UsageError(f"no action of the environment is the learnt action {action}; mapped are {self.codes}")
        return np.array([names[int(action)] for action in actions], dtype=np.int64)


def try_actions(
    model: GroupVAE, env: VectorEnv[Any, Any, Any], *, states: int = 64, seed: int = 0, share: float = 0.5
) -> ActionMap:
    """Tries every action of an environment once from some states, and sees which learnt action explains it.

    Pictures alone are looked at: no label, no factor, no reward. In each state the learnt action whose matrix leads
    nearest to the code that followed has a vote, and doing nothing has one too.

    Args:
        model: A group model.
        env: Copies of the environment. Episodes are begun in it, and left where they are.
        states: From how many states each action is tried at least; every copy gives one a time.
        seed: Seeds the environment.
        share: An action is taken for the learnt one that has more than this share of the votes.

    Raises:
        UsageError: The actions are not discrete, no state is asked for, the model has no group, or pictures do not fit
            it.
    """
    space = env.single_action_space
    if not isinstance(space, spaces.Discrete):
        raise UsageError(f"a learnt group has discrete actions, the environment those of {space}")
    if states < 1:
        raise UsageError(f"actions must be tried from 1 state or more, not {states}")
    if not hasattr(model, "matrices"):
        raise UsageError(
            "there are no learnt actions to look for: a world model with a group is needed, such as rgrvae"
        )
    matrices = model.matrices().detach()
    still = torch.eye(matrices.shape[1], dtype=matrices.dtype, device=matrices.device)
    maps = torch.cat([matrices, still[None]])
    nothing = len(matrices)
    learnt, votes, errors = [], [], []
    begun = False
    for code in range(int(space.start), int(space.start) + int(space.n)):
        before, after = [], []
        tried = 0
        while tried < states:
            observations, _ = env.reset(seed=None if begun else seed)
            begun = True
            here = encode_pictures(model, seen(observations))
            observations, _, terminated, truncated, _ = env.step(np.full(env.num_envs, code, dtype=space.dtype))
            # Where an episode has ended, the next may have begun already: all are kept where none is left.
            going = ~(terminated | truncated)
            kept = torch.from_numpy(going if going.any() else np.ones_like(going)).to(here.device)
            before.append(here[kept])
            after.append(encode_pictures(model, seen(observations))[kept])
            tried += env.num_envs
        here, there = torch.cat(before), torch.cat(after)
        apart = (torch.einsum("aij,bj->bai", maps, here) - there[:, None]).square().sum(2)
        counted = torch.bincount(apart.argmin(1), minlength=nothing + 1).double() / len(here)
        chosen = int(counted.argmax())
        taken = chosen != nothing and float(counted[chosen]) > share
        learnt.append(chosen if taken else -1)
        votes.append(float(counted[chosen]))
        errors.append(float((apart[:, chosen].mean() / apart[:, nothing].mean().clamp_min(1e-12)).sqrt()))
    return ActionMap(np.array(learnt, dtype=np.int64), np.array(votes), np.array(errors), int(space.start))
