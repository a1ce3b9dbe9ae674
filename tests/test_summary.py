"""The summary command: numbers, refusals, and that it needs no JAX."""

import json
import subprocess
import sys

import pytest

from inception.architectures import get_architecture
from inception.spec import cost
from tests.architectures.reference import ENDPOINTS, NUMBERS

SUMMARY = [sys.executable, '-m', 'inception.summary']


def run(*arguments):
  return subprocess.run(
    [*SUMMARY, *arguments], capture_output=True, text=True, check=False
  )


@pytest.mark.parametrize('name', ['inception_v3', 'inception_resnet_v2'])
def test_json_holds_the_reference_numbers(name):
  done = run(f'--architecture={name}', '--json')
  numbers = NUMBERS[name]
  printed = json.loads(done.stdout.splitlines()[-1])
  stages = printed.pop('stages')
  assert printed == {
    'num_classes': 1000,
    'parameters': numbers.parameters,
    'parameters_with_aux': numbers.parameters_with_aux,
    'macs': numbers.macs,
    'convolutions': numbers.convolutions,
    'batch_norm_channels': numbers.batch_norm_channels,
  }
  assert [tuple(stage['shape']) for stage in stages[:-1]] == ENDPOINTS[name]
  assert sum(stage['parameters'] for stage in stages) == numbers.parameters


def test_activation_bytes_are_those_of_every_layer_in_float32():
  stages = cost.network_cost(get_architecture('inception_v1'), 224, 224).stages
  by_name = {stage.name: stage.activation_bytes for stage in stages}
  assert by_name['Conv2d_1a_7x7'] == 4 * 112 * 112 * 64
  # Mixed_3b: four outputs, two reductions, one pooling.
  channels = 64 + 128 + 32 + 32 + 96 + 16 + 192
  assert by_name['Mixed_3b'] == 4 * 28 * 28 * channels


def test_options_change_the_network():
  done = run('--architecture=bn_inception', '--squeeze_excite=16', '--json')
  printed = json.loads(done.stdout.splitlines()[-1])
  assert printed['parameters'] == 11_931_622
  done = run('--nobatch_norm_scale', '--num_classes=1001', '--json')
  printed = json.loads(done.stdout.splitlines()[-1])
  assert printed['parameters'] == 23_819_401


def test_the_number_of_classes_is_that_of_the_table():
  done = run('--architecture=inception_v3_fid', '--json')
  assert json.loads(done.stdout.splitlines()[-1])['num_classes'] == 1008


@pytest.mark.parametrize(
  'argument, message',
  [
    ('--architecture=vgg', "'vgg'"),
    ('--image_size=74', 'smallest --image_size of inception_v3 is 75'),
  ],
)
def test_wrong_input_is_one_line(argument, message):
  done = run(argument)
  assert done.returncode == 2
  assert message in done.stderr and done.stderr.count('\n') == 1


def test_no_jax_is_loaded():
  code = (
    'import sys; from inception import summary;'
    'from inception import architectures;'
    'from inception.spec import cost;'
    'cost.network_cost(architectures.get_architecture("inception_v4"),299,299);'
    'assert not {"jax", "flax", "tensorflow"} & set(sys.modules)'
  )
  subprocess.run([sys.executable, '-c', code], check=True)
