"""What a latent space costs: an update of a VAE over each, beside the Euclidean one, in one process and turn by turn.

Two pairs of networks on 64 x 64 images, with eight latents: those of Cho et al. 2023 at their batch of 100, and the
default ones of ``vae`` at their batch of 64. Then the latent layers alone (posterior, sample, divergence, decoder
features, and back), in float32 and float64. Times are the least of several rounds in CPU time, which other work on the
machine cannot shorten. Raw results go to results/latents.json.

    python benchmarks/latents.py
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from equiworld.datasets.loader import Batch
from equiworld.world_models.latents import LATENTS, LatentSpace
from equiworld.world_models.objectives import Beta
from equiworld.world_models.vae import VAE

RESULTS = Path(__file__).resolve().parent / "results"
LATENT_NUMBERS = 8
NETWORKS = {"gmvae": 100, "burgess": 64}  # and their batches
SPACES: dict[str, tuple[str, dict[str, Any]]] = {
    "euclidean": ("euclidean", {}),
    "gaussian-manifold raw": ("gaussian-manifold", {"layers": "raw"}),
    "gaussian-manifold geometric": ("gaussian-manifold", {"layers": "geometric"}),
    "hyperboloid diagonal": ("hyperboloid", {}),
    "hyperboloid full": ("hyperboloid", {"covariance": "full"}),
    "hyperboloid rotated": ("hyperboloid", {"covariance": "rotated", "factor_size": None}),
    "poincare riemannian": ("poincare", {}),
    "poincare wrapped": ("poincare", {"normal": "wrapped"}),
    "unit-interval": ("unit-interval", {}),
    "torus": ("torus", {}),
    "sphere": ("sphere", {"factor_size": 4}),
}


def build(label: str) -> LatentSpace:
    """The space of a label."""
    name, options = SPACES[label]
    return LATENTS[name].build(LATENTS[name].options(**options), LATENT_NUMBERS)


def update(label: str, dtype: torch.dtype, networks: str) -> Callable[[], None]:
    """An update of a VAE over that space."""
    generator = torch.Generator().manual_seed(0)
    model = VAE((64, 64, 1), build(label), networks, "bernoulli", Beta(1.0), 1e-3, generator).to(dtype)
    if dtype == torch.float64:
        model.posterior = lambda images: model.latent.posterior(model.encoder(images))  # type: ignore[method-assign]
        model.logits = lambda codes: model.decoder(model.latent.features(codes))  # type: ignore[method-assign]
    number = NETWORKS[networks]
    frames = torch.rand(number, 1, 64, 64, generator=generator).round().to(dtype)
    batch = Batch(frames, torch.arange(number)[:, None], torch.zeros(number, 0, 1, dtype=torch.int64))
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)

    def step() -> None:
        loss = model.terms(batch, 0, generator)["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def layers(label: str, dtype: torch.dtype) -> Callable[[], None]:
    """The latent layers alone, forwards and backwards."""
    generator = torch.Generator().manual_seed(0)
    space = build(label).to(dtype)
    features = torch.randn(100, space.posterior_size, generator=generator).to(dtype).requires_grad_()

    def step() -> None:
        posterior = space.posterior(features)
        draw = posterior.draw(generator)
        (posterior.divergence(draw).sum() + space.features(draw.codes).sum()).backward()

    return step


def least(steps: dict[str, Callable[[], None]], rounds: int, times: int) -> dict[str, float]:
    """Milliseconds of CPU time for a call of each: the least over rounds, which go from one to the next."""
    found = dict.fromkeys(steps, float("inf"))
    for turn in range(rounds + 1):
        for label, step in steps.items():
            began = time.process_time()
            for _ in range(times):
                step()
            if turn:
                found[label] = min(found[label], 1e3 * (time.process_time() - began) / times)
    return found


def main() -> None:
    """Times everything and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--double-rounds", type=int, default=2)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    single, double = torch.float32, torch.float64
    alone = least({label: layers(label, single) for label in SPACES}, asked.rounds, 20)
    alone_double = least({label: layers(label, double) for label in SPACES}, asked.rounds, 20)
    content: dict[str, Any] = {
        "settings": {"latents": LATENT_NUMBERS, "images": "64x64x1", "batches": NETWORKS, "threads": 1},
        "environment": {"torch": torch.__version__, "python": platform.python_version()},
        "layers_ms": {"float32": alone, "float64": alone_double},
        "update_ms": {},
    }
    for networks in NETWORKS:
        whole = least({label: update(label, single, networks) for label in SPACES}, asked.rounds, 1)
        slow = least({label: update(label, double, networks) for label in SPACES}, asked.double_rounds, 1)
        content["update_ms"][networks] = {"float32": whole, "float64": slow}
        print(f"{networks}, batch {NETWORKS[networks]}: update in float32 (float64), and the latent layers of it")
        for label in SPACES:
            added = (alone[label] - alone["euclidean"]) / whole["euclidean"]
            times = f"{whole[label]:7.1f} ms, {whole[label] / whole['euclidean']:5.3f} x ({slow[label]:7.1f} ms)"
            print(f"  {label:<28} {times}   {alone[label]:5.2f} ms ({alone_double[label]:5.2f} ms), {added:+.1%}")
    (RESULTS / "latents.json").write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
