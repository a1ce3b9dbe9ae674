"""The cost of a network, from its table alone."""

from collections.abc import Iterable
import dataclasses
import math

from inception.spec import unroll
from inception.spec.layers import Layer
from inception.spec.shapes import Shape
from inception.spec.vocabulary import Architecture

BYTES_PER_ACTIVATION = 4  # float32


@dataclasses.dataclass(frozen=True)
class StageCost:
  """Cost of a stage for one image.

  Attributes:
    name: Name of the stage; 'Logits' is everything after the last grid.
    shape: (height, width, channels) of its output.
    parameters: Number of scalars, without moving statistics.
    macs: Multiply-accumulates of convolutions and fully connected layers.
    activation_bytes: Bytes that its layers write in float32; concatenation is
      free.
  """

  name: str
  shape: Shape
  parameters: int
  macs: int
  activation_bytes: int


@dataclasses.dataclass(frozen=True)
class Cost:
  """Cost of a network for one image.

  Attributes:
    num_classes: Logits per image.
    parameters: Scalars, without moving statistics and auxiliary heads.
    parameters_with_aux: Scalars, without moving statistics.
    macs: Multiply-accumulates in evaluation.
    convolutions: Number of convolutions, without auxiliary heads.
    batch_norm_channels: Channels of all batch norms, without auxiliary heads.
    stages: Cost per stage in order; the classifier is the last.
  """

  num_classes: int
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
  num_classes: int | None = None,
  batch_norm_scale: bool = True,
) -> Cost:
  """Returns the cost of a network.

  Args:
    architecture: The network.
    height: Image height, pixels.
    width: Image width, pixels.
    num_classes: Logits per image; None uses the table's, 0 has no classifier.
    batch_norm_scale: Batch norm has a scale as well as a bias.

  Raises:
    NoGridError: The image is too small.
  """
  if num_classes is None:
    num_classes = architecture.num_classes
  trunk = unroll.stage_layers(architecture, height, width)
  shapes = unroll.stage_shapes(architecture, height, width)
  head = unroll.head_layers(architecture, height, width, num_classes)
  aux = unroll.aux_layers(architecture, height, width, num_classes)
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
    num_classes=num_classes,
    parameters=parameters,
    parameters_with_aux=parameters
    + sum(_parameters(part, batch_norm_scale) for part in aux.values()),
    macs=sum(stage.macs for stage in stages),
    convolutions=sum(layer.is_convolution for layer in every),
    batch_norm_channels=sum(layer.batch_norm_channels for layer in every),
    stages=tuple(stages),
  )


def _stage_cost(
  name: str, shape: Shape, layers: tuple[Layer, ...], batch_norm_scale: bool
) -> StageCost:
  written = sum(math.prod(layer.output) for layer in layers)
  return StageCost(
    name=name,
    shape=shape,
    parameters=_parameters(layers, batch_norm_scale),
    macs=sum(layer.macs for layer in layers),
    activation_bytes=BYTES_PER_ACTIVATION * written,
  )


def _parameters(layers: Iterable[Layer], batch_norm_scale: bool) -> int:
  return sum(
    math.prod(shape)
    for layer in layers
    for shape in layer.parameters(batch_norm_scale).values()
  )
