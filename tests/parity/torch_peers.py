"""Golden files of torchvision, timm, facenet-pytorch and pytorch-fid.

Run by `make parity` in a separate environment (requirements-parity.txt). Fills
every network with the weights of `formula` and writes a golden file of its
logits; with --weights, also the weights files that torch saves.
"""

import argparse
import pathlib

import facenet_pytorch
import numpy as np
from pytorch_fid import inception as pytorch_fid
from safetensors.torch import save_file
import timm
import torch
import torchvision

from tests.parity import formula

CLASSES = 100


def torchvision_googlenet(classes=CLASSES):
  return torchvision.models.googlenet(
    num_classes=classes,
    aux_logits=True,
    init_weights=False,
    dropout=0.0,
    dropout_aux=0.0,
  )


def torchvision_inception_v3(classes=CLASSES):
  return torchvision.models.inception_v3(
    num_classes=classes, aux_logits=True, init_weights=False, dropout=0.0
  )


def timm_model(name):
  return lambda: timm.create_model(name, num_classes=CLASSES)


def facenet():
  return facenet_pytorch.InceptionResnetV1(classify=True, num_classes=CLASSES)


def fid():
  """The network of pytorch-fid with its classifier, without a download."""
  empty = torchvision.models.inception_v3(
    num_classes=1008, aux_logits=False, init_weights=False
  ).state_dict()
  pytorch_fid.load_state_dict_from_url = lambda *_, **__: empty
  return pytorch_fid.fid_inception_v3()


# Golden file: the network, image size, whether to add logits in training.
PEERS = {
  'torchvision_googlenet': (torchvision_googlenet, 224, True),
  'torchvision_inception_v3': (torchvision_inception_v3, 299, True),
  'timm_inception_v3': (timm_model('inception_v3'), 299, False),
  'timm_inception_v4': (timm_model('inception_v4'), 299, False),
  'timm_inception_resnet_v2': (timm_model('inception_resnet_v2'), 299, False),
  'facenet_inception_resnet_v1': (facenet, 160, False),
  'fid_inception_v3': (fid, 299, False),
}


def fill(model, make_tensor=formula.tensor):
  """Fills every tensor with the values of the formula, or of another one."""
  state = model.state_dict()
  for name, value in state.items():
    if value.dtype == torch.float32:
      axes = range(1, value.ndim)
      values = make_tensor(name, tuple(value.shape), axes)
      state[name] = torch.from_numpy(values)
  model.load_state_dict(state)
  return state


def results(model, size, train):
  """Returns logits; with `train`, also training logits of all heads."""
  images = torch.from_numpy(formula.images(size).transpose(0, 3, 1, 2).copy())
  with torch.no_grad():
    found = {'logits': model.eval()(images)}
    if train:
      logits, *aux = model.train()(images)
      found['train_logits'] = logits
      # GoogLeNet returns the deeper one first.
      for i, value in enumerate(reversed(aux)):
        found[f'aux_logits_{i}'] = value
  return {name: value.numpy() for name, value in found.items()}


def main():
  parser = argparse.ArgumentParser()
  parser.add_argument('--output', type=pathlib.Path, required=True)
  parser.add_argument('--weights', action='store_true')
  arguments = parser.parse_args()
  arguments.output.mkdir(parents=True, exist_ok=True)
  for name, (make, size, train) in PEERS.items():
    model = make()
    state = fill(model)
    if arguments.weights:
      torch.save(state, arguments.output / f'{name}.pth')
      save_file(state, arguments.output / f'{name}.safetensors')
    np.savez_compressed(
      arguments.output / f'{name}.npz',
      size=size,
      tensors=[f'{k} {tuple(v.shape)}' for k, v in state.items()],
      **results(model, size, train),
    )
    print(name, len(state), 'tensors')


if __name__ == '__main__':
  main()
