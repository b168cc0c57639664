"""Breakout: the console's game with exact factors, which can be read at every frame and set."""

from __future__ import annotations

from .ram import FACTOR_NAMES, NO_BALL, decode, encode

__all__ = ["FACTOR_NAMES", "NO_BALL", "decode", "encode"]
