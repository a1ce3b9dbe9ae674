"""A table unrolled: every layer with its scope, shapes, parameters and cost.

Layers come in the order of definition: stages in order, branches in order, then
the projection and the gate. All public implementations define their
convolutions in this order.
"""

from collections.abc import Generator, Iterator

from inception.spec import scopes
from inception.spec import vocabulary as v
from inception.spec.layers import Dense, Layer
from inception.spec.shapes import Shape, output_shape

LayerWalk = Generator[Layer, None, Shape]


class NoGridError(ValueError):
  """An image is too small for a network."""


def block_layers(block: v.Block, shape: Shape) -> tuple[Layer, ...]:
  """Returns the layers of one block that reads (height, width, channels)."""
  return node_layers(scopes.scope_stage('block', block), shape)


def node_layers(node: scopes.Scoped, shape: Shape) -> tuple[Layer, ...]:
  """Returns the layers of a scoped block, as `block_layers` does."""
  return tuple(_walk(node, shape, ''))


def stage_layers(
  architecture: v.Architecture, height: int, width: int
) -> dict[str, tuple[Layer, ...]]:
  """Returns the layers of every stage, by stage name.

  Args:
    architecture: The network.
    height: Image height, pixels.
    width: Image width, pixels.

  Raises:
    NoGridError: The image is too small; names the stage without a grid.
  """
  return {
    name: layers
    for name, layers, _ in _walk_stages(architecture, height, width)
  }


def stage_shapes(
  architecture: v.Architecture, height: int, width: int
) -> dict[str, Shape]:
  """Returns (height, width, channels) after every stage, by stage name.

  Arguments and errors are those of `stage_layers`.
  """
  return {
    name: shape for name, _, shape in _walk_stages(architecture, height, width)
  }


def head_layers(
  architecture: v.Architecture, height: int, width: int, num_classes: int
) -> tuple[Layer, ...]:
  """Returns the layers after the final pooling, in scope `Logits`.

  Args:
    architecture: The network.
    height: Image height, pixels.
    width: Image width, pixels.
    num_classes: Logits per image; 0 for a network without a classifier.
  """
  *_, (_, _, (_, _, channels)) = _walk_stages(architecture, height, width)
  layers = []
  if architecture.bottleneck:
    bottleneck = Dense(architecture.bottleneck, bias=False, batch_norm=True)
    layers.append(_dense('Logits/Bottleneck', bottleneck, (1, 1, channels)))
    channels = architecture.bottleneck
  if num_classes:
    layers.append(_dense('Logits/Logits', Dense(num_classes), (1, 1, channels)))
  return tuple(layers)


def aux_layers(
  architecture: v.Architecture, height: int, width: int, num_classes: int
) -> dict[str, tuple[Layer, ...]]:
  """Returns the layers of every auxiliary head, by the name of the head.

  Arguments and errors are those of `head_layers`.
  """
  grids = stage_shapes(architecture, height, width)
  return {
    head.name: tuple(_aux_head(head, grids[head.stage], num_classes))
    for head in architecture.aux_heads
  }


def smallest_input(architecture: v.Architecture) -> int:
  """Returns the side of the smallest square image that fits, in pixels."""
  size = 1
  while True:
    try:
      stage_shapes(architecture, size, size)
      return size
    except NoGridError:
      size += 1


def _walk_stages(
  architecture: v.Architecture, height: int, width: int
) -> Iterator[tuple[str, tuple[Layer, ...], Shape]]:
  """Yields name, layers and output shape of every stage."""
  shape = (height, width, 3)
  for stage in architecture.stages:
    walk = _walk(scopes.scope_stage(stage.name, stage.block), shape, '')
    layers = []
    try:
      while True:
        layers.append(next(walk))
    except StopIteration as end:
      shape = end.value
    except NoGridError:
      raise NoGridError(
        f'{stage.name} has no output for an image of {height}x{width} pixels'
      ) from None
    yield stage.name, tuple(layers), shape


def _walk(node: scopes.Scoped, shape: Shape, parent: str) -> LayerWalk:
  """Yields the layers of a block; returns the shape of its output."""
  scope = '/'.join(filter(None, (parent, node.name)))
  match node.block:
    case v.Chain() | v.Repeat() | v.Gated():
      for part in node.parts:
        shape = yield from _walk(part, shape, scope)
      return shape
    case v.Concat():
      outputs = []
      for part in node.parts:
        outputs.append((yield from _walk(part, shape, scope)))
      return _concatenated(node.block, outputs)
    case v.Residual():
      inner = shape
      for part in scopes.residual_parts(node, shape[2]):
        inner = yield from _walk(part, inner, scope)
      return shape
    case v.SqueezeExcite():
      yield from _squeeze_excite(node.block, shape, scope)
      return shape
  output = output_shape(node.block, shape)
  if min(output[:2]) < 1:
    raise NoGridError(f'no grid is left at {scope}')
  yield Layer(scope, node.block, shape, output)
  return output


def _concatenated(concat: v.Concat, shapes: list[Shape]) -> Shape:
  grids = {shape[:2] for shape in shapes}
  if len(grids) != 1:
    raise ValueError(f'branches of {concat} end in different grids: {grids}')
  return *shapes[0][:2], sum(shape[2] for shape in shapes)


def _squeeze_excite(
  gate: v.SqueezeExcite, shape: Shape, scope: str
) -> Iterator[Layer]:
  channels = shape[2]
  hidden = gate.hidden(channels)
  yield _dense(f'{scope}/Reduce', Dense(hidden), (1, 1, channels))
  yield _dense(f'{scope}/Expand', Dense(channels), (1, 1, hidden))


def _aux_head(
  head: v.AuxHead, shape: Shape, num_classes: int
) -> Iterator[Layer]:
  branch = scopes.scope_branch(head.name, head.block)
  shape = yield from _walk(branch, shape, '')
  if head.hidden is None:
    shape = (1, 1, shape[2])
  else:
    yield _dense(f'{head.name}/Hidden', Dense(head.hidden), shape)
    shape = (1, 1, head.hidden)
  yield _dense(f'{head.name}/Logits', Dense(num_classes), shape)


def _dense(scope: str, dense: Dense, shape: Shape) -> Layer:
  return Layer(scope, dense, shape, (1, 1, dense.features))
