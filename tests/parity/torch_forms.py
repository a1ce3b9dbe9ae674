"""Writes PyTorch files of networks in wrappers and with other heads.

Run by `make parity` in a separate environment. Every file holds
torchvision's Inception v3 with the weights of `formula`.
"""

import argparse
import pathlib

import torch
from torch import nn

from tests.parity.torch_peers import fill, torchvision_inception_v3

CLASSES = 5


def whole():
  model = torchvision_inception_v3(CLASSES)
  fill(model)
  return model


def stack():
  """Two layers instead of the classifier."""
  model = whole()
  model.fc = nn.Sequential(nn.Linear(2048, 9), nn.ReLU(), nn.Linear(9, CLASSES))
  return model


def new_classifier():
  """A classifier with other classes than the auxiliary heads."""
  model = whole()
  model.fc = nn.Linear(2048, 3)
  return model


def headless():
  model = whole()
  model.fc = nn.Identity()
  return model


def lightning(model):
  """The content of a Lightning checkpoint whose loss has weights."""
  state = {f'model.{k}': v for k, v in model.state_dict().items()}
  state['criterion.weight'] = torch.ones(CLASSES)
  return {'epoch': 3, 'state_dict': state, 'hyper_parameters': {'lr': 0.1}}


FORMS = {
  'parallel': lambda: nn.DataParallel(whole()).state_dict(),
  'compiled': lambda: torch.compile(whole()).state_dict(),
  'lightning': lambda: lightning(whole()),
  'stack': lambda: stack().state_dict(),
  'new_classifier': lambda: new_classifier().state_dict(),
  'headless': lambda: headless().state_dict(),
  'half': lambda: whole().half().state_dict(),
  'whole_model': whole,
}


def small_forms():
  """Returns the small files of tests/pretrained/formats/data, by name."""
  weight, bias = torch.arange(6.0).reshape(2, 3), torch.tensor(1.0)
  parameter = nn.Parameter(weight)
  parameter.no_weight_decay = True
  quantized = torch.quantize_per_tensor(weight, 0.1, 0, torch.qint8)
  flat = torch.arange(6.0)
  copies = {name: {'bias': i * bias} for i, name in enumerate(COPIES, 1)}
  return {
    'attributes': {'weight': parameter, 'bias': bias},
    'sparse': {'weight': weight.to_sparse()},
    'quantized': {'weight': quantized},
    'numpy': {'weight': weight.numpy()},
    'copies': {'epoch': 3, **copies},
    'views': {str(i): flat[i : i + 1] for i in range(6)},
  }


COPIES = ('state_dict', 'state_dict_ema', 'ema')


def main():
  parser = argparse.ArgumentParser()
  parser.add_argument('--output', type=pathlib.Path, required=True)
  output = parser.parse_args().output
  output.mkdir(parents=True, exist_ok=True)
  for name, make in FORMS.items():
    torch.save(make(), output / f'form_{name}.pth')
    print(name)
  for name, state in small_forms().items():
    torch.save(state, output / f'{name}.pth')


if __name__ == '__main__':
  main()
