"""Arrays of Keras's files, by the names of the layers.

Three formats: HDF5 with the names of all variables (`.h5`, Keras 1 to 3), the
numbered variables of Keras 3 (`.weights.h5`), and an archive that adds the
model's config (`.keras`, since Keras 2.12).
"""

from collections.abc import Iterable, Iterator, Mapping
import io
import json
import re
from typing import Any
import zipfile

import h5py
import numpy as np

from inception import paths

Arrays = dict[str, np.ndarray]

_MAX_POOLING = 'GlobalMaxPooling2D'


def read_h5(path: paths.Path) -> Arrays:
  """Reads a `.h5` or `.weights.h5` file.

  Returns:
    Arrays by `<layer>/<index in the layer>`; layers of a model within a model
    count like any other.

  Raises:
    ValueError: The file is not Keras's, or does not name its layers.
  """
  with h5py.File(path) as file:
    if 'layers' in file or '_layer_checkpoint_dependencies' in file:
      return dict(_read_numbered(file, None))
    root = file.get('model_weights', file)
    if 'layer_names' not in root.attrs:
      raise ValueError('contains neither weights nor a model of Keras')
    arrays = dict(_read_named(root))
    return _without_other_heads(arrays, str(file.attrs.get('model_config', '')))


def read_archive(path: paths.Path) -> Arrays:
  """Reads a `.keras` file; see `read_h5`."""
  with zipfile.ZipFile(path) as archive:
    config = json.loads(archive.read('config.json'))
    content = archive.read('model.weights.h5')
  with h5py.File(io.BytesIO(content)) as file:
    arrays = dict(_read_numbered(file, config))
  return _without_other_heads(arrays, json.dumps(config))


def _without_other_heads(arrays: Arrays, config: str) -> Arrays:
  """Marks matrices behind another pooling than the average.

  Their shapes are those of a classifier of the averaged grid, which they are
  not. A file of weights alone does not tell.
  """
  if _MAX_POOLING not in config:
    return arrays
  heads = {name.split('/')[0] for name, x in arrays.items() if x.ndim == 2}
  return {
    f'{name} after {_MAX_POOLING}' if name.split('/')[0] in heads else name: x
    for name, x in arrays.items()
  }


def _read_named(root: Any) -> Iterator[tuple[str, np.ndarray]]:
  for group in _names(root.attrs['layer_names']):
    counts: dict[str, int] = {}
    names = _names(root[group].attrs['weight_names'])
    # 'conv2d/kernel:0'; the group of a nested model has several layers.
    owners = [name.split('/')[-2] if '/' in name else group for name in names]
    nested = len(set(owners)) > 1
    for name, owner in zip(names, owners):
      layer = owner if nested else group
      index = counts.get(layer, 0)
      counts[layer] = index + 1
      yield f'{layer}/{index}', root[group][name][()]


def _read_numbered(
  group: Any, config: Mapping[str, Any] | None
) -> Iterator[tuple[str, np.ndarray]]:
  """Yields the arrays of a model, and of models within it.

  Groups are numbered per kind of layer, in the order of the model's layers. The
  layers' own names are beside the variables (since Keras 3.15), or follow from
  the config.
  """
  children = group.get(
    'layers', group.get('_layer_checkpoint_dependencies', {})
  )
  known = dict(_group_names(config)) if config else {}
  for name, child in (children or {}).items():
    variables = child.get('vars', {})
    layer = known.get(name, {})
    own_name = getattr(variables, 'attrs', {}).get(
      'name', layer.get('config', {}).get('name')
    )
    if len(variables) and own_name is None:
      raise ValueError(
        'it does not name its layers, as files of weights alone before Keras'
        ' 3.15; save the model as .keras or .h5'
      )
    for index, variable in variables.items():
      yield f'{own_name}/{index}', variable[()]
    yield from _read_numbered(child, layer or None)


def _group_names(
  config: Mapping[str, Any],
) -> Iterator[tuple[str, Mapping[str, Any]]]:
  """Yields the group and the config of every layer of a model."""
  counts: dict[str, int] = {}
  for layer in config.get('config', {}).get('layers', ()):
    kind = _snake_case(layer['class_name'])
    count = counts.get(kind, 0)
    counts[kind] = count + 1
    yield f'{kind}_{count}' if count else kind, layer


def _snake_case(name: str) -> str:
  """Spells a class as Keras spells the group of its layers."""
  name = re.sub(r'\W+', '', name.rpartition('>')[2])
  name = re.sub('(.)([A-Z][a-z]+)', r'\1_\2', name)
  return re.sub('([a-z])([A-Z])', r'\1_\2', name).lower()


def _names(attribute: Iterable[Any]) -> list[str]:
  return [n.decode() if isinstance(n, bytes) else str(n) for n in attribute]
