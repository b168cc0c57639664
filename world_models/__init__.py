"""What is learnt: VAE world models, the groups that act in them, and how they are trained."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .vae import VAE

__all__ = ["load", "load_run"]


def load(run: str | Path) -> VAE:
    """The model of a run directory or checkpoint, ready to encode.

    Args:
        run: A run directory (``logs/version_0``) or a checkpoint in one.

    Raises:
        UsageError: There is no such run.
        RunError: The run is damaged, or of something else.
    """
    from .assembly import load_run

    return load_run(Path(run)).model


def load_run(run: str | Path) -> Any:
    """The model, data and split of a run directory; see ``assembly.Assembly``."""
    from .assembly import load_run as load_assembly

    return load_assembly(Path(run))
