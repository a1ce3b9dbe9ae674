"""FID of pixels on the host, as in the code of MeanFlow.

Run:  python -m examples.generative.host_arrays reference.npz 50000
"""

import sys

import jax
import jax.numpy as jnp
import numpy as np

from inception import generative

BATCH = 64  # Of this process.


@jax.jit
def sample(parameters, key):
  """Stands for your sampler: pixels."""
  images = jnp.tanh(parameters * jax.random.normal(key, (BATCH, 32, 32, 3)))
  return jnp.floor(127.5 * images + 128).clip(0, 255).astype(jnp.uint8)


def evaluate(fid, parameters, key):
  """Returns the scores of a generator with these parameters."""
  own_key = jax.random.fold_in(key, jax.process_index())
  for step in range(fid.steps(BATCH * jax.process_count())):
    pixels = np.asarray(sample(parameters, jax.random.fold_in(own_key, step)))
    fid.update(pixels)
  scores = fid.compute()
  fid.reset()
  return scores


if __name__ == '__main__':
  _, reference, num_images = sys.argv
  evaluator = generative.Evaluator(
    reference=reference, num_images=int(num_images)
  )
  print(evaluate(evaluator, jnp.float32(0.5), jax.random.key(0)))
