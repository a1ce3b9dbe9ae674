"""Every word of the vocabulary against a plain computation of the same."""

import jax
from jax import lax
import jax.numpy as jnp
import numpy as np
import pytest

from inception.architectures import layers
from inception.architectures import vocabulary as v
from inception.modules import blocks, pooling
from inception.modules.options import Options

OPTIONS = Options(jax.nn.initializers.he_normal(), batch_norm=False)


def run(block, x, options=OPTIONS, train=False):
  """Runs a block; returns its output and its variables."""
  import flax.linen as nn

  class Network(nn.Module):
    @nn.compact
    def __call__(self, x):
      return blocks.run_stage('stage', block, options, x, train)

  output, variables = Network().init_with_output(jax.random.key(0), x)
  return output, variables


def images(*shape):
  return jax.random.normal(jax.random.key(1), shape)


def paths(params):
  flat = jax.tree_util.tree_flatten_with_path(params)[0]
  return ['/'.join(k.key for k in path) for path, _ in flat]


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
def test_output_has_the_shape_that_the_table_says(block, size):
  table = v.Architecture(9, (v.Stage('stage', block),), dropout=0.0)
  try:
    wanted = layers.stage_shapes(table, *size)['stage']
  except layers.NoGridError:
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


def test_batch_norm_normalises_the_batch_and_keeps_statistics():
  options = Options(jax.nn.initializers.he_normal(), batch_norm_decay=0.9)
  x = 3 * images(16, 6, 6, 2) + 1
  output, variables = run(v.Conv(4), x, options, train=True)
  kernel = variables['params']['stage']['kernel'][0, 0]
  y = np.asarray(x @ kernel, np.float64)
  mean, var = y.mean((0, 1, 2)), y.var((0, 1, 2))
  wanted = np.maximum((y - mean) / np.sqrt(var + 1e-3), 0)
  np.testing.assert_allclose(output, wanted, atol=1e-4)
  assert 'bias' not in variables['params']['stage']
  assert set(variables['params']['stage']['BatchNorm']) == {'scale', 'bias'}


def test_a_convolution_can_have_a_bias_in_a_network_with_batch_norm():
  options = Options(jax.nn.initializers.he_normal())
  _, variables = run(v.Conv(4, batch_norm=False), images(1, 4, 4, 2), options)
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


def test_average_pooling_does_not_count_the_border_unless_told():
  x = jnp.ones((1, 4, 4, 1))
  same = pooling.avg_pool(x, v.AvgPool(3))
  np.testing.assert_allclose(same, 1)
  counted = pooling.avg_pool(x, v.AvgPool(3, count_border=True))
  np.testing.assert_allclose(counted[0, 0, 0], 4 / 9)
  np.testing.assert_allclose(counted[0, 1, 1], 1)


def test_average_pooling_clips_a_valid_window_to_the_grid():
  x = images(1, 2, 3, 1)
  pooled = pooling.avg_pool(x, v.AvgPool(5, stride=3, padding='VALID'))
  np.testing.assert_allclose(pooled[0, 0, 0, 0], np.mean(x), rtol=1e-5)


def test_pooling_keeps_the_dtype():
  x = jnp.ones((1, 4, 4, 1), jnp.bfloat16)
  assert pooling.avg_pool(x, v.AvgPool(3)).dtype == jnp.bfloat16
  assert pooling.max_pool(x, v.MaxPool(3)).dtype == jnp.bfloat16


def test_max_pooling_never_chooses_the_padding():
  x = -jnp.ones((1, 4, 4, 1))
  np.testing.assert_array_equal(pooling.max_pool(x, v.MaxPool(3)), x)


def test_local_response_norm_as_in_caffe():
  x = np.asarray(10 * images(1, 2, 2, 7))
  norm = v.LocalResponseNorm(size=5, alpha=0.5, beta=0.75)
  wanted = np.empty_like(x)
  for c in range(7):
    near = x[..., max(0, c - 2) : c + 3]
    scale = 1 + 0.5 / 5 * np.sum(near**2, -1)
    wanted[..., c] = x[..., c] / scale**0.75
  np.testing.assert_allclose(
    pooling.local_response_norm(jnp.asarray(x), norm), wanted, rtol=1e-5
  )


@pytest.mark.parametrize('relu', [True, False])
def test_residual_adds_the_scaled_projection(relu):
  x = images(1, 4, 4, 6)
  branches = v.Concat(v.Conv(2), v.Conv(3, 3))
  output, variables = run(v.Residual(branches, 0.2, relu), x)
  params = variables['params']['stage']
  assert set(params) == {'Branch_0', 'Branch_1', 'Conv2d_1x1'}
  joined = blocks.Branches(branches, OPTIONS).apply(
    {'params': {k: params[k] for k in ('Branch_0', 'Branch_1')}}, x, False
  )
  projection = params['Conv2d_1x1']
  wanted = x + 0.2 * (joined @ projection['kernel'][0, 0] + projection['bias'])
  if relu:
    wanted = np.maximum(wanted, 0)
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


