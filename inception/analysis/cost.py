"""What a network costs, from its table alone: no JAX, no arrays."""

from collections.abc import Iterable
import dataclasses
import math

from inception.architectures import layers
from inception.architectures.layer import Layer
from inception.architectures.shapes import Shape
from inception.architectures.vocabulary import Architecture

BYTES_PER_ACTIVATION = 4  # float32


@dataclasses.dataclass(frozen=True)
class StageCost:
  """Cost of a stage for one image.

  Attributes:
    name: of the stage; 'Logits' is what follows the last grid.
    shape: (height, width, channels) of its output.
    parameters: scalars, without moving statistics.
    macs: multiply-accumulates of convolutions and fully connected layers.
    activation_bytes: what all its layers write, float32; joining branches is
      free.
  """

  name: str
  shape: Shape
  parameters: int
  macs: int
  activation_bytes: int


@dataclasses.dataclass(frozen=True)
class Cost:
  """Cost of a network for one image, auxiliary heads apart.

  Attributes:
    parameters: scalars, without moving statistics and auxiliary heads.
    parameters_with_aux: the same with auxiliary heads.
    macs: multiply-accumulates in evaluation.
    convolutions: how many.
    batch_norm_channels: scales, or biases, of all batch norms.
    stages: in order; the classifier is the last.
  """

  parameters: int
  parameters_with_aux: int
  macs: int
  convolutions: int
  batch_norm_channels: int
  stages: tuple[StageCost, ...]


def network_cost(
  architecture: Architecture,
  height: int,
  width: int,
  num_classes: int = 1000,
  batch_norm_scale: bool = True,
) -> Cost:
  """Returns what a network costs.

  Args:
    architecture: the network.
    height: of the image, pixels.
    width: of the image, pixels.
    num_classes: logits.
    batch_norm_scale: batch norm has a scale besides its bias.

  Raises:
    NoGridError: the image is too small.
  """
  trunk = layers.stage_layers(architecture, height, width)
  shapes = layers.stage_shapes(architecture, height, width)
  head = layers.head_layers(architecture, height, width, num_classes)
  aux = layers.aux_layers(architecture, height, width, num_classes)
  stages = [
    _stage_cost(name, shapes[name], trunk[name], batch_norm_scale)
    for name in trunk
  ]
  stages.append(
    _stage_cost('Logits', (1, 1, num_classes), head, batch_norm_scale)
  )
  every = [layer for part in (*trunk.values(), head) for layer in part]
  parameters = sum(stage.parameters for stage in stages)
  return Cost(
    parameters=parameters,
    parameters_with_aux=parameters
    + sum(_parameters(part, batch_norm_scale) for part in aux.values()),
    macs=sum(stage.macs for stage in stages),
    convolutions=sum(layer.is_convolution for layer in every),
    batch_norm_channels=sum(layer.batch_norm_channels for layer in every),
    stages=tuple(stages),
  )


def _stage_cost(
  name: str, shape: Shape, some: tuple[Layer, ...], batch_norm_scale: bool
) -> StageCost:
  written = sum(math.prod(layer.output) for layer in some)
  return StageCost(
    name=name,
    shape=shape,
    parameters=_parameters(some, batch_norm_scale),
    macs=sum(layer.macs for layer in some),
    activation_bytes=BYTES_PER_ACTIVATION * written,
  )


def _parameters(some: Iterable[Layer], batch_norm_scale: bool) -> int:
  return sum(
    math.prod(shape)
    for layer in some
    for shape in layer.parameters(batch_norm_scale).values()
  )
