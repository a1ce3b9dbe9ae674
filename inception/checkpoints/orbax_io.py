"""Writes and reads single checkpoints with Orbax.

Only this file imports Orbax.
"""

from collections.abc import Mapping
import functools
import logging as standard_logging
import sys
from typing import Any

from absl import logging
import orbax.checkpoint as ocp

from inception import paths
from inception.processes import distributed


class OrbaxIO:
  """Writes checkpoints in the background, each by an atomic rename."""

  def __init__(self) -> None:
    """Starts nothing: Orbax's threads start with the first use."""
    self._opened = False

  @functools.cached_property
  def _checkpointer(self) -> ocp.AsyncCheckpointer:
    self._opened = True
    _hide_messages()
    _hide_late_callbacks()
    # To Orbax, each process is alone: at its barriers, others would wait for a
    # failed one. `distributed.agreed` synchronizes them instead.
    index = distributed.process_index()
    alone = ocp.options.MultiprocessingOptions(
      primary_host=index,
      active_processes={index},
      barrier_sync_key_prefix=f'process{index}',
    )
    rename = ocp.options.AtomicityOptions(
      mode=ocp.options.AtomicityMode.ATOMIC_RENAME
    )
    return ocp.AsyncCheckpointer(
      ocp.CompositeCheckpointHandler(
        state=ocp.StandardCheckpointHandler(multiprocessing_options=alone),
        config=ocp.JsonCheckpointHandler(multiprocessing_options=alone),
        composite_options=ocp.CompositeOptions(
          multiprocessing_options=alone, atomicity_options=rename
        ),
      ),
      multiprocessing_options=alone,
      atomicity_options=rename,
    )

  def save(
    self, path: paths.Path, state: Mapping[str, Any], header: Mapping[str, Any]
  ) -> None:
    """Starts to write a checkpoint; raises whatever Orbax raises.

    Args:
      path: Folder to create for the checkpoint.
      state: Nested dicts of host arrays.
      header: JSON to store with them.
    """
    self._checkpointer.save(
      path,
      args=ocp.args.Composite(
        state=ocp.args.StandardSave(state), config=ocp.args.JsonSave(header)
      ),
    )

  def wait(self) -> None:
    """Waits for the last write; raises its error if it failed."""
    if self._opened:
      self._checkpointer.wait_until_finished()

  def restore(self, path: paths.Path) -> dict[str, Any]:
    """Returns nested dicts of host arrays; raises whatever Orbax raises."""
    return self._checkpointer.restore(
      path, args=ocp.args.Composite(state=ocp.args.StandardRestore())
    )['state']

  def close(self) -> None:
    """Waits for the last write, and releases Orbax's threads."""
    if self._opened:
      self._checkpointer.close()


@functools.cache
def _hide_messages() -> None:
  """Hides Orbax's log, which its threads and tasks fill with tracebacks.

  Errors are raised as exceptions anyway.
  """
  logging.get_absl_logger().addFilter(
    lambda record: '/orbax/' not in record.pathname
  )
  # After the first error, asyncio reports other failed tasks when collected.
  standard_logging.getLogger('asyncio').addFilter(
    lambda record: 'was never retrieved' not in record.getMessage()
  )


@functools.cache
def _hide_late_callbacks() -> None:
  """Hides follow-up errors from Orbax's threads after an error was raised.

  Orbax closes its event loop at the first error. Threads that still read or
  write then fail, one by one, to report to that loop.
  """
  report = sys.unraisablehook

  def hook(unraisable: Any) -> None:
    if str(unraisable.exc_value) != 'Event loop is closed':
      report(unraisable)

  sys.unraisablehook = hook
