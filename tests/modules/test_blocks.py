"""Every operation of the vocabulary against a plain computation."""

import dataclasses

from jax import lax
import numpy as np
import pytest

from inception.spec import unroll
from inception.spec import vocabulary as v
from tests.modules.interpreter import OPTIONS, images, paths, run


@pytest.mark.parametrize(
  'block',
  [
    v.Conv(5, (1, 7)),
    v.Conv(5, 3, stride=2, padding='VALID'),
    v.Conv(5, 7, stride=2, padding='SYMMETRIC'),
    v.SeparableConv(5, 3, depth_multiplier=2, stride=2),
    v.MaxPool(3, stride=2, padding='SYMMETRIC'),
    v.AvgPool(5, stride=3, padding='VALID'),
    v.Conv(5, 5, padding='VALID', clip_to_grid=True),
    v.AdaptiveAvgPool(4),
    v.LocalResponseNorm(),
    v.Concat(v.Conv(3), v.Chain(v.Conv(4), v.Concat(v.Conv(2), v.Conv(3, 3)))),
    v.Residual(v.Concat(v.Conv(2), v.Conv(3)), scale=0.1),
    v.Repeat(v.Residual(v.Concat(v.Conv(2), v.Conv(3)), 0.1), 2, 'block'),
  ],
)
@pytest.mark.parametrize('size', [(9, 12), (4, 3)])
def test_the_output_has_the_shape_of_the_table(block, size):
  table = v.Architecture(9, (v.Stage('stage', block),), dropout=0.0)
  try:
    wanted = unroll.stage_shapes(table, *size)['stage']
  except unroll.NoGridError:
    pytest.skip('too small for this block')
  output, _ = run(block, images(2, *size, 3))
  assert output.shape == (2, *wanted)


def test_convolution_adds_bias_and_clips_below_zero():
  x = images(1, 5, 5, 2)
  output, variables = run(v.Conv(3, 3), x)
  kernel = variables['params']['stage']['kernel']
  plain = lax.conv(
    x.transpose(0, 3, 1, 2), kernel.transpose(3, 2, 0, 1), (1, 1), 'SAME'
  )
  np.testing.assert_allclose(
    output, np.maximum(plain, 0).transpose(0, 2, 3, 1), atol=1e-5
  )
  assert variables['params']['stage']['bias'].shape == (3,)


def test_batch_norm_normalizes_the_batch_and_keeps_statistics():
  x = 3 * images(16, 6, 6, 2) + 1
  output, variables = run(v.Conv(4), x, train=True, batch_norm=True)
  kernel = variables['params']['stage']['kernel'][0, 0]
  y = np.asarray(x @ kernel, np.float64)
  mean, var = y.mean((0, 1, 2)), y.var((0, 1, 2))
  wanted = np.maximum((y - mean) / np.sqrt(var + 1e-3), 0)
  np.testing.assert_allclose(output, wanted, atol=1e-4)
  assert 'bias' not in variables['params']['stage']
  assert set(variables['params']['stage']['BatchNorm']) == {'scale', 'bias'}


def test_a_convolution_can_have_a_bias_in_a_network_with_batch_norm():
  conv = v.Conv(4, batch_norm=False)
  _, variables = run(conv, images(1, 4, 4, 2), batch_norm=True)
  assert set(variables['params']['stage']) == {'kernel', 'bias'}
  assert 'batch_stats' not in variables


def test_symmetric_padding_samples_other_pixels_than_same():
  x = images(1, 8, 8, 1)
  output, variables = run(v.Conv(1, 3, stride=2, padding='SYMMETRIC'), x)
  kernel = np.asarray(variables['params']['stage']['kernel'])[:, :, 0, 0]
  padded = np.pad(np.asarray(x)[0, :, :, 0], 1)
  wanted = [
    [np.sum(kernel * padded[i : i + 3, j : j + 3]) for j in range(0, 8, 2)]
    for i in range(0, 8, 2)
  ]
  np.testing.assert_allclose(
    output[0, :, :, 0], np.maximum(wanted, 0), atol=1e-5
  )


def test_separable_convolution_is_depthwise_then_pointwise():
  x = images(1, 5, 5, 2)
  output, variables = run(v.SeparableConv(3, 3, depth_multiplier=4), x)
  params = variables['params']['stage']
  assert params['depthwise_kernel'].shape == (3, 3, 1, 8)
  assert params['kernel'].shape == (1, 1, 8, 3)
  # Channel-major: the outputs of input channel c are 4 * c to 4 * c + 3.
  kernel = np.zeros((3, 3, 2, 8), np.float32)
  for out in range(8):
    kernel[:, :, out // 4, out] = params['depthwise_kernel'][:, :, 0, out]
  dense = lax.conv_general_dilated(
    x, kernel, (1, 1), 'SAME', dimension_numbers=('NHWC', 'HWIO', 'NHWC')
  )
  wanted = np.maximum(dense @ params['kernel'][0, 0], 0)
  np.testing.assert_allclose(output, wanted, atol=1e-5)


def test_parameters_have_the_names_of_the_family():
  fork = v.Concat(v.Conv(2, (1, 3)), v.Conv(2, (3, 1)))
  block = v.Concat(v.Conv(2), v.Chain(v.Conv(2), fork))
  _, variables = run(block, images(1, 4, 4, 2))
  kernels = [p for p in paths(variables['params']) if p.endswith('kernel')]
  assert kernels == [
    'stage/Branch_0/Conv2d_0a_1x1/kernel',
    'stage/Branch_1/Conv2d_0a_1x1/kernel',
    'stage/Branch_1/Conv2d_0b_1x3/kernel',
    'stage/Branch_1/Conv2d_0c_3x1/kernel',
  ]


def test_repeated_blocks_are_numbered_from_one():
  residual = v.Residual(v.Concat(v.Conv(2)), 0.1)
  _, variables = run(v.Repeat(residual, 2, 'block35'), images(1, 2, 2, 3))
  assert set(variables['params']['stage']) == {'block35_1', 'block35_2'}


def test_a_block_that_cannot_be_in_a_branch_is_refused():
  with pytest.raises(TypeError, match='cannot be inside a branch'):
    run(v.Chain(v.Residual(v.Concat(v.Conv(2)), 0.1)), images(1, 2, 2, 3))


def test_batch_norm_without_scale_has_only_a_bias():
  options = dataclasses.replace(OPTIONS, batch_norm_scale=False)
  x = images(1, 4, 4, 2)
  _, variables = run(v.Conv(4), x, batch_norm=True, options=options)
  assert set(variables['params']['stage']['BatchNorm']) == {'bias'}
