"""Importers: completeness, order, guesses, and words for what does not fit."""

import numpy as np
import pytest

from inception.data.tensorflow import tf
from inception.errors import UserError
from inception.pretrained import files, matching
from tests.parity import formula
from tests.parity.test_golden import (
  PEERS,
  expected_tensors,
  load_golden,
)

SLIM = [peer for peer in PEERS if peer.startswith('slim')]


def arrays_of(peer, classes):
  _, tensors = expected_tensors(peer, classes)
  return {
    t.name: formula.tensor(t.name, t.shape, range(len(t.shape) - 1))
    for t in tensors
  }


def write_checkpoint(path, arrays):
  """Writes a TensorFlow checkpoint with names as they are."""
  names = list(arrays)
  tf.raw_ops.SaveV2(
    prefix=str(path),
    tensor_names=names,
    shape_and_slices=[''] * len(names),
    tensors=[tf.constant(arrays[name]) for name in names],
  )


@pytest.mark.parametrize('peer', SLIM)
def test_a_checkpoint_by_slim_is_imported_whole(peer, tmp_path):
  golden = load_golden(peer)
  arrays = {}
  for line in golden['tensors']:  # As slim's own graph has them.
    name, shape = line.split(' ', 1)
    shape = tuple(map(int, shape.strip('(),').split(', ')))
    arrays[name] = formula.tensor(name, shape, range(len(shape) - 1))
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
  architecture, with_aux = PEERS[peer]
  assert imported.architecture == architecture
  assert (imported.num_classes, imported.with_aux) == (1001, with_aux)
  # Every value is there once: sums over all agree.
  total = sum(float(np.sum(x, dtype=np.float64)) for x in arrays.values())
  found = sum(
    float(np.sum(leaf, dtype=np.float64)) for leaf in leaves(imported.variables)
  )
  assert found == pytest.approx(total, abs=1e-6)


def test_a_checkpoint_of_version_1_is_read_too(tmp_path):
  arrays = arrays_of('slim_inception_v1_slim', 3)
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
  assert len(files.sha256(path)) == 64


def test_a_variable_that_the_network_has_not_is_no_optimizers(tmp_path):
  arrays = arrays_of('slim_inception_v1_slim', 3)
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
def test_the_network_of_fid_is_told_by_its_number_of_classes(
  classes, project, wanted
):
  arrays = arrays_of('fid_inception_v3', classes)
  with pytest.raises(UserError, match=f'it has {classes} classes; {wanted}'):
    matching.import_arrays(arrays, project)


def leaves(tree):
  for value in tree.values():
    if isinstance(value, dict):
      yield from leaves(value)
    else:
      yield value


def test_averaged_copies_are_used_where_there_are_any():
  arrays = arrays_of('slim_inception_v1_slim', 11)
  name = 'InceptionV1/Conv2d_1a_7x7/weights'
  arrays[f'{name}/ExponentialMovingAverage'] = arrays[name] + 1
  imported = matching.import_arrays(arrays, 'slim')
  kernel = imported.variables['params']['Conv2d_1a_7x7']['kernel']
  np.testing.assert_array_equal(kernel, arrays[name] + 1)


def convolutions(peer):
  """Paths of the trunk's convolutions, in the order of the peer's file."""
  golden = load_golden(peer)
  _, tensors = expected_tensors(peer, golden['logits'].shape[1])
  paths = {f'{tensor.name} {tensor.shape}': tensor.path for tensor in tensors}
  ordered = [paths[t] for t in golden['tensors'] if t in paths]
  return [
    path
    for path in ordered
    if path.endswith('/kernel') and not path.split('/')[1].endswith('Logits')
  ]


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
  def trunk(peer):
    return [p for p in convolutions(peer) if 'AuxLogits' not in p]

  assert len(trunk(one)) == count
  assert trunk(one) == trunk(other)


def test_a_tensor_of_another_shape_is_named_with_both():
  arrays = arrays_of('timm_inception_v4', 10)
  arrays['features.0.conv.weight'] = np.zeros((32, 3, 5, 5), np.float32)
  with pytest.raises(UserError) as error:
    matching.import_arrays(arrays, 'timm', 'inception_v4')
  assert (
    'does not fit inception_v4: its features.0.conv.weight is (32, 3, 5, 5),'
    ' that of inception_v4 (32, 3, 3, 3); no known network fits'
  ) in str(error.value)


def test_missing_and_surplus_tensors_are_named():
  arrays = arrays_of('timm_inception_v4', 10)
  lacking = arrays.copy()
  del lacking['features.6.branch0.bn.bias']
  with pytest.raises(UserError, match=r'lacks features.6.branch0.bn.bias \(96'):
    matching.import_arrays(lacking, 'timm')
  arrays['features.99.weight'] = np.zeros(3, np.float32)
  with pytest.raises(UserError, match=r'has features.99.weight \(3,\), which'):
    matching.import_arrays(arrays, 'timm')


@pytest.mark.parametrize(
  'project, architecture',
  [('timm', 'inception_v4'), ('timm', None), ('keras', 'inception_v3')],
)
def test_the_network_that_would_fit_is_proposed(project, architecture):
  arrays = arrays_of('slim_inception_v2_slim', 1001)
  with pytest.raises(UserError) as error:
    matching.import_arrays(arrays, project, architecture)
  assert 'inception_v2_slim would fit, with --from=slim' in str(error.value)


def test_a_network_that_a_project_has_no_weights_for_is_refused():
  with pytest.raises(UserError, match='keras has no weights for .googlenet'):
    matching.import_arrays({}, 'keras', 'googlenet')


@pytest.mark.parametrize(
  'name, content, message',
  [
    ('missing.pth', None, 'no such file'),
    ('weights.onnx', b'x', 'known are .ckpt, .h5'),
    ('weights.pth', b'hello', 'cannot read'),
    ('weights.h5', b'hello', 'cannot read'),
    ('weights.keras', b'hello', 'cannot read'),
    ('weights.safetensors', b'hello', 'cannot read'),
    ('weights.ckpt', b'hello', 'cannot read'),
    ('weights.ckpt.index', b'hello', 'cannot read'),
  ],
)
def test_a_file_that_cannot_be_read_is_one_line(
  name, content, message, tmp_path
):
  path = tmp_path / name
  if content is not None:
    path.write_bytes(content)
  with pytest.raises(UserError, match=message) as error:
    files.read_arrays(path)
  assert name.removesuffix('.index') in str(error.value)
  assert '\n' not in str(error.value)


def test_the_same_network_of_another_project_is_proposed():
  arrays = arrays_of('slim_inception_v4', 1001)
  with pytest.raises(
    UserError, match='inception_v4 would fit, with --from=slim'
  ):
    matching.import_arrays(arrays, 'timm', 'inception_v4')
