"""Extractors: functions from images to features, with what identifies them."""

from collections.abc import Callable, Mapping
import dataclasses
import functools
import hashlib
from typing import Any

import jax
from jax import lax
import jax.numpy as jnp
import numpy as np

from inception import paths
from inception.architectures import get_architecture
from inception.checkpoints import restore
from inception.errors import UserError, lookup
from inception.generative import modes
from inception.generative.sample import LOGITS, SPATIAL
from inception.modules import compiler_options
from inception.modules.create import create_model
from inception.modules.options import PRECISIONS
from inception.pretrained import by_name

Array = jax.Array

ARCHITECTURE = 'inception_v3_fid'
PUBLISHED = 'inception_v3_fid.2015-12-05'
# Of the file that pytorch-fid and torch-fidelity read.
PUBLISHED_SHA256 = (
  '6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2'
)

# ADM: channels of the first convolution of a block, 17 x 17 x 7 numbers.
_SPATIAL_STAGE, _SPATIAL_CHANNELS = 'Mixed_6d', 7

# The features of pytorch-fid and torch-fidelity that are pooled earlier: the
# number of channels, and the stage whose output is averaged.
_POOLED = {
  '64': 'MaxPool_3a_3x3',
  '192': 'MaxPool_5a_3x3',
  '768': 'Mixed_6e',
}


# From variables and images to features by name.
Features = Callable[[Any, Array], Mapping[str, Array]]


@dataclasses.dataclass(frozen=True, eq=False)
class Extractor:
  """A function from images to features.

  Attributes:
    name: Name of the network, for messages.
    function: Maps `variables` and images to features, each float32 [batch,
      size], by name. Images are float32 as `mode` prepares them, or [batch,
      height, width, 3] from 0 to 255 if it is None.
    variables: First argument of `function`.
    main: Name of the features for all metrics but sFID and IS.
    others: Names of the other features.
    mode: A name in `modes.MODES`, or None.
    options: Options of XLA's compiler.
    facts: What reports say of it, such as the hash of the weights.
  """

  name: str
  function: Features
  variables: Any = dataclasses.field(default=None, repr=False)
  main: str = 'pool3'
  others: tuple[str, ...] = ()
  mode: str | None = None
  options: dict[str, Any] = dataclasses.field(default_factory=dict)
  facts: dict[str, Any] = dataclasses.field(default_factory=dict)


def custom(
  name: str, function: Callable[[Any, Array], Array], variables: Any = None
) -> Extractor:
  """Returns an extractor of other features, such as those of DINOv2.

  Args:
    name: Of the features, for reports and statistics files.
    function: Maps `variables` and images, float32 [batch, height, width, 3]
      from 0 to 255, to floats [batch, features]. It resizes and normalizes.
    variables: First argument of `function`.

  Raises:
    UserError: The name is taken; later, when images come, the function returns
      something else.
  """
  if name in (SPATIAL, LOGITS):
    raise UserError(f'the name {name} is taken; choose another one')

  def named(variables: Any, images: Array) -> Mapping[str, Array]:
    found = function(variables, images)
    if jnp.ndim(found) != 2 or len(found) != len(images):
      raise UserError(
        f'the function of {name} must return [batch, features], not'
        f' {jnp.shape(found)} for {len(images)} images'
      )
    return {name: found.astype(jnp.float32)}

  return Extractor(name, named, variables, main=name, facts={'feature': name})


def features(
  variables: Any, images: Array, mode: str = 'tf1', precision: str = 'float32'
) -> dict[str, Array]:
  """Returns the features of images; for use inside one's own jitted function.

  Args:
    variables: Of the network, as `load` returns them.
    images: [batch, height, width, 3], red, green, blue, from 0 to 255.
    mode: A name in `modes.MODES`.
    precision: A name in `PRECISIONS`.

  Returns:
    float32 arrays: `pool3` [batch, 2048]; `spatial` [batch, 2023], for sFID;
    `64`, `192` and `768`; and, if the weights have a classifier, `logits`
    [batch, 1008] without the bias.

  Raises:
    UserError: The images have another shape, or a name is unknown.
  """
  if isinstance(variables, Extractor):
    raise UserError('give the variables of the extractor, extractor.variables')
  if images.ndim != 4 or images.shape[-1] != 3:
    raise UserError(f'images {images.shape} are not [batch, height, width, 3]')
  return _of_prepared(variables, modes.prepare(images, mode), precision)


