"""Training images by which a network is calibrated."""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import ml_collections

from inception.data import pipeline
from inception.data.batches import HostShard
from inception.data.device import feed
from inception.data.sources.catalog import open_source
from inception.data.sources.source import spread

_ROWS = 16  # Images at a time.


def training_images(
  config: ml_collections.ConfigDict, count: int
) -> Iterator[jax.Array]:
  """Yields images as the network sees them in evaluation.

  Args:
    config: `config.data`.
    count: Number of images, evenly spread over the training split.

  Yields:
    float32 [batch, height, width, 3].

  Raises:
    UserError: The training split does not exist, or an image is damaged.
  """
  source = spread(open_source(config, config.train_split), count)
  for batch in pipeline.eval_batches(source, config, HostShard(_ROWS, 1)):
    images = batch['image'][batch['mask'] > 0]
    yield feed.normalize(jnp.asarray(images), config)
