"""Classes, features and explanations of image files, in Python and shell."""

import csv
import json
import subprocess

import jax
import jax.numpy as jnp
import numpy as np
from PIL import ExifTags, Image
import pytest

from inception import load_pretrained
from inception.data import class_names
from inception.data.pixels.eval_transforms import eval_transform
from inception.errors import UserError
from inception.predict import explain, stream
from inception.predict.explain import make_explainer
from tests import warm
from tests.predict.test_pretrained import WEIGHTS

pytestmark = pytest.mark.usefixtures('python')


@pytest.fixture(scope='module')
def network():
  return load_pretrained(WEIGHTS)


@pytest.fixture
def files(image_folder):
  """13 images in an order that mixes their sizes and formats."""
  return sorted(
    map(str, (image_folder / 'train').rglob('*.*')), key=lambda f: f[::-1]
  )


def command(*arguments):
  return subprocess.run(
    [warm.python(), '-m', 'tests.worker', 'predict', *arguments]
    + [f'--workdir={WEIGHTS}'],
    capture_output=True,
    text=True,
    check=False,
  )


@pytest.mark.parametrize('rows', [1, 2, 32])
def test_files_are_classified_as_if_one_by_one(network, files, rows):
  """For any batch size, on four devices, in order, without padding."""
  results = list(
    stream.run(
      network.classify(3), network.variables, network.config.data, files, rows
    )
  )
  assert [file for file, _ in results] == files
  logits = network(network.read(files)).logits
  wanted = jnp.argsort(-logits, axis=1)[:, :3]
  np.testing.assert_array_equal([r['label'] for _, r in results], wanted)
  probabilities = jnp.take_along_axis(jax.nn.softmax(logits), wanted, 1)
  np.testing.assert_allclose(
    [r['probability'] for _, r in results], probabilities, atol=1e-5
  )


def test_ten_crops_are_the_mean_of_corners_center_and_mirror_images(
  network, tmp_path
):
  data = network.config.data
  side = data.image_size
  generator = np.random.default_rng(0)
  # At this size, the picture is not resized.
  large = round(side / eval_transform(data).crop_pct)
  pixels = generator.integers(0, 256, (large, large, 3), np.uint8)
  path = str(tmp_path / 'noise.png')
  Image.fromarray(pixels).save(path)
  end = large - side
  squares = [
    pixels[top : top + side, left : left + side]
    for top, left in (
      *((0, 0), (0, end), (end, 0), (end, end)),
      (end // 2, end // 2),
    )
  ]
  images = np.stack([*squares, *(square[:, ::-1] for square in squares)])
  mean = jax.nn.softmax(network(network_input(images)).logits).mean(0)
  (found,) = network.predict([path], top=3, crops=10)
  expected = np.sort(np.asarray(mean))[::-1][:3]
  assert found.probabilities == pytest.approx(expected, rel=1e-4)
  # All crops of a single-color picture are the same.
  Image.new('RGB', (50, 40), (200, 30, 90)).save(path)
  (one,), (ten,) = (network.predict([path], crops=crops) for crops in (1, 10))
  assert one.classes == ten.classes
  assert one.probabilities == pytest.approx(ten.probabilities, rel=1e-4)


@pytest.mark.parametrize(
  'call, message',
  [
    (lambda n, f: n.predict([]), 'the list of files is empty'),
    (lambda n, f: n.features([]), 'the list of files is empty'),
    (lambda n, f: n.read([]), 'the list of files is empty'),
    (lambda n, f: n.predict(f[0]), 'is a single path; give a list'),
    (lambda n, f: n.predict(f, crops=3), 'crops=3 is not one of 1, 10'),
    (lambda n, f: n.predict(f, top=0), 'top=0 must be at least 1'),
  ],
)
def test_wrong_arguments_are_refused(network, files, call, message):
  with pytest.raises(UserError, match=message):
    call(network, files)


def test_a_function_is_compiled_once(network, files):
  assert network.classify(5) is network.classify(5)
  assert network.classify(5) is not network.classify(4)


def test_predictions_have_names(network, files):
  predictions = network.predict(files[:2], top=100)
  assert [p.file for p in predictions] == files[:2]
  assert len(predictions[0].classes) == network.model.num_classes
  assert sorted(predictions[0].classes) == sorted(network.class_names)
  assert sum(predictions[0].probabilities) == pytest.approx(1, abs=1e-5)


def test_names_are_those_of_the_config_after_the_background(config):
  network = load_pretrained(WEIGHTS)
  with network.config.unlocked():
    network.config.data.class_offset = 1
    network.config.data.class_names = class_names.imagenet()[:2]
  assert network.class_names[0] == 'background'
  assert network.class_names[1].startswith('tench')


def test_features_are_the_endpoints_of_each_file(network, files):
  outputs = network(network.read(files), endpoints=True)
  found = network.features(files)
  np.testing.assert_allclose(found, outputs.endpoints['PreLogits'], atol=1e-5)
  unit = network.features(files, normalize=True)
  np.testing.assert_allclose(np.linalg.norm(unit, axis=1), 1, atol=1e-5)
  stage = network.model.architecture.stages[0].name
  grid = network.features(files, stage)
  np.testing.assert_allclose(grid, outputs.endpoints[stage], atol=1e-4)
  with pytest.raises(UserError, match=f"'x'.*{stage}.*PreLogit"):
    network.features(files, 'x')


def test_non_image_files_are_an_error_in_python(network, files, tmp_path):
  (tmp_path / 'notes.jpg').write_text('x')
  with pytest.raises(UserError, match='notes.jpg'):
    network.predict([files[0], tmp_path / 'notes.jpg'])
  with pytest.raises(UserError, match='gone.jpg'):
    network.predict([files[0], tmp_path / 'gone.jpg'])


def test_grad_cam_is_the_weighted_sum_of_channels(network, files):
  """With average pooling and a linear classifier, Grad-CAM equals CAM."""
  images = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), np.uint8)
  explain = jax.jit(make_explainer(network.model, network.config.data))
  found = explain(network.variables, images)
  outputs = network(network_input(images), endpoints=True)
  np.testing.assert_allclose(found['logits'], outputs.logits, atol=1e-5)
  grid = outputs.endpoints[network.model.architecture.stages[-1].name]
  kernel = network.variables['params']['Logits']['Logits']['kernel']
  top = kernel[:, outputs.logits.argmax(1)]
  heat = jnp.maximum(jnp.einsum('bhwc,cb->bhw', grid, top), 0)
  heat /= heat.max((1, 2), keepdims=True)
  np.testing.assert_allclose(found['heat'], heat, atol=1e-4)


