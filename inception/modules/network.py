"""The network: runs a table from images to logits."""

from collections.abc import Mapping
import dataclasses

from flax import linen as nn
from flax import struct
import jax
from jax import lax

from inception.modules import heads
from inception.modules.options import Options
from inception.modules.stage import Stage
from inception.spec import rules
from inception.spec.vocabulary import Architecture, AuxHead

Array = jax.Array


@struct.dataclass
class Outputs:
  """The outputs of a network.

  Attributes:
    logits: float32 [batch, num_classes].
    aux_logits: The same from every auxiliary head; empty outside training.
    endpoints: Output of every stage by name, and as 'PreLogits' the features
      of the images, [batch, features]; empty unless requested.
  """

  logits: Array
  aux_logits: tuple[Array, ...] = ()
  endpoints: Mapping[str, Array] = struct.field(default_factory=dict)


class Network(nn.Module):
  """A network of the Inception family.

  Attributes:
    architecture: The table to run.
    num_classes: Logits per image.
    options: How its layers compute.
    head_pooling: A name in `heads.HEAD_POOLINGS`.
    activation: A name in `ACTIVATIONS`, for callers that turn the logits into
      probabilities.
    dropout: Rate before the classifier; None uses the table's.
    use_aux_heads: Run auxiliary heads in training.
    fuse: Run the trunk in fewer, larger operations; see `spec.rules`.
    freeze_through: Name of the last frozen stage. Up to and including it, batch
      norm uses its moving statistics without updating them, and no gradient
      flows back. None freezes nothing.
  """

  architecture: Architecture
  num_classes: int
  options: Options
  head_pooling: str = 'average'
  activation: str = 'softmax'
  dropout: float | None = None
  use_aux_heads: bool = True
  fuse: bool = True
  freeze_through: str | None = None

  @nn.compact
  def __call__(
    self,
    images: Array,
    *,
    train: bool = False,
    endpoints: bool = False,
    rows: Array | None = None,
  ) -> Outputs:
    """Classifies images.

    Args:
      images: Floats [batch, height, width, 3] in the range that the network
        expects, by default [-1, 1].
      train: Use batch statistics and update the moving ones, apply dropout
        (rng 'dropout'), run auxiliary heads.
      endpoints: Also return the output of every stage.
      rows: int32 [batch], row of each image in the global batch, which
        determines its dropout mask. None: the images are this device's whole
        share of that batch.

    Returns:
      See `Outputs`.
    """
    x = images.astype(self.options.dtype)
    outputs = self._trunk(x, train, endpoints)
    x = outputs[self.architecture.stages[-1].name]
    aux_logits: tuple[Array, ...] = ()
    # Initialization runs the auxiliary heads too, to make their parameters.
    if self.use_aux_heads and (train or self.is_initializing()):
      aux_logits = tuple(
        self._aux_classifier(head)(outputs[head.stage], train, rows)
        for head in self.architecture.aux_heads
      )
    logits, outputs['PreLogits'] = self._classifier()(x, train, rows)
    return Outputs(
      logits, aux_logits if train else (), outputs if endpoints else {}
    )

  def _trunk(self, x: Array, train: bool, endpoints: bool) -> dict[str, Array]:
    """Returns the outputs of stages that are read, by stage name."""
    outputs = {}
    for group in rules.trunk(self.architecture, self._rules(train), endpoints):
      first, last = group.stages[0].name, group.stages[-1].name
      frozen = first in self.frozen_stages
      x = Stage(group, self.options, name=first)(x, train and not frozen)
      # After every frozen stage: auxiliary heads may read any of them.
      outputs[last] = x = lax.stop_gradient(x) if frozen else x
    return outputs

  def _rules(self, train: bool) -> tuple[rules.Rule, ...]:
    # Quantization-aware training rounds where int8 inference does: at the
    # inputs of the convolutions in the table.
    rounds = train and self.options.quantization_aware
    return rules.RULES if self.fuse and not rounds else ()

  @property
  def frozen_stages(self) -> tuple[str, ...]:
    """Names of the frozen stages."""
    if self.freeze_through is None:
      return ()
    names = [stage.name for stage in self.architecture.stages]
    return tuple(names[: names.index(self.freeze_through) + 1])

  def _classifier(self) -> heads.Classifier:
    table_rate = self.architecture.dropout
    return heads.Classifier(
      self.num_classes,
      self.head_pooling,
      table_rate if self.dropout is None else self.dropout,
      self.architecture.bottleneck,
      self.options,
      name='Logits',
    )

  def _aux_classifier(self, head: AuxHead) -> heads.AuxClassifier:
    # int8 inference does not run auxiliary heads.
    options = dataclasses.replace(self.options, quantization_aware=False)
    return heads.AuxClassifier(head, self.num_classes, options, name=head.name)
