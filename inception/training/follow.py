"""Config fields that are taken from the weights that training starts from."""

import ml_collections

from inception import paths
from inception.checkpoints.restore import load_config
from inception.config import compare
from inception.errors import UserError
from inception.pretrained import by_name

# Fields that are taken from the weights if they are None.
FOLLOWED = (
  'model.architecture',
  'model.batch_norm_epsilon',
  'model.batch_norm_scale',
  'model.head_pooling',
  'model.width',
  'data.image_size',
  'data.eval_transform',
  'data.channel_order',
)

# Fields that are unset by default, and are taken along with another one.
_WITH = {
  'data.crop_pct': 'data.eval_transform',
  'data.interpolation': 'data.eval_transform',
  'model.squeeze_excite': 'model.architecture',
}


def follow_weights(
  config: ml_collections.ConfigDict, workdir: paths.Path, resumed: bool
) -> ml_collections.ConfigDict:
  """Returns a locked copy with unset fields taken from the weights.

  A resumed run takes them from its checkpoints.

  Args:
    config: The config of a run, before it is checked.
    workdir: Workdir of the run.
    resumed: True if the workdir has checkpoints.

  Raises:
    UserError: A field is unset, but there are no weights.
  """
  fields = compare.flatten(config)
  # Missing fields are reported later.
  unset = [name for name in FOLLOWED if fields.get(name, '') is None]
  if not unset:
    return config
  if not resumed and config.get('pretrained') is None:
    raise UserError(
      f'{" and ".join(unset)} must be set or taken from weights: set'
      ' --config.pretrained=DIR, a folder written by python -m'
      ' inception.pretrained or the workdir of a run'
    )
  source = workdir if resumed else by_name.find(config.pretrained)
  theirs = load_config(source)
  config = config.copy_and_resolve_references()
  unset += [
    name
    for name, leader in _WITH.items()
    if leader in unset and fields.get(name, '') is None
  ]
  for name in unset:
    section, field = name.split('.')
    config[section][field] = theirs[section][field]
  return config.lock()
