"""Equiworld: latent worlds learnt from interaction, and measures of how well they carry the world's structure."""

from __future__ import annotations

import importlib
from types import ModuleType

from .envs.registration import register_all

__version__ = "0.1.0"

_PACKAGES = ("agents", "datasets", "envs", "metrics", "world_models")


def __getattr__(name: str) -> ModuleType:
    # Sub-packages load on first use, so that ``import equiworld`` stays light.
    if name in _PACKAGES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_PACKAGES])


register_all()
