"""The formats, by name."""

from collections.abc import Mapping
import dataclasses
import importlib.util
from typing import Any

from inception import paths
from inception.errors import UserError, lookup


@dataclasses.dataclass(frozen=True)
class Format:
  """A format.

  Attributes:
    suffix: Of its files; empty for folders.
    module: In this folder; has `save` and `open_file`.
    bounds: Allowed difference from the network, as in `running.Comparison`, by
      precision.
    options: Fields of `Request` that only this format has.
    packages: What writing needs beside the project's own dependencies.
    runtime: What running needs.
  """

  suffix: str
  module: str
  bounds: Mapping[str, float]
  options: tuple[str, ...] = ()
  packages: tuple[str, ...] = ()
  runtime: tuple[str, ...] = ()

  def load(self, runs: bool) -> Any:
    """Imports the module of the format.

    Args:
      runs: Files will be run, too.

    Raises:
      UserError: A package is missing.
    """
    for package in (*self.packages, *(self.runtime if runs else ())):
      if importlib.util.find_spec(package) is None:
        raise UserError(
          f"{package} is not installed; run pip install -e '.[export]'"
        )
    return importlib.import_module(f'inception.export.{self.module}')


# float32 differs by rounding only. In int8, a number may be rounded to its
# neighbor, and runtimes differ in where they round.
FORMATS = {
  'onnx': Format(
    '.onnx',
    'onnx_file',
    {'float32': 2e-6, 'float16': 5e-3, 'int8': 0.15},
    ('activations',),
    ('onnx',),
    ('onnxruntime',),
  ),
  'litert': Format(
    '.tflite',
    'litert_file',
    {'float32': 1e-5, 'float16': 5e-3, 'int8': 0.15},
    packages=('flatbuffers',),
    runtime=('ai_edge_litert',),
  ),
  'saved_model': Format('', 'tensorflow_file', {'float32': 1e-5}),
  'stablehlo': Format(
    '.jaxexport',
    'stablehlo_file',
    {'float32': 2e-6, 'int8': 0.15},
    ('platforms',),
  ),
}


def find(name: str | None, path: paths.Path, precision: str) -> Format:
  """Returns the format of a name, or else of a file's suffix.

  Raises:
    UserError: It is unknown, or does not have the precision.
  """
  if name is not None:
    found = lookup(FORMATS, name, 'format')
  else:
    by_suffix = {x.suffix: x for x in FORMATS.values() if x.suffix}
    if path.suffix not in by_suffix:
      raise UserError(
        f'{path} ends in none of {", ".join(by_suffix)}; give --format'
      )
    found = by_suffix[path.suffix]
  if precision not in found.bounds:
    others = [n for n, x in FORMATS.items() if precision in x.bounds]
    raise UserError(f'{precision} is exported to {" or ".join(others)} only')
  return found
