"""FID of a jitted sampler over a mesh of all devices of all processes.

Run:  python -m examples.generative.sharded reference.npz 50000
"""

import functools
import sys

import jax
import jax.numpy as jnp
import numpy as np

from inception import generative

BATCH = 64  # Of all processes.


def make_sampler():
  """Returns a function that stands for your sampler: floats in [-1, 1]."""
  mesh = jax.sharding.Mesh(np.array(jax.devices()), ('batch',))
  sharding = jax.NamedSharding(mesh, jax.P('batch'))

  @functools.partial(jax.jit, out_shardings=sharding)
  def sample(parameters, key):
    return jnp.tanh(parameters * jax.random.normal(key, (BATCH, 32, 32, 3)))

  return sample


def evaluate(fid, parameters, key):
  """Returns the scores of a generator with these parameters."""
  sample = make_sampler()
  for step in range(fid.steps(BATCH)):
    fid.update(sample(parameters, jax.random.fold_in(key, step)))
  scores = fid.compute()
  fid.reset()
  return scores


if __name__ == '__main__':
  _, reference, num_images = sys.argv
  evaluator = generative.Evaluator(
    reference=reference, num_images=int(num_images)
  )
  print(evaluate(evaluator, jnp.float32(0.5), jax.random.key(0)))
