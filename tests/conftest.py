"""Settings that all tests share."""

from hypothesis import settings

# Examples are the same on every machine and in every run, and no slow machine turns a test red.
settings.register_profile("equiworld", derandomize=True, deadline=None)
settings.load_profile("equiworld")
