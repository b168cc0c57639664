"""FlatLand: worlds whose actions make a known group, and their environments."""

from __future__ import annotations

from .continuous import FlatLandContinuous
from .dihedral import FlatLandDihedral
from .shapes import FlatLandDiscs, FlatLandHue, FlatLandRotor
from .torus import FlatLand, FlatLandPermuted, FlatLandWalls

__all__ = [
    "FlatLand",
    "FlatLandContinuous",
    "FlatLandDihedral",
    "FlatLandDiscs",
    "FlatLandHue",
    "FlatLandPermuted",
    "FlatLandRotor",
    "FlatLandWalls",
]
