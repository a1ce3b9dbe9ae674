"""Checkpoints: writing and reading them, and choosing one."""
