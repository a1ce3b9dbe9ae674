"""Evaluates the images of test_evaluator.py in several processes.

Run:  python -m tests.generative.processes COORDINATOR PROCESSES ID FORM

FORM is how the images are given: host, mapped or sharded. Prints the values as
JSON.
"""

import json
import sys

import jax
from jax.experimental import multihost_utils
import numpy as np

from inception import generative
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


FORMS = {'host': share, 'mapped': mapped, 'sharded': sharded}


def main():
  coordinator, count, index, form = sys.argv[1:]
  with session(coordinator, int(count), int(index), 60.0):
    evaluator = generative.Evaluator(
      cheap.EXTRACTOR, cheap.REAL, len(cheap.IMAGES), metrics=cheap.METRICS
    )
    padding = -len(cheap.IMAGES) % BATCH
    images = np.concatenate([cheap.IMAGES, cheap.IMAGES[:padding]])
    for step in range(evaluator.steps(BATCH)):
      batch = images[step * BATCH : (step + 1) * BATCH]
      evaluator.update(FORMS[form](batch))
    print(json.dumps(evaluator.compute()))


if __name__ == '__main__':
  main()
