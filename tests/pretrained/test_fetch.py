"""Fetching published files: resumed, verified, shared, refused."""

import errno
import hashlib
import multiprocessing
import os
import random
import signal
import time

import pytest

from inception.errors import UserError
from inception.pretrained import download, fetch
from tests.pretrained import web
from tests.pretrained.web import Page

FILE = random.Random(0).randbytes(3_000_000)
OTHER = random.Random(1).randbytes(3_000_000)


def sha256(content):
  return hashlib.sha256(content).hexdigest()


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
  """Puts all caches into an empty folder and shortens pauses."""
  for name in ('HF_HUB_CACHE', 'HF_HOME', 'TORCH_HOME', 'KERAS_HOME'):
    monkeypatch.setenv(name, str(tmp_path / name))
  for name in ('HF_TOKEN', 'HF_ENDPOINT', 'HF_HUB_OFFLINE'):
    monkeypatch.delenv(name, raising=False)
  monkeypatch.delenv('INCEPTION_OFFLINE', raising=False)
  monkeypatch.setenv('INCEPTION_HOME', str(tmp_path / 'cache'))
  monkeypatch.setattr(download, '_FIRST_PAUSE', 0.001)
  return tmp_path / 'cache'


@pytest.fixture
def server():
  with web.serve() as running:
    yield running


HASH = sha256(FILE)


def get(url, digest=HASH, name='net.tag'):
  urls = [url] if isinstance(url, str) else url
  kind = None if digest is None else 'sha256'
  with fetch.alone(name) as own:
    return fetch.fetch(fetch.Remote(name, urls, digest, kind), own)


def no_parts(home):
  return not list(home.rglob('part*'))


def test_a_file_is_fetched_once_and_verified(server, home):
  server.pages['/f'] = Page(FILE)
  for _ in range(2):
    fetched = get(f'{server.url}/f', sha256(FILE)[:8])
    assert fetched.path.read_bytes() == FILE
    assert (fetched.sha256, fetched.verified) == (sha256(FILE), 'its project')
  assert len(server.requests) == 1
  assert no_parts(home)


def test_an_md5_is_verified(server):
  server.pages['/f'] = Page(FILE)
  remote = fetch.Remote(
    'net.keras', [f'{server.url}/f'], hashlib.md5(FILE).hexdigest(), 'md5'
  )
  with fetch.alone('net.keras') as own:
    assert fetch.fetch(remote, own).verified == 'its project'


@pytest.mark.parametrize('ranges', [True, False])
def test_cut_connections_are_resumed(server, ranges):
  server.pages['/f'] = Page(FILE, cuts=[900_000, 900_000, 0], ranges=ranges)
  assert get(f'{server.url}/f').path.read_bytes() == FILE
  asked = [headers.get('Range') for _, headers in server.requests]
  assert asked[:2] == [None, 'bytes=900000-']
  assert (asked[2] == 'bytes=1800000-') == ranges


def test_a_file_without_a_version_is_not_resumed(server):
  server.pages['/f'] = Page(FILE, cuts=[900_000], etag=None)
  assert get(f'{server.url}/f').path.read_bytes() == FILE
  assert [headers.get('Range') for _, headers in server.requests] == [None] * 2


def test_a_file_that_changes_between_parts_starts_again(server):
  server.pages['/f'] = Page(FILE, cuts=[900_000], later=OTHER)
  assert get(f'{server.url}/f', sha256(OTHER)).path.read_bytes() == OTHER


def test_parts_of_two_files_with_one_etag_are_detected_by_hash(server):
  server.pages['/f'] = Page(FILE, cuts=[900_000], later=OTHER, etag='"same"')
  # The first download mixes the two.
  with pytest.raises(UserError, match='has the hash'):
    get(f'{server.url}/f', sha256(OTHER))
  assert get(f'{server.url}/f', sha256(OTHER)).path.read_bytes() == OTHER


