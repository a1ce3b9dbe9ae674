"""Ten training steps of Keras's InceptionV3, for a golden file.

Run by `make parity` in the project's environment: TensorFlow includes Keras.
The optimizer is TensorFlow 1's RMSProp, which trained the papers' networks.
Keras's own starts the mean square at 0 instead of 1.
"""

import argparse
import pathlib

from inception.data.tensorflow import tf
from tests.parity import trajectory

PEER = 'keras_inception_v3'


def make_network(size):
  """Returns InceptionV3 with the weights of the formula."""
  tf.keras.utils.clear_session()
  model = tf.keras.applications.InceptionV3(
    weights=None,
    classes=trajectory.CLASSES,
    classifier_activation=None,
    input_shape=(size, size, 3),
  )
  for name, variable in named(model).items():
    axes = range(len(variable.shape) - 1)
    variable.assign(trajectory.initial(name, tuple(variable.shape), axes))
  return model


def named(model):
  """Returns all variables by '<layer>/<variable>'."""
  return {
    f'{layer.name}/{variable.name}': variable
    for layer in model.layers
    for variable in layer.weights
  }


def values(variables):
  """Copies variables to the host."""
  return {name: value.numpy().copy() for name, value in variables.items()}


def make_gradient(model):
  """Returns a compiled function of a batch: loss and gradients.

  Weight decay is added as an L2 penalty; the returned loss excludes it.
  """
  variables = [variable.value for variable in model.trainable_variables]
  cross_entropy = tf.keras.losses.CategoricalCrossentropy(
    from_logits=True, label_smoothing=trajectory.LABEL_SMOOTHING
  )

  @tf.function
  def gradient(images, labels):
    with tf.GradientTape() as tape:
      targets = tf.one_hot(labels, trajectory.CLASSES)
      loss = cross_entropy(targets, model(images, training=True))
      penalty = sum(
        tf.nn.l2_loss(variable)
        for variable in variables
        if len(variable.shape) > 1
      )
      total = loss + trajectory.WEIGHT_DECAY * penalty
    return loss, tape.gradient(total, variables)

  return gradient, variables


def train(recipe):
  """Returns the losses, and all variables before and after."""
  model = make_network(recipe.size)
  gradient, variables = make_gradient(model)
  optimizer = tf.compat.v1.train.RMSPropOptimizer(
    recipe.learning_rate,
    decay=trajectory.RMSPROP_DECAY,
    momentum=trajectory.MOMENTUM,
    epsilon=trajectory.RMSPROP_EPSILON,
  )
  before, losses = values(named(model)), []
  for images, labels in trajectory.batches(recipe):
    loss, gradients = gradient(trajectory.normalized(images), labels)
    optimizer.apply_gradients(zip(gradients, variables))
    losses.append(float(loss))
  return losses, before, values(named(model))


def main():
  parser = argparse.ArgumentParser()
  parser.add_argument('--output', type=pathlib.Path, required=True)
  arguments = parser.parse_args()
  arguments.output.mkdir(parents=True, exist_ok=True)
  losses, before, after = train(trajectory.RECIPES[PEER])
  path = arguments.output / f'training_{PEER}.npz'
  trajectory.save(path, losses, before, after)
  print(PEER, ' '.join(f'{loss:.5f}' for loss in losses))


if __name__ == '__main__':
  main()
