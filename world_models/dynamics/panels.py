"""What TensorBoard shows of dynamics after each epoch: a window as it went on and as it is imagined, and the errors."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils.tensorboard import SummaryWriter

from ...datasets.sequences import SequenceLoader
from ..panels import grid, table
from ..vae import VAE
from .base import imagine
from .model import DynamicsModel

_DREAMS = 3  # windows that are shown


class DynamicsPanels:
    """Logs what dynamics imagine on windows of validation episodes.

    Args:
        loader: Where the windows come from.
        config: The run's configuration, shown once as a table.
        shown: Steps of a window that are shown, at most.
    """

    def __init__(self, loader: SequenceLoader, config: dict[str, Any], shown: int = 10) -> None:
        self.batch = loader.gather(loader.starts, torch.Generator().manual_seed(loader.seed))
        self.config, self.shown = config, shown

    @torch.no_grad()
    def __call__(self, model: VAE, writer: SummaryWriter, epoch: int) -> None:
        assert isinstance(model, DynamicsModel)
        if epoch == 1:
            writer.add_text("config", table(["option", "value"], list(self.config.items())), epoch)
            counts = {name: sum(each.numel() for each in part.parameters()) for name, part in model.named_children()}
            writer.add_text("parameters", table(["part", "parameters"], list(counts.items())), epoch)
        batch = self.batch.to(next(model.parameters()).device)
        dream = imagine(model.dynamics, batch.latents[:, :-1], batch.actions)
        spread = model.dynamics.scale.square().sum()
        errors = (dream.latents - batch.latents[:, 1:]).square().sum(2) / spread
        known = model.dynamics.context  # the last code that is seen, which copying copies
        copied = (batch.latents[:, known : known + 1] - batch.latents[:, 1:]).square().sum(2) / spread
        for step in range(known, batch.actions.shape[1]):
            there = batch.mask[:, step].bool()
            if there.any():
                writer.add_scalar(f"error/after_{step + 1 - known}", errors[there, step].mean(), epoch)
                writer.add_scalar(f"copying/after_{step + 1 - known}", copied[there, step].mean(), epoch)
        whole = batch.mask.sum(1).argsort(descending=True, stable=True)[:_DREAMS].tolist()
        rows = []
        for window in whole:
            true, first = batch.latents[window, : self.shown + 1], batch.latents[window, :1]
            rows += [model.decode(true), model.decode(torch.cat([first, dream.latents[window, : self.shown]]))]
        writer.add_image("dream/dream", grid(rows), epoch)
