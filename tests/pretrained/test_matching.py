"""Matching the arrays of a file to a network: detection, misfits."""

import jax
import numpy as np
import pytest

from inception import paths
from inception.errors import UserError
from inception.pretrained import conversion
from inception.pretrained.formats import files
from tests.parity import peers
from tests.pretrained.formats.test_detect import write_checkpoint


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


def total(arrays):
  return sum(float(np.sum(x, dtype=np.float64)) for x in arrays)


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
    read = files.read_content(paths.resolve(name))[0].arrays
    assert arrays.keys() <= read.keys()
  imported = conversion.import_arrays(read, 'slim')
  assert imported.architecture == 'inception_v2_slim'
  assert (imported.num_classes, imported.with_aux) == (1001, False)
  # Every value is there once if the sums over all values are equal.
  found = total(jax.tree.leaves(imported.variables))
  assert found == pytest.approx(total(arrays.values()), abs=1e-6)


def test_averaged_copies_are_preferred():
  arrays = zeros('slim_inception_v1_slim', 11)
  name = 'InceptionV1/Conv2d_1a_7x7/weights'
  arrays[f'{name}/ExponentialMovingAverage'] = arrays[name] + 1
  imported = conversion.import_arrays(arrays, 'slim')
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


def test_missing_and_surplus_tensors_are_reported():
  arrays = zeros('timm_inception_v4', 10)
  incomplete = arrays.copy()
  del incomplete['features.6.branch0.bn.bias']
  with pytest.raises(UserError, match=r'lacks features.6.branch0.bn.bias \(96'):
    conversion.import_arrays(incomplete, 'timm')
  arrays['features.99.weight'] = np.zeros(3, np.float32)
  with pytest.raises(UserError, match=r'has features.99.weight \(3,\), which'):
    conversion.import_arrays(arrays, 'timm')


def test_a_tensor_of_another_shape_is_reported_with_both():
  arrays = zeros('timm_inception_v4', 10)
  arrays['features.0.conv.weight'] = np.zeros((32, 3, 5, 5), np.float32)
  with pytest.raises(UserError) as error:
    conversion.import_arrays(arrays, 'timm', 'inception_v4')
  assert (
    'does not fit inception_v4: its features.0.conv.weight is (32, 3, 5, 5),'
    ' but inception_v4 needs (32, 3, 3, 3); no known network fits'
  ) in str(error.value)


def test_a_variable_unknown_to_the_network_is_not_the_optimizers():
  arrays = zeros('slim_inception_v1_slim', 3)
  arrays['InceptionV1/Conv2d_1a_7x7/BatchNorm/gamma'] = np.ones(64, np.float32)
  with pytest.raises(UserError, match=r'has InceptionV1.*gamma \(64,\), which'):
    conversion.import_arrays(arrays, 'slim')


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
def test_the_fid_network_is_recognized_by_its_class_count(
  classes, project, wanted
):
  arrays = zeros('fid_inception_v3', classes)
  with pytest.raises(UserError, match=f'it has {classes:,} classes; {wanted}'):
    conversion.import_arrays(arrays, project)


@pytest.mark.parametrize(
  'peer, project, architecture, wanted',
  [
    ('slim_inception_v2_slim', 'timm', 'inception_v4', 'inception_v2_slim'),
    ('slim_inception_v2_slim', 'timm', None, 'inception_v2_slim'),
    ('slim_inception_v2_slim', 'keras', 'inception_v3', 'inception_v2_slim'),
    # The same network from another project.
    ('slim_inception_v4', 'timm', 'inception_v4', 'inception_v4'),
  ],
)
def test_the_network_that_would_fit_is_proposed(
  peer, project, architecture, wanted
):
  arrays = zeros(peer, 1001)
  with pytest.raises(UserError, match=f'{wanted} would fit, with --from=slim'):
    conversion.import_arrays(arrays, project, architecture)


def test_a_network_that_the_project_does_not_publish_is_refused():
  with pytest.raises(UserError, match='no weights of keras for .googlenet'):
    conversion.import_arrays({}, 'keras', 'googlenet')


V3 = 'torchvision_inception_v3'


def of_v3(classes=1000, prefix='', without=(), **extra):
  arrays = {
    prefix + name: array
    for name, array in zeros(V3, classes).items()
    if not name.startswith(tuple(without))
  }
  return {**arrays, **{k: np.zeros(v, np.float32) for k, v in extra.items()}}


