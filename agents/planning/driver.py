"""Plans carried out in an environment: once, or made anew as they go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from gymnasium.vector import AutoresetMode, VectorEnv
from numpy.typing import NDArray

from ...envs.registry import UsageError
from ...world_models.vae import VAE
from .action_map import ActionMap
from .base import Plan, Planner
from .pictures import encode_pictures, goal_pictures, seen

_HALVINGS = 6  # of the tolerance, until a planner that sees nothing to do is asked to do something


@dataclass(frozen=True)
class Episodes:
    """How N episodes went.

    Attributes:
        reached: Whether the environment ended them by itself, which a goal does when it is reached, bool [N].
        steps: Steps made, int64 [N].
        planned: Steps of the first plan, int64 [N].
        believed: Whether the first plan was to lead there, bool [N].
        starts: Factors at the start, [N, K]; None where the environment does not tell them.
        goals: Factors of the goals, [N, K]; None likewise.
    """

    reached: NDArray[np.bool_]
    steps: NDArray[np.int64]
    planned: NDArray[np.int64]
    believed: NDArray[np.bool_]
    starts: NDArray[Any] | None
    goals: NDArray[Any] | None


def reach(
    env: VectorEnv[Any, Any, Any],
    model: VAE,
    planner: Planner,
    actions: ActionMap | None = None,
    *,
    every: int | None = 1,
    limit: int = 1000,
    seed: int = 0,
    options: Mapping[str, Any] | None = None,
) -> Episodes:
    """An episode in every copy of an environment, planned from what is seen to the picture of the goal.

    Closed loop: a plan begins at the code of what is seen, so that errors of codes and angles do not add up. When a
    plan is at its end and the episode is not, the planner is asked again with half the tolerance, and so on. Where it
    still sees nothing to do, it is asked for the next best place, and that plan is carried out to its end. Should even
    that be empty, an action is drawn at random.

    Factors are read for the record alone (and by the world, where it draws the goal's picture); rewards are not read.

    Args:
        env: Copies of an environment with a goal; not one that leaves resets to its user.
        model: What encodes the pictures.
        planner: What plans.
        actions: Puts the planner's actions into the environment's codes; None: they are the environment's.
        every: Steps after which a plan is made anew. None: open loop, a plan is carried out blindly and the episode
            is over with it.
        limit: The most steps of an episode that the environment itself does not cut.
        seed: Seeds the environment, and the random actions.
        options: Of the environment's reset.

    Raises:
        UsageError: An argument that cannot be used, or an environment without a goal's picture.
    """
    if every is not None and every < 1:
        raise UsageError(f"plans can be made anew every step or less often, not every {every}")
    if limit < 1:
        raise UsageError(f"an episode has at least 1 step, got a limit of {limit}")
    if env.metadata.get("autoreset_mode") is AutoresetMode.DISABLED:
        raise UsageError("the environment must reset itself: make it with another autoreset mode")
    rng = np.random.default_rng(seed)
    observations, infos = env.reset(seed=seed, options=None if options is None else dict(options))
    starts, targets = infos.get("factors"), infos.get("goal")
    goals = encode_pictures(model, goal_pictures(env, observations, infos))
    count = env.num_envs
    pending = _Pending(count)
    going, reached = np.ones(count, dtype=bool), np.zeros(count, dtype=bool)
    steps, first = np.zeros(count, dtype=np.int64), None
    env.single_action_space.seed(int(rng.integers(2**31)))
    while going.any():
        rows = np.flatnonzero(going & pending.due(every, begun=first is not None))
        if len(rows):
            latents = encode_pictures(model, seen(observations)[rows])
            plan = pending.renew(planner, latents, goals[torch.from_numpy(rows).to(goals.device)], rows, actions)
            first = plan if first is None else first
        if every is None:
            going &= pending.left() > 0
            if not going.any():
                break
        taken = [pending.next(row) if going[row] else None for row in range(count)]
        made = [env.single_action_space.sample() if action is None else action for action in taken]
        observations, _, terminated, truncated, _ = env.step(np.stack(made).astype(env.single_action_space.dtype))
        steps[going] += 1
        reached |= going & terminated
        going &= ~(terminated | truncated) & (steps < limit)
    assert first is not None
    return Episodes(
        reached,
        steps,
        first.lengths,
        first.found,
        None if starts is None else np.array(starts),
        None if targets is None else np.array(targets),
    )


class _Pending:
    """What is left of the plan of each copy, as it was planned and in the environment's codes."""

    def __init__(self, count: int) -> None:
        self.plans: list[NDArray[Any]] = [np.zeros(0, dtype=np.int64)] * count
        self.carried_out = self.plans.copy()
        self.places = np.zeros(count, dtype=np.int64)
        self.within = np.ones(count)
        self.bound = np.zeros(count, dtype=bool)

    def left(self) -> NDArray[np.int64]:
        return np.array([len(plan) for plan in self.plans], dtype=np.int64) - self.places

    def due(self, every: int | None, begun: bool) -> NDArray[np.bool_]:
        """Which copies want a plan."""
        if every is None:
            return np.full(len(self.plans), not begun)
        return (self.left() <= 0) | ((self.places >= every) & ~self.bound)

    def next(self, row: int) -> Any:
        """The next action of a copy; None where there is none."""
        if self.places[row] >= len(self.plans[row]):
            return None
        self.places[row] += 1
        return self.carried_out[row][self.places[row] - 1]

    def renew(
        self,
        planner: Planner,
        latents: torch.Tensor,
        goals: torch.Tensor,
        rows: NDArray[np.int64],
        actions: ActionMap | None,
    ) -> Plan:
        """Plans for some copies; returns what was planned at first, before any tolerance was halved."""
        asked = np.arange(len(rows))
        first = None
        for _ in range(_HALVINGS + 2):
            before: Sequence[NDArray[Any]] = [self.plans[row][self.places[row] :] for row in rows[asked]]
            chosen = torch.from_numpy(asked).to(latents.device)
            plan = planner.plan(latents[chosen], goals[chosen], within=self.within[rows[asked]], previous=before)
            first = plan if first is None else first
            for row, found in zip(rows[asked], plan.actions, strict=True):
                self.plans[row] = found
                self.carried_out[row] = found if actions is None else actions.carried_out(found)
            self.places[rows[asked]] = 0
            self.bound[rows[asked]] = self.within[rows[asked]] == 0
            asked = asked[plan.lengths == 0]
            if not len(asked):
                break
            left = self.within[rows[asked]] / 2
            self.within[rows[asked]] = np.where(left < 2.0**-_HALVINGS, 0.0, left)
        self.within[rows] = np.maximum(self.within[rows], 2.0**-_HALVINGS)
        assert first is not None
        return first