def network_input(images):
  return (images.astype(np.float32) - 127.5) / 127.5


def test_folders_patterns_and_lists_are_found(image_folder, monkeypatch):
  train = image_folder / 'train'
  (train / 'notes.txt').write_text('x')
  (train / 'a,b.png').write_bytes((train / 'cat' / '0.png').read_bytes())
  assert len(stream.find_files([str(train)])) == 14
  cats = stream.find_files([f'{train}/cat/*.png,{train}/dog/1.jpg'])
  assert len(cats) == 4 and cats[-1].endswith('dog/1.jpg')
  assert stream.find_files([f'{train}/a,b.png'] * 2) == [f'{train}/a,b.png']
  for pattern in (f'{train}/*.gif', str(train / 'x')):
    with pytest.raises(UserError, match='no such file, folder or pattern'):
      stream.find_files([pattern])
  (train / 'empty').mkdir()
  with pytest.raises(UserError, match='no images in .*empty'):
    stream.find_files([str(train / 'empty')])


def test_the_command_continues_after_a_bad_file(image_folder, tmp_path):
  (image_folder / 'val' / 'cat' / '0.png').write_bytes(b'')
  done = command(
    f'--images={image_folder}/val/cat',
    '--top=2',
    f'--csv={tmp_path}/classes.csv',
    f'--explain={tmp_path}/explained',
    '--json',
  )
  assert done.returncode == 1
  first, last = done.stderr.splitlines()
  assert 'cat/0.png: it is not an image: it is empty' in first
  assert '1 of 6 files failed' in last
  *_, csv_line, explain_line, report = done.stdout.splitlines()
  assert csv_line == f'csv: {tmp_path}/classes.csv'
  assert explain_line == f'explain: {tmp_path}/explained'
  report = json.loads(report)
  assert len(report['images']) == 5 and len(report['failed']) == 1
  with open(tmp_path / 'classes.csv') as file:
    rows = list(csv.DictReader(file))
  assert len(rows) == 10
  (name, probability), _ = report['images'][0]['classes']
  assert rows[0]['class'] == name
  assert float(rows[0]['probability']) == pytest.approx(probability)
  drawn = sorted((tmp_path / 'explained').iterdir())
  assert len(drawn) == 5 and str(drawn[0]) == report['images'][0]['explanation']
  assert drawn[0].read_bytes().startswith(b'\x89PNG')


def test_the_command_writes_features(image_folder, files, network, tmp_path):
  output = tmp_path / 'features.npz'
  done = command(
    f'--images={image_folder}/train',
    '--endpoint=PreLogits',
    f'--output={output}',
  )
  assert (done.returncode, done.stderr) == (0, '')
  saved = np.load(output)
  order = [list(saved['files']).index(file) for file in files]
  np.testing.assert_allclose(
    saved['features'][order], network.features(files), atol=1e-5
  )


@pytest.mark.parametrize(
  'arguments, message',
  [
    ([], '--images is missing'),
    (
      ['--images=tests', '--endpoint=PreLogits', '--csv=x.csv'],
      '--csv cannot be used with --endpoint',
    ),
    (['--images=tests', '--normalize'], '--normalize needs --endpoint'),
    (['--images=nowhere'], 'no such file, folder or pattern: nowhere'),
    (['--images=tests', '--endpoint=x'], 'no images in'),
    (
      ['--images=x', '--crops=2'],
      '--crops=2: value should be one of <1|10|12|144>',
    ),
  ],
)
def test_wrong_input_is_one_line(arguments, message):
  done = command(*arguments)
  assert done.returncode == 2 and done.stderr.count('\n') == 1
  assert message in done.stderr


def test_explanations_have_the_proportions_of_the_crop(tmp_path, config):
  picture = Image.new('RGB', (60, 20))
  exif = picture.getexif()
  exif[ExifTags.Base.Orientation] = 6
  picture.save(tmp_path / 'wide.png')
  picture.save(tmp_path / 'turned.jpg', exif=exif)
  data = config.data
  data.eval_transform = 'inception'
  assert explain.proportions(tmp_path / 'wide.png', data) == 3
  assert explain.proportions(tmp_path / 'turned.jpg', data) == 1 / 3
  data.exif_orientation = False
  assert explain.proportions(tmp_path / 'turned.jpg', data) == 3
  data.eval_transform = 'torchvision'
  assert explain.proportions(tmp_path / 'wide.png', data) == 1
