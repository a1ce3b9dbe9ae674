"""The picture of what the network sees."""

import numpy as np
from PIL import Image
import pytest

from inception.data import show
from inception.errors import UserError


def test_training_images_are_augmented_and_evaluation_images_are_not(
  config, image_folder, tmp_path
):
  config.data.dataset, config.data.data_dir = 'folder', str(image_folder)
  config.data.eval_split = 'val'
  config.data.random_erase_prob = config.data.color_jitter = 1.0
  config.data.cutmix_alpha = 1.0
  training = show.training_images(config, 8)
  evaluation = show.evaluation_images(config, 16)
  assert (len(training), len(evaluation)) == (8, 13)
  assert {label for _, label in evaluation} == {'cat', 'dog'}
  assert any('%' in label and ' + ' in label for _, label in training)
  gray = [
    np.all(np.abs(x.astype(int) - 127.5) < 1, -1).mean() for x, _ in training
  ]
  assert max(gray) > 0.02
  output = tmp_path / 'images.png'
  show.draw(training, evaluation, output)
  with Image.open(output) as picture:
    assert picture.width > 1000 and picture.height > 500
  with pytest.raises(UserError, match='cannot write'):
    show.draw([], evaluation[:1], tmp_path / 'nowhere' / 'images.png')
