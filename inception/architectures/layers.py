"""The table unrolled: every layer with its scope, shapes, parameters and cost.

The layers come in the order of definition: stages in order, branches in order,
then what joins them. All public implementations define their convolutions in
this order. No JAX.
"""

from collections.abc import Generator, Iterator
import dataclasses

from inception.architectures import naming
from inception.architectures import vocabulary as v
from inception.architectures.layer import Dense, Layer
from inception.architectures.shapes import Operation, Shape, output_shape

LayerWalk = Generator[Layer, None, Shape]


class NoGridError(ValueError):
  """An image is too small for a network."""


def block_layers(block: v.Block, shape: Shape) -> tuple[Layer, ...]:
  """Returns the layers of one block that reads (height, width, channels)."""
  network = v.Architecture(shape[0], (), dropout=0.0)
  return tuple(_stage('block', block, shape, network))


def stage_layers(
  architecture: v.Architecture, height: int, width: int
) -> dict[str, tuple[Layer, ...]]:
  """Returns the layers of every stage, by stage name.

  Args:
    architecture: the network.
    height: of the image, pixels.
    width: of the image, pixels.

  Raises:
    NoGridError: the image is too small; names the stage where nothing is left.
  """
  return {
    name: layers for name, layers, _ in _walk(architecture, height, width)
  }


def stage_shapes(
  architecture: v.Architecture, height: int, width: int
) -> dict[str, Shape]:
  """Returns (height, width, channels) after every stage, by stage name.

  Args and errors are those of `stage_layers`.
  """
  return {name: shape for name, _, shape in _walk(architecture, height, width)}


def head_layers(
  architecture: v.Architecture, height: int, width: int, num_classes: int
) -> tuple[Layer, ...]:
  """Returns the layers after the last grid was averaged, in scope `Logits`.

  Args:
    architecture: the network.
    height: of the image, pixels.
    width: of the image, pixels.
    num_classes: logits.
  """
  *_, (_, _, (_, _, channels)) = _walk(architecture, height, width)
  layers = []
  if architecture.bottleneck:
    bottleneck = Dense(architecture.bottleneck, bias=False, batch_norm=True)
    layers.append(_dense('Logits/Bottleneck', bottleneck, (1, 1, channels)))
    channels = architecture.bottleneck
  layers.append(_dense('Logits/Logits', Dense(num_classes), (1, 1, channels)))
  return tuple(layers)


def aux_layers(
  architecture: v.Architecture, height: int, width: int, num_classes: int
) -> dict[str, tuple[Layer, ...]]:
  """Returns the layers of every auxiliary head, by the name of the head.

  Args and errors are those of `head_layers`.
  """
  grids = stage_shapes(architecture, height, width)
  return {
    head.name: tuple(
      _aux_head(head, grids[head.stage], num_classes, architecture)
    )
    for head in architecture.aux_heads
  }


def smallest_input(architecture: v.Architecture) -> int:
  """Returns the smallest square image, in pixels, that the network takes."""
  size = 1
  while True:
    try:
      stage_shapes(architecture, size, size)
      return size
    except NoGridError:
      size += 1


def _walk(
  architecture: v.Architecture, height: int, width: int
) -> Iterator[tuple[str, tuple[Layer, ...], Shape]]:
  """Yields name, layers and output shape of every stage."""
  shape = (height, width, 3)
  for stage in architecture.stages:
    walk = _stage(stage.name, stage.block, shape, architecture)
    layers = []
    try:
      while True:
        layers.append(next(walk))
    except StopIteration as end:
      shape = end.value
    except NoGridError:
      raise NoGridError(
        f'an image of {height}x{width} pixels leaves no grid at {stage.name}'
      ) from None
    yield stage.name, tuple(layers), shape


