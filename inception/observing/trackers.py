"""Experiment trackers: the rows of metrics.jsonl, sent to another service.

A thread sends them, so a tracker that is slow or down costs no training time.
Rows that could not be sent are retried, also after a restart of the run, as
tracker.json records the last one sent. metrics.jsonl is complete in any case.
"""

import collections
from collections.abc import Callable, Iterable, Mapping
import contextlib
import json
import os
import threading
import time
from typing import Any, Protocol
import uuid

from inception import paths
from inception.errors import UserError, count, reason, warn
from inception.files import json_text
from inception.observing.metrics import Row, numbers

_PROJECT = 'inception'
_FILE = 'tracker.json'
_RETRY_SECONDS = 30.0
# Time limit for sending the remaining rows at the end of a run.
_LAST_SECONDS = 20.0


class Client(Protocol):
  """Connection to a service; its methods may raise anything."""

  def log(self, step: int, values: Mapping[str, float], when: float) -> None:
    """Sends numbers of a step; `when` is in seconds since 1970."""

  def close(self) -> None:
    """Ends the connection."""


# Opens a client: workdir, id of the run, and its flat config.
OpenClient = Callable[[paths.Path, str, Mapping[str, Any]], Client]


class Tracker:
  """Sends rows in a thread."""

  def __init__(
    self,
    name: str,
    workdir: paths.Path,
    config: Mapping[str, Any],
    rows: Iterable[Row],
  ):
    """Starts the thread, which first sends the rows not sent before.

    Args:
      name: A name in `TRACKERS`.
      workdir: Workdir of the run.
      config: The flat config of the run.
      rows: Rows that the run has logged.

    Raises:
      UserError: The tracker's package is not installed.
    """
    self._name = name
    self._open = TRACKERS[name]()
    self._workdir = workdir
    self._config = config
    position = _read_position(workdir / _FILE, name)
    self._id, self._sent = position['id'], tuple(position['sent'])
    self._error = ''
    self._count = (-1, 0)  # Step of the last row, and rows of that step.
    self._waiting: collections.deque[tuple[tuple[int, int], Row]] = (
      collections.deque()
    )
    self._wake, self._closing = threading.Event(), threading.Event()
    for row in rows:
      self.write(row)
    self._thread = threading.Thread(target=self._send_all, daemon=True)
    self._thread.start()

  def write(self, row: Row) -> None:
    """Queues a row, unless it was sent before the run was resumed."""
    step, count = self._count
    self._count = (row['step'], count + 1 if step == row['step'] else 1)
    if self._count > self._sent:
      self._waiting.append((self._count, row))
      self._wake.set()

  def close(self) -> None:
    """Waits briefly for the remaining rows; warns if some are not sent."""
    self._closing.set()
    self._wake.set()
    self._thread.join(_LAST_SECONDS)
    if self._waiting:
      warn(
        f'{self._name} has not received {count(len(self._waiting), "row")}:'
        f' {self._error or "no response"}; start the run again to send them'
      )

  def _send_all(self) -> None:
    client: Client | None = None
    while True:
      try:
        if client is None and self._waiting:
          client = self._open(self._workdir, self._id, self._config)
        while client is not None and self._waiting:
          self._send_first(client)
        if client is not None and self._closing.is_set():
          client.close()
      except Exception as error:  # Each service has its own types.
        self._error = reason(error)
        client = None
      if self._closing.is_set():
        break
      self._wake.wait(_RETRY_SECONDS if self._waiting else None)
      self._wake.clear()

  def _send_first(self, client: Client) -> None:
    position, row = self._waiting[0]
    client.log(row['step'], numbers(row), row.get('time', time.time()))
    self._sent = position
    described = {'name': self._name, 'id': self._id, 'sent': position}
    paths.write_atomically(self._workdir / _FILE, json.dumps(described))
    self._waiting.popleft()


def _read_position(path: paths.Path, name: str) -> dict[str, Any]:
  """Returns the run's `id` in the tracker, and the last position `sent`."""
  with contextlib.suppress(UserError):
    match position := json_text.read(path):
      case {'name': n, 'id': str(), 'sent': [int(), int()]} if n == name:
        return position
  # For a new run. If the position is unreadable, all rows are sent again.
  return {'id': uuid.uuid4().hex[:12], 'sent': (-1, 0)}


def _wandb() -> OpenClient:
  try:
    import wandb
  except ImportError as error:
    raise _missing('wandb', 'Weights & Biases') from error

  class _Run:
    def __init__(self, workdir: paths.Path, run: str, config: Any):
      self._run = wandb.init(
        project=_PROJECT,
        id=run,
        resume='allow',
        name=workdir.absolute().name,
        dir=str(workdir),
        config=dict(config),
        settings=wandb.Settings(silent=True, console='off'),
      )

    def log(self, step: int, values: Mapping[str, float], when: float) -> None:
      self._run.log(dict(values), step=step)

    def close(self) -> None:
      self._run.finish()

  return _Run


def _mlflow() -> OpenClient:
  try:
    import mlflow
    from mlflow.entities import Metric, Param
  except ImportError as error:
    raise _missing('mlflow', 'MLflow') from error

  class _Run:
    def __init__(self, workdir: paths.Path, run: str, config: Any):
      place = f'sqlite:///{workdir.absolute() / "mlflow.db"}'
      uri = os.environ.get('MLFLOW_TRACKING_URI', place)
      self._client = mlflow.MlflowClient(tracking_uri=uri)
      found = self._client.get_experiment_by_name(_PROJECT)
      experiment = (
        found.experiment_id
        if found
        else self._client.create_experiment(_PROJECT)
      )
      runs = self._client.search_runs(
        [experiment], f"tags.inception_id = '{run}'"
      )
      if runs:
        self._run = runs[0].info.run_id
        return
      created = self._client.create_run(
        experiment,
        tags={'inception_id': run},
        run_name=workdir.absolute().name,
      )
      self._run = created.info.run_id
      params = [Param(name, str(value)[:500]) for name, value in config.items()]
      self._client.log_batch(self._run, params=params[:100])
      self._client.log_batch(self._run, params=params[100:])

    def log(self, step: int, values: Mapping[str, float], when: float) -> None:
      milliseconds = round(1000 * when)
      self._client.log_batch(
        self._run,
        metrics=[
          Metric(name, value, milliseconds, step)
          for name, value in values.items()
        ],
      )

    def close(self) -> None:
      self._client.set_terminated(self._run)

  return _Run


def _missing(package: str, name: str) -> UserError:
  return UserError(
    f"tracker={package} needs {name}; pip install 'inception-jax[trackers]'"
  )


# `config.tracker`. Each imports its package, or raises UserError.
TRACKERS: dict[str, Callable[[], OpenClient]] = {
  'wandb': _wandb,
  'mlflow': _mlflow,
}
