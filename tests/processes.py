"""Starts tests.worker in processes, each with its own devices."""

import os
import socket
import subprocess
import time

from tests import warm

# Seconds that a process may take. Alone on an idle machine it needs a tenth.
LIMIT = 300


def start(
  command, workdir, *arguments, processes=1, devices=1
) -> list[subprocess.Popen]:
  """Starts `train` or `eval`; `arguments` may be a list per process."""
  with socket.socket() as probe:
    probe.bind(('localhost', 0))
    port = probe.getsockname()[1]
  environment = {
    **os.environ,
    'JAX_PLATFORMS': 'cpu',
    # A few steps take less time than optimizing their program.
    'XLA_FLAGS': f'--xla_force_host_platform_device_count={devices}'
    ' --xla_backend_optimization_level=0',
  }
  started = []
  for process in range(processes):
    line = [warm.python(), '-m', 'tests.worker', command]
    line.append(f'--workdir={workdir}')
    if command == 'train':
      line += [
        '--config=tests/tiny.py',
        '--config.distributed.timeout_seconds=5',
      ]
    if processes > 1:
      line += [
        f'--coordinator=localhost:{port}',
        f'--num_processes={processes}',
        f'--process_id={process}',
      ]
    for argument in arguments:
      line.append(argument if isinstance(argument, str) else argument[process])
    started.append(
      subprocess.Popen(
        line,
        cwd=warm.ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
      )
    )
  return started


def finish(started):
  """Returns (exit status, standard output, standard error) per process."""
  results = []
  for process in started:
    try:
      out, err = process.communicate(timeout=LIMIT)
    except subprocess.TimeoutExpired:
      for other in started:
        other.kill()
      raise
    results.append((process.returncode, out, err))
  return results


def wait_for(happens, started):
  """Waits until a function returns True, while the processes run."""
  end = time.monotonic() + LIMIT
  while not happens():
    for process in started:
      assert process.poll() is None, process.communicate()
    assert time.monotonic() < end, f'{happens} not after {LIMIT} s'
    time.sleep(0.05)


def run(*arguments, **keywords):
  """Starts processes and waits for them."""
  return finish(start(*arguments, **keywords))