@pytest.mark.parametrize(
  ('page', 'words'),
  [
    (Page(status=404), 'does not exist'),
    (Page(status=403), '403 Forbidden'),
    (Page(status=500), '500 Internal'),
    (Page(FILE, cuts=[0] * 9), 'received 0 of 3,000,000 bytes'),
    (Page(b'<html>log in', kind='text/html; charset=utf-8'), 'a web page'),
    (Page(OTHER), f'has the hash {sha256(OTHER)}, not {sha256(FILE)}'),
  ],
)
def test_faults_give_one_line(server, home, page, words):
  server.pages['/f'] = page
  with pytest.raises(UserError, match=words) as error:
    get(f'{server.url}/f')
  assert f'{server.url}/f' in str(error.value)
  assert not list(home.glob('weights/files/*'))


def test_a_host_that_recovers_is_asked_again(server):
  server.pages['/f'] = Page(FILE, failures=3)
  assert get(f'{server.url}/f').path.read_bytes() == FILE


def test_a_refused_connection_is_reported():
  with pytest.raises(UserError, match='Connection refused'):
    get('http://127.0.0.1:9/f')


def test_the_second_address_is_tried(server, capsys):
  server.pages['/other'] = Page(FILE)
  assert get([f'{server.url}/gone', f'{server.url}/other']).sha256
  assert 'does not exist; trying another URL' in capsys.readouterr().err


def test_a_proxy_is_used(server, monkeypatch):
  monkeypatch.setenv('http_proxy', server.url)
  server.pages['http://no.host/f'] = Page(FILE)
  assert get('http://no.host/f').path.read_bytes() == FILE


def test_a_full_disk_keeps_what_has_arrived(server, home, monkeypatch):
  server.pages['/f'] = Page(FILE)

  def fail(descriptor):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

  with monkeypatch.context() as patch:
    patch.setattr(download.os, 'fsync', fail)
    with pytest.raises(UserError, match='No space left .*free some space'):
      get(f'{server.url}/f')
  assert get(f'{server.url}/f').path.read_bytes() == FILE


def test_without_a_published_hash_the_first_one_counts(server, home, capsys):
  server.pages['/f'] = Page(OTHER)
  get(f'{server.url}/f', None)  # It could not be read.
  server.pages['/f'] = Page(FILE)
  fetched = get(f'{server.url}/f', None)
  assert fetched.verified == ''
  assert fetched.sha256 in capsys.readouterr().err
  fetch.remember(fetched, fetch.folder('net.tag'))
  fetched.path.unlink()
  server.pages['/f'] = Page(OTHER)
  with pytest.raises(UserError, match='from the first download'):
    get(f'{server.url}/f', None)


@pytest.mark.parametrize('total, requests', [(True, 2), (False, 3)])
def test_a_complete_part_is_used_if_the_host_confirms_its_size(
  server, total, requests
):
  server.pages['/f'] = Page(FILE, total=total)
  with fetch.alone('net.tag') as own:
    download.download(f'{server.url}/f', own / 'part')
  assert get(f'{server.url}/f').path.read_bytes() == FILE
  assert len(server.requests) == requests


@pytest.mark.parametrize('content', ['[]', '{"sha256": 5, "verified": ""}'])
def test_a_damaged_record_is_named(server, content):
  with fetch.alone('net.tag') as own:
    (own / 'fetched.json').write_text(content)
  with pytest.raises(UserError, match=r'fetched\.json is damaged'):
    get(f'{server.url}/f')


def as_hub(server, monkeypatch, content=FILE, linked=None):
  """Makes the server act as the Hub, which redirects to another host."""
  monkeypatch.setenv('HF_ENDPOINT', server.url)
  path = '/owner/net/resolve/main/model.safetensors'
  elsewhere = server.url.replace('127.0.0.1', 'localhost')
  server.pages[path] = Page(
    to=f'{elsewhere}/cdn', linked=linked or sha256(content)
  )
  server.pages['/cdn'] = Page(content)
  return server.url + path


def test_the_hub_states_the_hash(server, monkeypatch):
  url = as_hub(server, monkeypatch)
  assert get(url, None).verified == 'the Hugging Face Hub'
  url = as_hub(server, monkeypatch, linked=sha256(OTHER))
  with pytest.raises(UserError, match='from the Hugging Face Hub'):
    get(url, None, 'net.other')


