"""TensorBoard's HParams tab: what each run of a sweep has set."""

import time
from typing import Any

from tensorboard.compat.proto import summary_pb2
from tensorboard.plugins.hparams import api_pb2, summary

from inception import paths
from inception.sweeps import folder as f
from inception.sweeps.plan import Run
from inception.training.tensorboard import format_event

_STATUS = {
  f.FINISHED: api_pb2.STATUS_SUCCESS,
  f.FAILED: api_pb2.STATUS_FAILURE,
}


def record(folder: f.SweepFolder, run: Run, status: f.Status) -> None:
  """Adds a run's overrides and status to its event files.

  Args:
    folder: Folder of the sweep; give it to tensorboard --logdir.
    run: A run that has ended.
    status: How.

  Raises:
    UserError: The file cannot be written.
  """
  events = folder.workdir(run.name) / 'tensorboard'
  if not events.is_dir() or any(events.glob('*.hparams')):
    return  # It has logged nothing, or had ended before.
  values = {
    name: value if isinstance(value, bool | int | float | str) else str(value)
    for name, value in run.overrides.items()
  }
  start = summary.session_start_pb(values, group_name=run.name)
  end = summary.session_end_pb(
    _STATUS.get(status.status, api_pb2.STATUS_UNKNOWN)
  )
  content = b''.join(
    format_event(wall_time=time.time(), step=0, summary=_own(part))
    for part in (start, end)
  )
  # Read after the metrics, whose file has an earlier time in its name.
  name = f'events.out.tfevents.{time.time_ns() // 1000}.hparams'
  paths.write_atomically(events / name, content)


def _own(part: Any) -> summary_pb2.Summary:
  """Returns TensorBoard's own message; the plugin makes TensorFlow's."""
  return summary_pb2.Summary.FromString(part.SerializeToString())
