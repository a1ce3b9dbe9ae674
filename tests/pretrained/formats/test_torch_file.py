"""PyTorch files without torch: both formats; no code in them is run.

torch 2.14 wrote the files in `data`: the same tensors in the new format
(zip.pth), in the old one (legacy.pth), and in a training checkpoint with an
optimizer and arguments (training.pth).
"""

import os
import pathlib
import pickle
import zipfile

import ml_dtypes
import numpy as np
import pytest

from inception import paths
from inception.errors import UserError
from inception.pretrained.formats import (
  archive,
  files,
  torch_file,
  torch_pickle,
)

DATA = pathlib.Path(__file__).parent / 'data'


def read(path, copy=None):
  with open(path, 'rb') as file:
    return torch_file.read_torch(file, copy)


@pytest.mark.parametrize('name', ['zip', 'legacy', 'training'])
def test_tensors_equal_those_that_torch_saved(name):
  arrays = read(DATA / f'{name}.pth').arrays
  with np.load(DATA / 'tensors.npz') as wanted:
    assert set(arrays) == set(wanted)
    for key, array in arrays.items():
      np.testing.assert_array_equal(array.astype(np.float32), wanted[key])
  assert arrays['conv.weight'].dtype == np.float32
  assert arrays['half'].dtype == np.float16  # Transposed in its storage.
  assert arrays['bf'].dtype == ml_dtypes.bfloat16
  assert arrays['bn.num_batches_tracked'].shape == ()


class Evil:
  def __init__(self, marker):
    self.marker = marker

  def __reduce__(self):
    return os.mkdir, (str(self.marker),)


def write_zip(path, content):
  with zipfile.ZipFile(path, 'w') as archive:
    archive.writestr('archive/data.pkl', pickle.dumps(content, protocol=2))


def test_no_code_in_a_file_runs(tmp_path):
  marker, path = tmp_path / 'marker', tmp_path / 'evil.pth'
  write_zip(path, {'state_dict': {'weight': Evil(marker)}})
  with pytest.raises(ValueError, match='no named tensors'):
    read(path)
  path.write_bytes(pickle.dumps(Evil(marker)))
  with pytest.raises(ValueError, match='not written by torch.save'):
    read(path)
  assert not marker.exists()
  pickle.loads(path.read_bytes())  # What pickle would have done.
  assert marker.exists()


@pytest.mark.parametrize('name', ['list', 'whole_model'])
def test_files_without_a_dict_of_tensors_are_refused(name):
  with pytest.raises(ValueError, match='no dict of tensors'):
    read(DATA / f'{name}.pth')


@pytest.mark.parametrize('name', ['zip', 'legacy'])
@pytest.mark.parametrize('fraction', [0.0, 0.3, 0.6, 0.9, 0.99])
def test_a_truncated_file_is_refused(name, fraction, tmp_path):
  content = (DATA / f'{name}.pth').read_bytes()
  path = tmp_path / 'truncated.pth'
  path.write_bytes(content[: int(fraction * len(content))])
  with pytest.raises(ValueError):
    read(path)


def test_a_tensor_that_extends_beyond_its_storage_is_refused():
  storage = torch_pickle.Storage('0', 'FloatStorage', 4)
  for shape, strides in (((5,), (1,)), ((2, 2), (3, 1)), ((2,), (-1,))):
    view = torch_pickle.TensorView(storage, 0, shape, strides)
    with pytest.raises(ValueError, match='extends beyond its storage'):
      torch_file.array(view, bytes(16))


def test_a_parameter_with_attributes_is_a_tensor():
  arrays = read(DATA / 'attributes.pth').arrays
  np.testing.assert_array_equal(arrays['weight'], np.arange(6).reshape(2, 3))
  assert list(arrays) == ['weight', 'bias']


@pytest.mark.parametrize('kind', ['sparse', 'quantized', 'numpy'])
def test_a_tensor_of_another_kind_is_reported(kind):
  with pytest.raises(ValueError, match=f'weight is an? .*{kind}'):
    read(DATA / f'{kind}.pth')


def test_the_average_is_taken_unless_another_copy_is_named():
  averaged = read(DATA / 'copies.pth')
  assert averaged.copy == 'state_dict_ema'
  assert averaged.others == ('state_dict', 'ema')
  assert averaged.left_out == ('epoch',)
  assert averaged.arrays['bias'] == 2
  plain = read(DATA / 'copies.pth', 'state_dict')
  assert (plain.copy, plain.arrays['bias']) == ('state_dict', 1)
  with pytest.raises(UserError, match='--copy=other .* state_dict'):
    read(DATA / 'copies.pth', 'other')


@pytest.mark.parametrize('name', ['copies', 'training'])
def test_a_named_copy_may_be_the_only_one(name):
  path = paths.resolve(DATA / f'{name}.pth')
  content, _ = files.read_content(path, 'state_dict')
  assert content.copy == 'state_dict'


def test_a_storage_is_read_once_for_all_its_tensors(monkeypatch):
  names = []
  read_member = archive.read

  def count(members, name):
    names.append(name)
    return read_member(members, name)

  monkeypatch.setattr(archive, 'read', count)
  arrays = read(DATA / 'views.pth').arrays
  np.testing.assert_array_equal(
    np.concatenate(list(arrays.values())), np.arange(6)
  )
  assert len(names) == 2  # The pickle, and one storage.


def test_a_nested_key_does_not_crash_the_process(tmp_path):
  path = tmp_path / 'deep.pth'
  with zipfile.ZipFile(path, 'w') as members:
    deep = b'\x80\x02}' + b')' + b'\x85' * 300_000 + b'K\x01s.'
    members.writestr('archive/data.pkl', deep)
  with pytest.raises(ValueError, match='no named tensors'):
    read(path)
