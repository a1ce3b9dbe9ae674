"""Paths given by users: every one of them goes through `resolve`.

Paths are `etils.epath` paths, which also support object stores. This project
needs random access to records, file locks and atomic renames, so `resolve`
accepts only local and mounted file systems for now.
"""

from collections.abc import Iterator
import contextlib
import errno
import io
import os
import re
import stat

from etils.epath import Path, PathLike

from inception.errors import UserError

__all__ = [
  'NotAFileError',
  'Path',
  'PathLike',
  'cache',
  'check_name',
  'entries',
  'exists',
  'make_writable',
  'not_written',
  'open_file',
  'read_bytes',
  'read_text',
  'replace',
  'resolve',
  'walk',
  'write_atomically',
]


def resolve(path: PathLike, name: str = 'the path') -> Path:
  """Returns a path, with `~` expanded.

  Args:
    path: A path on a local or mounted file system.
    name: Name of the path in errors, such as '--config.data.data_dir'.

  Raises:
    UserError: The path is empty, has control characters, or belongs to an
      object store.
  """
  text = os.fspath(path)
  if not text.strip():
    raise UserError(f'{name} is {text!r}; give a folder or a file')
  if min(text) < ' ':
    raise UserError(f'{name} {text!r} has a control character; rename it')
  if scheme := re.match(r'[\w+.-]+://', text):
    raise UserError(
      f'{text}: only local and mounted file systems are supported so far, not'
      f' {scheme[0]}; mount the bucket (gcsfuse, s3fs) or copy its files'
    )
  return Path(text).expanduser()


def cache() -> Path:
  """Returns the folder for files that can be rebuilt or downloaded again.

  $INCEPTION_HOME, else $XDG_CACHE_HOME/inception, else ~/.cache/inception.
  """
  if home := os.environ.get('INCEPTION_HOME'):
    return Path(home).expanduser()
  caches = os.environ.get('XDG_CACHE_HOME') or '~/.cache'
  return Path(caches).expanduser() / 'inception'


def check_name(folder: Path) -> None:
  """Refuses a folder whose checkpoints Orbax could write but not read.

  Orbax treats the path as a glob pattern and requires UTF-8. Control characters
  break logs and scripts.

  Raises:
    UserError: The path has such a character; names it.
  """
  text = str(folder.absolute())
  for character in text:
    is_byte = '\ud800' <= character <= '\udfff'  # Not UTF-8.
    if character in _SPECIAL or character < ' ' or is_byte:
      raise UserError(
        f'{text!r} has the character {character!r}, which would make its'
        ' checkpoints unreadable; use another folder'
      )


# Special in glob patterns.
_SPECIAL = '*?[\\'


class NotAFileError(OSError):
  """The path is a pipe, a device or a socket, not a regular file."""


def open_file(path: PathLike) -> io.BufferedReader:
  """Opens a regular file for reading.

  A pipe would block until something is written to it, and a device may never
  end.

  Raises:
    OSError: It cannot be opened, or is not a regular file.
  """
  file = open(  # noqa: SIM115, the caller closes it.
    path, 'rb', opener=lambda name, mode: os.open(name, mode | os.O_NONBLOCK)
  )
  if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
    return file
  file.close()
  raise NotAFileError(errno.EINVAL, 'it is not a regular file', os.fspath(path))


def read_bytes(path: PathLike) -> bytes:
  """Returns the content of a file.

  Raises:
    UserError: It cannot be read.
  """
  try:
    with open_file(path) as file:
      return file.read()
  except OSError as error:
    raise UserError(f'cannot read {path}: {error.strerror}') from error


def read_text(path: PathLike) -> str:
  """Returns the content of a text file.

  Raises:
    UserError: It cannot be read, or is not UTF-8.
  """
  try:
    return read_bytes(path).decode()
  except UnicodeDecodeError as error:
    raise UserError(f'{path} is not a text file in UTF-8') from error


def exists(path: PathLike) -> bool:
  """True if the path exists.

  Raises:
    UserError: It cannot be checked, for example for lack of permission.
  """
  try:
    os.stat(path)
  except (FileNotFoundError, NotADirectoryError):
    return False
  except OSError as error:
    raise UserError(f'cannot read {path}: {error.strerror}') from error
  return True


def entries(folder: PathLike) -> list[Path]:
  """Returns the paths of everything in a folder, ordered by name.

  Raises:
    UserError: It cannot be listed.
  """
  try:
    return [Path(folder) / name for name in sorted(os.listdir(folder))]
  except OSError as error:
    raise UserError(f'cannot list {folder}: {error.strerror}') from error


def walk(folder: PathLike) -> Iterator[tuple[str, list[str], list[str]]]:
  """Yields folders as `os.walk` does, following links.

  Raises:
    UserError: A folder cannot be listed; its files would be missing.
  """

  def fail(error: OSError) -> None:
    raise UserError(
      f'cannot list {error.filename}: {error.strerror}'
    ) from error

  return os.walk(folder, onerror=fail, followlinks=True)


@contextlib.contextmanager
def replace(path: Path) -> Iterator[io.BufferedWriter]:
  """Yields a file that replaces `path` once it is written.

  Readers never see a partial file, even after a crash. Symlinks are kept.

  Raises:
    UserError: The file cannot be written.
  """
  target = os.path.realpath(path)
  temporary = Path(os.path.dirname(target)) / f'.{path.name}.tmp'
  try:
    if os.path.exists(target) and not os.path.isfile(target):
      raise OSError(errno.EINVAL, 'it is not a regular file')
    with open(temporary, 'wb') as file:
      yield file
      file.flush()
      os.fsync(file.fileno())
    os.replace(temporary, target)
  except OSError as error:
    with contextlib.suppress(OSError):
      temporary.unlink(missing_ok=True)
    raise not_written(path, error) from error


def not_written(path: Path, error: OSError) -> UserError:
  """Returns the error of a file that could not be written."""
  return UserError(
    f'cannot write {path}: {error.strerror}; free some space or choose another'
    ' folder'
  )


def write_atomically(path: Path, content: str | bytes) -> None:
  """Writes a file atomically, with `replace`."""
  with replace(path) as file:
    # Bytes of paths that are not UTF-8 are escaped.
    file.write(
      content.encode(errors='backslashreplace')
      if isinstance(content, str)
      else content
    )


def make_writable(folder: Path) -> None:
  """Creates a folder; raises UserError if it is not writable."""
  try:
    folder.mkdir(parents=True, exist_ok=True)
    probe = folder / '.writable'
    probe.write_text('')
    probe.unlink()
  except OSError as error:
    raise UserError(
      f'cannot write to {folder}: {error.strerror}; choose another folder'
    ) from error
