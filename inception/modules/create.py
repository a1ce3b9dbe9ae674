"""Creates networks from a name, a table or a whole config."""

from typing import Any

import ml_collections

from inception.architectures import make_table
from inception.errors import UserError, lookup
from inception.modules import heads
from inception.modules.activations import ACTIVATIONS
from inception.modules.network import Network
from inception.modules.options import Options
from inception.spec.vocabulary import Architecture


def create_model(
  architecture: str | Architecture,
  *,
  num_classes: int | None = None,
  width: float = 1.0,
  squeeze_excite: int | None = None,
  head_pooling: str = 'average',
  activation: str = 'softmax',
  dropout: float | None = None,
  aux_heads: bool = True,
  fuse: bool = True,
  freeze_through: str | None = None,
  **layers: Any,
) -> Network:
  """Makes a network, a Flax module; see `Network.__call__`.

  Args:
    architecture: A name in `inception.architectures`, or a table.
    num_classes: Logits per image; None uses the table's, 0 has endpoints only.
    width: Factor on the features of every layer; see `scale_width`.
    squeeze_excite: Reduction of squeeze-excite on every block; None omits it.
    head_pooling: A name in `HEAD_POOLINGS`, which pool the last grid.
    activation: A name in `ACTIVATIONS`, which map logits to probabilities.
    dropout: Rate before the classifier; None uses the table's.
    aux_heads: Run auxiliary heads in training, if the table has any.
    fuse: Run in fewer, larger operations; results are equal up to rounding.
    freeze_through: Name of the last frozen stage, or None.
    **layers: Fields of `Options`: `precision` and `quantization_aware` for the
      arithmetic, the `initializer`, `batch_norm_scale`, `batch_norm_decay`,
      `batch_norm_epsilon` and `batch_norm_sync` for batch norm, `scan_blocks`
      to compile faster, `remat` to save memory, and `axis_name`, the pmap axis
      of a training batch.

  Raises:
    UserError: A name is unknown, or a number is out of range.
  """
  _check(num_classes, width, squeeze_excite, head_pooling, activation)
  table = make_table(architecture, width, squeeze_excite)
  check_stage(table, freeze_through)
  return Network(
    architecture=table,
    num_classes=table.num_classes if num_classes is None else num_classes,
    options=Options(**layers),
    head_pooling=head_pooling,
    activation=activation,
    dropout=dropout,
    use_aux_heads=aux_heads,
    fuse=fuse,
    freeze_through=freeze_through,
  )


def model_from_config(
  config: ml_collections.ConfigDict, axis_name: str | None = None
) -> Network:
  """Makes the float network of a config, which must set `num_classes`."""
  return create_model(
    **config.model,
    precision=config.precision,
    freeze_through=config.freeze_through,
    axis_name=axis_name,
  )


def check_stage(table: Architecture, name: str | None) -> None:
  """Checks that the stage to freeze exists; None freezes nothing.

  Raises:
    UserError: It does not exist; lists the stages.
  """
  names = [stage.name for stage in table.stages]
  if name is not None and name not in names:
    raise UserError(
      f'freeze_through={name!r} is not a stage; the stages are'
      f' {", ".join(names)}'
    )


def _check(
  num_classes: int | None,
  width: float,
  squeeze_excite: int | None,
  head_pooling: str,
  activation: str,
) -> None:
  for name, value in (('width', width), ('squeeze_excite', squeeze_excite)):
    if value is not None and not value > 0:
      raise UserError(f'{name}={value} is out of range; it must be above 0')
  if num_classes is not None and num_classes < 0:
    raise UserError(f'num_classes={num_classes} must not be negative')
  lookup(heads.HEAD_POOLINGS, head_pooling, 'head_pooling')
  lookup(ACTIVATIONS, activation, 'activation')
