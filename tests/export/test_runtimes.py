"""Files run in ONNX Runtime, LiteRT and TensorFlow as the network does."""

import json
import subprocess

import numpy as np
import pytest

from benchmarks import peers
from inception import architectures, export, paths
from inception.architectures import make_table
from inception.data.tensorflow import litert_schema
from inception.export import __main__, litert_file, onnx_file, running
from inception.export.request import Request
from inception.modules.create import create_model
from tests import test_odd_values, warm
from tests.export.files import network_of

pytest.importorskip('onnxruntime')
pytest.importorskip('ai_edge_litert')

NETWORKS = sorted(set(architectures.ARCHITECTURES) - {'tiny', 'tiniest'})


def narrow(name, **fields):
  model = create_model(name, num_classes=11, width=0.125, **fields)
  return network_of(model, make_table(name).input_size)


@pytest.mark.slow
@pytest.mark.parametrize('name', NETWORKS)
def test_all_networks_in_onnx_runtime(name, tmp_path):
  network = narrow(name)
  for precision, most in (('float32', 2e-6), ('float16', 5e-3)):
    path = tmp_path / f'{precision}.onnx'
    written = export.write(network, path, precision=precision, check_images=2)
    assert 0 < written.comparison.difference <= most


@pytest.mark.slow
@pytest.mark.parametrize('end', ['onnx', 'tflite'])
def test_one_file_takes_batches_of_any_size(end, tmp_path):
  network = network_of(create_model('tiny', num_classes=10), 16)
  written = export.write(network, tmp_path / f'a.{end}', check_images=0)
  module = {'onnx': onnx_file, 'tflite': litert_file}[end]
  run = module.open_file(written.path)
  state = np.random.RandomState(0)
  for rows in (1, 2, 7):
    images = state.randint(0, 256, (rows, 16, 16, 3)).astype(np.uint8)
    request = Request(image_size=16)
    compared = running.compare(network, request, run, images)
    assert compared.difference <= 2e-6


@pytest.mark.slow
@pytest.mark.parametrize('format', ['litert', 'saved_model'])
@pytest.mark.parametrize('name', ['inception_v1', 'inception_resnet_v1'])
def test_networks_in_tensorflow(name, format, tmp_path):
  network = narrow(name, head_pooling='attention', squeeze_excite=4)
  written = export.write(network, tmp_path / 'a', format, check_images=2)
  assert written.comparison.difference <= 1e-5
  assert json.loads(written.facts['class_names'])[3] == 'class 3'


def facts_of(path):
  """Returns what travels in a file of LiteRT or in a SavedModel."""
  if path.is_dir():
    return json.loads((path / 'assets' / 'inception.json').read_text())
  model = litert_schema().ModelT.InitFromPackedBuf(path.read_bytes())
  (entry,) = (x for x in model.metadata if x.name == b'inception')
  return json.loads(bytes(model.buffers[entry.buffer].data))


ALONE = {
  'a.onnx': """
import onnxruntime
session = onnxruntime.InferenceSession('a.onnx')
(logits,) = session.run(['logits'], {'images': images})
""",
  'a.tflite': """
from ai_edge_litert.interpreter import Interpreter
run = Interpreter(model_path='a.tflite').get_signature_runner()
logits = run(images=images)['logits']
""",
}


@pytest.mark.slow
@pytest.mark.parametrize('name', ALONE)
def test_files_run_without_this_project(finished, name, tmp_path):
  path = paths.Path(tmp_path / name)
  flags = [f'--workdir={finished.workdir}', f'--output={path}', '--json']
  code, out, err = test_odd_values.run(__main__, flags)
  assert not code, err
  report = json.loads(out.splitlines()[-1])
  assert report['compared_on'] == '16 test images'
  assert report['same_class'] == 16
  images = np.zeros((5, 16, 16, 3), np.uint8)
  np.save(tmp_path / 'images.npy', images)
  script = (
    'import numpy, sys\n'
    f'images = numpy.load("images.npy"){ALONE[name]}'
    'assert not {"inception", "jax"} & set(sys.modules)\n'
    'assert logits.shape == (5, 10)\n'
  )
  subprocess.run([warm.python(), '-I', '-c', script], cwd=tmp_path, check=True)
  if name == 'a.tflite':
    assert facts_of(path)['step'] == '6'


@pytest.mark.slow
@pytest.mark.parametrize(
  ('peer', 'precision'),
  [
    ('exported_onnx', 'float32'),
    ('exported_onnx_unsigned', 'int8'),
    ('exported_openvino_unsigned', 'int8'),
    ('exported_litert', 'int8'),
  ],
)
def test_benchmarks_run_exported_files(peer, precision):
  if 'openvino' in peer:
    pytest.importorskip('openvino')
  make = peers.installed()[peer]
  run = make('tiny', precision, 3, 16)
  (logits,) = run().values() if peer == 'exported_litert' else run()
  assert logits.shape == (3, 1000)
  assert make('tiny', 'bfloat16', 3, 16) is None
