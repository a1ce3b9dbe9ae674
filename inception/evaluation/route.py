"""Routes images between two networks: a random mixture, or a cascade.

Images are in memory, and networks run on full batches: images that are passed
on are queued until there are enough for one.
"""

from collections.abc import Sequence
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from inception.modules.activations import ACTIVATIONS
from inception.predict.predictor import Predictor
from inception.processes import distributed
from inception.processes.device_program import pmap

Array = jax.Array


class Runner:
  """A compiled network that classifies batches and measures its time."""

  def __init__(
    self,
    predictor: Predictor,
    variables: Any,
    offset: int,
    batch_size: int,
    activation: str = 'softmax',
  ):
    """Puts the network on all local devices.

    Args:
      predictor: Maps variables and uint8 images to logits.
      variables: Its variables.
      offset: Index of the logit of the first class.
      batch_size: Images per batch, rounded up to a multiple of the devices.
      activation: The network's last activation.
    """
    self.activation = activation
    self._devices = jax.local_devices()
    self._rows = -(-batch_size // len(self._devices))
    self._variables = distributed.replicate(variables, self._devices)
    self.temperature = 1.0  # Divides the logits.
    self.seconds = 0.0

    def logits_of(variables: Any, images: Array) -> Array:
      return predictor(variables, images)[:, offset:]

    def answer(variables: Any, images: Array, temperature: Array) -> Any:
      scaled = logits_of(variables, images) / temperature
      probabilities = ACTIVATIONS[activation].probabilities(scaled)
      return jnp.argmax(probabilities, 1), jnp.max(probabilities, 1)

    options, devices = predictor.options, self._devices
    self._logits = pmap(logits_of, options, in_axes=(None, 0), devices=devices)
    self._answer = pmap(
      answer, options, in_axes=(None, 0, None), devices=devices
    )

  @property
  def batch_size(self) -> int:
    """Images per batch, the same number on each device."""
    return self._rows * len(self._devices)

  def __call__(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Classifies at most `batch_size` images, uint8 [images, ...].

    Returns:
      The classes, int [images], and their probabilities, float32 [images].
    """
    begin = time.perf_counter()
    temperature = np.float32(self.temperature)
    found = jax.device_get(
      self._answer(self._variables, self._split(images), temperature)
    )
    self.seconds += time.perf_counter() - begin
    predicted, probability = (part.reshape(-1)[: len(images)] for part in found)
    return predicted, probability

  def logits(self, images: np.ndarray) -> np.ndarray:
    """Returns float32 [images, classes] for any number of images."""
    parts = []
    for places in _batches(np.arange(len(images)), self.batch_size):
      found = self._logits(self._variables, self._split(images[places]))
      found = np.asarray(found)
      parts.append(found.reshape(-1, found.shape[-1])[: len(places)])
    return np.concatenate(parts)

  def _split(self, images: np.ndarray) -> np.ndarray:
    """Pads images with zeros and splits them over the devices."""
    padding = self.batch_size - len(images)
    padded = np.pad(images, [(0, padding)] + [(0, 0)] * (images.ndim - 1))
    return padded.reshape(len(self._devices), self._rows, *images.shape[1:])


def mixture(
  runners: Sequence[Runner], images: Sequence[np.ndarray], to_first: np.ndarray
) -> np.ndarray:
  """Sends each image to one of two networks.

  Args:
    runners: The networks.
    images: The images as each network sees them, uint8 [images, ...].
    to_first: Which images go to the first, bool [images].

  Returns:
    The predicted classes, int [images].
  """
  predicted = np.zeros(len(to_first), np.int64)
  for runner, own, mine in zip(runners, images, (to_first, ~to_first)):
    for places in _batches(np.flatnonzero(mine), runner.batch_size):
      predicted[places], _ = runner(own[places])
  return predicted


def cascade(
  runners: Sequence[Runner], images: Sequence[np.ndarray], threshold: float
) -> tuple[np.ndarray, np.ndarray]:
  """Asks the first network, and the second if the first is not confident.

  Args:
    runners: The networks.
    images: The images as each network sees them, uint8 [images, ...].
    threshold: An image is passed on if the first network's probability is at
      most this: 0 passes on no image, 1 passes on all.

  Returns:
    The predicted classes, int [images], and which images were passed on.
  """
  first, second = runners
  count = len(images[0])
  predicted = np.zeros(count, np.int64)
  passed = np.zeros(count, bool)
  waiting = np.zeros(0, np.int64)

  def ask_second(places: np.ndarray) -> None:
    predicted[places], _ = second(images[1][places])

  for places in _batches(np.arange(count), first.batch_size):
    predicted[places], probability = first(images[0][places])
    passed[places] = probability <= threshold
    waiting = np.append(waiting, places[passed[places]])
    while len(waiting) >= second.batch_size:
      ask_second(waiting[: second.batch_size])
      waiting = waiting[second.batch_size :]
  if len(waiting):
    ask_second(waiting)
  return predicted, passed


def _batches(places: np.ndarray, size: int) -> list[np.ndarray]:
  return [places[i : i + size] for i in range(0, len(places), size)]


def confidence(logits: np.ndarray, activation: str = 'softmax') -> np.ndarray:
  """Returns the largest probability of each example, float32 [examples]."""
  probabilities = ACTIVATIONS[activation].probabilities(jnp.asarray(logits))
  return np.asarray(probabilities).max(1)


def best_temperature(
  logits: np.ndarray, labels: np.ndarray, activation: str = 'softmax'
) -> float:
  """Returns the temperature with the lowest cross-entropy, from 0.25 to 8.

  Guo et al., 2017, "On calibration of modern neural networks", section 4.2.

  Args:
    logits: float32 [examples, classes].
    labels: int [examples].
    activation: The network's last activation.
  """
  candidates = np.geomspace(0.25, 8, 101)

  def loss(temperature: float) -> float:
    scaled = jnp.asarray(logits / temperature, jnp.float32)
    nats = ACTIVATIONS[activation].cross_entropy(scaled, jnp.asarray(labels))
    return float(jnp.mean(nats))

  return float(min(candidates, key=loss))
