"""Resumable downloads.

Bytes go to a temporary file, which survives a dropped connection or a killed
process. The next call requests only the rest (`Range`) of the same version of
the file (`If-Range`). This uses the standard library because no library that
fetches weights can resume, verify, and share a download between processes.
"""

from collections.abc import Iterator
import http.client
import os
import time
from typing import Any
import urllib.error
import urllib.parse
import urllib.request

import tqdm

from inception import paths
from inception.errors import FULL, UserError, reason
from inception.pretrained import partial

HUB = 'https://huggingface.co'

_TIMEOUT = 30.0  # Seconds without a response or a byte.
_ATTEMPTS = 5  # In a row, without receiving a byte.
_FIRST_PAUSE = 0.5  # Seconds; doubled after each failure.
_BLOCK = 2**18  # Bytes per read.

_HEADERS = {'User-Agent': 'inception-jax', 'Accept-Encoding': 'identity'}

_IMPORT = (
  'download it elsewhere and import it with python -m inception.pretrained'
  ' --file=FILE --output=FOLDER, and give FOLDER instead of the name'
)

# HTTP statuses worth retrying.
_TEMPORARY = frozenset({408, 425, 429, 500, 502, 503, 504})


class _CutError(Exception):
  """The transfer ended early; another attempt resumes it."""


def hub() -> str:
  """Returns the address of the Hugging Face Hub, or of its mirror."""
  return os.environ.get('HF_ENDPOINT', HUB).rstrip('/')


def download(url: str, part: paths.Path) -> str | None:
  """Downloads a file, resuming an earlier partial download if there is one.

  Args:
    url: URL of the file.
    part: File to write; complete when this returns.

  Returns:
    The SHA-256 that the Hugging Face Hub reports; None for other hosts.

  Raises:
    UserError: The download failed; the bytes received stay in `part`.
  """
  _refuse_offline(url)
  failures = 0
  while True:
    before = partial.size(part)
    try:
      return _transfer(url, part)
    except urllib.error.HTTPError as error:
      if error.code == 416:  # Nothing left to send: start again.
        part.unlink()
      elif error.code not in _TEMPORARY:
        raise _refused(url, error) from error
      failure = f'the host returned {error.code} {error.reason}'
    except urllib.error.URLError as error:
      failure = reason(error.reason)
    except (http.client.HTTPException, _CutError, OSError) as error:
      failure = reason(error)
    failures = 1 if partial.size(part) > before else failures + 1
    if failures == _ATTEMPTS:
      raise UserError(
        f'cannot download {url}: {failure}; run the command again to resume,'
        f' or {_IMPORT}'
      )
    time.sleep(_FIRST_PAUSE * 2 ** (failures - 1))


def _transfer(url: str, part: paths.Path) -> str | None:
  """Appends to `part` until the file is complete."""
  request = urllib.request.Request(url, headers=_HEADERS)
  token = os.environ.get('HF_TOKEN')
  if token and _origin(url) == _origin(hub()):
    request.add_unredirected_header('Authorization', f'Bearer {token}')
  size, validator = partial.size(part), partial.version(url, part)
  if size and validator:
    request.add_header('Range', f'bytes={size}-')
    request.add_header('If-Range', validator)
  redirects = _Redirects()
  opener = urllib.request.build_opener(redirects)
  try:
    response = opener.open(request, timeout=_TIMEOUT)
  except urllib.error.HTTPError as error:
    if error.headers.get('Content-Range') != f'bytes */{size}':
      raise
    # The part is complete: its process was killed after the last byte.
    return _stated_hash(url, redirects, error)
  with response:
    if response.headers.get_content_type() == 'text/html':
      raise UserError(
        f'{url} returned a web page, not a file; check whether the network asks'
        ' for a login'
      )
    if response.status == 206:
      _check_continues(response, size, validator, part)
    else:
      size = 0
      partial.begin(url, part, _validator(response))
    _append(response, part, size, url.rpartition('/')[2])
  return _stated_hash(url, redirects, response)


