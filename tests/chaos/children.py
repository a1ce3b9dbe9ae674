"""Training runs in processes that start in a moment.

A fork server imports everything once; each run is forked from it.
"""

import contextlib
import multiprocessing
import os
import pathlib
import signal
import socket
import sys
import traceback

import ml_collections

from inception.config import compare
from inception.errors import USER_ERROR, UserError


def make_context():
  """Returns a multiprocessing context that forks from a warm process."""
  context = multiprocessing.get_context('forkserver')
  context.set_forkserver_preload(['tests.chaos.warm'])
  return context


class Children:
  """Processes of one run."""

  def __init__(
    self, context, config, workdir, output, processes=1, stop_at_step=None
  ):
    """Starts the run.

    Args:
      context: From `make_context`.
      config: Config of the run.
      workdir: Its workdir.
      output: File for its standard output and error.
      processes: Number of processes, which share four devices.
      stop_at_step: As that of `loop.train`.
    """
    with socket.socket() as probe:
      probe.bind(('localhost', 0))
      port = probe.getsockname()[1]
    fields = compare.to_json(config)
    self.processes = [
      context.Process(
        target=_train,
        args=(
          *(fields, str(workdir), str(output), port, index, processes),
          stop_at_step,
        ),
      )
      for index in range(processes)
    ]
    for process in self.processes:
      process.start()

  def running(self) -> bool:
    """True if all processes run."""
    return all(process.is_alive() for process in self.processes)

  def kill(self, index: int) -> None:
    """Kills one process with SIGKILL."""
    with contextlib.suppress(ProcessLookupError):
      os.kill(self.processes[index].pid, signal.SIGKILL)

  def join(self, seconds: float) -> list[int | None]:
    """Waits and returns the exit statuses; None for one that hangs."""
    for process in self.processes:
      process.join(seconds)
    return [process.exitcode for process in self.processes]


def _train(
  fields, workdir, output, port, index, processes, stop_at_step
) -> None:
  """Trains as train.py does, in a forked process."""
  descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
  os.dup2(descriptor, 1)
  os.dup2(descriptor, 2)
  # What relative paths in odd configs name is made there, not in the project.
  os.chdir(pathlib.Path(output).parent)
  os.environ['XLA_FLAGS'] = (
    f'--xla_force_host_platform_device_count={4 // processes}'
  )
  signal.signal(signal.SIGINT, signal.SIG_DFL)
  from inception import session
  from inception.training import loop

  config = ml_collections.ConfigDict(compare.from_json(fields)).lock()
  status = 1
  try:
    with session.session(
      f'localhost:{port}' if processes > 1 else None,
      processes,
      index,
      config.distributed.timeout_seconds,
    ):
      loop.train(config, pathlib.Path(workdir), stop_at_step=stop_at_step)
    status = 0
  except UserError as error:
    print(f'error: {error}', file=sys.stderr)
    status = USER_ERROR
  except SystemExit as error:
    status = error.code
  except BaseException:
    traceback.print_exc()
  sys.stdout.flush()
  sys.stderr.flush()
  os._exit(status)
