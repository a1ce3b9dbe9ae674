"""Evaluation counts each example once, for any batch size and devices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inception.data import pipeline
from inception.data.device import feed
from inception.data.sources.catalog import open_source
from inception.evaluation import evaluate, score
from inception.evaluation.results import format_results
from inception.modules.create import model_from_config
from inception.predict.predictor import make_predictor


@pytest.fixture
def folder_source(config, image_folder):
  config.data.dataset = 'folder'
  config.data.data_dir = str(image_folder)
  config.model.architecture = 'tiniest'
  config.model.num_classes = 2
  return open_source(config.data, 'val')


def evaluate_split(config, source, batch_size, devices=1):
  model = model_from_config(config)
  variables = jax.jit(model.init)(jax.random.key(0), jnp.zeros((1, 16, 16, 3)))
  # An untrained classifier gives all classes nearly the same logit.
  variables['params']['Logits']['Logits']['kernel'] *= 1000
  chosen = jax.devices()[:devices]
  rows = -(-batch_size // devices) * devices
  batches = pipeline.eval_batches(
    source, config.data, pipeline.HostShard(rows, devices)
  )
  return evaluate.evaluate(
    evaluate.make_eval_step(make_predictor(model, config.data), chosen),
    {k: variables[k] for k in ('params', 'batch_stats')},
    feed.prefetch(batches, chosen),
  )


def test_batch_size_and_devices_do_not_change_the_result(config, folder_source):
  wanted = evaluate_split(config, folder_source, 1)
  assert wanted['examples'] == 13
  assert 0 < wanted['top1'] < 1 and wanted['top5'] == 1
  for batch_size, devices in ((7, 1), (1, 2), (64, 4)):
    results = evaluate_split(config, folder_source, batch_size, devices)
    assert results['loss'] == pytest.approx(wanted['loss'], rel=1e-5)
    for name in ('examples', 'top1', 'top5'):
      assert results[name] == wanted[name]


def test_rank_is_the_position_of_the_label():
  logits = jnp.array([[3.0, 1.0, 2.0], [3.0, 1.0, 2.0], [3.0, 1.0, 2.0]])
  rank = score.label_rank(logits, jnp.array([0, 2, 1]))
  np.testing.assert_array_equal(rank, [0, 1, 2])


def test_rank_gives_a_constant_or_broken_network_no_credit():
  constant = jnp.zeros((3, 3))
  rank = score.label_rank(constant, jnp.array([0, 1, 2]))
  np.testing.assert_array_equal(rank, [0, 1, 2])
  broken = jnp.full((1, 7), jnp.nan)
  assert score.label_rank(broken, jnp.array([0]))[0] == 7


def test_padding_rows_may_have_a_nan_loss():
  logits = jnp.array([[2.0, 1.0], [jnp.nan, jnp.inf]])
  sums = score.masked_sums(logits, jnp.array([0, 0]), jnp.array([1.0, 0.0]))
  assert sums['examples'] == 1 and sums['top1'] == 1
  assert float(sums['loss']) == pytest.approx(np.log1p(np.exp(-1)))


def test_report_is_a_table():
  results = dict(
    step=3, split='test', examples=13, loss=0.5, top1=0.25, top5=1.0
  )
  heading, row = format_results(results).splitlines()
  assert heading.split() == [
    'step',
    'split',
    'examples',
    'loss',
    'top-1',
    'top-5',
  ]
  assert row.split() == ['3', 'test', '13', '0.5000', '25.00%', '100.00%']
