"""Weights of other projects, and networks from checkpoints."""
