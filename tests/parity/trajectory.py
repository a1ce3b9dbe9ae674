"""A short training run that a peer and this project both perform.

The recipes, the batches, and the record of a run. It needs only NumPy: the
peers' environments import this file.
"""

from collections.abc import Mapping
import dataclasses
import zlib

import numpy as np

from tests.parity import formula

STEPS = 10
CLASSES = 10
LABEL_SMOOTHING = 0.1
MOMENTUM = 0.9
# Far above the papers' 4e-5: the effect of a smaller one would be lost in
# rounding after only ten steps.
WEIGHT_DECAY = 0.01
RMSPROP_DECAY = 0.9
RMSPROP_EPSILON = 1.0
_BATCHES = 8
# Added to the biases of batch norm; see `initial`.
_RAISE = 2.0


@dataclasses.dataclass(frozen=True)
class Recipe:
  """How a network is trained.

  Attributes:
    size: Height and width of the images, pixels.
    batch_size: Images per step.
    optimizer: 'sgd' or 'rmsprop'.
    learning_rate: Constant learning rate.
    aux_weight: Weight of the loss of each auxiliary head.
    batch_norm_decay: Fraction of the old moving statistics kept at each step.
  """

  size: int
  batch_size: int
  optimizer: str
  learning_rate: float
  aux_weight: float
  batch_norm_decay: float


# The learning rates are small because every layer of such a network amplifies
# rounding errors. The losses still move by tens of percent in one step.
RECIPES = {
  'torchvision_inception_v3': Recipe(
    size=299,
    batch_size=4,
    optimizer='sgd',
    learning_rate=2e-4,
    aux_weight=0.4,
    batch_norm_decay=0.9,
  ),
  'torchvision_googlenet': Recipe(
    size=112,
    batch_size=8,
    optimizer='sgd',
    learning_rate=3e-4,
    aux_weight=0.3,
    batch_norm_decay=0.9,
  ),
  'keras_inception_v3': Recipe(
    size=107,
    batch_size=8,
    optimizer='rmsprop',
    learning_rate=3e-4,
    aux_weight=0.0,
    batch_norm_decay=0.99,
  ),
}


def initial(name, shape, input_axes):
  """Returns the values of the formula, with the bias of batch norm raised.

  A ReLU then cuts off about one unit in forty instead of every second one. In a
  random network of fifty layers with half of the units cut off, rounding alone
  changes gradients by a percent, and after ten steps the losses of two correct
  programs are unrelated.
  """
  values = formula.tensor(name, shape, input_axes)
  if name.endswith(('.bn.bias', '/beta')):
    values += _RAISE
  return values


def batches(recipe):
  """Yields uint8 images [batch, size, size, 3] and labels of every step."""
  count = _BATCHES * recipe.batch_size
  images = np.rint(127.5 * (1 + formula.images(recipe.size, count)))
  images = images.astype(np.uint8).reshape(_BATCHES, -1, *images.shape[1:])
  shape = (_BATCHES, recipe.batch_size)
  labels = np.random.RandomState(0).randint(0, CLASSES, shape).astype(np.int32)
  for step in range(STEPS):
    yield images[step % _BATCHES], labels[step % _BATCHES]


def normalized(images):
  """Maps bytes to float32 in [-1, 1], as the training step does."""
  return (images.astype(np.float32) - 127.5) / 127.5


def directions(name, shape):
  """Returns two random float64 vectors that belong to a tensor's name."""
  state = np.random.RandomState(zlib.crc32(f'{name}/movement'.encode()))
  return state.standard_normal((2, *shape))


def movement(change, vectors):
  """Describes the change of a tensor in three numbers.

  Args:
    change: Final minus initial values.
    vectors: `directions` of the tensor, in the layout of `change`.

  Returns:
    Its norm and its dot products with the vectors, float64 [3]. A random
    vector's dot product is about as large as the norm, and so is its error.
  """
  change = np.asarray(change, np.float64)
  products = [np.sum(change * vector) for vector in vectors]
  return np.array([np.sqrt(np.sum(change**2)), *products])


def save(path, losses, before: Mapping, after: Mapping):
  """Writes the golden file of a run.

  Args:
    path: The file to write.
    losses: Loss of every step.
    before: Array by tensor name before the first step.
    after: The same after the last step.
  """
  found = [
    movement(after[name] - before[name], directions(name, before[name].shape))
    for name in before
  ]
  np.savez_compressed(
    path,
    losses=np.array(losses, np.float64),
    tensors=list(before),
    shapes=[str(array.shape) for array in before.values()],
    movements=np.array(found, np.float32),
  )
