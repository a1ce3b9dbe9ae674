"""Flags for the preprocessing and the class names of weights."""

from absl import flags
import ml_collections

from inception import paths
from inception.data.pixels import eval_transforms
from inception.errors import UserError

# Names of these flags.
NAMES = ('mean', 'std', 'channel_order', 'class_offset', 'classes')


def define() -> None:
  """Defines the flags."""
  flags.DEFINE_list(
    'mean',
    None,
    'Mean of pixels from 0 to 255, one number or one per channel; if unset,'
    ' that of the preprocessing.',
  )
  flags.DEFINE_list(
    'std', None, 'Standard deviation of pixels, one number or one per channel.'
  )
  flags.DEFINE_enum(
    'channel_order',
    'RGB',
    list(eval_transforms.CHANNEL_ORDERS),
    'Order of the color channels.',
  )
  flags.DEFINE_integer(
    'class_offset',
    None,
    'Index of the logit of the first class: 1 after a background class, as in'
    " TF-slim's ImageNet weights.",
    lower_bound=0,
  )
  flags.DEFINE_string(
    'classes', None, 'File with the names of the classes, one per line.'
  )


def apply(config: ml_collections.ConfigDict) -> None:
  """Writes the values of these flags to the config."""
  values = flags.FLAGS
  for name in ('mean', 'std'):
    given = values[name].value
    if given is not None:
      config.data[name] = _channels(name, given)
  config.data.channel_order = values.channel_order
  if values.class_offset not in (None, config.data.class_offset):
    config.data.class_offset = values.class_offset
    config.data.class_names = None  # They had the old offset.
  if values.classes is not None:
    config.data.class_names = _read_names(
      values.classes, config.model.num_classes - config.data.class_offset
    )


def _channels(name: str, given: list[str]) -> tuple[float, ...]:
  try:
    numbers = tuple(float(text) for text in given)
  except ValueError:
    numbers = ()
  if len(numbers) not in (1, 3):
    raise UserError(
      f'--{name}={",".join(given)} must be a number, or 3 separated by commas'
    )
  return numbers * 3 if len(numbers) == 1 else numbers


def _read_names(name: str, count: int) -> tuple[str, ...]:
  path = paths.resolve(name, '--classes')
  names = tuple(paths.read_text(path).splitlines())
  if len(names) != count or len(set(names)) != count:
    raise UserError(
      f'{path} has {len(set(names))} different names in {len(names)} lines; the'
      f' network has {count} classes'
    )
  return names
