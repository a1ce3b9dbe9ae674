"""FID of a pmapped sampler, as in the code of shortcut models.

Run:  python -m examples.generative.pmapped reference.npz 50000
"""

import sys

import jax
import jax.numpy as jnp

from inception import generative

BATCH_PER_DEVICE = 16


def sample(parameters, key):
  """Stands for your sampler: floats in [-1, 1]."""
  noise = jax.random.normal(key, (BATCH_PER_DEVICE, 32, 32, 3))
  return jnp.tanh(parameters * noise)


def evaluate(fid, parameters, key):
  """Returns the scores of a generator with these parameters."""
  devices = jax.local_device_count()
  sampler = jax.pmap(sample, in_axes=(None, 0))
  own_key = jax.random.fold_in(key, jax.process_index())
  for step in range(fid.steps(BATCH_PER_DEVICE * jax.device_count())):
    keys = jax.random.split(jax.random.fold_in(own_key, step), devices)
    fid.update(sampler(parameters, keys))
  scores = fid.compute()
  fid.reset()
  return scores


if __name__ == '__main__':
  _, reference, num_images = sys.argv
  evaluator = generative.Evaluator(
    reference=reference, num_images=int(num_images)
  )
  print(evaluate(evaluator, jnp.float32(0.5), jax.random.key(0)))
