"""The networks and importers against what the peers themselves compute.

The golden files hold the names of the peer's tensors and its logits for weights
and images of `formula`. `make parity` makes them anew, and runs these tests on
them with PARITY_FOLDER set; then the peers' own weights files are read, too.
"""

import dataclasses
import os
import pathlib

import jax
import numpy as np
import pytest

from configs import default
from inception.modules import network
from inception.pretrained import files, matching
from inception.pretrained.tensors import network_layers
from tests.parity import formula

GOLDEN = pathlib.Path(__file__).parent / 'golden'
FOLDER = pathlib.Path(os.environ.get('PARITY_FOLDER', GOLDEN))

# Golden file: network, and whether it has auxiliary heads in it.
PEERS = {
  'torchvision_googlenet': ('inception_v1_torchvision', True),
  'torchvision_inception_v3': ('inception_v3_torchvision', True),
  'timm_inception_v3': ('inception_v3_torchvision', False),
  'timm_inception_v4': ('inception_v4', False),
  'timm_inception_resnet_v2': ('inception_resnet_v2', False),
  'facenet_inception_resnet_v1': ('inception_resnet_v1_facenet', False),
  'fid_inception_v3': ('inception_v3_fid', False),
  'slim_inception_v1_slim': ('inception_v1_slim', False),
  'slim_inception_v2_slim': ('inception_v2_slim', False),
  'slim_inception_v3': ('inception_v3', True),
  'slim_inception_v4': ('inception_v4', True),
  'slim_inception_resnet_v2': ('inception_resnet_v2', True),
}


def load_golden(peer):
  folder = GOLDEN if peer.startswith('slim') else FOLDER
  with np.load(folder / f'{peer}.npz') as file:
    return dict(file)


def expected_tensors(peer, classes):
  """Names and shapes that the importer expects, from its tables alone."""
  architecture, with_aux = PEERS[peer]
  project = matching.PROJECTS[peer.split('_')[0]]
  layers = network_layers(architecture, classes, with_aux)
  return project, project.networks[architecture](layers, ())


def axes_of_input(name, shape, peer):
  if peer.startswith('slim'):
    return range(2 if 'depthwise' in name else len(shape) - 1)
  return range(1, len(shape))


def imported(peer, classes):
  """Imports weights of the formula, made under the names of our tables."""
  _, tensors = expected_tensors(peer, classes)
  arrays = {
    t.name: formula.tensor(
      t.name, t.shape, axes_of_input(t.name, t.shape, peer)
    )
    for t in tensors
  }
  return matching.import_arrays(arrays, peer.split('_')[0])


def make_model(weights, **changes):
  config = default.get_config().model
  config.architecture = weights.architecture
  config.num_classes = weights.num_classes
  config.batch_norm_scale = weights.batch_norm_scale
  config.aux_heads = weights.with_aux
  config.dropout = 0.0
  config.scan_blocks = True  # It compiles faster.
  config.update(changes)
  model = network.create_model(config)
  without_dropout = [
    dataclasses.replace(head, dropout=0.0)
    for head in model.architecture.aux_heads
  ]
  table = dataclasses.replace(
    model.architecture, aux_heads=tuple(without_dropout)
  )
  return model.clone(architecture=table)


def assert_close(ours, peers, tolerance):
  """The largest difference relative to how much the peer's values differ."""
  spread = peers.max() - peers.min()
  assert np.abs(ours - peers).max() <= tolerance * spread


@pytest.mark.parametrize('peer', PEERS)
def test_every_tensor_of_the_peer_is_used_once_and_none_is_left(peer):
  golden = load_golden(peer)
  project, tensors = expected_tensors(peer, golden['logits'].shape[1])
  ours = [f'{tensor.name} {tensor.shape}' for tensor in tensors]
  theirs = [
    t for t in golden['tensors'] if not project.ignore(t.split(' ')[0], ())
  ]
  assert sorted(ours) == sorted(theirs)
  paths = [tensor.path for tensor in tensors]
  assert len(set(paths)) == len(paths)


@pytest.mark.parametrize('peer', PEERS)
def test_logits_are_those_of_the_peer(peer):
  golden = load_golden(peer)
  weights = imported(peer, golden['logits'].shape[1])
  assert weights.architecture == PEERS[peer][0]
  model = make_model(weights)
  images = formula.images(int(golden['size']))
  outputs = jax.jit(model.apply)(weights.variables, images)
  assert_close(outputs.logits, golden['logits'], 1e-4)


@pytest.mark.parametrize(
  'peer', ['torchvision_googlenet', 'torchvision_inception_v3']
)
def test_training_gives_the_logits_of_all_heads(peer):
  golden = load_golden(peer)
  weights = imported(peer, golden['logits'].shape[1])
  model = make_model(weights)
  images = formula.images(int(golden['size']))

  @jax.jit
  def apply(variables):
    outputs, _ = model.apply(
      variables, images, train=True, mutable=['batch_stats']
    )
    return outputs

  outputs = apply(weights.variables)
  # Statistics of two images: differences grow through the layers.
  assert_close(outputs.logits, golden['train_logits'], 1e-3)
  assert len(outputs.aux_logits) == sum('aux_logits' in k for k in golden)
  for i, logits in enumerate(outputs.aux_logits):
    assert_close(logits, golden[f'aux_logits_{i}'], 1e-3)


def test_the_border_of_average_pooling_would_be_noticed():
  peer = 'torchvision_inception_v3'
  golden = load_golden(peer)
  weights = imported(peer, golden['logits'].shape[1])
  model = make_model(weights, architecture='inception_v3')
  images = formula.images(int(golden['size']))
  outputs = jax.jit(model.apply)(weights.variables, images)
  with pytest.raises(AssertionError):
    assert_close(outputs.logits, golden['logits'], 1e-2)


@pytest.mark.skipif(FOLDER == GOLDEN, reason='needs the files of make parity')
@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
@pytest.mark.parametrize('peer', [p for p in PEERS if p[:4] != 'slim'])
def test_weights_files_of_the_peers_hold_the_weights_of_the_formula(
  peer, suffix
):
  arrays = files.read_arrays(FOLDER / f'{peer}{suffix}')
  found = matching.import_arrays(arrays, peer.split('_')[0])
  wanted = imported(peer, found.num_classes)
  assert found.architecture == wanted.architecture
  jax.tree.map(np.testing.assert_array_equal, found.variables, wanted.variables)
