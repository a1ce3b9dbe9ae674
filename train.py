"""Trains a network: python train.py --config=FILE --workdir=DIR.

Started again with the same workdir, it resumes where it stopped.
"""

import pathlib

from absl import flags

from inception import commands

_DEFAULT_CONFIG = pathlib.Path(__file__).parent / 'configs' / 'digits.py'


def define_flags() -> None:
  """Defines the flags of this command."""
  commands.define_config(str(_DEFAULT_CONFIG))
  flags.DEFINE_string(
    'workdir', None, 'Where checkpoints and logs of this run go.'
  )
  flags.DEFINE_integer(
    'stop_at_step',
    None,
    'Stop with a checkpoint after this step; start again to go on.',
    lower_bound=1,
  )


def main() -> None:
  """Reads the flags and trains."""
  workdir = commands.require('workdir')
  from inception.training import loop  # Slow to import: after the flags.

  loop.train(
    flags.FLAGS.config,
    pathlib.Path(workdir),
    stop_at_step=flags.FLAGS.stop_at_step,
  )


if __name__ == '__main__':
  commands.run(main, define_flags)
