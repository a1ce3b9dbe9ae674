"""Inception Score: how certain and how varied the predicted classes are.

Salimans et al., 2016, "Improved techniques for training GANs", section 4. In
float64, on the host, without a small constant in the logarithms.
"""

import itertools

import numpy as np

from inception.errors import UserError, lookup
from inception.generative.resampling import SEED

SPLITS = 10  # torch-fidelity's, of shuffled images.
SPLIT_SIZE = 5000  # ADM's, of images in order.


def _shuffled(logits: np.ndarray) -> list[np.ndarray]:
  """Returns equal parts of the shuffled images, as torch-fidelity."""
  count = len(logits)
  if count < SPLITS:
    raise UserError(f'is needs at least {SPLITS} images, not {count}')
  logits = logits[np.random.RandomState(SEED).permutation(count)]
  ends = [i * count // SPLITS for i in range(SPLITS + 1)]
  return [logits[begin:end] for begin, end in itertools.pairwise(ends)]


def _in_order(logits: np.ndarray) -> list[np.ndarray]:
  """Returns parts in order, the last of what remains, as ADM's evaluator."""
  starts = range(0, len(logits), SPLIT_SIZE)
  return [logits[start : start + SPLIT_SIZE] for start in starts]


# How images are divided into parts.
ORDERS = {'shuffled': _shuffled, 'files': _in_order}


def inception_score(
  logits: np.ndarray, order: str = 'shuffled'
) -> tuple[float, float]:
  """Returns the mean of the score over parts, and its standard deviation.

  Args:
    logits: [images, classes].
    order: A name in `ORDERS`.

  Raises:
    UserError: There are fewer images than parts, or no such order.
  """
  parts = lookup(ORDERS, order, 'is_order')(logits)
  scores = [_score(part) for part in parts]
  return float(np.mean(scores)), float(np.std(scores))


def _score(logits: np.ndarray) -> float:
  """Returns exp(mean KL(p(class | image) || p(class)))."""
  rows = logits.astype(np.float64)
  rows = rows - rows.max(axis=1, keepdims=True)
  log_p = rows - np.log(np.exp(rows).sum(axis=1, keepdims=True))
  p = np.exp(log_p)
  # A class whose probability is zero for every image adds zero.
  mean = p.mean(axis=0)
  log_mean = np.log(mean, out=np.zeros_like(mean), where=mean > 0)
  return float(np.exp(np.mean(np.sum(p * (log_p - log_mean), axis=1))))
