"""Golden file of torch-fidelity, pytorch-fid and clean-fid: generative.json.

Run by `make parity` in a separate environment (requirements-parity.txt), on the
features and pictures of tests/generative/recipe.py, and on a photograph with
the weights of `formula`.
"""

import argparse
import json
import pathlib

from cleanfid import resize
import numpy as np
from pytorch_fid import fid_score, inception
from skimage import data
import torch
from torch_fidelity import metric_isc, metric_kid, metric_prc
from torch_fidelity.feature_extractor_inceptionv3 import (
  FeatureExtractorInceptionV3,
)
from torch_fidelity.interpolate_compat_tensorflow import (
  interpolate_bilinear_2d_like_tensorflow1x,
)

from tests.generative import recipe
from tests.parity import torch_peers

SIDE = 299
# Images of both sides, features, shift of the second side.
FRECHET = {
  'full': (1000, 800, 64, 0.1),
  'same': (1000, 1000, 64, 0.0),
  'singular': (48, 40, 64, 0.1),
  'one_singular': (48, 800, 64, 0.1),
}
SIZES = ((33, 57), (301, 450), (512, 385))
POSITIONS = (0, 1, 2, 511, 1007)


def sides(name, count, other, size, shift):
  a = recipe.features(f'{name}/a', count, size)
  b = recipe.features(f'{name}/b', other, size, shift)
  return a.astype(np.float64), b.astype(np.float64)


def frechet(name):
  a, b = sides(name, *FRECHET[name])
  statistics = [(x.mean(0), np.cov(x, rowvar=False)) for x in (a, b)]
  (m1, s1), (m2, s2) = statistics
  # Of S1 S2, the root's trace is the nuclear norm of the centered features'
  # product: exact at any rank.
  roots = [(x - x.mean(0)) / np.sqrt(len(x) - 1) for x in (a, b)]
  nuclear = np.linalg.norm(roots[0] @ roots[1].T, 'nuc')
  return {
    'exact': (m1 - m2) @ (m1 - m2) + np.trace(s1 + s2) - 2 * nuclear,
    'pytorch_fid': fid_score.calculate_frechet_distance(m1, s1, m2, s2),
  }


def kernel():
  a, b = map(torch.from_numpy, sides('kid', 1000, 800, 64, 0.1))
  found = metric_kid.kid_features_to_metric(
    a, b, kid_subsets=100, kid_subset_size=200, verbose=False
  )
  kernels = [
    metric_kid.kernel_poly(x.numpy(), y.numpy())
    for x, y in ((a, a), (b, b), (a, b))
  ]
  n, m = len(a), len(b)
  own, theirs, across = kernels
  all_pairs = (own.sum() - np.trace(own)) / (n * (n - 1))
  all_pairs += (theirs.sum() - np.trace(theirs)) / (m * (m - 1))
  return {
    'subsets': [
      found[metric_kid.KEY_METRIC_KID_MEAN],
      found[metric_kid.KEY_METRIC_KID_STD],
    ],
    'all': all_pairs - 2 * across.mean(),
  }


def inception_score():
  def score(count, splits, shuffle):
    logits = torch.from_numpy(recipe.logits('isc', count))
    found = metric_isc.isc_features_to_metric(logits, splits, shuffle)
    return [
      found[metric_isc.KEY_METRIC_ISC_MEAN],
      found[metric_isc.KEY_METRIC_ISC_STD],
    ]

  logits = torch.from_numpy(recipe.logits('isc', 1000)).double()
  # As in ADM's evaluator: parts in order, the last one smaller.
  parts = [
    metric_isc.isc_features_to_metric(part, 1, False)[
      metric_isc.KEY_METRIC_ISC_MEAN
    ]
    for part in logits.split(300)
  ]
  return {
    'shuffled 1000': score(1000, 10, True),
    'shuffled 1003': score(1003, 10, True),
    'files 1000': score(1000, 1, False),
    'adm 300': float(np.mean(parts)),
  }