def load(
  weights: paths.PathLike = PUBLISHED,
  mode: str = 'tf1',
  precision: str = 'float32',
) -> Extractor:
  """Loads the network that defines the Frechet Inception distance.

  Args:
    weights: A folder that `python -m inception.pretrained` wrote, or a name;
      these weights are downloaded on first use.
    mode: A name in `modes.MODES`.
    precision: A name in `PRECISIONS`. Published figures are in float32.

  Raises:
    UserError: The weights are missing, damaged, cannot be downloaded, or are
      of another network; or a name is unknown.
  """
  modes.find(mode)
  lookup(PRECISIONS, precision, 'precision')
  loaded = restore.load_variables(by_name.find(weights))
  architecture = loaded.config.model.architecture
  if architecture != ARCHITECTURE:
    raise UserError(
      f'{weights} holds weights of {architecture}; FID is defined by'
      f' {ARCHITECTURE}, such as --weights={PUBLISHED}'
    )
  sha256 = loaded.config.get('provenance', {}).get('sha256')
  return of_variables(
    loaded.variables,
    mode,
    precision,
    weights_sha256=sha256,
    weights_are=(
      '2015-12-05'
      if sha256 == PUBLISHED_SHA256
      else 'not the published weights'
    ),
  )


def of_variables(
  variables: Any, mode: str = 'tf1', precision: str = 'float32', **facts: Any
) -> Extractor:
  """Returns the extractor with these variables of the network.

  Args:
    variables: {'params', 'batch_stats'}.
    mode: A name in `modes.MODES`.
    precision: A name in `PRECISIONS`.
    **facts: What reports say of the weights.
  """
  table = get_architecture(ARCHITECTURE)
  return Extractor(
    ARCHITECTURE,
    _network(precision),
    jax.tree.map(jnp.asarray, variables),
    others=(SPATIAL, *(() if _classifier(variables) is None else (LOGITS,))),
    mode=mode,
    options=compiler_options.for_network(table, modes.SIDE),
    facts={
      'feature': 'pool3',
      'mode': mode,
      'precision': precision,
      'variables_sha256': _hash(variables),
      **facts,
    },
  )


@functools.cache
def _network(precision: str) -> Features:
  """Returns one function per precision, so that it is compiled once."""
  return functools.partial(_of_prepared, precision=precision)


def _of_prepared(
  variables: Any, images: Array, precision: str
) -> dict[str, Array]:
  """Returns the features of prepared images, [batch, 299, 299, 3]."""
  kernel = _classifier(variables)
  model = create_model(
    ARCHITECTURE,
    num_classes=0 if kernel is None else kernel.shape[1],
    precision=precision,
  )
  outputs: Any = model.apply(variables, images, endpoints=True)
  stages = outputs.endpoints
  spatial = stages[_SPATIAL_STAGE][..., :_SPATIAL_CHANNELS]
  found = {
    'pool3': stages['PreLogits'],
    # Flattened by row, column, channel: the order of the published statistics.
    SPATIAL: spatial.reshape(len(images), -1),
    **{
      size: jnp.mean(stages[stage], axis=(1, 2), dtype=jnp.float32)
      for size, stage in _POOLED.items()
    },
  }
  if kernel is not None:
    found[LOGITS] = jnp.matmul(
      found['pool3'], kernel, precision=lax.Precision.HIGHEST
    )
  return {name: array.astype(jnp.float32) for name, array in found.items()}


def _classifier(variables: Any) -> Array | None:
  """Returns the kernel of the classifier, [2048, classes], if there is one."""
  head = variables['params'].get('Logits', {})
  return head['Logits']['kernel'] if 'Logits' in head else None


def _hash(variables: Any) -> str:
  """Returns the SHA-256 of variables, the same from whichever file.

  Without the classifier, as some files have none.
  """
  digest = hashlib.sha256()
  params = {k: x for k, x in variables['params'].items() if k != 'Logits'}
  for leaf in jax.tree.leaves({**variables, 'params': params}):
    digest.update(np.ascontiguousarray(leaf).tobytes())
  return digest.hexdigest()
