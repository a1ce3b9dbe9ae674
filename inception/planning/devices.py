"""Describes chips for ahead-of-time compilation; needs no chip."""

from collections.abc import Callable, Mapping
import dataclasses
import functools
import importlib.util
import os
from typing import Any

import jax
from jax.experimental import topologies

from inception.errors import UserError, reason
from inception.planning.chips import Topology

# XLA's description of a GPU. Both supported ones are of the Hopper generation
# and differ in their memory.
_HOPPER = """
gpu_device_info {{
  cuda_compute_capability {{ major: 9 }}
  core_count: 132
  fpus_per_core: 128
  threads_per_warp: 32
  threads_per_block_limit: 1024
  threads_per_core_limit: 2048
  block_dim_limit_x: 2147483647
  block_dim_limit_y: 65535
  block_dim_limit_z: 65535
  registers_per_core_limit: 65536
  registers_per_block_limit: 65536
  shared_memory_per_core: 233472
  shared_memory_per_block: 49152
  shared_memory_per_block_optin: 232448
  l2_cache_size: 52428800
  clock_rate_ghz: {clock}
  memory_bandwidth: {bandwidth}
  device_memory_size: {memory}
}}
platform_name: "CUDA"
dnn_version_info {{ major: 9 minor: 10 }}
device_description_str: "{name}"
"""


@functools.cache
def describe(topology: Topology) -> tuple[Any, ...]:
  """Returns descriptions of the chips of a topology.

  Raises:
    UserError: The compiler is not installed, or does not know the topology.
  """
  compiler = _COMPILERS[topology.chip.platform]
  if importlib.util.find_spec(compiler.package) is None:
    raise UserError(
      f'planning for a {compiler.target} needs its compiler; install it with:'
      f' pip install {compiler.install!r}'
    )
  for name, value in compiler.environment.items():
    os.environ.setdefault(name, value)
  try:
    described = compiler.describe(topology)
  except (ValueError, jax.errors.JaxRuntimeError) as error:
    raise UserError(
      f'topology={topology.name} is not known to {compiler.package}:'
      f' {reason(error)}'
    ) from error
  return tuple(described.devices[: topology.size])


def _tpus(topology: Topology) -> topologies.TopologyDescription:
  shape = topology.shape
  if topology.size == 1:
    # The smallest mesh has four chips; `describe` keeps one.
    shape = (2, 2, 1)[: len(shape)]
  name = f'{topology.kind}:{"x".join(map(str, shape))}'
  return topologies.get_topology_desc(name, platform='tpu')


def _gpus(topology: Topology) -> topologies.TopologyDescription:
  chip = topology.chip
  target = _HOPPER.format(
    clock=chip.clock / 1e9,
    bandwidth=round(chip.bandwidth),
    memory=chip.memory,
    name=topology.kind,
  )
  return topologies.get_topology_desc(
    topology.kind,
    platform='cuda',
    target_config=target,
    topology=f'1x1x{topology.size}',  # Slices, hosts, GPUs of each host.
  )


@dataclasses.dataclass(frozen=True)
class _Compiler:
  """The package that compiles for a platform, and its environment."""

  target: str
  package: str
  install: str
  environment: Mapping[str, str]
  describe: Callable[[Topology], topologies.TopologyDescription]


_COMPILERS = {
  'tpu': _Compiler(
    target='TPU',
    package='libtpu',
    install='jax[tpu]',
    # No TPU is used: skip querying its type and locking it.
    environment={
      'TPU_SKIP_MDS_QUERY': '1',
      'TPU_WORKER_HOSTNAMES': 'localhost',
      'TPU_ACCELERATOR_TYPE': 'v5litepod-4',
      'ALLOW_MULTIPLE_LIBTPU_LOAD': '1',
    },
    describe=_tpus,
  ),
  'cuda': _Compiler(
    target='GPU',
    package='jax_cuda12_plugin',
    install='jax[cuda12]',
    # Otherwise JAX queries the driver, which may not be installed.
    environment={'JAX_SKIP_CUDA_CONSTRAINTS_CHECK': '1'},
    describe=_gpus,
  ),
}
