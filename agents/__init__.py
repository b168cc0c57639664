"""What acts: agents that learn from pixels, from true factors, or from what a world model sees."""

from __future__ import annotations

from pathlib import Path
from typing import Any

__all__ = ["load"]


def load(run: str | Path) -> Any:
    """The agent of a run directory, ready to play; see ``training.TrainedAgent``.

    Raises:
        UsageError: There is no such run, or it is none of an agent.
        RunError: It is damaged.
    """
    from .training import load_agent

    return load_agent(run)
