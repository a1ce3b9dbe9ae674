"""Files are compared before they are written; nothing invalid is written."""

import dataclasses
import datetime
import errno
import importlib.util
import json
import os
import subprocess

import ml_collections
import numpy as np
import onnx
import pytest

from inception import export, paths
from inception.data.tensorflow import tf
from inception.errors import UserError
from inception.export import (
  __main__,
  card,
  formats,
  onnx_file,
  running,
  stablehlo_file,
  writing,
)
from inception.export.onnx_target import OnnxTarget
from inception.export.request import Request
from inception.modules.create import create_model
from inception.pretrained import published
from inception.quantization import int8
from tests import test_odd_values, tiny, warm
from tests.export.files import network_of
from tests.tables import PIECES

SIZE = 16


@pytest.fixture(scope='module')
def network():
  return network_of(
    create_model(tiny.TINY, num_classes=10),
    SIZE,
    class_names=list('abcdefghij'),
  )


@pytest.fixture(scope='module')
def quantized(network):
  """Only its kind matters here."""
  return dataclasses.replace(network, model=int8.make_quantized(network.model))


def test_a_file_of_stablehlo_is_checked_and_written(network, tmp_path, capsys):
  path = tmp_path / 'tiny.jaxexport'
  written = export.write(
    network, path, outputs=('logits', 'PreLogits'), platforms=('cpu', 'tpu')
  )
  assert written.comparison.difference < 2e-6
  assert (written.comparison.images, written.comparison.same_class) == (16, 16)
  assert written.images == 'noise'
  assert 'compared on noise: ' in capsys.readouterr().err
  assert written.path == paths.Path(path)
  assert sorted(os.listdir(tmp_path)) == [
    'tiny.jaxexport',
    'tiny.jaxexport.json',
  ]
  facts = json.loads((tmp_path / 'tiny.jaxexport.json').read_text())
  assert facts['platforms'] == ['cpu', 'tpu'] and facts['jax']
  promised = datetime.date.fromisoformat(facts['promised_until'])
  assert 170 < (promised - datetime.date.today()).days <= 180
  assert (facts['step'], facts['top1']) == ('7', '0.5')


@pytest.mark.parametrize('batch_size', [None, 3])
def test_files_run_without_this_project(network, tmp_path, batch_size):
  request = Request(image_size=SIZE, batch_size=batch_size)
  stablehlo_file.save(network, request, {}, paths.Path(tmp_path / 'file'))
  state = np.random.RandomState(0)
  images = state.randint(0, 256, (3, SIZE, SIZE, 3)).astype(np.uint8)
  np.save(tmp_path / 'images.npy', images)
  code = (
    'import jax, numpy, sys\n'
    'exported = jax.export.deserialize(bytearray(open("file", "rb").read()))\n'
    'out = exported.call(numpy.load("images.npy"))\n'
    'numpy.save("logits.npy", out["logits"])\n'
    'assert not {"inception", "flax"} & set(sys.modules)\n'
  )
  subprocess.run(
    [warm.python(), '-I', '-c', f'import jax.export\n{code}'],
    cwd=tmp_path,
    check=True,
  )
  right = running.outputs_of_network(network, images, ['logits'])['logits']
  np.testing.assert_allclose(
    np.load(tmp_path / 'logits.npy'), right, atol=2e-6 * np.abs(right).max()
  )


def test_a_fixed_batch_is_padded(network, tmp_path):
  request = Request(image_size=SIZE, batch_size=3)
  path = paths.Path(tmp_path / 'file')
  stablehlo_file.save(network, request, {}, path)
  pixels = np.zeros((7, SIZE, SIZE, 3), np.uint8)
  found = running.outputs_of_file(
    network, request, stablehlo_file.open_file(path), pixels
  )
  assert found['logits'].shape == (7, 10)


