"""Prints the cost of a network, stage by stage, from its table alone.

Run:  python -m inception.summary --architecture=inception_v3

Nothing is compiled and JAX is not loaded, so it takes a fraction of a second.
"""

import dataclasses

from absl import flags

from inception import architectures
from inception.cli import commands, outputs
from inception.config import checks, default
from inception.errors import UserError
from inception.files import json_text
from inception.spec import unroll
from inception.spec.cost import Cost, network_cost


def define_flags() -> None:
  """Defines the flags of this command."""
  flags.DEFINE_string(
    'architecture', 'inception_v3', 'Name of the architecture.'
  )
  flags.DEFINE_integer(
    'image_size',
    None,
    "Image height and width in pixels; by default the architecture's.",
    lower_bound=1,
  )
  flags.DEFINE_integer(
    'num_classes',
    None,
    "Number of classes; by default the architecture's.",
    lower_bound=1,
  )
  flags.DEFINE_float('width', 1.0, 'Factor on features, like model.width.')
  flags.DEFINE_integer(
    'squeeze_excite', None, 'Like model.squeeze_excite.', lower_bound=1
  )
  flags.DEFINE_bool('batch_norm_scale', True, 'Like model.batch_norm_scale.')
  flags.DEFINE_bool('json', False, 'Print one JSON object as the last line.')


def main() -> None:
  """Reads the flags and prints the table."""
  values = flags.FLAGS
  cost = cost_of_flags()
  print(report(values.architecture, cost))
  if values.json:
    print(json_text.dump(dataclasses.asdict(cost)))


def cost_of_flags() -> Cost:
  """Returns the cost of the network that the flags describe.

  Raises:
    UserError: The architecture is unknown, or a number is out of range.
  """
  values = flags.FLAGS
  network = architectures.get_architecture(values.architecture)
  size = values.image_size or network.input_size
  _check_ranges()
  network = architectures.make_table(
    network, values.width, values.squeeze_excite
  )
  try:
    return network_cost(
      network, size, size, values.num_classes, values.batch_norm_scale
    )
  except unroll.NoGridError as error:
    raise UserError(
      f'{error}; the smallest --image_size of {values.architecture} is'
      f' {unroll.smallest_input(network)}'
    ) from error


def _check_ranges() -> None:
  """Checks the flags like the fields of a config.

  Raises:
    UserError: A number is out of range.
  """
  values, config = flags.FLAGS, default.get_config()
  config.model.width = values.width
  config.model.squeeze_excite = values.squeeze_excite
  config.model.num_classes = values.num_classes
  config.data.image_size = values.image_size
  checks.check_ranges(config)


def report(name: str, cost: Cost) -> str:
  """Returns the cost as text: a row per stage, and the totals."""
  rows = [
    (
      stage.name,
      ' x '.join(map(str, stage.shape)),
      stage.parameters,
      stage.macs,
      f'{stage.macs / cost.macs:.1%}',
      stage.activation_bytes,
    )
    for stage in cost.stages
  ]
  heading = ('stage', 'output', 'parameters', 'MACs', 'share', 'activations/B')
  written = sum(stage.activation_bytes for stage in cost.stages)
  rows.append(
    ('total', '', cost.parameters, cost.macs, f'{1:.1%}', written),
  )
  return (
    f'{name}: {cost.num_classes} classes, {cost.convolutions} convolutions,'
    f' {cost.batch_norm_channels:,} batch norm channels,'
    f' {cost.parameters_with_aux:,} parameters with auxiliary heads\n'
    'MACs: multiply-accumulates per image; activations: bytes per image that'
    ' layers write in float32\n\n' + outputs.format_table(heading, rows)
  )


if __name__ == '__main__':
  commands.run(main, define_flags)