def _stage(
  scope: str, block: v.Block, shape: Shape, architecture: v.Architecture
) -> LayerWalk:
  match block:
    case v.Conv() | v.SeparableConv():
      return (yield from _operation(scope, block, shape, architecture))
    case v.Concat():
      shape = yield from _branches(scope, block, shape, architecture)
      yield from _squeeze_excite(scope, shape, architecture)
      return shape
    case v.Residual(branches):
      joined = yield from _branches(scope, branches, shape, architecture)
      projection = v.Conv(shape[2], batch_norm=False)
      yield Layer(f'{scope}/Conv2d_1x1', projection, joined, shape)
      yield from _squeeze_excite(scope, shape, architecture)
      return shape
    case v.Repeat(residual, times, name):
      for i in range(1, times + 1):
        shape = yield from _stage(
          f'{scope}/{name}_{i}', residual, shape, architecture
        )
      return shape
  return (yield from _branch(scope, block, shape, architecture))


def _branches(
  scope: str, concat: v.Concat, shape: Shape, architecture: v.Architecture
) -> LayerWalk:
  outputs = []
  for i, block in enumerate(concat.blocks):
    walk = _branch(f'{scope}/Branch_{i}', block, shape, architecture)
    outputs.append((yield from walk))
  return _joined(concat, outputs)


def _branch(
  scope: str, block: v.Block, shape: Shape, architecture: v.Architecture
) -> LayerWalk:
  names = iter(naming.convolution_names(block))
  return (yield from _series(scope, block, names, shape, architecture))


def _series(
  scope: str,
  block: v.Block,
  names: Iterator[str],
  shape: Shape,
  architecture: v.Architecture,
) -> LayerWalk:
  match block:
    case v.Chain(blocks):
      for part in blocks:
        shape = yield from _series(scope, part, names, shape, architecture)
      return shape
    case v.Concat(blocks):
      outputs = []
      for part in blocks:
        walk = _series(scope, part, names, shape, architecture)
        outputs.append((yield from walk))
      return _joined(block, outputs)
    case v.Residual() | v.Repeat():
      raise TypeError(f'{block!r} cannot stand inside a branch')
    case v.Conv() | v.SeparableConv():
      scope = f'{scope}/{next(names)}'
  return (yield from _operation(scope, block, shape, architecture))


def _operation(
  scope: str, operation: Operation, shape: Shape, architecture: v.Architecture
) -> LayerWalk:
  output = output_shape(operation, shape)
  if min(output[:2]) < 1:
    raise NoGridError(f'no grid is left at {scope}')
  if isinstance(operation, v.Conv | v.SeparableConv):
    operation = dataclasses.replace(
      operation, batch_norm=operation.batch_norm and architecture.batch_norm
    )
  yield Layer(scope, operation, shape, output)
  return output


def _joined(concat: v.Concat, shapes: list[Shape]) -> Shape:
  grids = {shape[:2] for shape in shapes}
  if len(grids) != 1:
    raise ValueError(f'branches of {concat} end in different grids: {grids}')
  return *shapes[0][:2], sum(shape[2] for shape in shapes)


def _squeeze_excite(
  scope: str, shape: Shape, architecture: v.Architecture
) -> Iterator[Layer]:
  if architecture.squeeze_excite is None:
    return
  channels = shape[2]
  hidden = max(1, channels // architecture.squeeze_excite)
  scope += '/SqueezeExcite'
  yield _dense(f'{scope}/Reduce', Dense(hidden), (1, 1, channels))
  yield _dense(f'{scope}/Expand', Dense(channels), (1, 1, hidden))


def _aux_head(
  head: v.AuxHead, shape: Shape, num_classes: int, architecture: v.Architecture
) -> Iterator[Layer]:
  shape = yield from _branch(head.name, head.block, shape, architecture)
  if head.hidden is None:
    shape = (1, 1, shape[2])
  else:
    yield _dense(f'{head.name}/Hidden', Dense(head.hidden), shape)
    shape = (1, 1, head.hidden)
  yield _dense(f'{head.name}/Logits', Dense(num_classes), shape)


def _dense(scope: str, dense: Dense, shape: Shape) -> Layer:
  return Layer(scope, dense, shape, (1, 1, dense.features))
