"""Post-training quantization: scales from images, kernels in int8."""

from collections.abc import Iterable, Iterator, Mapping
import dataclasses
import functools
from typing import Any

from flax import traverse_util
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from inception import paths
from inception.checkpoints.restore import Loaded
from inception.data import pipeline
from inception.data.batches import HostShard
from inception.data.device import feed
from inception.data.sources.catalog import open_source
from inception.data.sources.source import spread
from inception.errors import UserError, lookup
from inception.modules import compiler_options, rounding
from inception.modules.create import model_from_config
from inception.modules.network import Network
from inception.quantization import histogram, int8, scales
from inception.quantization.folding import fold_batch_norm

Array = jax.Array
Variables = Mapping[str, Any]
Scope = tuple[str, ...]

_ROWS = 16  # Training images per batch.

# Scopes of layers that stay in float32: they are a small part of the work.
_REAL = ('SqueezeExcite', 'AttentionPool', 'Bottleneck')

# Layers that may be kept in float32.
KEPT = ('first', 'classifier')


@dataclasses.dataclass(frozen=True)
class Calibration:
  """How a network is quantized.

  Attributes:
    images: Number of training images to measure activation ranges on.
    method: A name in `scales.CALIBRATIONS`.
    keep: Names in `KEPT` of layers that stay in float32.
  """

  images: int = 256
  method: str = 'mse'
  keep: tuple[str, ...] = ()

  def __post_init__(self) -> None:
    """Checks the names.

    Raises:
      UserError: One is unknown.
    """
    lookup(scales.CALIBRATIONS, self.method, '--calibration')
    for name in self.keep:
      if name not in KEPT:
        raise UserError(
          f'--float_layers={name} is not one of {", ".join(KEPT)}'
        )


def quantize_loaded(
  folder: paths.PathLike,
  loaded: Loaded,
  data: ml_collections.ConfigDict,
  calibration: Calibration,
) -> tuple[ml_collections.ConfigDict, dict[str, Any]]:
  """Returns config and variables of a checkpoint's network in int8.

  `folder` is for messages; `data` is the `config.data` of the training images.

  Raises:
    UserError: The images are missing, or the network is already in int8 or has
      no classifier.
  """
  config = loaded.config.copy_and_resolve_references()
  if not config.model.num_classes:
    raise UserError(f'the network of {folder} has no classifier')
  if config.precision == 'int8':
    raise UserError(f'{folder} is already quantized')
  config.precision = 'float32'
  variables = quantize(
    model_from_config(config),
    loaded.variables,
    _training_images(data, calibration.images),
    calibration,
  )
  config.precision = 'int8'
  return config, variables


def quantize(
  model: Network,
  variables: Variables,
  batches: Iterable[Array],
  calibration: Calibration,
) -> dict[str, Any]:
  """Quantizes the variables of a float32 network for `int8.make_quantized`.

  Batches are normalized training images, float32 [batch, height, width, 3].
  """
  _, folded = fold_batch_norm(model, variables)
  heads = {head.name for head in model.architecture.aux_heads}
  folded['params'] = {
    name: leaf for name, leaf in folded['params'].items() if name not in heads
  }
  observed = _observe(int8.make_quantized(model), folded, batches)
  chosen = {
    path: scales.scale(found, calibration.method)
    for path, found in traverse_util.flatten_dict(
      observed, is_leaf=lambda _, node: 'counts' in node
    ).items()
  }
  kept: list[Scope] = []
  if 'first' in calibration.keep:
    kept.append((model.architecture.stages[0].name,))
    del chosen['images',]
  if 'classifier' in calibration.keep:
    kept.append(('Logits', 'Logits'))
    del chosen['Logits', 'features']
  return {
    **folded,
    'params': _quantize_kernels(folded['params'], kept),
    'scales': traverse_util.unflatten_dict(chosen),
  }


def _training_images(
  config: ml_collections.ConfigDict, count: int
) -> Iterator[Array]:
  """Yields evenly spaced images, preprocessed as in evaluation."""
  source = spread(open_source(config, config.train_split), count)
  for batch in pipeline.eval_batches(source, config, HostShard(_ROWS, 1)):
    images = batch['image'][batch['mask'] > 0]
    yield feed.normalize(jnp.asarray(images), config)


def _observe(
  network: int8.QuantizedNetwork, variables: Variables, batches: Iterable[Array]
) -> Any:
  """Returns the histogram of every tensor that is rounded, by scope."""

  def observe(images: Array) -> Any:
    _, observed = network.apply(variables, images, mutable=['histograms'])
    return observed['histograms']

  @functools.cache
  def compiled(image_size: int) -> Any:
    options = compiler_options.for_network(network.architecture, image_size)
    return jax.jit(observe, compiler_options=options)

  parts = [jax.device_get(compiled(x.shape[1])(x)) for x in batches]
  return jax.tree.map(
    histogram.total, *parts, is_leaf=lambda node: 'counts' in node
  )


def _quantize_kernels(
  params: Variables, kept: Iterable[Scope]
) -> dict[str, Any]:
  """Quantizes each `kernel`, adding `kernel_scale`, except in scopes `kept`."""
  flat = traverse_util.flatten_dict(dict(params))
  quantized = dict(flat)
  for path, leaf in flat.items():
    scope = path[:-1]
    if (
      path[-1] != 'kernel'
      or (*scope, 'depthwise_kernel') in flat
      or any(name in _REAL for name in scope)
      or any(scope[: len(begin)] == begin for begin in kept)
    ):
      continue
    scale = rounding.kernel_scale(leaf)
    quantized[path] = np.asarray(rounding.quantize(leaf, scale))
    quantized[*scope, 'kernel_scale'] = np.asarray(scale)
  return traverse_util.unflatten_dict(quantized)
