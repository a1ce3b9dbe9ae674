"""Shapes: the kernel, padding and output grid of one operation."""

from inception.spec import vocabulary as v

Shape = tuple[int, int, int]
Pads = tuple[tuple[int, int], tuple[int, int]]

Windowed = v.Conv | v.SeparableConv | v.MaxPool | v.AvgPool


def height_width(size: v.Size) -> tuple[int, int]:
  """Returns (height, width) of a kernel or window."""
  return (size, size) if isinstance(size, int) else size


def kernel_size(
  operation: Windowed, height: int, width: int
) -> tuple[int, int]:
  """Returns (height, width) of the kernel or window on a grid of that size."""
  kernel = height_width(operation.kernel)
  match operation:
    case v.Conv(clip_to_grid=True) | v.AvgPool(padding='VALID'):
      return min(kernel[0], height), min(kernel[1], width)
  return kernel


def kernel_shapes(
  operation: v.Operation, shape: Shape
) -> dict[str, tuple[int, ...]]:
  """Returns the shapes of kernels by name, [height, width, in, out].

  For an input of (height, width, channels); only convolutions have kernels.
  """
  height, width, channels = shape
  match operation:
    case v.Conv(features):
      size = kernel_size(operation, height, width)
      return {'kernel': (*size, channels, features)}
    case v.SeparableConv(features, depth_multiplier=multiplier):
      size = kernel_size(operation, height, width)
      inner = channels * multiplier
      return {
        'depthwise_kernel': (*size, 1, inner),
        'kernel': (1, 1, inner, features),
      }
  return {}


def pads(operation: Windowed, height: int, width: int) -> Pads:
  """Returns ((top, bottom), (left, right)) in pixels, on a grid of that size.

  No other code interprets `Padding`.
  """
  kernel = kernel_size(operation, height, width)
  sides = [
    _pads_of_side(operation.padding, size, window, operation.stride)
    for size, window in zip((height, width), kernel)
  ]
  return sides[0], sides[1]


def output_shape(operation: v.Operation, shape: Shape) -> Shape:
  """Returns (height, width, channels) of the output for an input shape.

  A height or width below 1 in the result means that the input is too small.
  """
  height, width, channels = shape
  match operation:
    case v.LocalResponseNorm() | v.SqueezeExcite():
      return shape
    case v.AdaptiveAvgPool(size):
      return size, size, channels
    case v.Conv() | v.SeparableConv():
      return *_grid(operation, height, width), operation.features
    case v.MaxPool() | v.AvgPool():
      return *_grid(operation, height, width), channels
  raise TypeError(f'{operation!r} is not an operation')


def _grid(operation: Windowed, height: int, width: int) -> tuple[int, int]:
  sizes = [
    (size + sum(sides) - window) // operation.stride + 1
    for size, window, sides in zip(
      (height, width),
      kernel_size(operation, height, width),
      pads(operation, height, width),
    )
  ]
  return sizes[0], sizes[1]


def _pads_of_side(
  padding: v.Padding, size: int, window: int, stride: int
) -> tuple[int, int]:
  match padding:
    case 'VALID':
      return 0, 0
    case 'SYMMETRIC':
      return window // 2, window // 2
    case 'SAME':
      # As in TensorFlow: ceil(size / stride) windows, the odd pixel at the end.
      steps = -(-size // stride)
      total = max(0, (steps - 1) * stride + window - size)
      return total // 2, total - total // 2
  raise ValueError(f'padding={padding!r} is not SAME, VALID or SYMMETRIC')
