"""What a VAE minimises, one file an objective."""

from importlib import import_module
from pkgutil import iter_modules

from .base import OBJECTIVES, Divergence, Evidence, Objective, Setting
from .beta import Beta
from .capacity import Capacity

for _found in iter_modules(__path__):
    import_module(f".{_found.name}", __name__)  # each enters what it has into the table of names

__all__ = ["OBJECTIVES", "Beta", "Capacity", "Divergence", "Evidence", "Objective", "Setting"]