def _stated_hash(url: str, redirects: Any, response: Any) -> str | None:
  """Returns the SHA-256 that the Hub reports; None for other hosts."""
  stated = redirects.linked or response.headers.get('X-Linked-ETag')
  return sha256_of(stated) if _origin(url) == _origin(hub()) else None


def _append(response: Any, part: paths.Path, size: int, name: str) -> None:
  """Writes the response after the first `size` bytes of a file."""
  length = response.headers.get('Content-Length')
  total = None if length is None else size + int(length)
  try:
    with (
      open(part, 'ab') as file,
      tqdm.tqdm(
        total=total,
        initial=size,
        unit='B',
        unit_scale=True,
        desc=name,
        disable=None,  # Hidden without a terminal.
      ) as bar,
    ):
      file.truncate(size)
      for block in _blocks(response):
        file.write(block)
        bar.update(len(block))
      file.flush()
      os.fsync(file.fileno())
  except OSError as error:
    advice = 'set INCEPTION_HOME to a different folder'
    if error.errno in FULL:
      advice = 'free some space'
    raise UserError(
      f'cannot write {part}: {error.strerror}; {advice}'
    ) from error
  if total is not None and partial.size(part) != total:
    raise _CutError(f'received {partial.size(part):,} of {total:,} bytes')


def _blocks(response: Any) -> Iterator[bytes]:
  """Yields the body of a response in blocks."""
  try:
    while block := response.read(_BLOCK):
      yield block
  except (OSError, http.client.HTTPException) as error:
    raise _CutError(reason(error)) from error


class _Redirects(urllib.request.HTTPRedirectHandler):
  """Follows redirects; sends a token only to the host that it is for.

  Attributes:
    linked: ETag of the redirect's target, as reported by the Hub.
  """

  linked: str | None = None

  def redirect_request(
    self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str
  ) -> Any:
    self.linked = self.linked or headers.get('X-Linked-ETag')
    following = super().redirect_request(req, fp, code, msg, headers, newurl)
    token = req.unredirected_hdrs.get('Authorization')
    if following and token and _origin(newurl) == _origin(req.full_url):
      following.add_unredirected_header('Authorization', token)
    return following


def _origin(url: str) -> tuple[str, str]:
  parts = urllib.parse.urlsplit(url)
  return parts.scheme, parts.netloc


def _refuse_offline(url: str) -> None:
  names = ['INCEPTION_OFFLINE']
  if _origin(url) == _origin(hub()):
    names.append('HF_HUB_OFFLINE')
  for name in names:
    if os.environ.get(name, '').lower() in ('1', 'on', 'true', 'yes'):
      raise UserError(
        f'{url} is not on this machine, and {name} forbids downloads; unset'
        f' {name}, or {_IMPORT}'
      )


def _refused(url: str, error: urllib.error.HTTPError) -> UserError:
  if error.code in (404, 410):
    return UserError(f'{url} does not exist')
  if error.code in (401, 403) and _origin(url) == _origin(hub()):
    page = url.partition('/resolve/')[0]
    return UserError(
      f'access to {url} is denied: accept its license at {page} if required,'
      ' and set HF_TOKEN to your access token'
    )
  return UserError(
    f'cannot download {url}: the host returned {error.code} {error.reason}'
  )


def _validator(response: Any) -> str | None:
  """Returns the ETag of a response if it is strong, else its date."""
  etag = response.headers.get('ETag')
  if etag and not etag.startswith('W/'):
    return etag
  return response.headers.get('Last-Modified')


def _check_continues(
  response: Any, size: int, validator: str | None, part: paths.Path
) -> None:
  """Checks that a partial response continues the bytes in `part`."""
  starts = response.headers.get('Content-Range', '').startswith(
    f'bytes {size}-'
  )
  if not starts or _validator(response) not in (None, validator):
    part.unlink()
    raise _CutError('the file changed during the download')


def sha256_of(etag: str | None) -> str | None:
  """Returns an ETag or cache name of the Hub if it is a SHA-256, else None."""
  text = (etag or '').removeprefix('W/').strip('"').lower()
  is_hash = len(text) == 64 and not set(text) - set('0123456789abcdef')
  return text if is_hash else None
