"""What is made of measurements: tables, figures, and a page that opens without a network."""

from __future__ import annotations

__all__ = ["charts", "codes_file", "events", "explorer", "figures", "gather", "measures", "page", "scores", "subject"]
