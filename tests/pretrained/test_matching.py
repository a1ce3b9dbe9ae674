"""Importers: completeness, order, detection, and errors for misfits."""

import hashlib
import pathlib

import numpy as np
import pytest

from inception.data.tensorflow import tf
from inception.errors import UserError
from inception.pretrained import files, matching
from tests.parity import peers


def zeros(peer, classes):
  """Arrays with the peer's names and shapes; they take no memory."""
  zero = np.zeros((), np.float32)
  return {
    tensor.name: np.broadcast_to(zero, tensor.shape)
    for tensor in peers.expected_tensors(peer, classes)
  }


def noise(peer, classes):
  generator = np.random.default_rng(0)
  return {
    tensor.name: generator.random(tensor.shape, np.float32)
    for tensor in peers.expected_tensors(peer, classes)
  }


def write_checkpoint(path, arrays):
  """Writes a TensorFlow checkpoint with the given names."""
  names = list(arrays)
  tf.raw_ops.SaveV2(
    prefix=str(path),
    tensor_names=names,
    shape_and_slices=[''] * len(names),
    tensors=[tf.constant(arrays[name]) for name in names],
  )


def total(arrays):
  return sum(float(np.sum(x, dtype=np.float64)) for x in arrays)


def leaves(tree):
  for value in tree.values():
    if isinstance(value, dict):
      yield from leaves(value)
    else:
      yield value


def test_a_whole_checkpoint_of_slim_is_imported(tmp_path):
  arrays = noise('slim_inception_v2_slim', 1001)
  extra = {
    'global_step': np.array(7, np.int64),
    'beta1_power': np.array(0.9, np.float32),
  }
  first = next(iter(arrays))
  for slot in ('/RMSProp', '/RMSProp_1', '/Momentum'):
    extra[first + slot] = np.zeros_like(arrays[first])
  path = tmp_path / 'model.ckpt-7'
  write_checkpoint(path, arrays | extra)

  for name in (path, f'{path}.index', f'{path}.data-00000-of-00001'):
    read = files.read_arrays(type(path)(name))
    assert arrays.keys() <= read.keys()
  imported = matching.import_arrays(read, 'slim')
  assert imported.architecture == 'inception_v2_slim'
  assert (imported.num_classes, imported.with_aux) == (1001, False)
  # Every value is there once if the sums over all values are equal.
  found = total(leaves(imported.variables))
  assert found == pytest.approx(total(arrays.values()), abs=1e-6)


def test_a_checkpoint_of_version_1_is_read(tmp_path):
  arrays = noise('slim_inception_v1_slim', 3)
  path = tmp_path / 'inception_v1.ckpt'
  tf.raw_ops.Save(
    filename=str(path),
    tensor_names=list(arrays),
    data=[tf.constant(array) for array in arrays.values()],
  )
  read = files.read_arrays(path)
  assert read.keys() == arrays.keys()
  for name, array in arrays.items():
    np.testing.assert_array_equal(read[name], array)


def test_the_hash_is_of_all_files_of_a_checkpoint(tmp_path):
  path = tmp_path / 'model.ckpt'
  write_checkpoint(path, {'x': np.ones(3, np.float32)})
  parts = [f'{path}.index', f'{path}.data-00000-of-00001']
  content = b''.join(pathlib.Path(part).read_bytes() for part in parts)
  expected = hashlib.sha256(content).hexdigest()
  assert [files.sha256(pathlib.Path(p)) for p in (path, *parts)] == (
    [expected] * 3
  )


def test_averaged_copies_are_preferred():
  arrays = zeros('slim_inception_v1_slim', 11)
  name = 'InceptionV1/Conv2d_1a_7x7/weights'
  arrays[f'{name}/ExponentialMovingAverage'] = arrays[name] + 1
  imported = matching.import_arrays(arrays, 'slim')
  kernel = imported.variables['params']['Conv2d_1a_7x7']['kernel']
  np.testing.assert_array_equal(kernel, arrays[name] + 1)


def convolutions(peer):
  """Paths of the trunk's convolutions, in the order of the peer's file."""
  golden = peers.load_golden(peer)
  tensors = peers.expected_tensors(peer, golden['logits'].shape[1])
  paths = {f'{tensor.name} {tensor.shape}': tensor.path for tensor in tensors}
  ordered = [paths[t] for t in golden['tensors'] if t in paths]
  return [p for p in ordered if p.endswith('/kernel') and 'Logits' not in p]


