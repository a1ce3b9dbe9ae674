"""The network in int8: the same table, run on integers.

It has no batch norm (see folding.py).
"""

from flax import linen as nn
import jax
import ml_collections

from inception.modules import heads, interpreter
from inception.modules.create import model_from_config
from inception.modules.network import Network, Outputs
from inception.modules.options import Options
from inception.quantization.integers import Activation, Integers
from inception.spec import rules, transforms
from inception.spec import vocabulary as v

Array = jax.Array


class QuantizedNetwork(nn.Module):
  """A network whose variables say which layers are in int8.

  A kernel with a `kernel_scale` is int8; a tensor with a value in the
  collection 'scales' is rounded to int8. Without either, this is the network
  with folded batch norm in float32. It can observe its tensors: if the
  collection 'histograms' is mutable, it receives their histograms.

  Attributes:
    architecture: The table to run, without batch norm.
    num_classes: Logits per image.
    options: How layers in float32 compute.
    head_pooling: A name in `heads.HEAD_POOLINGS`.
    activation: As in `Network`.
    integers: False computes with the same integers, but in float32: slower, but
      correct on any device.
  """

  architecture: v.Architecture
  num_classes: int
  options: Options
  head_pooling: str = 'average'
  activation: str = 'softmax'
  integers: bool = True

  @nn.compact
  def __call__(self, images: Array, *, endpoints: bool = False) -> Outputs:
    """Classifies images.

    Args:
      images: Normalized, float32 [batch, height, width, 3].
      endpoints: Also return the output of every stage, as real numbers.

    Returns:
      See `Outputs`.
    """
    numbers = _numbers_of(self)
    x = numbers.round(images, 'images')
    outputs = {}
    for group in rules.trunk(self.architecture, rules=()):
      (stage,) = group.stages
      inner = numbers.inside(
        interpreter.variables_at(numbers.variables, (stage.name,))
      )
      x = interpreter.run(group.words, inner, x)
      if inner.updated:
        numbers.updated[stage.name] = inner.updated
      if endpoints:
        outputs[stage.name] = x.real()
    _put_histograms(self, numbers)
    head = Classifier(
      self.architecture.bottleneck,
      self.head_pooling,
      self.options,
      self.integers,
      name='Logits',
    )
    logits, features = head(x)
    if endpoints:
      outputs['PreLogits'] = features
    return Outputs(logits, endpoints=outputs)


def make_quantized(model: Network) -> QuantizedNetwork:
  """Makes the int8 version of a float32 network."""
  return QuantizedNetwork(
    transforms.without_batch_norm(model.architecture),
    model.num_classes,
    model.options,
    model.head_pooling,
    model.activation,
  )


class Classifier(nn.Module):
  """From the last grid to float32 logits; the last layer may be in int8."""

  bottleneck: int | None
  pooling: str
  options: Options
  integers: bool

  @nn.compact
  def __call__(self, x: Activation) -> tuple[Array, Array]:
    """Maps [batch, height, width, channels] to logits and features."""
    features = heads.HEAD_POOLINGS[self.pooling](x.real())
    if self.bottleneck is not None:
      bottleneck = heads.Bottleneck(
        self.bottleneck, self.options, name='Bottleneck'
      )
      features = bottleneck(features, False)
    numbers = _numbers_of(self)
    logits = numbers.dense(numbers.round(features, 'features'), ('Logits',))
    _put_histograms(self, numbers)
    return logits, features


def network_from_config(
  config: ml_collections.ConfigDict,
) -> Network | QuantizedNetwork:
  """Makes the network for trained weights, in int8 if the config says so."""
  if config.precision != 'int8':
    return model_from_config(config)
  config = config.copy_and_resolve_references()
  config.precision = 'float32'
  return make_quantized(model_from_config(config))


def _numbers_of(module: 'QuantizedNetwork | Classifier') -> Integers:
  observes = module.is_mutable_collection('histograms')
  return Integers(module.variables, module.options, module.integers, observes)


def _put_histograms(module: nn.Module, numbers: Integers) -> None:
  for name, observed in numbers.updated.items():
    module.put_variable('histograms', name, observed)
