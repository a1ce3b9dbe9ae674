"""Weights by name: fetched and converted on first use.

    inception_v3.tv_in1k              a row of `published`
    hf:owner/name[@revision]          a timm repository on the Hugging Face Hub

The result is a checkpoint in the cache, like that of any imported weights.
"""

from collections.abc import Iterator
import contextlib
import difflib
import gzip
import os
import shutil
import tarfile
import tempfile
import zlib

from inception import paths
from inception.errors import UserError, reason
from inception.pretrained import download, fetch, hub, published
from inception.pretrained.fetch import Fetched
from inception.pretrained.import_file import Choices, Report, import_file
from inception.pretrained.published import Published

# Version of the conversion. Increment it to convert fetched files again.
_VERSION = 1


def find(workdir: paths.PathLike) -> paths.Path:
  """Returns the folder of a checkpoint, given its path or its name.

  Args:
    workdir: A folder, or the name of weights if there is no such path.

  Raises:
    UserError: The weights cannot be fetched, or their name is wrong.
  """
  path = paths.resolve(workdir)
  return load(os.fspath(workdir)) if is_name(workdir) else path


def is_name(workdir: paths.PathLike) -> bool:
  """True for the name of weights, even misspelled; False for a path."""
  text = os.fspath(workdir)
  if os.path.exists(text):
    return False
  near = difflib.get_close_matches(text, published.rows(), 1, 0.8)
  return text.startswith(hub.PREFIX) or bool(near)


def load(name: str) -> paths.Path:
  """Returns the folder of named weights in the cache; creates it if missing.

  Raises:
    UserError: There are no such weights, or they cannot be fetched.
  """
  _check(name)
  converted = fetch.folder(name) / f'v{_VERSION}'
  if not converted.exists():
    temporary = converted.with_name('converting')
    with fetch.alone(name):
      # Another process may have been faster.
      if not converted.exists():
        shutil.rmtree(temporary, ignore_errors=True)
        _import(name, temporary)
        os.replace(temporary, converted)
  return converted


def save(name: str, output: paths.Path) -> Report:
  """Writes named weights to a folder as a checkpoint.

  Raises:
    UserError: There are no such weights, they cannot be fetched, or the folder
      cannot be written.
  """
  _check(name)
  with fetch.alone(name):
    return _import(name, output)


def _check(name: str) -> None:
  """Checks a name before its cache folder is created."""
  if name.startswith(hub.PREFIX):
    hub.base_url(name)
  else:
    published.lookup(name)


def fetch_row(name: str) -> tuple[Published, Fetched]:
  """Returns the description of named weights, and their file.

  Raises:
    UserError: There are no such weights, or they cannot be fetched.
  """
  own = fetch.folder(name)
  is_hub = name.startswith(hub.PREFIX)
  row = hub.read(name, own) if is_hub else published.lookup(name)
  urls = [url.replace(download.HUB, download.hub(), 1) for url in row.urls]
  remote = fetch.Remote(name, urls, row.hash, row.hash_kind)
  return row, fetch.fetch(remote, own)


def _import(name: str, output: paths.Path) -> Report:
  """Fetches weights and converts them."""
  row, fetched = fetch_row(name)
  choices = Choices(row.project, row.architecture, transform=row.transform)
  with _unpacked(fetched.path, row.urls[0]) as file:
    report = import_file(file, output, choices, row.adjust, row.urls[0])
  # Only now, so that an unverified file that cannot be read is fetched again.
  fetch.remember(fetched, fetch.folder(name))
  return report


@contextlib.contextmanager
def _unpacked(path: paths.Path, url: str) -> Iterator[paths.Path]:
  """Yields a file, or the checkpoint in it if it is an archive of TF-slim.

  Raises:
    UserError: The archive is damaged, or holds no checkpoint.
  """
  if not url.endswith('.tar.gz'):
    yield path
    return
  with tempfile.TemporaryDirectory(dir=path.parent) as folder:
    try:
      with tarfile.open(path) as archive:
        names = [
          _extract(archive, member, paths.Path(folder))
          for member in archive.getmembers()
          if member.isfile() and '.ckpt' in os.path.basename(member.name)
        ]
    except (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error) as error:
      raise UserError(f'{url} is damaged: {reason(error)}') from error
    if not names:
      raise UserError(f'{url} contains no TensorFlow checkpoint')
    yield names[0]


def _extract(
  archive: tarfile.TarFile, member: tarfile.TarInfo, folder: paths.Path
) -> paths.Path:
  """Extracts a file of an archive into a folder, under its base name."""
  target = folder / os.path.basename(member.name)
  source = archive.extractfile(member)
  assert source is not None  # It is a file.
  with open(target, 'wb') as file:
    shutil.copyfileobj(source, file)
  return target
