"""Output files are refused early or written atomically."""

import errno
import os
import pathlib
import tempfile

from matplotlib import figure
import pytest

from inception import paths
from inception.cli import outputs
from inception.errors import UserError


@pytest.mark.parametrize(
  'name, endings, message',
  [
    ('folder', (), '--output=.*folder is not a file'),
    ('folder/x.csv/y.csv', (), 'there is no folder .*x.csv for --output=y.csv'),
    ('x.npy', ('.npz',), '--output=.*x.npy must end in .npz'),
    ('file/x', (), 'cannot write .*file/x: Not a directory'),
    ('pipe', (), '--output=.*pipe is not a file'),
    ('dangling', (), 'there is no folder .*/gone for --output=dangling'),
    ('loop', (), 'cannot write .*loop: Too many levels of symbolic links'),
    ('x' * 300, (), 'File name too long'),
    ('new\nline', (), "--output '.*new.nline' has a control character"),
    ('', (), '--output=.* is not a file'),
  ],
)
def test_outputs_that_cannot_be_written_are_refused_at_once(
  name, endings, message, tmp_path
):
  (tmp_path / 'folder').mkdir()
  (tmp_path / 'file').write_text('')
  os.mkfifo(tmp_path / 'pipe')
  (tmp_path / 'loop').symlink_to(tmp_path / 'loop')
  (tmp_path / 'dangling').symlink_to(tmp_path / 'gone' / 'x')
  with pytest.raises(UserError, match=message):
    outputs.resolve(f'{tmp_path}/{name}', '--output', endings)


@pytest.mark.skipif(os.geteuid() != 0, reason='only root can become another')
def test_files_without_access_are_not_called_missing():
  with tempfile.TemporaryDirectory() as name:  # World-accessible parents.
    _check_as_nobody(pathlib.Path(name))


def _check_as_nobody(tmp_path):
  tmp_path.chmod(0o755)
  (tmp_path / 'secret').mkdir(mode=0o700)
  (tmp_path / 'secret' / 'x').write_text('')
  os.seteuid(65534)
  try:
    with pytest.raises(UserError, match='cannot write to .*; choose another -'):
      outputs.resolve(tmp_path / 'x.csv', '--csv')
    with pytest.raises(UserError, match='cannot write to .*; choose another -'):
      outputs.folder(tmp_path / 'new' / 'run', '--output')
    with pytest.raises(UserError, match='cannot read .*: Permission denied'):
      paths.exists(tmp_path / 'secret' / 'x')
  finally:
    os.seteuid(0)
  assert paths.exists(tmp_path / 'secret' / 'x')
  assert not paths.exists(tmp_path / 'x') and not paths.exists('/dev/null/x')


def test_a_file_is_replaced_atomically(tmp_path):
  path, link = tmp_path / 'file', paths.resolve(tmp_path / 'link')
  path.write_text('before')
  os.symlink(path, link)
  with (
    pytest.raises(UserError, match='cannot write .*link: No space left'),
    paths.replace(link) as file,
  ):
    file.write(b'half')
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
  assert path.read_text() == 'before'
  paths.write_atomically(link, 'whole \udcff')
  assert os.path.islink(link) and path.read_text() == 'whole \\udcff'
  assert sorted(os.listdir(tmp_path)) == ['file', 'link']


def test_a_device_is_not_replaced(tmp_path):
  """Root could replace it."""
  link = paths.resolve(tmp_path / 'link')
  os.symlink('/dev/null', link)
  with pytest.raises(UserError, match='it is not a regular file'):
    paths.write_atomically(link, '')
  assert not os.path.isfile('/dev/null')


def test_pictures_are_drawn_with_any_text(tmp_path, capsys):
  with pytest.raises(UserError, match='must end in .png, .svg or .pdf'):
    outputs.picture(tmp_path / 'x.foo', '--output')
  path = outputs.picture(tmp_path / 'x.SVG', '--output')
  drawn = figure.Figure()
  drawn.suptitle(outputs.label('lr_$0.1_$ \udcff'))
  outputs.save(drawn, path)
  # Not rendered as a formula.
  assert 'lr_$0.1_$ ?' in path.read_text()
  assert not capsys.readouterr().err
  drawn.suptitle(outputs.label('数字'))
  outputs.save(drawn, path)
  assert 'has boxes for characters' in capsys.readouterr().err


def test_missing_values_are_empty_in_csv():
  rows = [{'a': 1.5, 'b': float('nan'), 'c': 0}, {'b': 'x,y'}]
  assert outputs.csv_text(['a', 'b'], rows) == 'a,b\r\n1.5,\r\n,"x,y"\r\n'
