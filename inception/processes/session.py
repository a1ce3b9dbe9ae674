"""Joining the other processes of a run, and leaving them at the end."""

from collections.abc import Iterator
import contextlib
import importlib.util
import os
import re
import threading

import jax

# JAX has no public API for the key-value store of the coordinator.
from jax._src import distributed as internals

from inception.errors import (
  USER_ERROR,
  UserError,
  is_users,
  reason,
  standard_error_closed,
  warn,
)
from inception.processes import distributed
from inception.processes.heartbeats import Heartbeats

_SLOW = 15.0  # Seconds of waiting until a message says so.


@contextlib.contextmanager
def session(
  coordinator: str | None,
  num_processes: int | None,
  process_id: int | None,
  timeout_seconds: float,
) -> Iterator[None]:
  """Joins the other processes of a run, and leaves them at the end.

  An argument that is None is read from JAX_COORDINATOR_ADDRESS,
  JAX_NUM_PROCESSES or JAX_PROCESS_ID, else from what JAX detects on Slurm, Open
  MPI, Kubernetes and Cloud TPU. If nothing is found, or `num_processes` is 1,
  the process runs alone.

  Args:
    coordinator: host:port of process 0.
    num_processes: Number of processes.
    process_id: Index of this process.
    timeout_seconds: A process that has not answered for this long is lost. The
      others then end with status `errors.RESTART`.

  Raises:
    UserError: The processes cannot be joined.
  """
  heartbeats = Heartbeats(
    timeout_seconds, lambda: internals.global_state.coordinator_address
  )
  if not _join(coordinator, num_processes, process_id, timeout_seconds):
    heartbeats.cancel()
    yield
    return
  client = internals.global_state.client
  heartbeats.start(
    client, distributed.process_index(), distributed.process_count()
  )
  try:
    yield
    distributed.wait_for_all('end')
  except BaseException as error:
    if _is_of_a_collective(error):
      heartbeats.wait_for_loss()
    heartbeats.leave(_exit_status(error), str(error))
    raise
  heartbeats.leave(0)


def _is_of_a_collective(error: BaseException) -> bool:
  """True for errors of a collective (CPU or GPU) that has lost a process."""
  is_known = isinstance(error, jax.errors.JaxRuntimeError | ValueError)
  return is_known and re.match(r'[A-Z_]+: ', str(error)) is not None


def _exit_status(error: BaseException) -> int:
  match error:
    case SystemExit(code=int(code)):
      return code
    case UserError():
      return USER_ERROR
    case OSError() if is_users(error):
      return USER_ERROR
  return 1


def _join(
  coordinator: str | None,
  num_processes: int | None,
  process_id: int | None,
  timeout_seconds: float,
) -> bool:
  """Connects to the coordinator; returns False if this process is alone."""
  coordinator = coordinator or os.environ.get('JAX_COORDINATOR_ADDRESS')
  if num_processes is None:
    num_processes = _number('JAX_NUM_PROCESSES')
  if process_id is None:
    process_id = _number('JAX_PROCESS_ID')
  if num_processes is not None and (process_id or 0) >= num_processes:
    raise UserError(
      f'--process_id={process_id} must be below --num_processes={num_processes}'
    )
  given = (coordinator, num_processes, process_id)
  nothing_given = all(value is None for value in given)
  alone_on_slurm = nothing_given and os.environ.get('SLURM_NTASKS') == '1'
  if num_processes == 1 or alone_on_slurm:
    return False
  if nothing_given:
    _warn_of_kubernetes()
  # By default, JAX aborts every process when one is lost, with a C++ stack
  # trace, and its preemption service keeps SIGTERM from the training loop.
  jax.config.update('jax_enable_recoverability', True)
  jax.config.update('jax_enable_preemption_service', False)
  try:
    # Hides JAX's log; its errors are also raised.
    with (
      standard_error_closed() as error_output,
      _said_if_slow(error_output, process_id, coordinator),
    ):
      jax.distributed.initialize(
        coordinator,
        num_processes,
        process_id,
        heartbeat_timeout_seconds=round(2 * timeout_seconds),
        shutdown_timeout_seconds=round(timeout_seconds),
      )
  except (ValueError, RuntimeError) as error:
    if nothing_given and 'coordinator_address' in str(error):
      return False  # No sign of other processes.
    raise UserError(
      f'cannot join the other processes: {reason(error)}; give all of'
      ' --coordinator=HOST:PORT, --num_processes and --process_id, or'
      ' --num_processes=1 to run alone'
    ) from error
  return distributed.process_count() > 1


@contextlib.contextmanager
def _said_if_slow(
  error_output: int, process_id: int | None, coordinator: str | None
) -> Iterator[None]:
  """Prints what it is waiting for, if the block takes long."""
  who = '' if process_id is None else f'process {process_id}: '
  where = '' if coordinator is None else f' at {coordinator}'
  text = f'{who}waiting for the other processes{where}\n'
  timer = threading.Timer(_SLOW, os.write, (error_output, text.encode()))
  timer.daemon = True
  timer.start()
  try:
    yield
  finally:
    timer.cancel()


def _warn_of_kubernetes() -> None:
  # JAX's own warning would be lost among its other messages.
  is_missing = importlib.util.find_spec('kubernetes') is None
  if 'JOB_COMPLETION_INDEX' in os.environ and is_missing:
    warn(
      'this is a pod of a Kubernetes job, which JAX detects only if the package'
      " kubernetes is installed (pip install 'jax[k8s]'); running alone. Give"
      ' --coordinator, --num_processes and --process_id, or --num_processes=1'
    )


def _number(variable: str) -> int | None:
  text = os.environ.get(variable)
  if text is None or text.isdecimal():
    return None if text is None else int(text)
  raise UserError(f'the environment variable {variable}={text} is not a number')
