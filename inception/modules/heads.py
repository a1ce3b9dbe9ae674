"""Classifier heads: pooling, dropout and fully connected layers."""

from flax import linen as nn
import jax
from jax import lax
import jax.numpy as jnp

from inception.modules.convolution import cast
from inception.modules.options import Options
from inception.modules.relu import relu
from inception.modules.stage import run_block
from inception.spec import scopes
from inception.spec import vocabulary as v
from inception.spec.words import words_of

Array = jax.Array

ATTENTION_HEADS = 8

# Powers of zero have no gradient.
SMALLEST = 1e-6

# Small, so that an untrained network gives every class nearly the same
# probability: the first loss is ln(classes).
classifier_init = nn.initializers.truncated_normal(0.001)


class AttentionPool(nn.Module):
  """Weights the positions of the grid by learned queries, one per head.

  Each head owns a slice of the channels, and its query scores every position
  from all channels: pooling by multi-head attention (Lee et al., 2019, "Set
  Transformer", section 3.2) whose values are the features themselves. Queries
  start at zero, so training starts from plain averaging.
  """

  @nn.compact
  def __call__(self, x: Array) -> Array:
    """Pools [batch, height, width, channels] to float32 [batch, channels]."""
    batch, height, width, channels = x.shape
    x = x.reshape(batch, height * width, channels).astype(jnp.float32)
    scores = nn.Dense(
      ATTENTION_HEADS,
      use_bias=False,
      precision=lax.Precision.HIGHEST,
      kernel_init=nn.initializers.zeros,
      name='query',
    )(x)
    weights = nn.softmax(scores / jnp.sqrt(channels), axis=1)
    values = x.reshape(*x.shape[:2], ATTENTION_HEADS, -1)
    pooled = jnp.einsum(
      'bnh,bnhc->bhc', weights, values, precision=lax.Precision.HIGHEST
    )
    return pooled.reshape(batch, channels)


def average_pool(x: Array) -> Array:
  """Averages [batch, height, width, channels] to float32 [batch, channels]."""
  return jnp.mean(x, axis=(1, 2), dtype=jnp.float32)


def max_pool(x: Array) -> Array:
  """Takes the maximum over the grid, float32 [batch, channels]."""
  return jnp.max(x, axis=(1, 2)).astype(jnp.float32)


class GeneralizedMeanPool(nn.Module):
  """Generalized mean, mean(x^p)^(1/p): between average and maximum.

  Radenovic et al., 2018, "Fine-tuning CNN image retrieval with no human
  annotation", section 3.2. One p for all channels is learned, starting at 3.
  """

  @nn.compact
  def __call__(self, x: Array) -> Array:
    """Pools [batch, height, width, channels] to float32 [batch, channels]."""
    exponent = self.param('exponent', nn.initializers.constant(3.0), ())
    positive = jnp.maximum(x.astype(jnp.float32), SMALLEST)
    mean = jnp.mean(positive**exponent, axis=(1, 2))
    return mean ** (1 / exponent)


# Pooling of the last grid, `config.model.head_pooling`. 'attention' learns its
# queries and 'gem' an exponent, as variables of the calling module.
HEAD_POOLINGS = {
  'average': average_pool,
  'attention': lambda x: AttentionPool(name='AttentionPool')(x),
  'max': max_pool,
  'gem': lambda x: GeneralizedMeanPool(name='GeneralizedMeanPool')(x),
}


class Dropout(nn.Module):
  """Dropout whose mask depends on the example, not on the device.

  The mask of an example is derived from the random key and the example's row
  in the global batch, so a run does not depend on the number of devices.

  Attributes:
    rate: Fraction of features set to zero.
    axis_name: pmap axis that the batch is split over, or None.
  """

  rate: float
  axis_name: str | None

  @nn.compact
  def __call__(self, x: Array, train: bool, rows: Array | None = None) -> Array:
    """Maps [batch, ...] to the same shape; `rows` as in `Network`."""
    if not train or self.rate == 0:
      return x
    if rows is None:
      rows = jnp.arange(x.shape[0])
      if self.axis_name is not None and not self.is_initializing():
        rows += lax.axis_index(self.axis_name) * x.shape[0]
    keys = jax.vmap(jax.random.fold_in, (None, 0))(
      self.make_rng('dropout'), rows
    )
    keep = jax.vmap(
      lambda key: jax.random.bernoulli(key, 1 - self.rate, x.shape[1:])
    )(keys)
    return jnp.where(keep, x / (1 - self.rate), 0)


