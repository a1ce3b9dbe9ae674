"""Networks learn: each parameter gets a finite, non-zero gradient."""

import functools

from flax import traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inception import architectures
from inception.modules import create
from inception.spec import unroll
from tests.variables import random_variables

# One of each set of tables that differ only in pooling or widths.
NAMES = [
  'googlenet',
  'inception_v1_torchvision',
  'bn_inception',
  'inception_v2_slim',
  'inception_v3',
  'inception_v4',
  'inception_resnet_v1_facenet',
  'inception_resnet_v2',
]


@pytest.mark.parametrize('name', NAMES)
def test_every_parameter_has_a_gradient_in_training(name):
  model = create.create_model(
    name, num_classes=10, width=0.1, scan_blocks=True, squeeze_excite=4
  )
  size = max(32, unroll.smallest_input(architectures.get_architecture(name)))
  images = jax.random.normal(jax.random.key(1), (8, size, size, 3))

  variables = random_variables(model, images)

  # Compiling is what takes time here.
  @functools.partial(
    jax.jit, compiler_options={'xla_backend_optimization_level': 0}
  )
  def gradients(params, batch_stats):
    def loss(params):
      outputs, _ = model.apply(
        {'params': params, 'batch_stats': batch_stats},
        images,
        train=True,
        mutable=['batch_stats'],
        rngs={'dropout': jax.random.key(2)},
      )
      every = jnp.stack([outputs.logits, *outputs.aux_logits])
      return -jnp.mean(jax.nn.log_softmax(every)[..., 0])

    return jax.grad(loss)(params)

  flat = traverse_util.flatten_dict(
    gradients(variables['params'], variables.get('batch_stats', {})), sep='/'
  )
  heads = architectures.get_architecture(name).aux_heads
  assert all(any(k.startswith(head.name) for k in flat) for head in heads)
  for path, gradient in flat.items():
    assert np.all(np.isfinite(gradient)), path
    assert np.any(gradient != 0), path
