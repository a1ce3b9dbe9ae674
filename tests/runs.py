"""What tests of whole runs share."""

import json

import jax
import numpy as np

ONE = jax.devices()[:1]


def assert_equal_states(a, b):
  a, b = jax.device_get((a, b))
  assert jax.tree.structure(a) == jax.tree.structure(b)
  jax.tree.map(np.testing.assert_array_equal, a, b)


def rows(workdir):
  lines = (workdir / 'metrics.jsonl').read_text().splitlines()
  return [json.loads(line) for line in lines]
