"""What TensorBoard shows after each epoch: pictures, matrices, angles and scores of a model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from ..datasets.loader import WindowLoader
from .actions.representations import Rotation
from .actions.windows import outcome_errors
from .bounds import active_units
from .group import GroupVAE
from .vae import VAE

_MOST_ORDER = 40


class Panels:
    """Logs what can be seen of a model on held-out windows.

    Args:
        loader: Where the pictures come from.
        actions: True actions of the world.
        config: The run's configuration, shown once as a table.
        shown: Images in a row.
    """

    def __init__(self, loader: WindowLoader, actions: int, config: dict[str, Any], shown: int = 8) -> None:
        self.batch = loader.sample(64, 0)
        if loader.length:
            # Single actions between seen states, whatever the number between the images that are trained on.
            single = loader.transitions.single_steps(1024, loader.seed)
            starts = single.windows(1, loader.allowed)
            self.pairs = WindowLoader(single, starts, 1, len(starts), loader.seed).sample(min(256, len(starts)), 1)
        self.actions, self.config, self.shown = actions, config, shown

    @torch.no_grad()
    def __call__(self, model: VAE, writer: SummaryWriter, epoch: int) -> None:
        device = next(model.parameters()).device
        if epoch == 1:
            writer.add_text("config", table(["option", "value"], list(self.config.items())), epoch)
            counts = {name: sum(each.numel() for each in part.parameters()) for name, part in model.named_children()}
            writer.add_text("parameters", table(["part", "parameters"], list(counts.items())), epoch)
        frames = self.batch.frames[self.batch.index[:, 0]][: self.shown].to(device)
        posterior = model.posterior(self.batch.frames.to(device))
        writer.add_image("recons/recon", grid([frames, model.decode(model.encode(frames))]), epoch)
        writer.add_image("linspaces/linspace", grid(traversals(model, frames[0])), epoch)
        writer.add_histogram("posterior/mean", posterior.mean, epoch)
        writer.add_histogram("posterior/log_variance", 2 * torch.log(posterior.deviation), epoch)
        for number, kl in enumerate(posterior.kl().mean(0).tolist()):
            writer.add_scalar(f"kl/latent_{number}", kl, epoch)
        writer.add_scalar("kl/active_units", active_units(posterior.mean).sum(), epoch)
        if isinstance(model, GroupVAE):
            self._actions(model, writer, epoch, device)

    def _actions(self, model: GroupVAE, writer: SummaryWriter, epoch: int, device: torch.device) -> None:
        start = self.batch.frames[self.batch.index[0, 0]].to(device)
        writer.add_image("groups/groups", grid(action_rows(model, start, 15)), epoch)
        first, last = self.batch.index[: self.shown, 0], self.batch.index[: self.shown, 1]
        steps = step_rows(model, self.batch.frames[first].to(device), self.batch.frames[last].to(device))
        writer.add_image("actions/steps", grid(steps), epoch)
        before, after = (self.pairs.frames[self.pairs.index[:, place]].to(device) for place in (0, 1))
        true = self.pairs.actions[:, 0, 0]
        policy = model.infer_action(before, after)
        chosen = policy.argmax(1)
        if self.actions > 1:  # recorded actions may be no codes
            self._inference(policy, true, writer, epoch)
        latents, target = model.encode(before), model.encode(after)
        moved = model.act(latents, chosen)
        decoded, again = model.decode(moved), model.decode(target)
        rows = [images[: self.shown] for images in (before, after, decoded, again)]
        labels = [f"t{code} p{guess}" for code, guess in zip(true.tolist(), chosen.tolist(), strict=True)]
        picture = torch.cat([grid(rows), captions(labels[: self.shown], before.shape[1:])], 1)
        writer.add_image("actions/actions", picture, epoch)
        errors = {
            "mse_x1": model.decode(latents) - before,
            "mse_x2": decoded - after,
            "mse_z2": moved - target,
            "mse_z1_mu2": latents - target,
        }
        for name, difference in errors.items():
            writer.add_scalar(f"metric/{name}", difference.flatten(1).square().sum(1).mean(), epoch)
        writer.add_scalar("metric/latent_diff", (latents - target).abs().mean(), epoch)
        writer.add_scalar("metric/total_kl_meaned", model.posterior(before).kl().mean(), epoch)
        distances = outcome_errors(latents, target, model.matrices())
        writer.add_histogram("attn/attn_scaled_dists", distances / distances.mean(1, keepdim=True), epoch)
        self._matrices(model, writer, epoch)

    def _inference(self, policy: Tensor, true: Tensor, writer: SummaryWriter, epoch: int) -> None:
        """What the inferred probabilities ``[n, A]`` of single actions have to do with the true ones ``[n]``."""
        chosen = policy.argmax(1)
        shown = list(zip(true.tolist(), chosen.tolist(), policy.tolist(), strict=True))[: self.shown]
        writer.add_text("actions/examples", ", ".join(f"t{code} - p{guess}" for code, guess, _ in shown), epoch)
        density = [(f"t{code}", *(f"{chance:.3f}" for chance in chances)) for code, _, chances in shown]
        head = ["", *(f"learnt {number}" for number in range(policy.shape[1]))]
        writer.add_text("actions/density", table(head, density), epoch)
        counts = np.zeros((policy.shape[1], self.actions))
        np.add.at(counts, (chosen.cpu().numpy(), true.numpy()), 1)
        head = ["", *(f"true {code}" for code in range(self.actions))]
        rows_of_text = [(f"learnt {number}", *map(int, row)) for number, row in enumerate(counts)]
        writer.add_text("actions/counts", table(head, rows_of_text), epoch)
        rows, columns = linear_sum_assignment(-counts)
        joint = torch.stack([policy.cpu()[true == code].sum(0) for code in range(self.actions)])
        scalars = {
            "alignment": counts[rows, columns].sum() / counts.sum(),
            "mean_entropy": entropy(policy).mean(),
            "true_action_entropy": entropy(joint).mean(),
            "per_action_entropy": entropy(joint.T).mean(),
            "entropy_ratio": entropy(policy).mean() / entropy(policy.mean(0)).clamp_min(1e-9),
            "independence": pseudo_independence(policy.cpu(), true, self.actions),
        }
        for name, value in scalars.items():
            writer.add_scalar(f"attn/{name}", value, epoch)
        writer.add_histogram("attn/attn", policy, epoch)
        writer.add_histogram("attn/attn_norm", policy / policy.max(1, keepdim=True).values, epoch)
        writer.add_histogram("attn/attn_argmax", chosen, epoch)

    def _matrices(self, model: GroupVAE, writer: SummaryWriter, epoch: int) -> None:
        """The learnt matrices with angle and nearest order, and how they are spread."""
        matrices = model.bank.matrices().cpu().numpy()
        text, angles = [], []
        for number, matrix in enumerate(matrices):
            angle = float(np.abs(np.angle(np.linalg.eigvals(matrix))).max())
            angles.append(angle)
            representation = model.bank.representations[number]
            if isinstance(representation, Rotation):
                angle = float(representation.angle)
            writer.add_scalar(f"cyclic_orders/angle_{number}", angle, epoch)
            writer.add_scalar(f"cyclic_orders/order_{number}", 2 * math.pi / max(abs(angle), 1e-6), epoch)
            turn = Fraction(angle / (2 * math.pi)).limit_denominator(_MOST_ORDER)
            shown = np.array2string(matrix, precision=3, suppress_small=True).replace("\n", "\n    ")
            name = f"action {number} ({model.bank.names[number]})"
            text.append(f"{name}: {angle:.4f} rad, nearest 2 pi {turn.numerator}/{turn.denominator}\n\n    {shown}")
        writer.add_text("matrices", "\n\n".join(text), epoch)
        writer.add_scalar("forward/mean_angle", np.mean(angles), epoch)
        writer.add_scalar("forward/angle_std", np.std(angles), epoch)
        writer.add_scalar("forward/dets_mean", np.linalg.det(matrices).mean(), epoch)


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def grid(rows: list[Tensor], gap: int = 2) -> Tensor:
    """Rows of images ``[n, C, H, W]`` as one picture ``[C, height, width]``, grey between them.

    Images with channels that are no colours are shown as the mean of these.
    """
    if rows[0].shape[1] not in (1, 3):
        rows = [row.mean(1, keepdim=True) for row in rows]
    height, width = rows[0].shape[-2:]
    channels, longest = rows[0].shape[1], max(len(row) for row in rows)
    picture = torch.full((channels, len(rows) * (height + gap) - gap, longest * (width + gap) - gap), 0.5)
    for down, row in enumerate(rows):
        for across, image in enumerate(row):
            top, left = down * (height + gap), across * (width + gap)
            picture[:, top : top + height, left : left + width] = image.detach().float().cpu()
    return picture


def captions(labels: Sequence[str], shape: Sequence[int], gap: int = 2, height: int = 12) -> Tensor:
    """A strip of short texts, each below a column of ``grid``, ``[C, height, width]``.

    Args:
        labels: One for each column.
        shape: ``(C, H, W)`` of an image in the grid.
        gap: Pixels between columns.
        height: Of the strip.
    """
    channels, width = (shape[0] if shape[0] in (1, 3) else 1), shape[2]
    strip = Image.new("L", (len(labels) * (width + gap) - gap, height))
    pen = ImageDraw.Draw(strip)
    for column, label in enumerate(labels):
        pen.text((column * (width + gap) + 1, 0), label, fill=255)
    return torch.from_numpy(np.asarray(strip, dtype=np.float32) / 255).expand(channels, -1, -1)


@torch.no_grad()
def traversals(model: VAE, image: Tensor, reach: float = 2.0, number: int = 8) -> list[Tensor]:
    """For each latent a row: decoded from -reach to reach, the others as in ``image [C, H, W]``."""
    code = model.encode(image[None])
    rows = []
    for latent in range(code.shape[1]):
        codes = code.repeat(number, 1)
        codes[:, latent] = torch.linspace(-reach, reach, number)
        rows.append(model.decode(codes))
    return rows


@torch.no_grad()
def action_rows(model: GroupVAE, image: Tensor, number: int) -> list[Tensor]:
    """For each learnt action a row: ``image [C, H, W]`` decoded after 0, 1, 2, ... times that action."""
    code = model.encode(image[None])
    rows = []
    for matrix in model.matrices():
        codes = [code]
        for _ in range(number - 1):
            codes.append(codes[-1] @ matrix.T)
        rows.append(model.decode(torch.cat(codes)))
    return rows


@torch.no_grad()
def step_rows(model: GroupVAE, before: Tensor, after: Tensor) -> list[Tensor]:
    """Rows of images: before, decoded after each of the inferred actions in turn, and what they should lead to.

    Args:
        model: Infers, moves and decodes.
        before: Images ``[n, C, H, W]``.
        after: Images as many actions later as the model takes in a transition.
    """
    rows, latents, shown = [before], model.encode(before), before
    for _ in range(model.num_action_steps):
        latents = model.act(latents, model.infer_action(shown, after).argmax(1))
        shown = model.decode(latents)
        rows.append(shown)
    return [*rows, after]


def entropy(weights: Tensor) -> Tensor:
    """Entropy in nats of each row of ``weights [..., A]``, which need not be normalised; 0 for a row of zeros."""
    chances = weights / weights.sum(-1, keepdim=True).clamp_min(1e-12)
    return -torch.xlogy(chances, chances).sum(-1)


def pseudo_independence(policy: Tensor, true: Tensor, actions: int) -> float:
    """1 - mean cosine between the summed policies of different true actions; 1 when each has its own."""
    sums = torch.stack([policy[true == code].sum(0) for code in range(actions)])
    unit = sums / sums.norm(dim=1, keepdim=True).clamp_min(1e-9)
    cosines = unit @ unit.T
    return float(1 - (cosines.sum() - cosines.trace()) / (actions * (actions - 1)))
