"""Compares an exported file, run by its runtime, with the network."""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import itertools
from typing import Any

import jax.numpy as jnp
import numpy as np

from inception.data.device import feed
from inception.export.request import Request
from inception.export.walk import LOGITS, PROBABILITIES
from inception.modules.activations import ACTIVATIONS
from inception.predict.load import Pretrained

# Maps images to outputs by name.
Run = Callable[[np.ndarray], Mapping[str, Any]]


@dataclasses.dataclass(frozen=True)
class Comparison:
  """A file beside the network it was made of.

  Attributes:
    images: Number of images.
    difference: Largest difference of an output, over its largest magnitude.
    same_class: Images with the same most likely class; None without logits.
  """

  images: int
  difference: float
  same_class: int | None


def compare(
  network: Pretrained, request: Request, run: Run, pixels: np.ndarray
) -> Comparison:
  """Compares the outputs of a file with those of the network.

  Args:
    network: The network.
    request: How it was exported.
    run: Runs the file.
    pixels: uint8 [images, height, width, 3].
  """
  found = outputs_of_file(network, request, run, pixels)
  right = outputs_of_network(network, pixels, request.outputs)
  differences = [difference(found[name], right[name]) for name in right]
  classes = None
  if LOGITS in request.outputs:
    pair = (x[LOGITS].argmax(1) for x in (found, right))
    classes = int(np.sum(np.equal(*pair)))
  return Comparison(len(pixels), max(differences), classes)


def outputs_of_file(
  network: Pretrained, request: Request, run: Run, pixels: np.ndarray
) -> dict[str, np.ndarray]:
  """Returns the outputs of a file for images, of any number."""
  images = pixels
  if request.input == 'normalized':
    images = np.asarray(
      feed.normalize(jnp.asarray(pixels), network.config.data)
    )
  rows = request.batch_size or len(images)
  parts = []
  for some in itertools.batched(images, rows):
    batch = np.stack(some)
    padding = [(0, rows - len(batch)), *[(0, 0)] * 3]
    found = run(np.pad(batch, padding))
    parts.append({name: x[: len(batch)] for name, x in found.items()})
  return {
    name: np.concatenate([part[name] for part in parts])
    for name in request.outputs
  }


def outputs_of_network(
  network: Pretrained, pixels: np.ndarray, names: Sequence[str]
) -> dict[str, np.ndarray]:
  """Returns the network's own outputs for images."""
  images = feed.normalize(jnp.asarray(pixels), network.config.data)
  outputs = network(images, endpoints=set(names) - {LOGITS} != set())
  activation = ACTIVATIONS[network.model.activation]
  known = {
    **outputs.endpoints,
    LOGITS: outputs.logits,
    PROBABILITIES: activation.probabilities(outputs.logits),
  }
  return {name: np.asarray(known[name], np.float32) for name in names}


def first_difference(
  network: Pretrained,
  request: Request,
  run: Run,
  pixels: np.ndarray,
  most: float,
) -> str | None:
  """Returns the first stage whose output differs by more; None if none does.

  Args:
    network: The network.
    request: With the names of all stages as outputs.
    run: Runs the file of that request.
    pixels: uint8 [images, height, width, 3].
    most: Allowed difference, as in `Comparison`.
  """
  found = outputs_of_file(network, request, run, pixels)
  right = outputs_of_network(network, pixels, request.outputs)
  for name in request.outputs:
    if not difference(found[name], right[name]) <= most:
      return name
  return None


def difference(found: np.ndarray, right: np.ndarray) -> float:
  """Returns the largest difference, over the largest magnitude; NaN if any."""
  if found.shape != right.shape:
    return float('inf')
  largest = float(np.abs(right).max())
  return float(np.abs(found - right).max()) / (largest or 1.0)