@pytest.mark.parametrize(
  'arrays, num_classes, with_aux, left_out',
  [
    (of_v3(5), 5, True, 0),
    (of_v3(5, 'module.'), 5, True, 0),
    (of_v3(5, '_orig_mod.'), 5, True, 0),
    (of_v3(5, 'model._orig_mod.', loss=(5,)), 5, True, 1),
    (of_v3(5, without=['AuxLogits.']), 5, False, 0),
    (of_v3(5, without=['fc.']), 0, False, 12),
    (of_v3(5, without=['fc.', 'AuxLogits.']), 0, False, 0),
    # A new classifier, and auxiliary heads for the old classes.
    (
      of_v3() | {'fc.weight': np.zeros((5, 2048)), 'fc.bias': np.zeros(5)},
      5,
      False,
      12,
    ),
    # nn.Sequential(nn.Dropout(), nn.Linear(2048, 5))
    (
      of_v3(5, without=['fc.'])
      | {'fc.1.weight': np.zeros((5, 2048)), 'fc.1.bias': np.zeros(5)},
      5,
      True,
      0,
    ),
    # A stack instead of the classifier.
    (
      of_v3(without=['fc.', 'AuxLogits.'])
      | {
        'fc.0.weight': np.zeros((9, 2048)),
        'fc.0.bias': np.zeros(9),
        'fc.2.weight': np.zeros((5, 9)),
        'fc.2.bias': np.zeros(5),
      },
      0,
      False,
      4,
    ),
  ],
)
def test_networks_of_torch_in_wrappers_and_with_other_heads(
  arrays, num_classes, with_aux, left_out
):
  imported = conversion.import_arrays(arrays, ['torchvision', 'timm'])
  assert imported.architecture == 'inception_v3_torchvision'
  assert imported.project == 'torchvision'
  assert (imported.num_classes, imported.with_aux) == (num_classes, with_aux)
  assert len(imported.left_out) == left_out
  assert ('Logits' in imported.variables['params']) == (num_classes > 0)


def test_several_networks_in_one_file_are_reported():
  arrays = of_v3(5, 'model.') | of_v3(5, 'ema_model.')
  with pytest.raises(UserError, match="'ema_model..' and .*--copy=ema_model"):
    conversion.import_arrays(arrays, ['torchvision', 'timm'])


@pytest.mark.parametrize(
  'value, message',
  [(np.nan, 'NaN or infinity'), (np.inf, 'NaN'), (-1, 'a negative variance')],
)
def test_invalid_weights_are_refused(value, message):
  arrays = of_v3(5, without=['AuxLogits.'])
  name = 'Mixed_6b.branch1x1.bn.running_var'
  arrays[name] = np.full_like(arrays[name], value, np.float32)
  with pytest.raises(UserError, match=f'{name} holds {message}'):
    conversion.import_arrays(arrays, 'torchvision')


def test_a_single_logit_becomes_two_classes():
  arrays = of_v3(1, without=['AuxLogits.'])
  arrays['fc.bias'] = np.full(1, 0.75, np.float32)
  imported = conversion.import_arrays(arrays, 'torchvision')
  classifier = imported.variables['params']['Logits']['Logits']
  assert imported.num_classes == 2
  assert classifier['kernel'].shape == (2048, 2)
  # Sigmoid and softmax give the same probability.
  np.testing.assert_array_equal(classifier['bias'], [0, 0.75])


def test_a_trunk_with_a_wrong_shape_is_not_a_backbone():
  arrays = of_v3(5, without=['fc.', 'AuxLogits.'])
  arrays['Mixed_7c.branch_pool.conv.weight'] = np.zeros((192, 2047, 1, 1))
  with pytest.raises(UserError, match=r'its Mixed_7c.branch_pool.conv.weight'):
    conversion.import_arrays(arrays, ['torchvision', 'timm'])


def test_facenet_without_its_classifier_keeps_the_embedding():
  arrays = zeros('facenet_inception_resnet_v1', 8631)
  del arrays['logits.weight'], arrays['logits.bias']
  imported = conversion.import_arrays(arrays, 'facenet')
  assert (imported.num_classes, imported.left_out) == (0, ())
  assert set(imported.variables['params']['Logits']) == {'Bottleneck'}


def test_the_project_is_found_and_alternatives_are_listed():
  timm = of_v3(without=['AuxLogits.'])
  imported = conversion.import_arrays(timm, ['timm', 'torchvision', 'fid'])
  assert imported.project == 'timm'
  assert conversion.alternatives(imported, timm) == ['torchvision']
  fid = zeros('fid_inception_v3', 1008)
  imported = conversion.import_arrays(fid, ['torchvision', 'timm', 'fid'])
  assert imported.project == 'fid'
  assert conversion.alternatives(imported, fid) == []
