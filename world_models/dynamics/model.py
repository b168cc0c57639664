"""A world model with dynamics: ``--model=dynamics`` fits them to rollouts, over a model that stays as it is."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ...datasets.recorded import RecordedDataset
from ...datasets.sequences import Recording, SequenceLoader, Sequences
from ...envs.registry import UsageError
from ..objectives.base import Terms
from ..vae import VAE
from ..zoo import Context, check_fitting, model
from .actions import ActionCode
from .base import Dynamics, Setting, State, symlog

_CHUNK = 64  # images encoded at a time; more do not fit the caches of a processor


@dataclass
class DynamicsOptions:
    """Options of the model."""

    dynamics: str = "gru"
    """What moves codes; train.py --help lists them."""
    base_model_path: str | None = None
    """Run or checkpoint of the world model whose codes are moved; it is kept in this run, and needed no longer."""
    window: int = 10
    """Steps that are predicted one from another in training."""
    learning_rate: float = 1e-3
    """Adam's learning rate."""
    adam_beta1: float = 0.9
    """Adam's decay of the mean gradient."""
    batch_size: int = 640
    """Steps in a batch; a batch holds batch-size / window windows."""
    epochs: int = 50
    """Passes over the training data, at most."""
    clip_norm: float = 1.0
    """Norm to which gradients are clipped."""
    lr_scheduler: Literal["none", "exp", "cosine"] = "cosine"
    """Decay of the rate after each epoch: by lr-scheduler-gamma (exp), or along a cosine to 0."""
    lr_scheduler_gamma: float = 0.99
    """Factor for each epoch (exp)."""
    reward_loss: Literal["symlog", "plain"] = "symlog"
    """Squared error of the reward's symmetric logarithm (Hafner et al. 2023), or of the reward itself."""
    reward_weight: float = 1.0
    """Weight of the reward's error beside that of the codes."""
    termination_weight: float = 1.0
    """Weight of the cross-entropy of termination beside the error of the codes."""
    sample_latents: bool = False
    """Train on samples of the posteriors, drawn anew for each batch, instead of their means."""


