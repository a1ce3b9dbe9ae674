"""Export: a trained network as a file that runs without this project.

Names are imported on first use, so that `--help` does not load JAX.
"""

from typing import Any

__all__ = ['write']


def __getattr__(name: str) -> Any:
  if name != 'write':
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
  from inception.export import writing

  return writing.write
