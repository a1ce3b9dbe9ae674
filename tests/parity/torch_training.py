"""Ten training steps of torchvision's networks, for golden files.

Run by `make parity` in the environment of requirements-parity.txt.
"""

import argparse
import pathlib

import numpy as np
import torch
from torch.nn import functional

from tests.parity import torch_peers, trajectory

PEERS = {
  'torchvision_inception_v3': torch_peers.torchvision_inception_v3,
  'torchvision_googlenet': torch_peers.torchvision_googlenet,
}


def make_optimizer(model, recipe):
  """SGD with weight decay for kernels only, as in this project."""
  kernels = [p for p in model.parameters() if p.ndim > 1]
  others = [p for p in model.parameters() if p.ndim == 1]
  groups = [
    {'params': kernels, 'weight_decay': trajectory.WEIGHT_DECAY},
    {'params': others, 'weight_decay': 0.0},
  ]
  return torch.optim.SGD(
    groups, lr=recipe.learning_rate, momentum=trajectory.MOMENTUM
  )


def training_loss(model, images, labels, recipe):
  """Smoothed cross-entropy of the classifier and of the auxiliary heads."""
  logits, *aux = (
    functional.cross_entropy(
      logits, labels, label_smoothing=trajectory.LABEL_SMOOTHING
    )
    for logits in model(images)
  )
  return logits + recipe.aux_weight * sum(aux)


def tensors(model):
  """Copies every tensor except the batch counters."""
  return {
    name: value.detach().double().numpy().copy()
    for name, value in model.state_dict().items()
    if value.is_floating_point()
  }


def train(name, dtype):
  """Returns the losses, and all tensors before and after."""
  recipe = trajectory.RECIPES[name]
  model = PEERS[name](trajectory.CLASSES)
  torch_peers.fill(model, trajectory.initial)
  model.train().to(dtype)
  optimizer = make_optimizer(model, recipe)
  before, losses = tensors(model), []
  for images, labels in trajectory.batches(recipe):
    images = trajectory.normalized(images).transpose(0, 3, 1, 2)
    images = torch.from_numpy(np.ascontiguousarray(images)).to(dtype)
    loss = training_loss(model, images, torch.from_numpy(labels).long(), recipe)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
  return losses, before, tensors(model)


def main():
  parser = argparse.ArgumentParser()
  parser.add_argument('--output', type=pathlib.Path, required=True)
  parser.add_argument('--float64', action='store_true')
  parser.add_argument('peers', nargs='*', default=list(PEERS))
  arguments = parser.parse_args()
  arguments.output.mkdir(parents=True, exist_ok=True)
  dtype = torch.float64 if arguments.float64 else torch.float32
  for name in arguments.peers:
    losses, before, after = train(name, dtype)
    path = arguments.output / f'training_{name}.npz'
    trajectory.save(path, losses, before, after)
    print(name, ' '.join(f'{loss:.5f}' for loss in losses))


if __name__ == '__main__':
  main()
