"""`create_model`: a network by its name or its table, or by a whole config."""

import ml_collections

from inception.architectures import make_table
from inception.errors import UserError, lookup
from inception.modules import heads
from inception.modules.activations import ACTIVATIONS
from inception.modules.network import Network
from inception.modules.options import INITIALIZERS, PRECISIONS, Options
from inception.spec.vocabulary import Architecture


# Longer than 50 lines because every keyword argument is documented.
def create_model(
  architecture: str | Architecture,
  *,
  num_classes: int | None = None,
  precision: str = 'float32',
  width: float = 1.0,
  squeeze_excite: int | None = None,
  head_pooling: str = 'average',
  activation: str = 'softmax',
  dropout: float | None = None,
  aux_heads: bool = True,
  fuse: bool = True,
  batch_norm_scale: bool = True,
  batch_norm_decay: float = 0.99,
  batch_norm_epsilon: float = 1e-3,
  batch_norm_sync: bool = True,
  initializer: str = 'he_normal',
  scan_blocks: bool = False,
  remat: bool = False,
  quantization_aware: bool = False,
  freeze_through: str | None = None,
  axis_name: str | None = None,
) -> Network:
  """Makes a network.

  Args:
    architecture: A name in `inception.architectures`, or a table.
    num_classes: Logits per image; None takes the table's; 0 has no classifier,
      only endpoints.
    precision: 'float32', 'bfloat16' or 'float16', the arithmetic of the
      network. Parameters, batch statistics and logits are float32 in each.
    width: Factor on the features of every layer; see `scale_width`.
    squeeze_excite: Factor by which squeeze-excite on every block narrows the
      channels, 16 in its paper; None has none.
    head_pooling: 'average', 'max', 'attention' with learned queries, or 'gem'
      with a learned exponent.
    activation: 'softmax' or 'sigmoid': from the logits to probabilities.
    dropout: Rate before the classifier; None takes the table's.
    aux_heads: Run auxiliary heads in training, where the table has any.
    fuse: Run convolutions and poolings in fewer and larger operations; the
      results are the same but for rounding.
    batch_norm_scale: Batch norm has a scale (gamma) as well as a bias.
    batch_norm_decay: Fraction of old moving statistics kept at each step.
    batch_norm_epsilon: Added to the variance.
    batch_norm_sync: Take statistics over the axis `axis_name`.
    initializer: A name in `options.INITIALIZERS`, for kernels.
    scan_blocks: Run equal residual blocks as one compiled loop.
    remat: In training, keep only the outputs of stages and of residual blocks,
      and compute what is inside again for the gradient: less memory, more time.
    quantization_aware: In training, round kernels and inputs of convolutions as
      int8 does.
    freeze_through: Name of the last stage that does not learn, or None.
    axis_name: pmap axis that a training batch is split over, or None.

  Returns:
    A Flax module; see `Network.__call__`.

  Raises:
    UserError: A name is unknown, or a number is out of range.
  """
  _check_numbers(width=width, squeeze_excite=squeeze_excite)
  if num_classes is not None and num_classes < 0:
    raise UserError(f'num_classes={num_classes} must not be negative')
  table = make_table(architecture, width, squeeze_excite)
  if freeze_through is not None:
    check_stage(table, freeze_through)
  lookup(heads.HEAD_POOLINGS, head_pooling, 'head_pooling')
  lookup(ACTIVATIONS, activation, 'activation')
  return Network(
    architecture=table,
    num_classes=table.num_classes if num_classes is None else num_classes,
    options=Options(
      kernel_init=lookup(INITIALIZERS, initializer, 'initializer'),
      dtype=lookup(PRECISIONS, precision, 'precision'),
      batch_norm_scale=batch_norm_scale,
      batch_norm_decay=batch_norm_decay,
      batch_norm_epsilon=batch_norm_epsilon,
      batch_norm_axis=axis_name if batch_norm_sync else None,
      scan_blocks=scan_blocks,
      remat=remat,
      quantization_aware=quantization_aware,
    ),
    head_pooling=head_pooling,
    activation=activation,
    dropout=dropout,
    use_aux_heads=aux_heads,
    fuse=fuse,
    freeze_through=freeze_through,
    axis_name=axis_name,
  )


def model_from_config(
  config: ml_collections.ConfigDict, axis_name: str | None = None
) -> Network:
  """Makes the network that a whole config describes, of floats.

  Args:
    config: A config with `model.num_classes` set.
    axis_name: pmap axis that a training batch is split over, or None.
  """
  return create_model(
    **config.model,
    precision=config.precision,
    freeze_through=config.freeze_through,
    axis_name=axis_name,
  )


def check_stage(table: Architecture, name: str) -> None:
  """Checks that a network has a stage to freeze.

  Raises:
    UserError: It has not; lists its stages.
  """
  names = [stage.name for stage in table.stages]
  if name not in names:
    raise UserError(
      f'freeze_through={name!r} is not a stage; the stages are'
      f' {", ".join(names)}'
    )


def _check_numbers(**numbers: float | None) -> None:
  """Checks that numbers which are given are above 0."""
  for name, value in numbers.items():
    if value is not None and not value > 0:
      raise UserError(f'{name}={value} is out of range; it must be above 0')
