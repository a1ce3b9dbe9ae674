"""Options of XLA's compiler, chosen for each program."""

import functools
import os
from typing import Any
import warnings

import jax

from inception.processes import distributed
from inception.spec.cost import network_cost
from inception.spec.vocabulary import Architecture

Options = dict[str, Any]

# On CPUs, XLA may call oneDNN for convolutions and matrix products, but only
# for those that YNNPACK, its own library, leaves: here all but reductions.
ONEDNN = {
  'xla_cpu_experimental_onednn_custom_call': True,
  'xla_cpu_experimental_ynn_fusion_type': 'LIBRARY_FUSION_TYPE_REDUCE',
}

# Smaller networks gain nothing from oneDNN, and XLA cannot store programs that
# call it in the compilation cache.
_LARGE = 100e6  # Multiply-accumulates per image.


def for_network(
  architecture: Architecture, image_size: int, integers: bool = False
) -> Options:
  """Returns the options for programs that run a network.

  Empty for other devices, for integers, which need YNNPACK, and for several
  processes, as a compiled pmap takes no arrays of a single process.

  Args:
    architecture: The network.
    image_size: Height and width of its images, pixels.
    integers: It runs in int8.
  """
  if integers or not distributed.on_cpu() or distributed.process_count() > 1:
    return {}
  macs = network_cost(architecture, image_size, image_size).macs
  return _onednn() if macs >= _LARGE else {}


def for_initial_values() -> Options:
  """Returns the options for the program that draws initial parameters.

  On the CPU, XLA takes longer to optimize hundreds of random draws than to run
  them: 28 s against 6 s for a narrow GoogLeNet on two cores.
  """
  return {'xla_backend_optimization_level': 0} if distributed.on_cpu() else {}


def without_device(platform: str) -> Options:
  """Returns the options to compile for a device that is not there."""
  # Autotuning times algorithms on the GPU itself.
  return {'xla_gpu_autotune_level': '0'} if platform == 'gpu' else {}


@functools.cache
def _onednn() -> Options:
  """Returns `ONEDNN`, unless XLA_FLAGS has one of them or XLA lacks one."""
  if any(name in os.environ.get('XLA_FLAGS', '') for name in ONEDNN):
    return {}
  try:
    jax.jit(lambda x: x, compiler_options=ONEDNN).lower(0).compile()
  except jax.errors.JaxRuntimeError as error:
    distributed.warn(f'float networks run without oneDNN: {error}')
    return {}
  # JAX warns of each program that calls oneDNN.
  warnings.filterwarnings(
    'ignore', 'Error writing persistent compilation cache .*std::bad_alloc'
  )
  return ONEDNN
