"""Writes ONNX: grids are [batch, channels, height, width], opset 17, IR 8.

int8 values are written as pairs of QuantizeLinear and DequantizeLinear, as
runtimes expect: they join them with the operation between.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from inception.export.graph import Tensor
from inception.export.target import Kernel, Window

_OPSET, _IR = 17, 8

Names = Sequence[str]


class OnnxTarget:
  """A `Target`; values are the names of ONNX tensors."""

  def __init__(self, dtype: Any = np.float32, unsigned: bool = False):
    """Starts an empty graph.

    Args:
      dtype: Of weights and activations: float32 or float16.
      unsigned: Round outputs of ReLUs to uint8 instead of int8.
    """
    self._dtype = np.dtype(dtype)
    self._unsigned = unsigned
    self._nodes: list[Any] = []
    self._constants: dict[str, Any] = {}
    self._shared: dict[Any, str] = {}
    self._inputs: list[Any] = []

  def _emit(self, operation: str, *inputs: str, **attributes: Any) -> str:
    """Adds a node; returns the name of its output."""
    name = f'{operation}_{len(self._nodes)}'
    self._nodes.append(
      helper.make_node(operation, inputs, [name], name=name, **attributes)
    )
    return name

  def _constant(self, values: Any, dtype: Any = None) -> str:
    """Adds a constant; equal small ones are shared."""
    array = np.ascontiguousarray(values, dtype or self._dtype)
    array = array.reshape(np.shape(values))
    key = (array.tobytes(), array.shape, array.dtype)
    if array.size <= 4 and key in self._shared:
      return self._shared[key]
    name = f'constant_{len(self._constants)}'
    self._constants[name] = numpy_helper.from_array(array, name)
    self._shared[key] = name
    return name

  def images(
    self, batch: int | str, size: int, normalization: Any = None
  ) -> str:
    """Adds the input `images`, [batch, size, size, 3]; returns it normalized.

    Args:
      batch: Images, or the name of a symbolic number.
      size: Height and width in pixels.
      normalization: Mean, standard deviation and order of the channels of uint8
        images; None: they are float32, and already normalized.
    """
    kind = TensorProto.FLOAT if normalization is None else TensorProto.UINT8
    self._inputs.append(
      helper.make_tensor_value_info('images', kind, [batch, size, size, 3])
    )
    x = 'images'
    if normalization is not None:
      mean, std, order = normalization
      x = self._emit('Cast', x, to=TensorProto.FLOAT)
      x = self._emit('Sub', x, self._constant(mean, np.float32))
      x = self._emit('Div', x, self._constant(std, np.float32))
      channels = np.arange(3)[order]
      if list(channels) != [0, 1, 2]:
        x = self._emit('Gather', x, self._constant(channels, np.int64), axis=3)
    x = self._emit('Transpose', x, perm=[0, 3, 1, 2])
    return self._cast(x, TensorProto.FLOAT16)

  def _cast(self, x: str, kind: int) -> str:
    """Converts a value between float32 and the type of the graph."""
    if self._dtype == np.float32:
      return x
    return self._emit('Cast', x, to=kind)

  def convolve(
    self, x: str, kernel: Kernel, window: Window, groups: int = 1
  ) -> str:
    """See `Target`."""
    inputs = [x, self._weights(kernel, (3, 2, 0, 1), 0), *self._bias(kernel)]
    return self._emit(
      'Conv',
      *inputs,
      group=groups,
      kernel_shape=list(window.size),
      strides=[window.stride] * 2,
      pads=_pads(window),
    )

  def dense(self, x: str, kernel: Kernel) -> str:
    """See `Target`."""
    return self._emit(
      'Gemm', x, self._weights(kernel, (0, 1), 1), *self._bias(kernel)
    )

  def _weights(self, kernel: Kernel, axes: Sequence[int], channel: int) -> str:
    """Adds the values of a kernel with other axes; `channel` is the output."""
    values = kernel.values.transpose(axes)
    if kernel.scale is None:
      return self._constant(values)
    return self._emit(
      'DequantizeLinear',
      self._constant(values, np.int8),
      self._constant(kernel.scale, np.float32),
      self._constant(np.zeros(len(kernel.scale)), np.int8),
      axis=channel,
    )

  def _bias(self, kernel: Kernel) -> Names:
    if kernel.bias is None:
      return []
    if kernel.scale is None:
      return [self._constant(kernel.bias)]
    scale = kernel.scale * np.float32(kernel.input_scale)
    integers = np.round(kernel.bias.astype(np.float64) / scale)
    return [
      self._emit(
        'DequantizeLinear',
        self._constant(integers, np.int32),
        self._constant(scale, np.float32),
        self._constant(np.zeros(len(scale)), np.int32),
        axis=0,
      )
    ]

  def max_pool(self, x: str, window: Window) -> str:
    """See `Target`."""
    return self._pool('MaxPool', x, window)

  def average_pool(self, x: str, window: Window, count_padding: bool) -> str:
    """See `Target`."""
    return self._pool(
      'AveragePool', x, window, count_include_pad=int(count_padding)
    )

  def _pool(self, name: str, x: str, window: Window, **how: int) -> str:
    return self._emit(
      name,
      x,
      kernel_shape=list(window.size),
      strides=[window.stride] * 2,
      pads=_pads(window),
      **how,
    )

  def local_response_norm(
    self, x: str, size: int, alpha: float, beta: float, bias: float
  ) -> str:
    """See `Target`."""
    return self._emit('LRN', x, size=size, alpha=alpha, beta=beta, bias=bias)

  def concatenate(self, values: Sequence[str]) -> str:
    """See `Target`."""
    return self._emit('Concat', *values, axis=1)

  def add(self, x: str, y: str) -> str:
    """See `Target`."""
    return self._emit('Add', x, y)

  def multiply(self, x: str, factor: str | float) -> str:
    """See `Target`."""
    if isinstance(factor, float):
      return self._emit('Mul', x, self._constant(factor))
    return self._emit('Mul', x, factor)

  def grid_of(self, features: str) -> str:
    """See `Target`."""
    return self._emit('Unsqueeze', features, self._constant([2, 3], np.int64))

  def relu(self, x: str) -> str:
    """See `Target`."""
    return self._emit('Relu', x)

  def sigmoid(self, x: str) -> str:
    """See `Target`."""
    return self._emit('Sigmoid', x)

  def softmax(self, x: str) -> str:
    """See `Target`."""
    return self._emit('Softmax', x, axis=1)

  def softmax_of_grid(self, x: str) -> str:
    """See `Target`."""
    flat = self._emit('Reshape', x, self._constant([0, 0, -1], np.int64))
    weights = self._emit('Softmax', flat, axis=2)
    return self._emit('Reshape', weights, self._emit('Shape', x))

  def at_least(self, x: str, least: float) -> str:
    """See `Target`."""
    return self._emit('Max', x, self._constant(least))

  def power(self, x: str, exponent: float) -> str:
    """See `Target`."""
    return self._emit('Pow', x, self._constant(exponent))

  def mean_of_grid(self, x: str) -> str:
    """See `Target`."""
    return self._emit('Flatten', self._emit('GlobalAveragePool', x))

  def max_of_grid(self, x: str) -> str:
    """See `Target`."""
    return self._emit('Flatten', self._emit('GlobalMaxPool', x))

  def round(self, x: str, scale: float, is_positive: bool) -> str:
    """See `Target`."""
    kind = np.uint8 if self._unsigned and is_positive else np.int8
    step, zero = self._constant(scale, np.float32), self._constant(0, kind)
    integers = self._emit('QuantizeLinear', x, step, zero)
    return self._emit('DequantizeLinear', integers, step, zero)

  def finish(
    self,
    outputs: Mapping[str, Tensor],
    batch: int | str,
    facts: Mapping[str, str],
  ) -> bytes:
    """Returns the file.

    Args:
      outputs: By their names.
      batch: As in `images`.
      facts: What travels in the file.
    """
    infos = []
    for name, tensor in outputs.items():
      x = self._cast(tensor.value, TensorProto.FLOAT)
      if len(tensor.shape) == 3:
        x = self._emit('Transpose', x, perm=[0, 2, 3, 1])
      self._nodes.append(helper.make_node('Identity', [x], [name], name=name))
      shape = [batch, *tensor.shape]
      infos.append(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
      )
    graph = helper.make_graph(
      self._nodes,
      'inception',
      self._inputs,
      infos,
      list(self._constants.values()),
    )
    model = helper.make_model(
      graph,
      opset_imports=[helper.make_opsetid('', _OPSET)],
      ir_version=_IR,
      producer_name='inception-jax',
    )
    helper.set_model_props(model, dict(facts))
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


def _pads(window: Window) -> list[int]:
  (top, bottom), (left, right) = window.pads
  return [top, left, bottom, right]
