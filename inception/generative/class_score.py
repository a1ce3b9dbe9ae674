"""Inception Score: how certain and how varied the predicted classes are.

Salimans et al., 2016, "Improved techniques for training GANs", section 4. In
float64, on the host, without a small constant in the logarithms.
"""

import numpy as np

from inception.errors import UserError
from inception.generative.frechet import SEED

SPLITS = 10  # torch-fidelity's, of shuffled images.
SPLIT_SIZE = 5000  # ADM's, of images in order.
ORDERS = ('shuffled', 'files')


def inception_score(
  logits: np.ndarray,
  order: str = 'shuffled',
  splits: int = SPLITS,
  split_size: int = SPLIT_SIZE,
) -> tuple[float, float]:
  """Returns the mean of the score over splits, and its standard deviation.

  Args:
    logits: [images, classes].
    order: 'shuffled': `splits` equal parts of the shuffled images, as in
      torch-fidelity. 'files': parts of `split_size` images in order, as in
      ADM's evaluator; the last part is what remains.
    splits: Number of parts of shuffled images.
    split_size: Images per part of images in order.

  Raises:
    UserError: There are fewer images than splits.
  """
  count = len(logits)
  if order == 'shuffled':
    if count < splits:
      raise UserError(f'is needs at least {splits} images, not {count}')
    logits = logits[np.random.RandomState(SEED).permutation(count)]
    ends = [(i + 1) * count // splits for i in range(splits)]
  else:
    ends = [*range(split_size, count, split_size), count]
  parts = zip([0, *ends], ends)
  scores = [_score(logits[begin:end]) for begin, end in parts]
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
