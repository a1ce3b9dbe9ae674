"""The table of evaluation transforms, and how a config picks one."""

import pytest

from inception.data.pixels import eval_transforms
from inception.errors import UserError


@pytest.mark.parametrize(
  'name, image_size, resized_side',
  [
    ('torchvision', 299, 342),
    ('torchvision', 224, 256),
    ('timm', 299, 341),  # timm rounds down.
    ('timm', 224, 256),
    ('timm_inception_resnet_v2', 299, 333),
    ('facenet', 160, 160),
    ('inception', 299, None),
    ('slim', 299, None),
    ('fid', 299, None),
  ],
)
def test_the_short_side_is_resized_as_in_each_project(
  name, image_size, resized_side
):
  transform = eval_transforms.EVAL_TRANSFORMS[name]
  assert transform.resized_side(image_size) == resized_side


def test_a_config_overrides_its_transform_field_by_field(config):
  config.data.eval_transform, config.data.crop_pct = 'timm', None
  plain = eval_transforms.eval_transform(config.data)
  assert plain == eval_transforms.EVAL_TRANSFORMS['timm']
  assert (plain.crop_pct, plain.interpolation) == (0.875, 'bicubic')
  config.data.crop_pct = 1.0
  cropped = eval_transforms.eval_transform(config.data)
  assert (cropped.crop_pct, cropped.interpolation) == (1.0, 'bicubic')
  assert cropped.resized_side(299) == 299
  config.data.interpolation = 'bilinear'
  both = eval_transforms.eval_transform(config.data)
  assert (both.crop_pct, both.interpolation) == (1.0, 'bilinear')
  assert both.short_side == plain.short_side and both.antialias


def test_an_unknown_transform_is_refused(config):
  config.data.eval_transform = 'pil'
  with pytest.raises(UserError, match="data.eval_transform='pil'.*torchvision"):
    eval_transforms.eval_transform(config.data)


def test_only_tf_slim_uses_tensorflows_jpeg_decoding():
  methods = {
    name: transform.dct_method
    for name, transform in eval_transforms.EVAL_TRANSFORMS.items()
  }
  default = {name for name, method in methods.items() if not method}
  assert default == {'slim'}
  assert set(methods.values()) == {'', 'INTEGER_ACCURATE'}


def test_imported_weights_record_the_transform_they_expect(config):
  name = eval_transforms.transform_name('timm', 'inception_resnet_v2')
  assert name == 'timm_inception_resnet_v2'
  assert eval_transforms.transform_name('timm', 'inception_v4') == 'timm'
  eval_transforms.record(config.data, 'timm_gluon', 299)
  assert config.data.image_size == 299
  assert config.data.eval_transform == 'timm_gluon'
  assert config.data.mean == pytest.approx((123.675, 116.28, 103.53))
  assert config.data.std == pytest.approx((58.395, 57.12, 57.375))
