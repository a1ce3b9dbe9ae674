"""Networks as StableHLO, by `jax.export`, with their variables inside."""

from collections.abc import Mapping
import datetime
import json
from typing import Any

import jax
from jax import export
import jax.numpy as jnp
import numpy as np

from inception import paths
from inception.data.device import feed
from inception.export.request import Request
from inception.export.running import Run
from inception.export.walk import LOGITS, PROBABILITIES
from inception.modules.activations import ACTIVATIONS
from inception.modules.network import Network
from inception.predict.load import Pretrained
from inception.quantization.folding import fold_batch_norm

# JAX promises to load exported programs for six months.
_PROMISED = datetime.timedelta(days=180)

_PLATFORMS = ('cpu', 'cuda', 'tpu')


def save(
  network: Pretrained,
  request: Request,
  facts: Mapping[str, str],
  path: paths.Path,
) -> None:
  """Writes what `jax.export.deserialize` reads, and facts beside it."""
  exported = build(network, request)
  path.write_bytes(exported.serialize())
  known = {
    **facts,
    'jax': jax.__version__,
    'calling_convention_version': exported.calling_convention_version,
    'platforms': list(exported.platforms),
    'promised_until': str(datetime.date.today() + _PROMISED),
  }
  path.with_name(f'{path.name}.json').write_text(json.dumps(known, indent=2))


def build(network: Pretrained, request: Request) -> export.Exported:
  """Returns the network as a program for several platforms."""
  model, variables = network.model, network.variables
  if isinstance(model, Network):
    model, variables = fold_batch_norm(model, variables)
  data = network.config.data
  last = ACTIVATIONS[model.activation]

  def run(images: jax.Array) -> dict[str, jax.Array]:
    x = feed.normalize(images, data) if request.input == 'pixels' else images
    outputs: Any = model.apply(variables, x, endpoints=True)
    known = {
      **outputs.endpoints,
      LOGITS: outputs.logits,
      PROBABILITIES: last.probabilities(outputs.logits),
    }
    return {name: known[name] for name in request.outputs}

  batch = request.batch_size
  (rows,) = export.symbolic_shape('batch') if batch is None else (batch,)
  dtype = jnp.uint8 if request.input == 'pixels' else jnp.float32
  size = request.image_size
  images = jax.ShapeDtypeStruct((rows, size, size, 3), dtype)
  platforms = request.platforms or _PLATFORMS
  return export.export(jax.jit(run), platforms=platforms)(images)


def open_file(path: paths.Path) -> Run:
  """Returns a function that runs a file in JAX."""
  exported = export.deserialize(bytearray(path.read_bytes()))
  run = jax.jit(exported.call)
  return lambda images: {n: np.asarray(x) for n, x in run(images).items()}
