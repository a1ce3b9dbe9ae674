"""A config from `compare.to_json`: --config=tests/chaos/given.py:FILE."""

import pathlib

import ml_collections

from inception.config import compare


def get_config(file: str) -> ml_collections.ConfigDict:
  """Returns the config that the file holds."""
  return compare.from_json(pathlib.Path(file).read_text())
