"""Spriteworld: coloured polygons in an arena, their factors, tasks and pictures."""
