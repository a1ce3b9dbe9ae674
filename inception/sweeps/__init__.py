"""Sweeps: many runs from a grid or a search, started by an engine."""
