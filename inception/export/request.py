"""What is exported: outputs, input, numbers and sizes."""

from collections.abc import Sequence
import dataclasses
from typing import Any

from inception.errors import UserError
from inception.export.walk import FEATURES, LOGITS, PROBABILITIES
from inception.predict.load import Pretrained
from inception.quantization.int8 import QuantizedNetwork
from inception.spec import unroll

OUTPUTS = (LOGITS, PROBABILITIES, FEATURES)
INPUTS = ('pixels', 'normalized')
PRECISIONS = ('float32', 'float16')
ACTIVATIONS = ('signed', 'unsigned')
PLATFORMS = ('cpu', 'cuda', 'rocm', 'tpu')


@dataclasses.dataclass(frozen=True)
class Request:
  """How a network is exported.

  Attributes:
    outputs: Names in `OUTPUTS`; stages of the network in checks.
    input: 'pixels', uint8 [batch, height, width, 3], red, green, blue; or
      'normalized', float32 as the network reads it.
    precision: Of weights and activations: 'float32', 'float16' or 'int8'.
    batch_size: Images per call; None: any.
    image_size: Height and width in pixels.
    platforms: Names in `PLATFORMS`; None: CPUs, NVIDIA GPUs and TPUs.
    activations: Of int8, 'signed', or 'unsigned': outputs of ReLUs are uint8;
      None: signed.
  """

  outputs: tuple[str, ...] = (LOGITS,)
  input: str = 'pixels'
  precision: str = 'float32'
  batch_size: int | None = None
  image_size: int = 0
  platforms: tuple[str, ...] | None = None
  activations: str | None = None


def check(network: Pretrained, request: Request) -> None:
  """Checks that a network can be exported this way.

  Raises:
    UserError: It cannot; says what can.
  """
  for name, values, known in (
    ('outputs', request.outputs, OUTPUTS),
    ('input', [request.input], INPUTS),
    ('activations', [request.activations or 'signed'], ACTIVATIONS),
    ('platforms', request.platforms or PLATFORMS, PLATFORMS),
  ):
    _check_names(name, values, known)
  if not network.model.num_classes and set(request.outputs) != {FEATURES}:
    raise UserError(
      'the network has no classifier, so no logits; give --outputs=PreLogits'
    )
  if request.batch_size is not None and request.batch_size < 1:
    raise UserError(f'batch_size={request.batch_size} must be at least 1')
  size, table = request.image_size, network.model.architecture
  try:
    unroll.stage_shapes(table, size, size)
  except unroll.NoGridError as error:
    raise UserError(
      f'image_size={size} is too small: {error}; the smallest is'
      f' {unroll.smallest_input(table)}'
    ) from error


def precision_of(network: Pretrained, wanted: str | None) -> str:
  """Returns the precision in which a network is exported.

  Raises:
    UserError: The network does not have it.
  """
  if isinstance(network.model, QuantizedNetwork):
    if wanted not in (None, 'int8'):
      raise UserError(
        f'the network is quantized: it is exported in int8, not in {wanted}'
      )
    return 'int8'
  if wanted == 'int8':
    raise UserError(
      'the network is not quantized; first run python -m'
      ' inception.quantization --workdir=DIR --output=DIR'
    )
  _check_names('precision', [wanted or 'float32'], PRECISIONS)
  return wanted or 'float32'


def _check_names(
  field: str, values: Sequence[Any], known: Sequence[str]
) -> None:
  if not values or isinstance(values, str):
    raise UserError(f'{field}={values!r} must be among {", ".join(known)}')
  for value in values:
    if value not in known:
      raise UserError(f'{field}={value!r} is not one of {", ".join(known)}')
