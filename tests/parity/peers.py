"""The peers, their golden files, and their weights from `formula`.

A golden file holds the names and shapes of a peer's tensors, and its logits for
the weights and images of `formula`.
"""

import functools
import json
import os
import pathlib

import jax
import numpy as np

from inception.modules.create import create_model
from inception.pretrained import conversion
from inception.pretrained.projects import PROJECTS
from inception.pretrained.tensors import network_layers
from tests.parity import formula

GOLDEN = pathlib.Path(__file__).parent / 'golden'
# `make parity` writes new golden files to a separate folder.
FOLDER = pathlib.Path(os.environ.get('PARITY_FOLDER', GOLDEN))

# Golden file: our name for the network, and whether it has auxiliary heads.
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


@functools.cache
def generative():
  """Returns the golden numbers for tests/generative."""
  return json.loads((FOLDER / 'generative.json').read_text())


def project_of(peer):
  return peer.split('_')[0]


def expected_tensors(peer, classes):
  """Returns the tensors that the importer expects, from its tables alone."""
  architecture, with_aux = PEERS[peer]
  layers = network_layers(architecture, classes, with_aux)
  published = PROJECTS[project_of(peer)].networks[architecture]
  return published.name_tensors(layers, ())


def formula_arrays(peer, classes):
  """Returns the formula's arrays under the names of the importer's tables."""
  arrays = {}
  for t in expected_tensors(peer, classes):
    inputs = range(1, len(t.shape))
    if peer.startswith('slim'):
      inputs = range(2 if 'depthwise' in t.name else len(t.shape) - 1)
    arrays[t.name] = formula.tensor(t.name, t.shape, inputs)
  return arrays


def imported(peer, classes):
  arrays = formula_arrays(peer, classes)
  return conversion.import_arrays(arrays, project_of(peer))


def apply(weights, images):
  """Runs a network in evaluation mode; returns all its outputs.

  Leaves out auxiliary heads, which only some peers have, so that peers with the
  same network share one compiled program.
  """
  run = _compiled(
    weights.architecture, weights.num_classes, weights.batch_norm_scale
  )
  variables = {
    collection: {
      scope: value
      for scope, value in tree.items()
      if not scope.startswith('AuxLogits')
    }
    for collection, tree in weights.variables.items()
  }
  return run(variables, images)


@functools.cache
def _compiled(architecture, num_classes, batch_norm_scale):
  model = create_model(
    architecture,
    num_classes=num_classes,
    batch_norm_scale=batch_norm_scale,
    scan_blocks=True,  # Compiles faster.
  )
  return jax.jit(lambda *args: model.apply(*args, endpoints=True))
