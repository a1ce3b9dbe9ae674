"""Helpers for tests of whole runs."""

import dataclasses
import json
import pathlib

import jax
import numpy as np

from inception.training.recipe.state import TrainState

ONE = jax.devices()[:1]


@dataclasses.dataclass(frozen=True)
class Finished:
  """A finished run: its folder, its final state, and what it printed."""

  workdir: pathlib.Path
  state: TrainState
  printed: str


def assert_equal_states(a, b):
  a, b = jax.device_get((a, b))
  assert jax.tree.structure(a) == jax.tree.structure(b)
  jax.tree.map(np.testing.assert_array_equal, a, b)


def pictures(config, image_folder):
  """Makes a config train on the fixture `image_folder`."""
  config.data.dataset, config.data.data_dir = 'folder', str(image_folder)
  config.data.eval_split = 'val'
  config.batch_size, config.num_steps = 4, 2


def rows(workdir):
  lines = (workdir / 'metrics.jsonl').read_text().splitlines()
  return [json.loads(line) for line in lines]