def test_onnx_has_the_facts_and_is_the_same_twice(network):
  request = Request(image_size=SIZE)
  facts = card.facts(network, request)
  content = onnx_file.build(network, request, facts)
  assert content == onnx_file.build(network, request, facts)
  model = onnx.load_from_string(content)
  found = {entry.key: entry.value for entry in model.metadata_props}
  assert found == facts
  assert json.loads(found['class_names']) == list('abcdefghij')
  assert json.loads(found['mean']) == [127.5] * 3
  assert (found['architecture'], found['eval_transform']) == (
    network.config.model.architecture,
    network.config.data.eval_transform,
  )
  # Cropped first, then resized.
  assert found['antialias'] == 'false' and 'short_side' not in found
  dims = model.graph.input[0].type.tensor_type.shape.dim
  assert [d.dim_param or d.dim_value for d in dims] == ['batch', SIZE, SIZE, 3]


def test_files_say_how_images_are_resized():
  model = create_model(tiny.TINY, num_classes=10)
  network = network_of(model, SIZE, eval_transform='torchvision')
  found = card.facts(network, Request(image_size=224))
  assert (found['short_side'], found['antialias']) == ('256', 'true')


def test_published_weights_keep_their_license(network):
  row = published.lookup('googlenet.torchvision')
  config = network.config.copy_and_resolve_references()
  origin = {'project': 'torchvision', 'sha256': row.hash.ljust(64, '0')}
  with config.unlocked():
    config.provenance = ml_collections.ConfigDict(origin)
  imported = dataclasses.replace(network, config=config)
  facts = card.facts(imported, Request(image_size=SIZE))
  assert facts['weights_license'] == row.license
  assert facts['weights_project'] == 'torchvision'
  assert 'weights_license' not in card.facts(network, Request(image_size=SIZE))


def test_a_wrong_file_is_not_written(network, tmp_path, monkeypatch):
  """The first stage that differs is named."""
  concatenate = OnnxTarget.concatenate

  def reversed_order(self, values):
    return concatenate(self, values[::-1])

  def open_file(path):
    evaluator = onnx.reference.ReferenceEvaluator(onnx.load(path))
    names = evaluator.output_names
    return lambda images: dict(
      zip(names, evaluator.run(None, {'images': images}))
    )

  # Here, onnx itself runs it.
  without_runtime = dataclasses.replace(formats.FORMATS['onnx'], runtime=())
  monkeypatch.setitem(formats.FORMATS, 'onnx', without_runtime)
  monkeypatch.setattr(OnnxTarget, 'concatenate', reversed_order)
  monkeypatch.setattr(onnx_file, 'open_file', open_file)
  with pytest.raises(
    writing.DifferentError, match='first stage that differs is Mixed_2b'
  ):
    export.write(network, tmp_path / 'tiny.onnx')
  assert not list(tmp_path.iterdir())


def test_the_command_fails_if_a_file_is_wrong(finished, tmp_path, monkeypatch):
  wrong = running.Comparison(images=1, difference=0.5, same_class=0)
  monkeypatch.setattr(running, 'compare', lambda *_: wrong)
  monkeypatch.setattr(running, 'first_difference', lambda *_: 'Mixed_2b')
  path = tmp_path / 'a.jaxexport'
  flags = [f'--workdir={finished.workdir}', f'--output={path}', '--check=1']
  code, out, error = test_odd_values.run(__main__, flags)
  assert (code, out) == (1, '')
  assert error.endswith('the first stage that differs is Mixed_2b\n')
  assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('name', ['a.onnx', 'a.jaxexport', 'saved'])