class Classifier(nn.Module):
  """Pools the last grid, applies dropout and computes float32 logits.

  Attributes:
    num_classes: Logits per image; 0 for none.
    pooling: A name in `HEAD_POOLINGS`.
    dropout: Rate before the fully connected layers.
    bottleneck: Features of a linear layer with batch norm before the
      classifier, or None.
    options: How the bottleneck computes, and the pmap axis of the batch.
  """

  num_classes: int
  pooling: str
  dropout: float
  bottleneck: int | None
  options: Options

  @nn.compact
  def __call__(
    self, x: Array, train: bool, rows: Array | None = None
  ) -> tuple[Array, Array]:
    """Classifies [batch, height, width, channels]; `rows` as in `Network`.

    Returns:
      Logits [batch, num_classes], and the features of the image, [batch,
      features]: the pooled grid before dropout, or the bottleneck's output.
    """
    x = features = HEAD_POOLINGS[self.pooling](x)
    x = Dropout(self.dropout, self.options.axis_name)(x, train, rows)
    if self.bottleneck is not None:
      bottleneck = Bottleneck(self.bottleneck, self.options, name='Bottleneck')
      x = features = bottleneck(x, train)
    if not self.num_classes:
      return jnp.zeros((x.shape[0], 0)), features
    return _classifier(self.num_classes)(x), features


class Bottleneck(nn.Module):
  """A linear layer with batch norm: FaceNet's embedding, not L2-normalized."""

  features: int
  options: Options

  @nn.compact
  def __call__(self, x: Array, train: bool) -> Array:
    """Maps [batch, channels] to float32 [batch, features]."""
    shape = (x.shape[-1], self.features)
    kernel = self.param('kernel', self.options.kernel_init, shape)
    dtype = self.options.dtype
    x = jnp.matmul(
      cast(x, dtype),
      cast(kernel, dtype),
      precision=self.options.matmul_precision,
    )
    norm = nn.BatchNorm(
      use_running_average=not train,
      momentum=self.options.batch_norm_decay,
      epsilon=self.options.batch_norm_epsilon,
      dtype=dtype,
      use_scale=self.options.batch_norm_scale,
      axis_name=self.options.batch_norm_axis if train else None,
      name='BatchNorm',
    )
    return norm(x).astype(jnp.float32)


class AuxClassifier(nn.Module):
  """Runs an `AuxHead`: its block, its hidden layer, float32 logits."""

  head: v.AuxHead
  num_classes: int
  options: Options

  @nn.compact
  def __call__(self, x: Array, train: bool, rows: Array | None = None) -> Array:
    """Maps [batch, height, width, channels] to [batch, num_classes]."""
    branch = scopes.scope_branch('', self.head.block)
    x = run_block(self, branch, words_of(branch), self.options, x, train)
    if self.head.hidden is None:
      x = average_pool(x)
    else:
      hidden = nn.Dense(
        self.head.hidden,
        dtype=self.options.dtype,
        precision=self.options.matmul_precision,
        kernel_init=self.options.kernel_init,
        name='Hidden',
      )
      x = relu(hidden(x.reshape(x.shape[0], -1))).astype(jnp.float32)
    x = Dropout(self.head.dropout, self.options.axis_name)(x, train, rows)
    return _classifier(self.num_classes)(x)


def _classifier(num_classes: int) -> nn.Dense:
  return nn.Dense(
    num_classes,
    precision=lax.Precision.HIGHEST,
    kernel_init=classifier_init,
    name='Logits',
  )
