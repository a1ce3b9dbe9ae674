"""Reads weights files as named arrays, without running code in them."""

from collections.abc import Iterator
import contextlib
import hashlib

from inception import paths
from inception.errors import UserError, reason
from inception.pretrained.formats.content import (
  Content,
  Statement,
  take_copy,
)
from inception.pretrained.formats.detect import (
  Format,
  checkpoint_prefix,
  find_format,
  parts_of,
)


def read_content(
  path: paths.Path, copy: str | None = None
) -> tuple[Content, Format]:
  """Reads a weights file.

  Args:
    path: The file. For a TensorFlow checkpoint, its prefix, or its index or
      data file.
    copy: Which copy of the weights to use if there are several; None uses the
      moving average if there is one.

  Returns:
    The content and its format. Arrays keep their names in the file; those of
    Keras are named `<layer>/<index in the layer>`.

  Raises:
    UserError: The file does not exist, holds no weights, or is damaged.
  """
  path = checkpoint_prefix(path)
  file_format = find_format(path)
  with _one_line(path, file_format), contextlib.ExitStack() as stack:
    # Open all parts first: the library would block on one that is a pipe.
    file, *_ = [
      stack.enter_context(paths.open_file(part)) for part in parts_of(path)
    ]
    content = file_format.read(file, copy)
    if not content.others:
      content = take_copy(content, None if copy == content.copy else copy)
    return content, file_format


def read_statement(
  path: paths.Path, content: Content, file_format: Format
) -> Statement:
  """Returns what a file says about the model's input and output.

  Raises:
    UserError: It cannot be recorded; names the layer.
  """
  with _one_line(path, file_format):
    return content.describe()


@contextlib.contextmanager
def _one_line(path: paths.Path, file_format: Format) -> Iterator[None]:
  """Converts any error of a format's library to a one-line `UserError`."""
  try:
    yield
  except UserError:
    raise
  # Each library raises its own errors for a malformed file.
  except Exception as error:
    raise UserError(
      f'cannot read {path} (detected format: {file_format.name}):'
      f' {reason(error)}'
    ) from error


def sha256(path: paths.Path) -> str:
  """Returns the SHA-256 of a weights file, or of all files of a checkpoint."""
  digest = hashlib.sha256()
  for part in parts_of(checkpoint_prefix(path)):
    with paths.open_file(part) as file:
      hashlib.file_digest(file, lambda: digest)  # Updates `digest`.
  return digest.hexdigest()
