"""The kernel gradient by matrix products equals that of XLA."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inception.modules import compiler_options, conv_gradient
from inception.spec import shapes
from inception.spec import vocabulary as v


def gradients(function, x, kernel, stride, pads, change):
  """Returns output, and gradients with respect to images and kernel."""

  @jax.jit
  def run(x, kernel):
    y, back = jax.vjp(lambda *a: function(*a, stride, pads, None), x, kernel)
    return y, *back(change.astype(y.dtype))

  return run(x, kernel)


@pytest.mark.parametrize(
  ('conv', 'grid', 'channels'),
  [
    (v.Conv(8, 3), (9, 55), 3),
    (v.Conv(8, 3), (34, 33), 5),  # A product per image.
    (v.Conv(8, 3, stride=2, padding='VALID'), (12, 11), 3),
    (v.Conv(8, 7, stride=2, padding='SYMMETRIC'), (13, 14), 3),
    (v.Conv(8, 3, stride=2), (12, 11), 64),
    (v.Conv(8, (7, 1)), (9, 6), 5),
    (v.Conv(8), (9, 6), 5),
    (v.Conv(8, 5), (7, 9), 5),  # Left to XLA.
  ],
)
@pytest.mark.parametrize('dtype', [jnp.float32, jnp.bfloat16])
def test_all_gradients_match_xla(conv, grid, channels, dtype):
  generator = np.random.default_rng(0)
  x = generator.normal(size=(3, *grid, channels))
  kernel = generator.normal(
    size=(*shapes.height_width(conv.kernel), channels, 8)
  )
  pads = shapes.pads(conv, *grid)
  rows, columns, _ = shapes.output_shape(conv, (*grid, channels))
  change = generator.normal(size=(3, rows, columns, 8))
  arguments = [jnp.asarray(a, dtype) for a in (x, kernel)]
  ours, theirs = (
    gradients(f, *arguments, conv.stride, pads, jnp.asarray(change))
    for f in (conv_gradient.convolution, conv_gradient.plain_convolution)
  )
  tolerance = 1e-5 if dtype == jnp.float32 else 2e-2
  for a, b in zip(ours, theirs):
    assert a.dtype == b.dtype
    scale = np.abs(np.float32(b)).max()
    np.testing.assert_allclose(
      np.float32(a) / scale, np.float32(b) / scale, atol=tolerance
    )


def test_products_in_16_bits_are_added_in_32():
  generator = np.random.default_rng(0)
  shapes_of_both = (16, 34, 33, 32), (3, 3, 32, 32)
  x, kernel = (
    jnp.asarray(generator.uniform(size=shape), jnp.bfloat16)
    for shape in shapes_of_both
  )
  pads = ((1, 1), (1, 1))

  def gradient(x, kernel):
    y, back = jax.vjp(
      lambda k: conv_gradient.convolution(x, k, 1, pads, None), kernel
    )
    return back(jnp.ones_like(y))[0]

  compiled = jax.jit(gradient).lower(x, kernel).compile(compiler_options.ONEDNN)
  if 'onednn$matmul' not in compiled.as_text():
    pytest.skip('oneDNN has no products in bfloat16 on this processor')
  exact = gradient(*(a.astype(jnp.float32) for a in (x, kernel)))
  found = np.float32(compiled(x, kernel))
  # Rounding twice to 8 bits; with a total in 16 bits, 1.5 %.
  np.testing.assert_allclose(found, exact, rtol=0.006)


def test_programs_of_other_devices_are_unchanged():
  x, kernel = jnp.ones((2, 8, 8, 4)), jnp.ones((1, 1, 4, 4))

  def loss(function):
    return lambda x, k: function(x, k, 1, ((0, 0), (0, 0)), None).sum()

  texts = []
  for function in (conv_gradient.convolution, conv_gradient.plain_convolution):
    gradient = jax.jit(jax.grad(loss(function), argnums=1))
    lowered = gradient.trace(x, kernel).lower(lowering_platforms=('tpu',))
    texts.append(lowered.as_text())
  assert [text.count('stablehlo.convolution') for text in texts] == [1, 1]
  assert not any('dot_general' in text for text in texts)
