"""Published files: fetched once, verified, and stored by hash.

In the cache of this project (`paths.cache`):

    weights/files/<sha256>        a file
    weights/<name>/fetched.json   its hash, and who published the hash
    weights/<name>/lock           held by the one process that works on the name
"""

from collections.abc import Iterator, Sequence
import contextlib
import dataclasses
import hashlib
import os

from inception import paths
from inception.errors import UserError, warn
from inception.files import json_text
from inception.files.file_lock import locked
from inception.pretrained import download, partial

Known = dict[str, str]

_RECORD = 'fetched.json'


@dataclasses.dataclass(frozen=True)
class Remote:
  """A file to fetch.

  Attributes:
    name: Name in this project, such as 'inception_v3.tv_in1k'.
    urls: URLs of the file; the content is the same at each.
    hash: An MD5, or the first digits of a SHA-256; None if none is published.
    hash_kind: 'md5' or 'sha256'.
  """

  name: str
  urls: Sequence[str]
  hash: str | None = None
  hash_kind: str | None = None


@dataclasses.dataclass(frozen=True)
class Fetched:
  """A file on this machine.

  Attributes:
    path: The file.
    sha256: SHA-256 of its content.
    verified: Who published its hash; '' if nobody did.
  """

  path: paths.Path
  sha256: str
  verified: str


class OtherContentError(UserError):
  """A file does not have the expected hash."""


def folder(name: str) -> paths.Path:
  """Returns the cache folder of a name."""
  return paths.cache() / 'weights' / name.replace(':', '--').replace('/', '--')


@contextlib.contextmanager
def alone(name: str) -> Iterator[paths.Path]:
  """Locks a name for this process; yields its folder.

  Raises:
    UserError: The cache cannot be written.
  """
  own = folder(name)
  with contextlib.ExitStack() as stack:
    try:
      own.mkdir(parents=True, exist_ok=True)
      stack.enter_context(locked(own / 'lock', wait=True))
    except OSError as error:
      raise UserError(
        f'cannot write to {own}: {error.strerror}; set INCEPTION_HOME to a'
        ' different folder'
      ) from error
    yield own


def fetch(remote: Remote, own: paths.Path) -> Fetched:
  """Returns a published file; downloads it if it is not on this machine.

  Args:
    remote: The file.
    own: Its cache folder, locked by `alone`.

  Raises:
    UserError: It cannot be downloaded, or does not have the hash that was
      published, or that of an earlier download.
  """
  known = _known(own / _RECORD)
  fetched = _here(remote, known) or _download(remote, own / 'part', known)
  if fetched.verified:
    remember(fetched, own)
  return fetched


def _known(record: paths.Path) -> Known:
  """Returns `sha256` and `verified` of an earlier fetch, if there was one."""
  if not record.exists():
    return {}
  known = json_text.read(record)
  wrong = not isinstance(known, dict) or known.keys() != {'sha256', 'verified'}
  if wrong or not all(isinstance(value, str) for value in known.values()):
    raise UserError(f'{record} is damaged; delete it to download again')
  return known


def remember(fetched: Fetched, own: paths.Path) -> None:
  """Records the hash that the file must have from now on."""
  found = {'sha256': fetched.sha256, 'verified': fetched.verified}
  paths.write_atomically(own / _RECORD, json_text.dump(found))


def _here(remote: Remote, known: Known) -> Fetched | None:
  """Returns the file from this cache or that of another library."""
  candidates = [path for url in remote.urls for path in _of_peers(url)]
  if known:
    candidates.insert(0, _kept(known['sha256']))
  for path in candidates:
    if not path.is_file():
      continue
    # The cache of huggingface_hub names files by their hashes.
    stated = download.sha256_of(os.path.basename(os.path.realpath(path)))
    try:
      fetched = _check(remote, path, stated, known)
    except OtherContentError:
      continue
    if fetched.verified or known:
      return fetched
  return None


def _download(remote: Remote, part: paths.Path, known: Known) -> Fetched:
  """Downloads a file from the first URL that has the right content."""
  for url in remote.urls:
    try:
      return _download_from(url, remote, part, known)
    except UserError as error:
      if url == remote.urls[-1]:
        raise
      warn(f'{error}; trying another URL')
  raise AssertionError('no URLs')


def _download_from(
  url: str, remote: Remote, part: paths.Path, known: Known
) -> Fetched:
  resumed = part.exists()
  stated = download.download(url, part)
  try:
    fetched = _check(remote, part, stated, known)
  except OtherContentError:
    partial.discard(part)
    if not resumed:
      raise
    # The resumed file may mix two versions.
    return _download_from(url, remote, part, known)
  kept = _kept(fetched.sha256)
  kept.parent.mkdir(exist_ok=True)
  os.replace(part, kept)
  partial.discard(part)
  if not fetched.verified:
    warn(
      f'no hash is published for {url}; if the file can be read, later'
      f' downloads must have the SHA-256 {fetched.sha256}'
    )
  return dataclasses.replace(fetched, path=kept)


def _check(
  remote: Remote, path: paths.Path, stated: str | None, known: Known
) -> Fetched:
  """Verifies a file; returns it with the publisher of its hash.

  Raises:
    OtherContentError: It has a different hash.
  """
  sha256 = hash_of(path, 'sha256')
  found, expected, who = sha256, known.get('sha256', ''), 'the first download'
  if expected in ('', sha256):
    who = known.get('verified', '')
    if remote.hash:
      expected, who = remote.hash, 'its project'
      found = sha256 if remote.hash_kind == 'sha256' else hash_of(path, 'md5')
    elif stated:
      expected, who = stated, 'the Hugging Face Hub'
  if not found.startswith(expected):
    raise OtherContentError(
      f'{remote.name}: the file at {remote.urls[0]} has the hash {found}, not'
      f' {expected} from {who}; the file was discarded'
    )
  return Fetched(path, sha256, who)


def _of_peers(url: str) -> Iterator[paths.Path]:
  """Yields where torch, facenet-pytorch, Keras and the Hub cache a file."""
  name = url.rpartition('/')[2]
  if url.startswith(download.hub()) and '/resolve/' in url:
    yield _of_hub(url)
    return
  torch = _folder('TORCH_HOME') or _caches() / 'torch'
  yield torch / 'hub' / 'checkpoints' / name
  yield torch / 'checkpoints' / name
  keras = _folder('KERAS_HOME') or paths.Path('~/.keras').expanduser()
  yield keras / 'models' / name


def _of_hub(url: str) -> paths.Path:
  """Returns where huggingface_hub caches a file."""
  path = url.removeprefix(download.hub())
  owner, name, _, revision, *parts = path.strip('/').split('/')
  home = _folder('HF_HOME') or _caches() / 'huggingface'
  repository = (_folder('HF_HUB_CACHE') or home / 'hub') / (
    f'models--{owner}--{name}'
  )
  reference = repository / 'refs' / revision
  if reference.is_file():
    revision = paths.read_text(reference).strip()
  return repository.joinpath('snapshots', revision, *parts)


def _folder(variable: str) -> paths.Path | None:
  value = os.environ.get(variable)
  return paths.Path(value).expanduser() if value else None


def _caches() -> paths.Path:
  return _folder('XDG_CACHE_HOME') or paths.Path('~/.cache').expanduser()


def _kept(sha256: str) -> paths.Path:
  return paths.cache() / 'weights' / 'files' / sha256


def hash_of(path: paths.PathLike, kind: str) -> str:
  """Returns the hash of a file's content, in hexadecimal digits."""
  with paths.open_file(path) as file:
    return hashlib.file_digest(file, kind).hexdigest()