def test_a_full_disk_loses_nothing(network, tmp_path, monkeypatch, name):
  def write_half(path, content):
    with open(path, 'wb') as file:
      file.write(content[: len(content) // 2])
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

  def save_half(module, folder, signatures):
    os.mkdir(folder)
    raise tf.errors.ResourceExhaustedError(
      None, None, f'a.tmp; {os.strerror(errno.ENOSPC)}'
    )

  monkeypatch.setattr(paths.Path, 'write_bytes', write_half)
  monkeypatch.setattr(tf.saved_model, 'save', save_half)
  format = 'saved_model' if name == 'saved' else None  # noqa: A001
  with pytest.raises(UserError, match=f'{name}: No space left .*; free some'):
    export.write(network, tmp_path / name, format, check_images=0)
  assert not list(tmp_path.iterdir())


WRONG = [
  ({'path': 'a.pb'}, 'ends in none of .onnx, .tflite, .jaxexport; give'),
  ({'format': 'coreml'}, "format='coreml' is not one of onnx"),
  ({'precision': 'int8'}, 'not quantized; first run python -m inception.quant'),
  ({'precision': 'float8'}, "precision='float8' is not one of float32, float1"),
  (
    {'path': 'a.jaxexport', 'precision': 'float16'},
    'exported to onnx or litert only',
  ),
  ({'platforms': ('cpu',)}, 'platforms is an option of stablehlo only'),
  (
    {'path': 'a.jaxexport', 'platforms': ('cpu', 'metal')},
    "platforms='metal' is not one of cpu",
  ),
  ({'activations': 'unsigned'}, 'activations is an option of int8 only'),
  ({'activations': 'wide'}, "activations='wide' is not one of signed"),
  ({'outputs': ('classes',)}, "outputs='classes' is not one of logits"),
  ({'outputs': ()}, 'must be among logits'),
  ({'input': 'bytes'}, "input='bytes' is not one of pixels"),
  ({'batch_size': 0}, 'batch_size=0 must be at least 1'),
]


@pytest.mark.parametrize(('how', 'message'), WRONG)
def test_what_cannot_be_exported(network, tmp_path, how, message):
  how = {'path': 'a.onnx', **how}
  path = tmp_path / how.pop('path')
  with pytest.raises(UserError, match=message):
    export.write(network, path, **how)
  assert not list(tmp_path.iterdir())


def test_small_images_are_refused(tmp_path):
  network = network_of(create_model(PIECES['inception_v3-Conv2d_1a_3x3']), 59)
  with pytest.raises(UserError, match='=9 is too small: .*; the smallest is'):
    export.write(network, tmp_path / 'a.onnx', image_size=9)


def test_a_missing_package_is_named(network, tmp_path, monkeypatch):
  found = importlib.util.find_spec
  monkeypatch.setattr(
    importlib.util,
    'find_spec',
    lambda name: None if name == 'onnxruntime' else found(name),
  )
  with pytest.raises(
    UserError, match=r"onnxruntime is not installed; run pip install -e '.\[ex"
  ):
    export.write(network, tmp_path / 'a.onnx')
  export.write(network, tmp_path / 'a.onnx', check_images=0)


def test_quantized_weights_stay_int8(quantized, tmp_path):
  with pytest.raises(UserError, match='exported in int8, not in float16'):
    export.write(quantized, tmp_path / 'a.onnx', precision='float16')
  with pytest.raises(UserError, match='int8 is exported to onnx or litert or'):
    export.write(quantized, tmp_path / 'a', 'saved_model')
  assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('platforms', [None, ('cuda',), ('cpu', 'tpu')])
def test_int8_on_gpus_is_warned_of(platforms, capsys):
  request = Request(precision='int8', platforms=platforms)
  writing._check_options(request, formats.FORMATS['stablehlo'])
  is_warned = 'int8 convolutions wrongly on GPUs' in capsys.readouterr().err
  assert is_warned == (platforms != ('cpu', 'tpu'))


def test_weights_without_a_classifier_have_features_only(tmp_path):
  network = network_of(create_model(tiny.TINY, num_classes=0), SIZE)
  path = tmp_path / 'a.jaxexport'
  with pytest.raises(UserError, match='no classifier, .* --outputs=PreLogits'):
    export.write(network, path)
  written = export.write(network, path, outputs=('PreLogits',))
  assert written.comparison.same_class is None


def test_an_existing_file_is_kept(network, tmp_path):
  path = tmp_path / 'a.onnx'
  path.write_text('mine')
  with pytest.raises(UserError, match='a.onnx exists; remove it, or choose'):
    export.write(network, path)
  assert path.read_text() == 'mine'
  beside = tmp_path / 'b.jaxexport.json'
  beside.write_text('mine')
  with pytest.raises(UserError, match='b.jaxexport.json exists'):
    export.write(network, tmp_path / 'b.jaxexport')
  assert beside.read_text() == 'mine'
