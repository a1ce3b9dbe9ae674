"""Starts tests.worker in processes, each with its own devices."""

from collections.abc import Callable, Sequence
import os
import pathlib
import socket
import subprocess
import time

from tests import warm

# Timeout in seconds: ten times what a run of two processes takes on an idle
# machine.
LIMIT = 300

Results = list[tuple[int, str, str]]


def start(
  command: str,
  workdir: pathlib.Path,
  *arguments: str | Sequence[str],
  config: str = 'tests/tiny.py',
  processes: int = 1,
  devices: int = 1,
  cwd: pathlib.Path = warm.ROOT,
) -> list[subprocess.Popen]:
  """Starts `train` or `eval`.

  Args:
    command: Name of the command.
    workdir: Its workdir.
    *arguments: Flags; a list has one for each process.
    config: Config file of `train`.
    processes: Number of processes.
    devices: Devices of each process.
    cwd: Working directory.
  """
  port = free_port()
  line = [warm.python(), '-m', 'tests.worker', command, f'--workdir={workdir}']
  if command == 'train':
    line.append(f'--config={config}')
  started = []
  for process in range(processes):
    own = [
      argument if isinstance(argument, str) else argument[process]
      for argument in arguments
    ]
    if processes > 1:
      own += [
        f'--coordinator=localhost:{port}',
        f'--num_processes={processes}',
        f'--process_id={process}',
      ]
    started.append(
      subprocess.Popen(
        [*line, *own],
        cwd=cwd,
        env=environment(devices),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
      )
    )
  return started


def environment(devices: int) -> dict[str, str]:
  """Returns the environment of a process with some devices."""
  return {
    **os.environ,
    'PYTHONPATH': f'{warm.ROOT}:{os.environ.get("PYTHONPATH", "")}',
    # A few steps take less time than optimizing their program.
    'XLA_FLAGS': f'--xla_force_host_platform_device_count={devices}'
    ' --xla_backend_optimization_level=0',
  }


def free_port() -> int:
  """Returns a TCP port that nothing listens on."""
  with socket.socket() as probe:
    probe.bind(('localhost', 0))
    return probe.getsockname()[1]


def finish(started: Sequence[subprocess.Popen]) -> Results:
  """Returns (exit status, standard output, standard error) per process.

  Raises:
    AssertionError: A process hangs; contains the output of all.
  """
  results, hangs = [], []
  for process in started:
    try:
      out, err = process.communicate(timeout=0 if hangs else LIMIT)
    except subprocess.TimeoutExpired:
      process.kill()
      out, err = process.communicate()
      hangs.append(process.args)
    results.append((process.returncode, out, err))
  assert not hangs, f'not done after {LIMIT} s: {hangs}; {results}'
  return results


def wait_for(
  what: str, happens: Callable[[], bool], started: Sequence[subprocess.Popen]
) -> None:
  """Waits until a function returns True, while the processes run.

  Raises:
    AssertionError: A process ended first, or the wait timed out.
  """
  end = time.monotonic() + LIMIT
  while not happens():
    for process in started:
      assert process.poll() is None, process.communicate()
    assert time.monotonic() < end, f'{what} did not happen within {LIMIT} s'
    time.sleep(0.05)


def run(*arguments, **keywords) -> Results:
  """Starts processes and waits for them."""
  return finish(start(*arguments, **keywords))
