"""Settings and tiny runs that all tests share."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import settings

from equiworld import train
from equiworld.world_models.assembly import Assembly, assemble, options_from_config

# Examples are the same on every machine and in every run, and no slow machine turns a test red.
settings.register_profile("equiworld", derandomize=True, deadline=None)
settings.load_profile("equiworld")

# A torus of 7 x 7 states in pictures of 16 x 16 pixels: everything is there, and an update takes milliseconds.
TINY = {"period": 7, "stride": 2, "radius": 3, "image_size": 16, "steps": 80, "batch_size": 10, "epochs": 1}


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)  # several would wait for each other longer than they compute, at these sizes


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Training takes over two signals; each test begins with those of the tests."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="session")
def tiny() -> Callable[..., Assembly]:
    """Assembles a tiny run: ``tiny("rgrvae", estimator="exact")``."""

    def make(model: str, **options: Any) -> Assembly:
        return assemble(options_from_config({"model": model, **TINY, **options}, "test"))

    return make


@pytest.fixture(scope="session")
def tiny_arguments() -> list[str]:
    """The same as a command line, without the model."""
    return [f"--{name.replace('_', '-')}={value}" for name, value in TINY.items()] + ["--no-evaluate"]


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, tiny_arguments: list[str]) -> dict[str, Path]:
    """Run directories of one epoch, by name; to be read, not written."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    logs = tmp_path_factory.mktemp("logs")
    wanted = {"rgrvae": ["--model=rgrvae"], "vae": ["--model=vae", "--latents=4", "--architecture=forward"]}
    runs = {}
    for number, (name, arguments) in enumerate(wanted.items()):
        assert train.main([*arguments, *tiny_arguments, f"--log-dir={logs}"]) == 0
        runs[name] = logs / f"version_{number}"
    for number, handler in before.items():
        signal.signal(number, handler)
    return runs
