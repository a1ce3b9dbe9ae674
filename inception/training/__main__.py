"""Trains a network.

Run:  python -m inception.training --workdir=runs/digits
      python -m inception.training --config=configs/inception_v3.py
        --workdir=runs/v3 --config.precision=bfloat16 --config.batch_size=512

Run it again with the same workdir to resume.
"""

import signal

if __name__ == '__main__':
  # Ctrl-C ends the program without a traceback, even during imports.
  signal.signal(signal.SIGINT, signal.SIG_DFL)

import time

from absl import flags

from inception.cli import commands, shared

_BEGAN = time.monotonic()  # Before the slow imports.


def define_flags() -> None:
  """Defines the flags of this command."""
  shared.define_config(shared.DEMO)
  shared.define_processes()
  flags.DEFINE_string(
    'workdir', None, 'Folder for checkpoints and logs of this run.'
  )
  flags.DEFINE_integer(
    'stop_at_step',
    None,
    'Save a checkpoint and stop after this step; run again to continue.',
    lower_bound=1,
  )
  flags.DEFINE_string(
    'profile_steps',
    None,
    'First and last step to profile for TensorBoard, such as 10:15.',
  )
  flags.DEFINE_bool(
    'compile_only',
    False,
    'Fill the compilation cache for the next start, without training.',
  )


def main() -> None:
  """Reads the flags and trains."""
  workdir = shared.require('workdir')
  shared.use_compilation_cache()
  from inception.observing import profiling
  from inception.processes import session
  from inception.training import ahead, check, loop

  values = flags.FLAGS
  check.check(values.config)
  text = values.profile_steps
  steps = range(0) if text is None else profiling.parse_steps(text)
  with session.session(
    values.coordinator,
    values.num_processes,
    values.process_id,
    values.config.distributed.timeout_seconds,
  ):
    if values.compile_only:
      ahead.compile_only(values.config, workdir)
      return
    loop.train(
      values.config,
      workdir,
      stop_at_step=values.stop_at_step,
      began=_BEGAN,
      profile_steps=steps,
    )


if __name__ == '__main__':
  commands.run(main, define_flags)
