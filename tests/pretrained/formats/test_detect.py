"""Weights files of every format, and files that are not weights."""

import hashlib
import json
import os
import pathlib
import struct
import zipfile

import numpy as np
import pytest
from safetensors.numpy import save_file

from inception import paths
from inception.data.tensorflow import tf
from inception.errors import UserError
from inception.pretrained.formats import files


def write_checkpoint(path, arrays):
  """Writes a TensorFlow checkpoint with the given names."""
  names = list(arrays)
  tf.raw_ops.SaveV2(
    prefix=str(path),
    tensor_names=names,
    shape_and_slices=[''] * len(names),
    tensors=[tf.constant(arrays[name]) for name in names],
  )


def test_a_checkpoint_of_version_1_is_read(tmp_path):
  arrays = {
    'InceptionV1/weights': np.arange(6, dtype=np.float32).reshape(2, 3),
    'InceptionV1/biases': np.ones(3, np.float32),
  }
  path = tmp_path / 'inception_v1.ckpt'
  tf.raw_ops.Save(
    filename=str(path),
    tensor_names=list(arrays),
    data=[tf.constant(array) for array in arrays.values()],
  )
  content, found = files.read_content(paths.resolve(path))
  assert found.projects == ('slim',)
  read = content.arrays
  assert read.keys() == arrays.keys()
  for name, array in arrays.items():
    np.testing.assert_array_equal(read[name], array)


def test_the_hash_covers_all_files_of_a_checkpoint(tmp_path):
  path = tmp_path / 'model.ckpt'
  write_checkpoint(path, {'x': np.ones(3, np.float32)})
  parts = [f'{path}.index', f'{path}.data-00000-of-00001']
  content = b''.join(pathlib.Path(part).read_bytes() for part in parts)
  expected = hashlib.sha256(content).hexdigest()
  assert [files.sha256(pathlib.Path(p)) for p in (path, *parts)] == (
    [expected] * 3
  )


@pytest.mark.parametrize(
  'name, content, message',
  [
    ('missing.pth', None, 'cannot read .*missing.pth: No such file'),
    ('weights.onnx', b'x', 'is not a weights file; give a TensorFlow'),
    ('weights.pth', b'hello', 'is not a weights file'),
    ('empty.pth', b'', 'is empty; download it again'),
    ('page.h5', b'\n<!DOCTYPE html>', 'is a web page, not weights'),
    ('page.keras', b'<html><body>404', 'is a web page, not weights'),
    ('lfs.safetensors', b'version https://git-lfs.github', 'run git lfs pull'),
    ('config.json', b'{"a": 1}', 'is JSON, not weights'),
    ('cut.pth', b'PK\x03\x04' + bytes(99), 'damaged or incomplete'),
    ('cut.keras', b'PK\x03\x04' + bytes(99), 'damaged or incomplete'),
    ('cut.h5', b'\x89HDF\r\n\x1a\n' + bytes(99), 'detected format: Keras'),
    ('legacy.pth', b'\x80\x02\x8a', 'detected format: PyTorch'),
    ('weights.ckpt.index', b'hello', ': a TensorFlow checkpoint'),
  ],
)
def test_a_file_that_cannot_be_read_is_refused_in_one_line(
  name, content, message, tmp_path
):
  path = tmp_path / name
  if content is not None:
    path.write_bytes(content)
  with pytest.raises(UserError, match=message) as error:
    files.read_content(paths.resolve(path))
  assert name.removesuffix('.index') in str(error.value)
  assert '\n' not in str(error.value)


def test_folders_and_archives_are_reported_as_such(tmp_path):
  folder = paths.resolve(tmp_path)
  with pytest.raises(UserError, match='is a folder; give a TensorFlow check'):
    files.read_content(folder)
  write_checkpoint(tmp_path / 'model-7', {'x': np.ones(3, np.float32)})
  with pytest.raises(UserError, match='is a folder; try --file=.*/model-7.ind'):
    files.read_content(folder)
  (tmp_path / 'saved_model.pb').write_bytes(b'x')
  with pytest.raises(UserError, match='is a SavedModel, .* save it as .keras'):
    files.read_content(folder)
  with zipfile.ZipFile(tmp_path / 'pictures.zip', 'w') as archive:
    archive.writestr('a.txt', 'x')
  with pytest.raises(UserError, match='is a zip archive without weights'):
    files.read_content(folder / 'pictures.zip')


def test_copies_in_a_flat_file_are_distinguished(tmp_path):
  arrays = {
    f'{prefix}.{name}': np.full(3, value, np.float32)
    for prefix, value in (('model', 1), ('ema', 2))
    for name in ('kernel', 'bias')
  }
  path = paths.resolve(tmp_path / 'copies.safetensors')
  save_file(arrays, path)
  content, _ = files.read_content(path)
  assert (content.copy, content.others) == ('ema', ('model',))
  np.testing.assert_array_equal(content.arrays['bias'], arrays['ema.bias'])
  content, _ = files.read_content(path, 'model')
  np.testing.assert_array_equal(content.arrays['bias'], arrays['model.bias'])
  with pytest.raises(UserError, match='--copy=raw'):
    files.read_content(path, 'raw')


@pytest.mark.parametrize('kind', ['F8_E4M3', 'F4'])
def test_unsupported_types_are_reported(kind, tmp_path):
  size = {'F8_E4M3': 8, 'F4': 4}[kind]
  entry = {'dtype': kind, 'shape': [8], 'data_offsets': [0, size]}
  header = json.dumps({'weight': entry}).encode()
  path = tmp_path / 'low.safetensors'
  path.write_bytes(struct.pack('<Q', len(header)) + header + bytes(size))
  with pytest.raises(UserError, match=f'weight is of type {kind}'):
    files.read_content(paths.resolve(path))


def test_a_pipe_in_a_checkpoint_is_refused(tmp_path):
  write_checkpoint(tmp_path / 'model.ckpt', {'a': np.zeros(3, np.float32)})
  (data,) = tmp_path.glob('model.ckpt.data-*')
  data.unlink()
  os.mkfifo(data)
  with pytest.raises(UserError, match='not a regular file'):
    files.read_content(paths.resolve(tmp_path / 'model.ckpt'))


@pytest.mark.parametrize('kind', ['pipe', 'device', 'folder'])
def test_only_regular_files_are_read(kind, tmp_path):
  path = tmp_path / 'weights.pth'
  match kind:
    case 'pipe':
      os.mkfifo(path)
    case 'device':
      path.symlink_to('/dev/zero')
    case 'folder':
      path.mkdir()
  with pytest.raises(UserError, match='weights.pth'):
    files.read_content(paths.resolve(path))
