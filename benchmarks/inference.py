"""Speed and memory of inference and training, compared with other projects.

Run:  python -m benchmarks.inference --architectures=inception_v3
        --precisions=float32,int8 --batch_sizes=1,16 [--what=training]
        [--workdirs=runs/v3] [--rounds=5] [--output=F.json] [--json]

Weights are random, or those of --workdirs. Everything is compiled first; then
the cases alternate in one process, so that a temporary slowdown of the machine
affects all of them. `inception.reports.pareto` plots the result.
"""

from collections.abc import Callable, Iterator
import dataclasses
import time
from typing import Any

from absl import flags
import numpy as np

from benchmarks import peers  # Before TensorFlow; see there.

# isort: split
from benchmarks import networks
from inception import paths
from inception.architectures import get_architecture
from inception.cli import commands, outputs, shared
from inception.errors import UserError, lookup
from inception.files import json_text
from inception.modules.options import PRECISIONS

_SECONDS = 1.0  # Minimum time of a case in each round.
_OURS = {
  'inference': networks.random_network,
  'training': networks.training_step,
}


@dataclasses.dataclass
class Case:
  """Something to time.

  Attributes:
    about: Its description, as fields of the result.
    run: Runs it once and waits for it to finish.
    seconds: Duration of each call so far.
  """

  about: dict[str, Any]
  run: Callable[[], object]
  seconds: list[float] = dataclasses.field(default_factory=list)

  def time(self) -> None:
    """Calls it for about a second, at least twice."""
    self.run()  # Slower after the program of another project.
    end = time.perf_counter() + _SECONDS
    calls = 0
    while calls < 2 or time.perf_counter() < end:
      begin = time.perf_counter()
      self.run()
      self.seconds.append(time.perf_counter() - begin)
      calls += 1

  def result(self) -> dict[str, Any]:
    """Returns its description and its times."""
    median = float(np.median(self.seconds))
    return {
      **self.about,
      'images_per_second': self.about['batch_size'] / median,
      'median_ms': 1000 * median,
      'p95_ms': 1000 * float(np.quantile(self.seconds, 0.95)),
      'calls': len(self.seconds),
    }


def define_flags() -> None:
  """Defines the flags of this command."""
  flags.DEFINE_list(
    'architectures',
    None,
    'Networks with random weights; inception_v3 if there are no --workdirs.',
  )
  flags.DEFINE_list('workdirs', [], 'Trained networks to time and evaluate.')
  flags.DEFINE_list(
    'precisions', ['float32'], 'float32, bfloat16, float16, int8.'
  )
  flags.DEFINE_list('batch_sizes', ['16'], 'Images per call.')
  flags.DEFINE_enum('what', 'inference', list(_OURS), 'Program to time.')
  flags.DEFINE_list(
    'peers', None, 'Other projects to time; by default all that are installed.'
  )
  flags.DEFINE_integer('rounds', 5, 'Timed rounds of all cases.', 1)
  flags.DEFINE_string('output', None, 'JSON file to write.')
  flags.DEFINE_bool('json', False, 'Print one JSON object as the last line.')


def main() -> None:
  """Times all cases and prints a table."""
  output = shared.output('output')
  cases = list(_cases())
  if not cases:
    raise UserError('nothing to time; give --architectures or --workdirs')
  for _ in range(flags.FLAGS.rounds):
    for case in cases:
      case.time()
  results = [case.result() for case in cases]
  rows = [
    (
      f'{r["project"]} {r.get("workdir", r["architecture"])}',
      r['precision'],
      r['batch_size'],
      f'{r["images_per_second"]:.1f}',
      f'{r["median_ms"]:.1f}',
      f'{r["p95_ms"]:.1f}',
      f'{r["peak_bytes"] / 2**20:.0f}' if 'peak_bytes' in r else '',
      f'{r["compile_seconds"]:.1f}' if 'compile_seconds' in r else '',
    )
    for r in results
  ]
  heading = ('network', 'precision', 'batch', 'images/s', 'ms', 'p95', 'MiB')
  print(outputs.format_table((*heading, 'compile s'), rows))
  report = {'device': networks.device_name(), 'results': results}
  if output is not None:
    paths.write_atomically(output, json_text.dump(report, indent=1))
  if flags.FLAGS.json:
    print(json_text.dump(report))


def _cases() -> Iterator[Case]:
  """Compiles all requested cases."""
  values = flags.FLAGS
  architectures = values.architectures
  if architectures is None:
    architectures = [] if values.workdirs else ['inception_v3']
  for rows in map(_rows, values.batch_sizes):
    for precision in values.precisions:
      lookup(dict.fromkeys((*PRECISIONS, 'int8')), precision, '--precisions')
      for name in architectures:
        yield Case(*_OURS[values.what](name, precision, rows))
        yield from _peer_cases(name, precision, rows)
      for workdir in values.workdirs:
        yield Case(*networks.trained_network(workdir, precision, rows))


def _peer_cases(name: str, precision: str, rows: int) -> Iterator[Case]:
  installed = peers.installed(flags.FLAGS.what)
  for peer in installed if flags.FLAGS.peers is None else flags.FLAGS.peers:
    size = get_architecture(name).input_size
    run = lookup(installed, peer, '--peers')(name, precision, rows, size)
    if run is not None:
      about = {
        'project': peer,
        'architecture': name,
        'kind': flags.FLAGS.what,
        'precision': precision,
        'batch_size': rows,
      }
      yield Case(about, run)


def _rows(text: str) -> int:
  if not text.isdecimal() or int(text) < 1:
    raise UserError(f'--batch_sizes={text} must be positive integers')
  return int(text)


if __name__ == '__main__':
  commands.run(main, define_flags)
