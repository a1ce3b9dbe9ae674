"""TensorBoard's HParams tab: the overrides of each run of a sweep."""

import time

from tensorboard.compat.proto import summary_pb2
from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2

from inception import paths
from inception.observing.tensorboard import format_event
from inception.sweeps import sweep_folder as f
from inception.sweeps.grid import Run

_STATUS = {
  f.FINISHED: api_pb2.STATUS_SUCCESS,
  f.FAILED: api_pb2.STATUS_FAILURE,
}


def record(folder: f.SweepFolder, run: Run, status: f.Status) -> None:
  """Adds the overrides and status of a run that has ended to its event files.

  To see them, run `tensorboard --logdir` on the folder of the sweep.

  Raises:
    UserError: The file cannot be written.
  """
  events = folder.workdir(run.name) / 'tensorboard'
  if not events.is_dir() or any(
    entry.suffix == '.hparams' for entry in paths.entries(events)
  ):
    return  # Nothing was logged, or this was recorded before.
  start = plugin_data_pb2.SessionStartInfo(
    group_name=run.name, start_time_secs=time.time() - status.seconds
  )
  for name, value in run.overrides.items():
    if isinstance(value, bool):
      start.hparams[name].bool_value = value
    elif isinstance(value, int | float):
      start.hparams[name].number_value = value
    else:
      start.hparams[name].string_value = str(value)
  end = plugin_data_pb2.SessionEndInfo(
    status=_STATUS.get(status.status, api_pb2.STATUS_UNKNOWN),
    end_time_secs=time.time(),
  )
  content = _event(
    metadata.SESSION_START_INFO_TAG,
    plugin_data_pb2.HParamsPluginData(session_start_info=start),
  ) + _event(
    metadata.SESSION_END_INFO_TAG,
    plugin_data_pb2.HParamsPluginData(session_end_info=end),
  )
  # The later time in its name makes TensorBoard read it after the metrics.
  name = f'events.out.tfevents.{time.time_ns() // 1000}.hparams'
  paths.write_atomically(events / name, content)


def _event(tag: str, data: plugin_data_pb2.HParamsPluginData) -> bytes:
  # The plugin's own functions would import TensorFlow.
  value = summary_pb2.Summary.Value(
    tag=tag,
    metadata=metadata.create_summary_metadata(data),
    tensor=metadata.NULL_TENSOR,
  )
  summary = summary_pb2.Summary(value=[value])
  return format_event(wall_time=time.time(), step=0, summary=summary)
