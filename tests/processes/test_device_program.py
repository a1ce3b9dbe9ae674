"""Device programs: their two forms, options, and collectives."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from inception.modules import compiler_options
from inception.modules.conv_gradient import plain_convolution
from inception.processes.device_program import DeviceProgram
from inception.processes.distributed import AXIS
from inception.training.recipe.step import step_program
from tests.training.recipe import test_step


def test_pmap_and_shard_map_give_the_same_bits(config):
  config.model.architecture = 'tiniest'  # Compiles faster.
  config.data.flip = True
  training = test_step.build(config, 4)
  batch = test_step.batch(4)
  program = step_program(training.recipe)
  results = []
  for make in (program.pmap, program.shard_map):
    step = make(training.devices)
    state = training.initial_state()
    for _ in range(2):
      state, metrics = step(jnp.int32(3), state, batch)
    results.append(jax.device_get((state, metrics)))
  jax.tree.map(np.testing.assert_array_equal, *results)


def test_a_pmap_is_compiled_with_options_once_per_shapes():
  def function(images, kernel):
    y = plain_convolution(images, kernel, 1, ((1, 1), (1, 1)), None)
    return {'sum': jax.lax.psum(jnp.sum(y), AXIS)}

  program = DeviceProgram(
    function, split=(True, False), options=compiler_options.ONEDNN
  )
  kernel = np.ones((3, 3, 16, 16), np.float32)
  run = program.pmap(jax.devices())
  plain = dataclasses.replace(program, options={}).pmap(jax.devices())
  for rows, programs in ((1, 1), (2, 2), (1, 2)):
    images = np.ones((4, rows, 32, 32, 16), np.float32)
    found, expected = run(images, kernel), plain(images, kernel)
    np.testing.assert_allclose(found['sum'], expected['sum'], rtol=1e-6)
    assert len(run._programs) == programs
  assert 'onednn$convolution' in run.compile(images, kernel).as_text()
  assert 'onednn' not in plain.compile(images, kernel).as_text()


def collectives(text):
  """Returns the bytes of every all-reduce of a compiled CPU program."""
  from inception.planning.operations import operations

  found = [op for op in operations(text) if op.kind == 'all-reduce']
  return [op.result_bytes for op in found]


def test_the_step_reduces_only_gradients_statistics_and_metrics(config):
  config.model.architecture = 'tiniest'
  config.model.batch_norm_sync = False
  training = test_step.build(config, 4)
  state, batch = training.abstract_state, test_step.batch(4)
  step = step_program(training.recipe).shard_map(training.devices)
  text = step.lower(jnp.int32(0), state, batch).compile().as_text()
  numbers = sum(x.size for x in jax.tree.leaves(state.params))
  numbers += sum(x.size for x in jax.tree.leaves(state.batch_stats))
  assert sum(collectives(text)) == 4 * (numbers + 2)  # Loss and top-1.


def test_synchronized_statistics_are_the_only_other_collectives(config):
  training = test_step.build(config, 4)
  state, batch = training.abstract_state, test_step.batch(4)
  step = step_program(training.recipe).shard_map(training.devices)
  text = step.lower(jnp.int32(0), state, batch).compile().as_text()
  numbers = sum(x.size for x in jax.tree.leaves(state.params))
  moments = sum(x.size for x in jax.tree.leaves(state.batch_stats))
  # Forward, backward, and the average of the moving statistics.
  assert sum(collectives(text)) == 4 * (numbers + 3 * moments + 2)
