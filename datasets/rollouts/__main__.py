"""``python -m equiworld.datasets.rollouts``: collect, info, export, import."""

from __future__ import annotations

import sys

from .command_line import main

if __name__ == "__main__":
    sys.exit(main())