def test_a_token_goes_only_to_the_hub(server, monkeypatch):
  monkeypatch.setenv('HF_TOKEN', 'secret')
  get(as_hub(server, monkeypatch), None)
  sent = {
    path: headers.get('Authorization') for path, headers in server.requests
  }
  assert sent.pop('/cdn') is None
  assert set(sent.values()) == {'Bearer secret'}
  server.pages['/f'] = Page(FILE)
  monkeypatch.delenv('HF_ENDPOINT')
  get(f'{server.url}/f', name='net.elsewhere')
  assert server.requests[-1][1].get('Authorization') is None


@pytest.mark.parametrize('status', [401, 403])
def test_a_license_to_accept_is_reported(server, monkeypatch, status):
  url = as_hub(server, monkeypatch)
  server.pages[url.removeprefix(server.url)] = Page(status=status)
  with pytest.raises(UserError, match=f'{server.url}/owner/net .*HF_TOKEN'):
    get(url, None)


@pytest.mark.parametrize('name', ['INCEPTION_OFFLINE', 'HF_HUB_OFFLINE'])
def test_nothing_is_fetched_offline(server, monkeypatch, name):
  url = as_hub(server, monkeypatch)
  monkeypatch.setenv(name, '1')
  with pytest.raises(UserError, match=f'unset {name}'):
    get(url, None)
  assert not server.requests


def test_caches_of_other_libraries_are_used(server, tmp_path, monkeypatch):
  url = as_hub(server, monkeypatch)
  repository = tmp_path / 'HF_HUB_CACHE' / 'models--owner--net'
  (repository / 'blobs').mkdir(parents=True)
  (repository / 'blobs' / sha256(FILE)).write_bytes(FILE)
  (repository / 'refs').mkdir()
  (repository / 'refs' / 'main').write_text('abc\n')
  snapshot = repository / 'snapshots' / 'abc'
  snapshot.mkdir(parents=True)
  (snapshot / 'model.safetensors').symlink_to(
    repository / 'blobs' / sha256(FILE)
  )
  assert get(url, None).verified == 'the Hugging Face Hub'
  torch = tmp_path / 'TORCH_HOME' / 'hub' / 'checkpoints'
  torch.mkdir(parents=True)
  (torch / 'f.pth').write_bytes(FILE)
  assert get('http://no.host/f.pth', name='net.torch').path == torch / 'f.pth'
  assert not server.requests
  # A file with the same name but other content is not used.
  (torch / 'f.pth').write_bytes(OTHER)
  server.pages['/f.pth'] = Page(FILE)
  assert get(f'{server.url}/f.pth', name='net.x').path.read_bytes() == FILE


def _fetch(url, digest):
  get(url, digest)


def received(home):
  """Returns the bytes of all parts."""
  return sum(part.stat().st_size for part in home.rglob('part'))


def test_a_download_that_is_killed_repeatedly_is_resumed(server, home):
  """Unlike a cut connection, SIGKILL may lose the last block."""
  server.pages['/f'] = Page(FILE, seconds=0.02)
  context = multiprocessing.get_context('fork')
  for _ in range(3):
    before = received(home)
    child = context.Process(
      target=_fetch, args=(f'{server.url}/f', sha256(FILE))
    )
    child.start()
    while received(home) == before:
      assert child.is_alive()
      time.sleep(0.01)
    os.kill(child.pid, signal.SIGKILL)
    child.join()
  assert list(home.rglob('part'))
  assert get(f'{server.url}/f').path.read_bytes() == FILE
  assert any('Range' in headers for _, headers in server.requests)
  assert no_parts(home)


def test_four_processes_fetch_once(server):
  server.pages['/f'] = Page(FILE, seconds=0.002)
  context = multiprocessing.get_context('fork')
  children = [
    context.Process(target=_fetch, args=(f'{server.url}/f', sha256(FILE)))
    for _ in range(4)
  ]
  for child in children:
    child.start()
  for child in children:
    child.join()
  assert [child.exitcode for child in children] == [0] * 4
  assert len(server.requests) == 1
