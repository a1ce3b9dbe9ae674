"""Network variables drawn on the host, without compiling anything."""

import math

import jax
import numpy as np


def random_variables(model, images):
  """Returns variables like those of a trained network, without defaults."""
  shapes = jax.eval_shape(model.init, jax.random.key(0), images)
  generator = np.random.default_rng(0)

  def draw(path, leaf):
    normal = generator.normal(size=leaf.shape).astype(np.float32)
    match path[-1].key:
      case 'kernel' | 'depthwise_kernel':
        return normal * math.sqrt(2 / math.prod(leaf.shape[:-1]))
      case 'scale' | 'var':
        return 1 + 0.2 * np.tanh(normal)
    return 0.1 * normal

  return jax.tree_util.tree_map_with_path(draw, shapes)
