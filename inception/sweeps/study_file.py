"""The study file: Optuna's database of trials."""

from collections.abc import Iterator
import contextlib
import itertools
import sqlite3

from inception import paths
from inception.errors import UserError

try:
  import optuna
  import sqlalchemy.exc
except ImportError as missing:
  raise UserError(
    "--search=optuna needs Optuna; pip install 'inception-jax[sweeps]'"
  ) from missing

__all__ = ['named', 'open_file', 'optuna', 'set_aside']

_FIRST_TRIALS = 4  # Finished trials before pruning begins.


def open_file(path: paths.Path, seed: int) -> optuna.Study:
  """Opens or creates a study; `seed` seeds the sampler of new trials."""
  # `creator` instead of a URL, in which Optuna would expand braces.
  storage = optuna.storages.RDBStorage(
    'sqlite://',
    engine_kwargs={'creator': lambda: sqlite3.connect(path.absolute())},
  )
  return optuna.create_study(
    storage=storage,
    study_name='sweep',
    direction='maximize',
    load_if_exists=True,
    sampler=optuna.samplers.TPESampler(seed=seed),
    pruner=optuna.pruners.MedianPruner(_FIRST_TRIALS),
  )


def set_aside(path: paths.Path) -> paths.Path:
  """Renames a study to the first free study-N.db; returns the new path."""
  names = (path.with_name(f'study-{i}.db') for i in itertools.count(1))
  kept = next(name for name in names if not name.exists())
  path.rename(kept)
  return kept


@contextlib.contextmanager
def named(path: paths.Path) -> Iterator[None]:
  """Converts database errors to a `UserError` that names the file."""
  try:
    yield
  except (
    sqlalchemy.exc.SQLAlchemyError,
    optuna.exceptions.StorageInternalError,
  ) as error:
    raise UserError(
      f'{path} is damaged or cannot be written; move it away and start again:'
      ' the search continues from its runs'
    ) from error
