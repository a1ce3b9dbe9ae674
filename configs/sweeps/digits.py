"""Three narrow networks in two precisions with two seeds, on digits.

Run:     python -m inception.sweeps --config=configs/sweeps/digits.py
           --workdir=runs/sweep
Needs:   Two CPU cores for less than 15 minutes.
Expect:  A page that compares twelve runs.
"""

from typing import Any

import ml_collections

from configs import digits


def get_config() -> ml_collections.ConfigDict:
  """Returns the config of all runs."""
  config = digits.get_config()
  config.model.width = 0.125
  config.num_epochs = 6.0
  config.eval_every_epochs = 2.0
  config.checkpoint_every_epochs = 6.0
  return config


def get_hyper(hyper: Any) -> list[dict[str, Any]]:
  """Returns the overrides of each run; see inception/sweeps/hyper.py."""
  return hyper.product(
    [
      hyper.sweep(
        'model.architecture', ['googlenet', 'inception_v1', 'bn_inception']
      ),
      hyper.sweep('precision', ['float32', 'bfloat16']),
      hyper.sweep('seed', range(2)),
    ]
  )
