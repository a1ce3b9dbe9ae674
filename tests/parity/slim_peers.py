"""Writes golden files with the logits of TF-slim's own networks.

TF-slim needs TensorFlow 1's layers. Run this by hand in a separate environment:
Python 3.11, tensorflow-cpu==2.15.1, tf_slim==1.1.0, and a folder that contains
`nets/` of tensorflow/models, research/slim:

  python -m tests.parity.slim_peers --slim=research/slim --output=golden
"""

import argparse
import importlib
import pathlib
import sys

import numpy as np
import tensorflow.compat.v1 as tf

# TensorFlow 2.15 looks for the layers of version 1 under a different name than
# the one that Keras 2.15 uses.
for part in ('', '.base', '.normalization', '.convolutional', '.core'):
  module = importlib.import_module(f'keras.src.legacy_tf_layers{part}')
  sys.modules[f'tf_keras.legacy_tf_layers{part}'] = module

import tf_slim as slim

from tests.parity import formula

CLASSES = 1001
# Name here: module and function of slim, image size.
PEERS = {
  'inception_v1_slim': ('inception_v1', 224),
  'inception_v2_slim': ('inception_v2', 224),
  'inception_v3': ('inception_v3', 299),
  'inception_v4': ('inception_v4', 299),
  'inception_resnet_v2': ('inception_resnet_v2', 299),
}


def fill(variable):
  """Returns the values of the formula for a variable."""
  name, shape = variable.op.name, variable.shape.as_list()
  axes = range(2 if 'depthwise' in name else len(shape) - 1)
  return formula.tensor(name, shape, axes)


def main():
  parser = argparse.ArgumentParser()
  parser.add_argument('--slim', required=True)
  parser.add_argument('--output', type=pathlib.Path, required=True)
  arguments = parser.parse_args()
  sys.path.insert(0, arguments.slim)
  tf.disable_v2_behavior()
  for name, (function, size) in PEERS.items():
    network = importlib.import_module(f'nets.{function}')
    tf.reset_default_graph()
    images = tf.placeholder(tf.float32, (2, size, size, 3))
    with slim.arg_scope(getattr(network, f'{function}_arg_scope')()):
      logits, _ = getattr(network, function)(
        images, num_classes=CLASSES, is_training=False
      )
    variables = tf.global_variables()
    with tf.Session() as session:
      for variable in variables:
        variable.load(fill(variable), session)
      found = session.run(logits, {images: formula.images(size)})
    np.savez_compressed(
      arguments.output / f'slim_{name}.npz',
      size=size,
      tensors=[f'{v.op.name} {tuple(v.shape.as_list())}' for v in variables],
      logits=found.reshape(2, CLASSES),
    )
    print(name, len(variables), 'variables')


if __name__ == '__main__':
  main()
