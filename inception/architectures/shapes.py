"""Shapes: what one operation makes of a grid. No JAX."""

from inception.architectures import vocabulary as v

Shape = tuple[int, int, int]

# What a table is made of; everything else arranges these.
Operation = (
  v.Conv
  | v.SeparableConv
  | v.MaxPool
  | v.AvgPool
  | v.AdaptiveAvgPool
  | v.LocalResponseNorm
)


def kernel_size(
  operation: v.Conv | v.SeparableConv | v.MaxPool | v.AvgPool,
  height: int,
  width: int,
) -> tuple[int, int]:
  """Returns (height, width) of the kernel or window on a grid of some size."""
  kernel = v.height_width(operation.kernel)
  match operation:
    case v.Conv(clip_to_grid=True) | v.AvgPool(padding='VALID'):
      return min(kernel[0], height), min(kernel[1], width)
  return kernel


def output_shape(operation: Operation, shape: Shape) -> Shape:
  """Returns (height, width, channels) of the output for an input shape.

  A height or width below 1 in the result means that the input is too small.
  """
  height, width, channels = shape
  match operation:
    case v.LocalResponseNorm():
      return shape
    case v.AdaptiveAvgPool(size):
      return size, size, channels
    case v.Conv() | v.SeparableConv():
      return *_grid(operation, height, width), operation.features
    case _:
      return *_grid(operation, height, width), channels


def _grid(
  operation: v.Conv | v.SeparableConv | v.MaxPool | v.AvgPool,
  height: int,
  width: int,
) -> tuple[int, int]:
  sizes = []
  kernels = kernel_size(operation, height, width)
  for size, kernel in zip((height, width), kernels):
    match operation.padding:
      case 'SAME':
        padded = size + kernel - 1
      case 'SYMMETRIC':
        padded = size + 2 * (kernel // 2)
      case 'VALID':
        padded = size
    sizes.append((padded - kernel) // operation.stride + 1)
  return sizes[0], sizes[1]
