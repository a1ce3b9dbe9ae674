"""Flax Linen modules that run an architecture table."""
