"""Divides the accelerators or CPUs of this machine among runs."""

import glob
import os
import shutil
import subprocess

from inception.errors import UserError
from inception.sweeps.process import Place


def find_places(parallel: int | None, devices_per_run: int) -> list[Place]:
  """Returns one place per concurrent run.

  Args:
    parallel: Number of concurrent runs; None: as many as the accelerators
      allow, or one without accelerators.
    devices_per_run: Accelerators per run.

  Raises:
    UserError: There are too few accelerators or CPUs.
  """
  kind, devices = _accelerators()
  if not devices:
    if devices_per_run > 1:
      raise UserError(
        f'--devices_per_run={devices_per_run}: this machine has no accelerators'
      )
    return _share_cpus(parallel or 1)
  most = len(devices) // devices_per_run
  if most < (parallel or 1):
    raise UserError(
      f'--parallel={parallel or 1} with --devices_per_run={devices_per_run}'
      f' needs more than the {len(devices)} accelerators of this machine'
    )
  shares = [
    devices[i * devices_per_run : (i + 1) * devices_per_run]
    for i in range(parallel or most)
  ]
  return [Place((), _ENVIRONMENTS[kind](share)) for share in shares]


def _share_cpus(count: int) -> list[Place]:
  cpus = sorted(os.sched_getaffinity(0))
  if count == 1:
    return [Place()]
  if count > len(cpus):
    raise UserError(
      f'--parallel={count} is more than the {len(cpus)} CPUs of this machine'
    )
  return [Place(tuple(cpus[i::count])) for i in range(count)]


def _accelerators() -> tuple[str, list[str]]:
  """Returns their kind and IDs, without JAX, which would claim them."""
  if os.environ.get('JAX_PLATFORMS', '').startswith('cpu'):
    return 'cpu', []
  visible = os.environ.get('CUDA_VISIBLE_DEVICES')
  if visible is not None:
    return 'gpu', [name for name in visible.split(',') if name.strip()]
  if shutil.which('nvidia-smi'):
    listed = subprocess.run(
      ['nvidia-smi', '--query-gpu=index', '--format=csv,noheader'],
      capture_output=True,
      text=True,
    )
    if listed.returncode == 0:
      return 'gpu', listed.stdout.split()
  chips = glob.glob('/dev/accel[0-9]*') or glob.glob('/dev/vfio/[0-9]*')
  return 'tpu', [str(i) for i in range(len(chips))]


def _tpu(share: list[str]) -> dict[str, str]:
  # From Google's guide to running several programs on one TPU host.
  return {
    'TPU_VISIBLE_CHIPS': ','.join(share),
    'TPU_CHIPS_PER_PROCESS_BOUNDS': f'1,{len(share)},1',
    'TPU_PROCESS_BOUNDS': '1,1,1',
    'ALLOW_MULTIPLE_LIBTPU_LOAD': 'true',
  }


_ENVIRONMENTS = {
  'gpu': lambda share: {'CUDA_VISIBLE_DEVICES': ','.join(share)},
  'tpu': _tpu,
}
