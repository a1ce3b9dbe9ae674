"""Compares ways to pool the last feature map, with three seeds each.

Run:     python -m inception.sweeps --config=configs/sweeps/pooling.py
           --workdir=runs/pooling
         or on emoji, which `python -m benchmarks.emoji` fetches, with
           --config.data.dataset=folder --config.data.data_dir=emoji
Needs:   Two CPU cores for half an hour (digits), an hour (emoji).
Expect:  See docs/evaluation.md.
"""

from typing import Any

import ml_collections

from configs import digits


def get_config() -> ml_collections.ConfigDict:
  """Returns the config of all runs."""
  config = digits.get_config()
  config.precision = 'bfloat16'
  config.data.image_size = 96  # The last feature map is 3 x 3.
  config.num_epochs = 10.0
  config.eval_every_epochs = 10.0
  config.checkpoint_every_epochs = 10.0
  return config


def get_hyper(hyper: Any) -> list[dict[str, Any]]:
  """Returns the overrides of each run; see inception/sweeps/hyper.py."""
  return hyper.product(
    [
      hyper.sweep('model.head_pooling', ['average', 'attention', 'max', 'gem']),
      hyper.sweep('seed', range(3)),
    ]
  )
