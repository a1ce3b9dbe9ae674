"""Networks and importers against the logits that the peers compute.

`make parity` writes new golden files and runs these tests on them; it then
also checks the weights files that the peers save.
"""

import dataclasses

import jax
import numpy as np
import pytest

from inception import get_architecture, paths
from inception.errors import UserError
from inception.modules.create import create_model
from inception.pretrained import conversion
from inception.pretrained.formats import files
from inception.pretrained.projects import PROJECTS
from tests.parity import formula, peers
from tests.parity.peers import FOLDER, GOLDEN, PEERS


def assert_close(ours, theirs, tolerance):
  """Bounds the largest difference, relative to the range of the values."""
  spread = theirs.max() - theirs.min()
  assert np.abs(ours - theirs).max() <= tolerance * spread


@pytest.mark.parametrize('peer', PEERS)
def test_the_importer_expects_exactly_the_tensors_of_the_peer(peer):
  golden = peers.load_golden(peer)
  project = PROJECTS[peers.project_of(peer)]
  tensors = peers.expected_tensors(peer, golden['logits'].shape[1])
  ours = [f'{tensor.name} {tensor.shape}' for tensor in tensors]
  theirs = [
    t for t in golden['tensors'] if not project.ignores(t.split(' ')[0], ())
  ]
  assert sorted(ours) == sorted(theirs)
  paths = [tensor.path for tensor in tensors]
  assert len(set(paths)) == len(paths)


@pytest.mark.parametrize('peer', PEERS)
def test_logits_equal_those_of_the_peer(peer):
  golden = peers.load_golden(peer)
  weights = peers.imported(peer, golden['logits'].shape[1])
  assert (weights.architecture, weights.with_aux) == PEERS[peer]
  outputs = peers.apply(weights, formula.images(int(golden['size'])))
  assert_close(outputs.logits, golden['logits'], 1e-4)


@pytest.mark.parametrize(
  'peer', ['torchvision_googlenet', 'torchvision_inception_v3']
)
def test_training_gives_the_logits_of_all_heads(peer):
  golden = peers.load_golden(peer)
  weights = peers.imported(peer, golden['logits'].shape[1])
  table = get_architecture(weights.architecture)
  heads = (dataclasses.replace(head, dropout=0.0) for head in table.aux_heads)
  model = create_model(
    dataclasses.replace(table, aux_heads=tuple(heads)),
    num_classes=weights.num_classes,
    dropout=0.0,
  )
  images = formula.images(int(golden['size']))

  @jax.jit
  def apply(variables):
    outputs, _ = model.apply(
      variables, images, train=True, mutable=['batch_stats']
    )
    return outputs

  outputs = apply(weights.variables)
  # With batch statistics of two images, differences grow from layer to layer.
  assert_close(outputs.logits, golden['train_logits'], 1e-3)
  assert len(outputs.aux_logits) == sum('aux_logits' in k for k in golden)
  for i, logits in enumerate(outputs.aux_logits):
    assert_close(logits, golden[f'aux_logits_{i}'], 1e-3)


def test_counting_the_padding_of_average_pools_makes_a_difference():
  peer = 'torchvision_inception_v3'
  golden = peers.load_golden(peer)
  weights = peers.imported(peer, golden['logits'].shape[1])
  other = dataclasses.replace(weights, architecture='inception_v3')
  outputs = peers.apply(other, formula.images(int(golden['size'])))
  with pytest.raises(AssertionError):
    assert_close(outputs.logits, golden['logits'], 1e-2)


@pytest.mark.skipif(FOLDER == GOLDEN, reason='needs the files of make parity')
@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
@pytest.mark.parametrize('peer', [p for p in PEERS if p[:4] != 'slim'])
def test_weights_files_of_the_peers_hold_the_weights_of_the_formula(
  peer, suffix
):
  content, _ = files.read_content(FOLDER / f'{peer}{suffix}')
  found = conversion.import_arrays(content.arrays, peers.project_of(peer))
  wanted = peers.imported(peer, found.num_classes)
  assert found.architecture == wanted.architecture
  jax.tree.map(np.testing.assert_array_equal, found.variables, wanted.variables)


# Form written by torch: classes, auxiliary heads, tensors left out.
FORMS = {
  'parallel': (5, True, 0),
  'compiled': (5, True, 0),
  'lightning': (5, True, 1),
  'stack': (0, False, 16),
  'new_classifier': (3, False, 12),
  'headless': (0, False, 12),
  'half': (5, True, 0),
}


@pytest.mark.skipif(FOLDER == GOLDEN, reason='needs the files of make parity')
@pytest.mark.parametrize('form', FORMS)
def test_wrappers_and_heads_that_torch_wrote_are_read(form):
  path = paths.resolve(FOLDER / f'form_{form}.pth')
  content, found = files.read_content(path)
  arrays = content.arrays
  imported = conversion.import_arrays(arrays, found.projects)
  assert imported.architecture == 'inception_v3_torchvision'
  assert FORMS[form] == (
    imported.num_classes,
    imported.with_aux,
    len(imported.left_out),
  )
  name = 'Conv2d_1a_3x3.conv.weight'
  wanted = formula.tensor(name, (32, 3, 3, 3), range(1, 4))
  kernel = imported.variables['params']['Conv2d_1a_3x3']['kernel']
  tolerance = 1e-3 if form == 'half' else 0
  np.testing.assert_allclose(
    kernel, wanted.transpose(2, 3, 1, 0), rtol=tolerance, atol=tolerance
  )


@pytest.mark.skipif(FOLDER == GOLDEN, reason='needs the files of make parity')
def test_a_whole_model_and_a_part_of_a_file_are_refused(tmp_path):
  whole = paths.resolve(FOLDER / 'form_whole_model.pth')
  with pytest.raises(UserError, match='save model.state_dict'):
    files.read_content(whole)
  content = (FOLDER / 'form_parallel.pth').read_bytes()
  (tmp_path / 'cut.pth').write_bytes(content[: len(content) // 2])
  with pytest.raises(UserError, match='damaged or incomplete'):
    files.read_content(paths.resolve(tmp_path / 'cut.pth'))