def precision_recall():
  a, b = map(torch.from_numpy, sides('prc', 600, 500, 64, 0.15))
  found = {}
  for neighbors in (3, 5):
    metrics = metric_prc.prc_features_to_metric(
      a, b, prc_neighborhood=neighbors, verbose=False
    )
    found[neighbors] = [
      metrics[metric_prc.KEY_METRIC_PRECISION],
      metrics[metric_prc.KEY_METRIC_RECALL],
    ]
  return found


def tf1(x):
  return interpolate_bilinear_2d_like_tensorflow1x(
    x, (SIDE, SIDE), align_corners=False
  )


def bilinear(x, antialias):
  return torch.nn.functional.interpolate(
    x, (SIDE, SIDE), mode='bilinear', align_corners=False, antialias=antialias
  )


def clean(x):
  channels_last = x[0].permute(1, 2, 0).numpy()
  resized = resize.build_resizer('clean')(channels_last)
  return torch.from_numpy(resized).permute(2, 0, 1)[None]


RESIZES = {
  'tf1': tf1,
  'pytorch': lambda x: bilinear(x, False),
  'torchmetrics': lambda x: bilinear(x, True),
  'clean': clean,
}


def to_tensor(image):
  return torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float()


def sums(size):
  image = to_tensor(recipe.picture(f'{size[0]}x{size[1]}', *size))
  found = {}
  for name, resized in RESIZES.items():
    pixels = resized(image).double()
    found[name] = [pixels.sum().item(), (pixels**2).sum().item()]
  return found


def summary(features):
  flat = features.double().flatten()
  return {
    'values': [flat[i].item() for i in POSITIONS if i < len(flat)],
    'sum': flat.sum().item(),
    'norm': flat.norm().item(),
  }


def torch_fidelity(weights):
  """Features of a photograph, by the network in float64."""
  names = ['64', '192', '768', '2048', 'logits_unbiased']
  network = FeatureExtractorInceptionV3(
    'inception-v3-compat', names, feature_extractor_weights_path=str(weights)
  )
  network.eval().double()
  network.feature_extractor_internal_dtype = torch.float64
  spatial = []
  network.Mixed_6d.branch1x1.register_forward_hook(
    lambda *args: spatial.append(args[-1][:, :7].permute(0, 2, 3, 1))
  )
  image = torch.from_numpy(data.chelsea()).permute(2, 0, 1)[None]
  with torch.no_grad():
    found = dict(zip(names, network(image)))
  found['pool3'] = found.pop('2048')
  found['logits'] = found.pop('logits_unbiased')
  return {**found, 'spatial': spatial[0]}


def pool3_in_other_modes(weights):
  """Features of pytorch-fid's network, prepared as in other modes."""
  network = inception.InceptionV3(
    [3], resize_input=False, normalize_input=False
  )
  state = torch.load(weights, weights_only=True)
  del state
  network.eval()
  image = to_tensor(data.chelsea())
  prepared = {
    'pytorch': RESIZES['pytorch'](image) / 127.5 - 1,
    'clean': (RESIZES['clean'](image) - 128) / 128,
    'torchmetrics': (RESIZES['torchmetrics'](image) - 128) / 128,
  }
  with torch.no_grad():
    return {name: network(x)[0] for name, x in prepared.items()}


def photograph(folder):
  network = torch_peers.fid()
  torch_peers.fill(network)
  weights = folder / 'fid_formula.pth'
  torch.save(network.state_dict(), weights)
  inception.fid_inception_v3 = lambda: network
  found = {'tf1': torch_fidelity(weights)}
  for name, features in pool3_in_other_modes(weights).items():
    found[name] = {'pool3': features}
  return {
    mode: {name: summary(x) for name, x in features.items()}
    for mode, features in found.items()
  }


def main():
  parser = argparse.ArgumentParser()
  parser.add_argument('--output', type=pathlib.Path, required=True)
  output = parser.parse_args().output
  output.mkdir(parents=True, exist_ok=True)
  found = {
    'frechet': {name: frechet(name) for name in FRECHET},
    'kernel': kernel(),
    'inception_score': inception_score(),
    'precision_recall': precision_recall(),
    'sums': {f'{h}x{w}': sums((h, w)) for h, w in SIZES},
    'photograph': photograph(output),
  }
  text = json.dumps(found, indent=1)
  (output / 'generative.json').write_text(f'{text}\n')


if __name__ == '__main__':
  main()
