"""Compiled networks for benchmarks, with their cost and peak memory."""

from collections.abc import Callable
import math
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import steps
from inception import architectures
from inception.data.sources import noise
from inception.evaluation.members import Procedure
from inception.evaluation.workdir import open_workdir
from inception.modules import compiler_options
from inception.modules.create import create_model
from inception.planning import programs
from inception.predict.predictor import Predictor
from inception.quantization import int8
from inception.quantization.folding import fold_batch_norm
from inception.quantization.quantize import Calibration, quantize
from inception.spec.cost import network_cost

Timed = tuple[dict[str, Any], Callable[[], object]]


def device_name() -> str:
  """Returns the number and kind of devices."""
  devices = jax.local_devices()
  return f'{len(devices)} {devices[0].device_kind}'


def random_network(architecture: str, precision: str, rows: int) -> Timed:
  """Compiles inference with random weights, for one device.

  Returns:
    Its description, as fields of a result, and a function that runs it once.
  """
  network, variables = random_weights(architecture, precision)
  size = network.architecture.input_size
  generator = np.random.default_rng(0)
  images = generator.uniform(-1, 1, (rows, size, size, 3)).astype(np.float32)
  if precision != 'int8':
    network, variables = fold_batch_norm(network, variables)

  def apply(variables: Any, images: jax.Array) -> jax.Array:
    return network.apply(variables, images).logits

  options = compiler_options.for_network(
    network.architecture, size, integers=precision == 'int8'
  )
  return _compile(
    Predictor(apply, options),
    variables,
    images,
    architecture=architecture,
    precision=precision,
    **_cost(architecture, size, network.num_classes),
  )


def random_weights(architecture: str, precision: str) -> tuple[Any, Any]:
  """Returns a network and random weights for it, which int8 calibrates."""
  real = 'float32' if precision == 'int8' else precision
  model = create_model(architecture, precision=real)
  size = model.architecture.input_size
  generator = np.random.default_rng(0)
  image = generator.uniform(-1, 1, (1, size, size, 3)).astype(np.float32)
  variables = _random_variables(model, image)
  if precision != 'int8':
    return model, variables
  calibration = Calibration(method='max')
  quantized = quantize(model, variables, [jnp.asarray(image)], calibration)
  return int8.make_quantized(model), quantized


def trained_network(workdir: str, precision: str, rows: int) -> Timed:
  """Compiles inference of a checkpoint, and evaluates it.

  Arguments and result are those of `random_network`, with `top1` and `top5`.
  """
  opened = open_workdir(workdir, protocol=Procedure(precision))
  (member,), scores = opened.members, opened.results()
  size = member.config.data.image_size
  architecture = member.config.model.architecture
  return _compile(
    member.predictor,
    member.variables,
    noise.make_batch(member.config.data, (1, rows))['image'][0],
    architecture=architecture,
    workdir=workdir,
    precision=precision,
    top1=scores['top1'],
    top5=scores['top5'],
    dataset=scores['dataset'],
    data_dir=scores['data_dir'],
    **_cost(
      architecture,
      size,
      member.config.model.num_classes,
      member.config.model.width,
      member.config.model.squeeze_excite,
    ),
  )


def training_step(architecture: str, precision: str, rows: int) -> Timed:
  """Compiles a training step of the default recipe, on all local devices.

  Arguments and result are those of `random_network`.
  """
  config = steps.make_config(architecture, rows, precision)
  step = steps.make_noise_step(config, jax.local_devices())
  begin = time.perf_counter()
  compiled = step.compile()
  about = {
    'project': 'ours',
    'kind': 'training',
    'architecture': architecture,
    'precision': precision,
    'batch_size': rows,
    'compile_seconds': time.perf_counter() - begin,
    **_peak_bytes(compiled),
    **_cost(architecture, config.data.image_size, 1000),
  }
  return about, step.take


def _compile(
  predictor: Predictor,
  variables: Any,
  images: Any,
  **about: Any,
) -> Timed:
  device = jax.local_devices()[0]
  variables, images = jax.device_put((variables, images), device)
  begin = time.perf_counter()
  lowered = jax.jit(predictor).lower(variables, images)
  compiled = lowered.compile(predictor.options)
  seconds = time.perf_counter() - begin
  described = {
    'project': 'ours',
    'kind': 'inference',
    **about,
    'batch_size': len(images),
    'compile_seconds': seconds,
    **_peak_bytes(compiled),
  }
  return described, lambda: jax.block_until_ready(compiled(variables, images))


def _peak_bytes(compiled: Any) -> dict[str, int]:
  # As planned by the compiler; CPUs do not measure it.
  memory = compiled.memory_analysis()
  return {} if memory is None else {'peak_bytes': programs.peak_bytes(memory)}


def _cost(
  architecture: str,
  size: int,
  num_classes: int,
  width: float = 1.0,
  squeeze_excite: int | None = None,
) -> dict[str, int]:
  table = architectures.make_table(architecture, width, squeeze_excite)
  cost = network_cost(table, size, size, num_classes)
  return {'parameters': cost.parameters, 'macs': cost.macs}


def _random_variables(model: Any, images: Any) -> Any:
  """Draws variables on the host, which is faster than compiling `init`."""
  shapes = jax.eval_shape(model.init, jax.random.key(0), images[:1])
  generator = np.random.default_rng(0)

  def draw(path: Any, leaf: Any) -> np.ndarray:
    if path[-1].key in ('scale', 'var'):
      return np.ones(leaf.shape, np.float32)
    scale = math.sqrt(2 / max(1, math.prod(leaf.shape[:-1])))
    return generator.normal(0, scale, leaf.shape).astype(np.float32)

  return jax.tree_util.tree_map_with_path(draw, shapes)
