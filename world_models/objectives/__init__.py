"""What a VAE minimises beside reconstruction, one file an objective."""

from .base import OBJECTIVES, Objective
from .beta import Beta
from .capacity import Capacity

__all__ = ["OBJECTIVES", "Beta", "Capacity", "Objective"]