@pytest.mark.parametrize(
  'one, other, count',
  [
    ('torchvision_googlenet', 'slim_inception_v1_slim', 57),
    ('timm_inception_v3', 'slim_inception_v3', 94),
    ('timm_inception_v4', 'slim_inception_v4', 149),
    ('timm_inception_resnet_v2', 'slim_inception_resnet_v2', 244),
  ],
)
def test_projects_define_convolutions_in_the_same_order(one, other, count):
  assert len(convolutions(one)) == count
  assert convolutions(one) == convolutions(other)


def test_missing_and_surplus_tensors_are_named():
  arrays = zeros('timm_inception_v4', 10)
  incomplete = arrays.copy()
  del incomplete['features.6.branch0.bn.bias']
  with pytest.raises(UserError, match=r'lacks features.6.branch0.bn.bias \(96'):
    matching.import_arrays(incomplete, 'timm')
  arrays['features.99.weight'] = np.zeros(3, np.float32)
  with pytest.raises(UserError, match=r'has features.99.weight \(3,\), which'):
    matching.import_arrays(arrays, 'timm')


def test_a_tensor_of_another_shape_is_named_with_both():
  arrays = zeros('timm_inception_v4', 10)
  arrays['features.0.conv.weight'] = np.zeros((32, 3, 5, 5), np.float32)
  with pytest.raises(UserError) as error:
    matching.import_arrays(arrays, 'timm', 'inception_v4')
  assert (
    'does not fit inception_v4: its features.0.conv.weight is (32, 3, 5, 5),'
    ' but inception_v4 needs (32, 3, 3, 3); no known network fits'
  ) in str(error.value)


def test_a_variable_unknown_to_the_network_does_not_count_as_the_optimizers():
  arrays = zeros('slim_inception_v1_slim', 3)
  arrays['InceptionV1/Conv2d_1a_7x7/BatchNorm/gamma'] = np.ones(64, np.float32)
  with pytest.raises(UserError, match=r'has InceptionV1.*gamma \(64,\), which'):
    matching.import_arrays(arrays, 'slim')


@pytest.mark.parametrize(
  'classes, project, wanted',
  [
    (1008, 'timm', 'inception_v3_fid would fit, with --from=fid'),
    (
      1000,
      'fid',
      'inception_v3_torchvision would fit, with --from=torchvision',
    ),
  ],
)
def test_the_fid_network_is_known_by_its_number_of_classes(
  classes, project, wanted
):
  arrays = zeros('fid_inception_v3', classes)
  with pytest.raises(UserError, match=f'it has {classes} classes; {wanted}'):
    matching.import_arrays(arrays, project)


@pytest.mark.parametrize(
  'peer, project, architecture, wanted',
  [
    ('slim_inception_v2_slim', 'timm', 'inception_v4', 'inception_v2_slim'),
    ('slim_inception_v2_slim', 'timm', None, 'inception_v2_slim'),
    ('slim_inception_v2_slim', 'keras', 'inception_v3', 'inception_v2_slim'),
    # The same network of another project.
    ('slim_inception_v4', 'timm', 'inception_v4', 'inception_v4'),
  ],
)
def test_the_network_that_would_fit_is_proposed(
  peer, project, architecture, wanted
):
  arrays = zeros(peer, 1001)
  with pytest.raises(UserError, match=f'{wanted} would fit, with --from=slim'):
    matching.import_arrays(arrays, project, architecture)


def test_a_network_that_the_project_does_not_publish_is_refused():
  with pytest.raises(UserError, match='keras has no weights for .googlenet'):
    matching.import_arrays({}, 'keras', 'googlenet')


@pytest.mark.parametrize(
  'name, content, message',
  [
    ('missing.pth', None, 'no such file'),
    ('weights.onnx', b'x', 'supported are .ckpt, .h5'),
    ('weights.pth', b'hello', 'cannot read'),
    ('weights.h5', b'hello', 'cannot read'),
    ('weights.keras', b'hello', 'cannot read'),
    ('weights.safetensors', b'hello', 'cannot read'),
    ('weights.ckpt', b'hello', 'cannot read'),
    ('weights.ckpt.index', b'hello', 'cannot read'),
  ],
)
def test_a_file_that_cannot_be_read_is_refused_in_one_line(
  name, content, message, tmp_path
):
  path = tmp_path / name
  if content is not None:
    path.write_bytes(content)
  with pytest.raises(UserError, match=message) as error:
    files.read_arrays(path)
  assert name.removesuffix('.index') in str(error.value)
  assert '\n' not in str(error.value)
