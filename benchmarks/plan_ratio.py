"""Claim: by compiler estimates, our training step beats the plain one.

Run:  python -m benchmarks.plan_ratio --json
      python -m benchmarks.plan_ratio --architectures=inception_v3 --keras

Compiles the training step of each network for one TPU chip, in bfloat16, with
`model.fuse` and without, and prints the ratio of the compiler's estimated
cycles, ours over plain. --keras adds Keras's InceptionV3 with SGD, on JAX. No
chip is needed, only `pip install 'jax[tpu]'`; a step takes minutes to compile.
"""

import json
import os
from typing import Any

from absl import flags

from inception.cli import commands
from inception.errors import UserError

_KERAS_SIZE, _KERAS_CLASSES = 299, 1000


def define_flags() -> None:
  """Defines the flags of this command."""
  flags.DEFINE_list(
    'architectures',
    'inception_v1,inception_v3,inception_v4,inception_resnet_v2',
    'Names of networks, or all.',
  )
  flags.DEFINE_string('chip', 'v5e', 'Kind of chip.')
  flags.DEFINE_integer('batch_size', 128, 'Images per step.', lower_bound=1)
  flags.DEFINE_bool('keras', False, "Also compile Keras's InceptionV3.")
  flags.DEFINE_bool('json', False, 'Print one JSON object as the last line.')


def main() -> None:
  """Compiles the steps, one after the other, and prints the ratios."""
  os.environ['JAX_PLATFORMS'] = 'cpu'
  os.environ['KERAS_BACKEND'] = 'jax'
  from inception import architectures
  from inception.planning import chips

  values = flags.FLAGS
  kind, shape = values.chip, {'v5p': '1x1x1'}.get(values.chip, '1x1')
  topology = chips.parse(f'{kind}:{shape}')
  names = values.architectures
  if names == ['all']:
    names = list(architectures.ARCHITECTURES)
  ratios: dict[str, float] = {}
  cycles: dict[str, int] = {}
  for name in names:
    both = [our_cycles(name, topology, fuse) for fuse in (True, False)]
    cycles[name], ratios[name] = both[0], both[0] / both[1]
    print(
      f'{name}: {both[0]:,} cycles, plain {both[1]:,}, ratio'
      f' {ratios[name]:.3f}',
      flush=True,
    )
  if values.keras:
    theirs = keras_cycles(topology)
    ours = cycles.get('inception_v3') or our_cycles(
      'inception_v3', topology, True
    )
    ratios['inception_v3_over_keras'] = ours / theirs
    print(f'keras InceptionV3: {theirs:,} cycles, ratio {ours / theirs:.3f}')
  if values.json:
    print(json.dumps(ratios))


def our_cycles(architecture: str, topology: Any, fuse: bool) -> int:
  """Returns the estimated cycles of a training step of the default recipe."""
  from benchmarks.steps import make_config
  from inception.planning.plan import make_plan

  config = make_config(architecture, flags.FLAGS.batch_size, 'bfloat16')
  config.model.fuse = fuse
  config.model.num_classes = None  # Those of the table.
  plan = make_plan(config, topology, 'train', num_examples=1_281_167)
  if plan.text is None:
    raise UserError(f'{architecture} does not fit; lower --batch_size')
  return plan.estimate.cycles


def keras_cycles(topology: Any) -> int:
  """Returns the estimated cycles of a step of Keras's InceptionV3 with SGD."""
  import jax
  import jax.numpy as jnp
  import keras

  from inception.planning import devices, estimate, programs
  from inception.processes.device_program import DeviceProgram

  keras.config.set_dtype_policy('mixed_bfloat16')
  model = keras.applications.InceptionV3(
    weights=None, input_shape=(_KERAS_SIZE, _KERAS_SIZE, 3)
  )
  optimizer = keras.optimizers.SGD(0.1, momentum=0.9)
  optimizer.build(model.trainable_variables)

  def loss_of(trainable: Any, others: Any, images: Any, labels: Any) -> Any:
    scaled = images.astype(jnp.float32) / 127.5 - 1
    probabilities, others = model.stateless_call(
      trainable, others, scaled, training=True
    )
    losses = keras.ops.sparse_categorical_crossentropy(labels, probabilities)
    return jnp.mean(losses), others

  def step(state: Any, images: Any, labels: Any) -> Any:
    trainable, others, slots = state
    gradient = jax.value_and_grad(loss_of, has_aux=True)
    (loss, others), grads = gradient(trainable, others, images, labels)
    trainable, slots = optimizer.stateless_apply(slots, grads, trainable)
    return (trainable, others, slots), loss

  state = tuple(
    [jax.ShapeDtypeStruct(x.shape, x.dtype) for x in group]
    for group in (
      model.trainable_variables,
      model.non_trainable_variables,
      optimizer.variables,
    )
  )
  rows = flags.FLAGS.batch_size
  images = jax.ShapeDtypeStruct(
    (1, rows, _KERAS_SIZE, _KERAS_SIZE, 3), jnp.uint8
  )
  labels = jax.ShapeDtypeStruct((1, rows), jnp.int32)
  program = DeviceProgram(step, split=(False, True, True), donated=(0,))
  compiled = programs.compile_for(
    program, (state, images, labels), devices.describe(topology)
  )
  return estimate.estimate(compiled, topology, rows).cycles


if __name__ == '__main__':
  commands.run(main, define_flags)