def test_what_cannot_stand_in_a_branch_is_named():
  with pytest.raises(TypeError, match='cannot stand inside a branch'):
    run(v.Chain(v.Residual(v.Concat(v.Conv(2)), 0.1)), images(1, 2, 2, 3))


def test_batch_norm_without_scale_has_only_a_bias():
  options = Options(jax.nn.initializers.he_normal(), batch_norm_scale=False)
  _, variables = run(v.Conv(4), images(1, 4, 4, 2), options)
  assert set(variables['params']['stage']['BatchNorm']) == {'bias'}


@pytest.mark.parametrize('side', [14, 9, 3])
def test_adaptive_pooling_averages_overlapping_bins(side):
  x = np.asarray(images(1, side, side, 2))
  wanted = np.empty((1, 4, 4, 2))
  for i in range(4):
    for j in range(4):
      top, bottom = i * side // 4, -(-(i + 1) * side // 4)
      left, right = j * side // 4, -(-(j + 1) * side // 4)
      wanted[:, i, j] = x[:, top:bottom, left:right].mean((1, 2))
  pooled = pooling.adaptive_avg_pool(jnp.asarray(x), v.AdaptiveAvgPool(4))
  np.testing.assert_allclose(pooled, wanted, atol=1e-5)


def squeeze_excite(x, params):
  hidden = x.mean((1, 2)) @ params['Reduce']['kernel']
  hidden = np.maximum(hidden + params['Reduce']['bias'], 0)
  gate = hidden @ params['Expand']['kernel'] + params['Expand']['bias']
  return x * jax.nn.sigmoid(gate)[:, None, None, :]


def test_squeeze_excite_gates_the_joined_branches():
  options = Options(
    jax.nn.initializers.he_normal(), batch_norm=False, squeeze_excite=2
  )
  x = images(2, 4, 4, 3)
  block = v.Concat(v.Conv(3), v.Conv(5, 3))
  output, variables = run(block, x, options)
  params = variables['params']['stage']
  assert params['SqueezeExcite']['Reduce']['kernel'].shape == (8, 4)
  joined = blocks.Branches(block, OPTIONS).apply(
    {'params': {k: params[k] for k in ('Branch_0', 'Branch_1')}}, x, False
  )
  wanted = squeeze_excite(joined, params['SqueezeExcite'])
  np.testing.assert_allclose(output, wanted, atol=1e-5)


def test_squeeze_excite_gates_the_projection_before_the_scaled_sum():
  options = Options(
    jax.nn.initializers.he_normal(), batch_norm=False, squeeze_excite=2
  )
  x = images(2, 4, 4, 6)
  branches = v.Concat(v.Conv(3))
  output, variables = run(v.Residual(branches, 0.2), x, options)
  params = variables['params']['stage']
  joined = blocks.Branches(branches, OPTIONS).apply(
    {'params': {'Branch_0': params['Branch_0']}}, x, False
  )
  projection = params['Conv2d_1x1']
  change = joined @ projection['kernel'][0, 0] + projection['bias']
  change = squeeze_excite(change, params['SqueezeExcite'])
  np.testing.assert_allclose(output, np.maximum(x + 0.2 * change, 0), atol=1e-5)


def test_scanned_blocks_compute_what_unrolled_ones_do():
  import flax.linen as nn

  class Network(nn.Module):
    scan: bool

    @nn.compact
    def __call__(self, x, train):
      options = Options(
        jax.nn.initializers.he_normal(),
        scan_blocks=self.scan,
        squeeze_excite=2,
      )
      block = v.Residual(v.Concat(v.Conv(2), v.Conv(3, 3)), 0.3)
      repeat = v.Repeat(block, 3, 'block')
      return blocks.run_stage('stage', repeat, options, x, train)

  x = images(2, 4, 4, 5)
  variables = Network(False).init(jax.random.key(0), x, True)
  again = Network(True).init(jax.random.key(0), x, True)
  jax.tree.map(np.testing.assert_array_equal, variables, again)

  def loss(params, scan):
    y, updated = Network(scan).apply(
      {**variables, 'params': params}, x, True, mutable=['batch_stats']
    )
    return jnp.sum(y**2), (y, updated)

  grad = jax.value_and_grad(loss, has_aux=True)
  unrolled, scanned = (grad(variables['params'], s) for s in (False, True))
  assert jax.tree.structure(unrolled) == jax.tree.structure(scanned)
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4),
    unrolled,
    scanned,
  )
  moved = unrolled[0][1][1]['batch_stats']['stage']
  assert not np.allclose(
    moved['block_1']['Branch_0']['Conv2d_0a_1x1']['BatchNorm']['mean'],
    moved['block_3']['Branch_0']['Conv2d_0a_1x1']['BatchNorm']['mean'],
  )
  outputs = [Network(s).apply(variables, x, False) for s in (False, True)]
  np.testing.assert_allclose(*outputs, rtol=1e-5, atol=1e-5)