class DynamicsModel(VAE):
    """A world model, which stays as it is, and dynamics on its codes.

    What it does not have of its own (``encode``, ``decode``, ``latent``, ``act``, ...) is that of the world model.

    Args:
        base: The world model.
        dynamics: Moves its codes.
        code: How actions are written.
        options: How it is trained.

    Attributes:
        base: The world model.
        dynamics: Moves its codes.
        action_code: How actions are written.
    """

    def __init__(self, base: VAE, dynamics: Dynamics, code: ActionCode, options: DynamicsOptions) -> None:
        torch.nn.Module.__init__(self)
        self.base, self.dynamics, self.action_code = base.requires_grad_(False), dynamics, code
        self.options, self.adam_beta1, self.learning_rate = options, options.adam_beta1, options.learning_rate

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name == "base":  # not there yet
                raise
            return getattr(self.base, name)

    def posterior(self, images: Tensor) -> Any:
        return self.base.posterior(images)

    def train(self, mode: bool = True) -> DynamicsModel:
        super().train(mode)
        self.base.eval()
        return self

    def terms(self, batch: Sequences, step: int, generator: torch.Generator) -> Terms:  # type: ignore[override]
        """The mean error of codes, rewards and terminations over all steps of the windows.

        The first code of a window is given. Each step begins from the code that the one before led to, but for the
        dynamics' ``context`` and its share of ``teacher_forcing``, which begin from the true one.
        """
        dynamics, length = self.dynamics, batch.actions.shape[1]
        given = torch.rand((len(batch.latents), length), generator=generator) < dynamics.teacher_forcing
        given[:, : dynamics.context + 1] = True
        anywhere, everywhere, given = given.any(0).tolist(), given.all(0).tolist(), given.to(batch.latents.device)
        targets = symlog(batch.rewards) if dynamics.symlog else batch.rewards
        state = dynamics.initial(batch.latents[:, 0])
        codes, rewards, ends = [], [], []
        for place in range(length):
            true, actions = batch.latents[:, place + 1], batch.actions[:, place]
            if anywhere[place]:
                state = state.where(~given[:, place], dataclasses.replace(state, latent=batch.latents[:, place]))
            prediction, memory = dynamics.predict(state, actions)
            codes.append(prediction.error(true))
            # Where there is chance, what is judged is what happened; and nothing is drawn that nobody goes on from.
            left = place + 1 == length or everywhere[place + 1]
            after = State(true if left and not prediction.certain else prediction.draw(generator), memory)
            # Codes answer for themselves alone; what is remembered serves rewards and terminations too.
            now = State((after.latent if prediction.certain else true).detach(), memory)
            reward, end = dynamics.judge(State(state.latent.detach(), state.memory), actions, now)
            rewards.append((reward - targets[:, place]).square())
            ends.append(functional.binary_cross_entropy_with_logits(end, batch.ends[:, place], reduction="none"))
            state = after
        weight = batch.mask / batch.mask.sum()
        latent, reward, termination = ((torch.stack(each, 1) * weight).sum() for each in (codes, rewards, ends))
        loss = latent + self.options.reward_weight * reward + self.options.termination_weight * termination
        return {"loss": loss, "latent": latent, "reward": reward, "termination": termination}

    def parameter_groups(self) -> list[dict[str, object]]:
        return [{"name": "dynamics", "params": list(self.dynamics.parameters()), "lr": self.learning_rate}]

    def advance(self, loader: Any, step: int) -> list[str]:
        return []

    def warning(self) -> str | None:
        return None

    @torch.no_grad()
    def recording(self, data: RecordedDataset, episodes: NDArray[np.int64]) -> Recording:
        """Episodes of a recording as dynamics read them; every picture in them is encoded once.

        Args:
            data: The recording.
            episodes: Which of its episodes, int64.

        Raises:
            UsageError: There is no step in them.
        """
        rollouts = data.rollouts
        rows = rollouts.rows_of(episodes)
        steps = np.ones(len(rollouts), dtype=bool)
        steps[rollouts.offsets[1:] - 1] = False
        steps = steps[rows]
        if not steps.any():
            raise UsageError(f"there is no step in the {len(episodes)} episodes of a part of the split; record more")
        pictures, places = np.unique(data.states[rows], return_inverse=True)
        order = np.argsort(data.rows[pictures])  # as they lie in the file
        pictures, places = pictures[order], np.argsort(order)[places]
        chunks = [pictures[start : start + _CHUNK] for start in range(0, len(pictures), _CHUNK)]
        device = next(self.base.parameters()).device
        features = [self.base.encoder(data.images(chunk).to(device)).float() for chunk in chunks]
        means = torch.cat([self.base.latent.posterior(part).mean.cpu() for part in features])
        actions = np.asarray(rollouts.actions(rows))
        actions[~steps] = actions[steps][0]  # none leads out of an episode's last row
        return Recording(
            means=means,
            features=torch.cat(features).cpu(),
            pictures=torch.from_numpy(places),
            actions=self.action_code.encode(actions),
            rewards=torch.from_numpy(rollouts.read("reward", rows).astype(np.float32)),
            ends=torch.from_numpy(rollouts.read("terminated", rows).astype(np.float32)),
            lengths=rollouts.lengths[episodes],
        )

    def sampled(self, features: Tensor, generator: torch.Generator) -> Tensor:
        """A sample ``[N, L]`` of the posteriors of encoder features ``[N, P]``."""
        space = self.base.latent
        return space.posterior(features.to(space.device)).draw(generator).codes.cpu()

    def prepare(self, recording: Recording) -> None:
        """Fits what the dynamics do not learn by gradients."""
        before, after = recording.steps()
        known = recording.latents(before), recording.actions[before], recording.latents(after)
        self.dynamics.prepare(*(each.to(self.dynamics.centre.device) for each in known))

    def loader(self, recording: Recording, seed: int, most: int | None = None) -> SequenceLoader:
        """Windows of a recording as the options ask for them; ``most`` of them, from all over, where that is given."""
        options = self.options
        draw = self.sampled if options.sample_latents else None
        return SequenceLoader(recording, options.window, options.batch_size, seed, draw, most)


@model("dynamics", DynamicsOptions, "dynamics on the codes of another run, fitted to recorded rollouts")
def build(options: DynamicsOptions, context: Context) -> VAE:
    """Dynamics for the world model of ``--base-model-path`` and the actions of the recording.

    Raises:
        UsageError: An option that cannot be used, or the world model and the recording do not belong together.
    """
    check_fitting(options)
    if options.window < 1:
        raise UsageError(f"--window must be 1 or more, not {options.window}")
    for name in ("reward_weight", "termination_weight"):
        if getattr(options, name) < 0:
            raise UsageError(f"--{name.replace('_', '-')} must be 0 or more, not {getattr(options, name)}")
    data, base = context.data, context.base
    assert isinstance(data, RecordedDataset) and base is not None
    if context.offset != 1:
        raise UsageError("--offset is not read by --model dynamics, which takes every step")
    if data.noise.independent or context.static_content:
        raise UsageError(
            "--noise-name is not read by --model dynamics, which encodes every picture once; none is accepted"
        )
    if base.image_shape != data.world.image_shape:
        seen, given = ("x".join(map(str, shape)) for shape in (base.image_shape, data.world.image_shape))
        raise UsageError(
            f"the world model {options.base_model_path} looks at images of {seen} (height, width, channels); those of"
            f" the recording are {given}"
        )
    code = ActionCode(data.rollouts.header.action_space)
    dynamics = context.build("dynamics", options.dynamics, Setting(base, code, context.generator))
    dynamics.symlog = options.reward_loss == "symlog"
    if dynamics.context and dynamics.context >= options.window:
        raise UsageError(f"--context {dynamics.context} leaves nothing to imagine of --window {options.window}")
    return DynamicsModel(base, dynamics, code, options)
