"""The defaults, for --config=configs/default.py."""

from inception.config.default import get_config

__all__ = ['get_config']
