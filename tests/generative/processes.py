"""Evaluates the images of test_evaluator.py in several processes.

Run:  python -m tests.generative.processes COORDINATOR PROCESSES ID FORM FOLDER

FORM is how the images are given: a name in `FORMS`. Writes the values, or the
error, as FOLDER/ID.json: Gloo prints in the middle of other output.
"""

import json
import pathlib
import sys

import jax
from jax.experimental import multihost_utils
import numpy as np

from inception import generative
from inception.errors import UserError
from inception.processes.session import session
from tests.generative import cheap

BATCH = 20


def share(images):
  """Returns this process's part of a batch."""
  return np.split(images, jax.process_count())[jax.process_index()]


def mapped(images):
  devices = jax.local_device_count()
  own = share(images)
  return jax.pmap(lambda x: x)(own.reshape(devices, -1, *own.shape[1:]))


def sharded(images):
  mesh = jax.sharding.Mesh(np.array(jax.devices()), ('batch',))
  return multihost_utils.host_local_array_to_global_array(
    share(images), mesh, jax.P('batch')
  )


def uneven(images):
  return share(images)[jax.process_index() :]


def spoiled(images):
  """Holds NaN in the last process only."""
  floats = share(images) / np.float32(127.5) - 1
  return np.full_like(floats, np.nan) if jax.process_index() else floats


FORMS = {
  'host': share,
  'mapped': mapped,
  'sharded': sharded,
  'uneven': uneven,
  'spoiled': spoiled,
}


def evaluate(form):
  evaluator = generative.Evaluator(
    cheap.EXTRACTOR, cheap.REAL, len(cheap.IMAGES), metrics=cheap.METRICS
  )
  padding = -len(cheap.IMAGES) % BATCH
  images = np.concatenate([cheap.IMAGES, cheap.IMAGES[:padding]])
  for step in range(evaluator.steps(BATCH)):
    batch = images[step * BATCH : (step + 1) * BATCH]
    evaluator.update(FORMS[form](batch))
  return evaluator.compute()


def main():
  coordinator, count, index, form, folder = sys.argv[1:]
  with session(coordinator, int(count), int(index), 60.0):
    try:
      found = evaluate(form)
    except UserError as error:
      found = str(error)
    pathlib.Path(folder, f'{index}.json').write_text(json.dumps(found))


if __name__ == '__main__':
  main()
