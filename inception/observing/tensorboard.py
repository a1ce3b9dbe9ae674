"""TensorBoard event files with the rows of metrics.jsonl, and nothing else."""

from collections.abc import Sequence
import io
import os
import time
from typing import Any

from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.summary.writer import record_writer

from inception import paths
from inception.errors import UserError
from inception.files.growing_file import GrowingFile
from inception.observing.metrics import Row, numbers


class EventFile:
  """The event file of a run.

  It is rewritten when a run resumes, so that steps which a killed run repeats
  appear once. TensorBoard's own writer would hide errors in a thread.
  """

  def __init__(self, folder: paths.Path, rows: Sequence[Row]):
    """Replaces the event files in a folder, which is made if missing.

    Args:
      folder: Folder of the run's event files.
      rows: Rows that the run has logged.

    Raises:
      UserError: The folder cannot be written.
    """
    name = f'events.out.tfevents.{time.time_ns() // 1000}.{os.getpid()}'
    try:
      folder.mkdir(exist_ok=True)
      for entry in paths.entries(folder):
        if entry.name.startswith('events.out.tfevents.'):
          entry.unlink()
      self._file = GrowingFile(folder / name)
    except OSError as error:
      raise UserError(
        f'cannot write to {folder}: {error.strerror}; move it away'
      ) from error
    # Makes a running TensorBoard discard what it has read before.
    start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
    records = [
      format_event(file_version='brain.Event:2'),
      format_event(session_log=start, step=0),
      *map(_row_record, rows),
    ]
    self._file.append(b''.join(records))

  def write(self, row: Row) -> None:
    """Writes all numbers of a row; raises OSError as `GrowingFile.append`."""
    self._file.append(_row_record(row))

  def close(self) -> None:
    """Closes the file."""
    self._file.close()


def _row_record(row: Row) -> bytes:
  values = [
    summary_pb2.Summary.Value(tag=name, simple_value=value)
    for name, value in numbers(row).items()
  ]
  return format_event(
    wall_time=row.get('time', time.time()),
    step=row['step'],
    summary=summary_pb2.Summary(value=values),
  )


def format_event(**fields: Any) -> bytes:
  """Returns an `event_pb2.Event` with these fields as a record of a file."""
  fields.setdefault('wall_time', time.time())
  buffer = io.BytesIO()
  event = event_pb2.Event(**fields).SerializeToString()
  record_writer.RecordWriter(buffer).write(event)
  return buffer.getvalue()
