"""The network: a table run from image to logits, and its maker."""

from collections.abc import Mapping
import dataclasses
from typing import Any

from flax import linen as nn
from flax import struct
import jax
from jax import lax
import jax.numpy as jnp
import ml_collections

from inception import architectures
from inception.architectures.width import scale_width
from inception.modules import blocks, heads
from inception.modules.options import Options

Array = jax.Array

DTYPES = {
  'float32': jnp.float32,
  'bfloat16': jnp.bfloat16,
  'float16': jnp.float16,
}

INITIALIZERS = {
  'he_normal': nn.initializers.he_normal(),
  'glorot_uniform': nn.initializers.glorot_uniform(),
  'truncated_normal': nn.initializers.truncated_normal(0.01),
}


@struct.dataclass
class Outputs:
  """What a network returns.

  Attributes:
    logits: float32 [batch, num_classes].
    aux_logits: the same from every auxiliary head; empty when not training.
    endpoints: output of every stage by name, and as 'PreLogits' the vector
      [batch, features] that is classified; empty unless asked for.
  """

  logits: Array
  aux_logits: tuple[Array, ...] = ()
  endpoints: Mapping[str, Array] = struct.field(default_factory=dict)


class Inception(nn.Module):
  """A network of the Inception family.

  Attributes:
    architecture: the table to run.
    num_classes: logits per image.
    options: how convolutions compute.
    head_pooling: 'average' or 'attention' over the last grid.
    dropout: rate before the classifier; None takes the architecture's.
    use_aux_heads: whether there are auxiliary heads in training.
    freeze: name of the last stage that does not learn: up to there batch norm
      uses its moving statistics and leaves them, and no gradient goes back.
      None freezes nothing.
    axis_name: pmap axis that a training batch is split over, or None.
  """

  architecture: architectures.Architecture
  num_classes: int
  options: Options
  head_pooling: str = 'average'
  dropout: float | None = None
  use_aux_heads: bool = True
  freeze: str | None = None
  axis_name: str | None = None

  @nn.compact
  def __call__(
    self, images: Array, *, train: bool = False, endpoints: bool = False
  ) -> Outputs:
    """Classifies images.

    Args:
      images: floats in [-1, 1], [batch, height, width, 3].
      train: use the batch's statistics and update the moving ones, apply
        dropout (rng 'dropout'), run auxiliary heads.
      endpoints: also return the output of every stage.

    Returns:
      See `Outputs`.
    """
    x = images.astype(self.options.dtype)
    outputs = {}
    for stage in self.architecture.stages:
      name, frozen = stage.name, stage.name in self.frozen_stages
      x = blocks.run_stage(
        name, stage.block, self.options, x, train and not frozen
      )
      # Each of them: auxiliary heads read stages before the last frozen one.
      outputs[name] = x = lax.stop_gradient(x) if frozen else x
    aux_logits: tuple[Array, ...] = ()
    # Initialisation runs the heads too: it is how parameters come to be.
    if self.use_aux_heads and (train or self.is_initializing()):
      aux_logits = tuple(
        self._aux_classifier(head)(outputs[head.stage], train)
        for head in self.architecture.aux_heads
      )
    rate = self.architecture.dropout if self.dropout is None else self.dropout
    logits, outputs['PreLogits'] = heads.Classifier(
      self.num_classes,
      self.head_pooling,
      rate,
      self.architecture.bottleneck,
      self.options,
      self.axis_name,
      name='Logits',
    )(x, train)
    return Outputs(
      logits, aux_logits if train else (), outputs if endpoints else {}
    )

  @property
  def frozen_stages(self) -> tuple[str, ...]:
    """Names of the stages that do not learn."""
    if self.freeze is None:
      return ()
    names = [stage.name for stage in self.architecture.stages]
    return tuple(names[: names.index(self.freeze) + 1])

  def _aux_classifier(self, head: Any) -> heads.AuxClassifier:
    return heads.AuxClassifier(
      head, self.num_classes, self.options, self.axis_name, name=head.name
    )


def make_table(
  config: ml_collections.ConfigDict,
) -> architectures.Architecture:
  """Returns the table that `config.model` describes, at its width."""
  table = architectures.get_architecture(config.architecture)
  return dataclasses.replace(
    scale_width(table, config.width), squeeze_excite=config.squeeze_excite
  )


def create_model(
  config: ml_collections.ConfigDict,
  precision: str = 'float32',
  axis_name: str | None = None,
  freeze: str | None = None,
) -> Inception:
  """Makes the network that a config describes.

  Args:
    config: `config.model`; its fields are explained in configs/default.py.
    precision: 'float32', 'bfloat16' or 'float16': the arithmetic of the
      network. Parameters, batch statistics and logits are float32 in each.
    axis_name: pmap axis that a training batch is split over, or None.
    freeze: name of the last stage that does not learn, or None.

  Returns:
    A Flax module; see `Inception.__call__`.
  """
  table = make_table(config)
  return Inception(
    architecture=table,
    num_classes=config.num_classes,
    options=Options(
      kernel_init=INITIALIZERS[config.initializer],
      dtype=DTYPES[precision],
      batch_norm=table.batch_norm,
      batch_norm_scale=config.batch_norm_scale,
      batch_norm_decay=config.batch_norm_decay,
      batch_norm_epsilon=config.batch_norm_epsilon,
      batch_norm_axis=axis_name if config.batch_norm_sync else None,
      squeeze_excite=table.squeeze_excite,
      scan_blocks=config.scan_blocks,
    ),
    head_pooling=config.head_pooling,
    dropout=config.dropout,
    use_aux_heads=config.aux_heads,
    freeze=freeze,
    axis_name=axis_name,
  )
