"""Reads the arrays of Keras files, by the names of the layers.

Three formats: HDF5 with the names of all variables (`.h5`, Keras 1 to 3), the
numbered variables of Keras 3 (`.weights.h5`), and an archive that adds the
model's config (`.keras`, since Keras 2.12).
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
import functools
import io
import itertools
import re
from typing import Any, BinaryIO
import zipfile

import h5py
import numpy as np

from inception.files import json_text
from inception.pretrained.formats import archive
from inception.pretrained.formats.content import Content
from inception.pretrained.projects import keras_model
from inception.pretrained.projects.keras_model import Config
from inception.pretrained.tensors import Arrays


def read_h5(file: BinaryIO) -> Content:
  """Reads a `.h5` or `.weights.h5` file.

  Returns:
    Arrays by `<layer>/<index in the layer>`; layers of nested models count
    like any other.

  Raises:
    ValueError: The file is not a Keras file, or does not name its layers.
  """
  with h5py.File(file) as content:
    if 'layers' in content or '_layer_checkpoint_dependencies' in content:
      return Content(dict(_read_numbered(content, {})))
    root = content.get('model_weights', content)
    if 'layer_names' not in root.attrs:
      raise ValueError('contains neither Keras weights nor a Keras model')
    config = json_text.load(content.attrs.get('model_config', '{}'))
    return _content(dict(_read_named(root)), config)


def read_archive(file: BinaryIO) -> Content:
  """Reads a `.keras` file; see `read_h5`."""
  with zipfile.ZipFile(file) as members:
    config = json_text.load(archive.read(members, 'config.json'))
    content = archive.read(members, 'model.weights.h5')
  with h5py.File(io.BytesIO(content)) as weights:
    return _content(dict(_read_numbered(weights, config)), config)


def _content(arrays: Arrays, model: Config) -> Content:
  """Returns the content of a model, without the arrays that scale pixels."""
  of_pixels = keras_model.normalization_layers(model)
  network = {n: x for n, x in arrays.items() if _layer(n) not in of_pixels}
  if pooling := keras_model.other_pooling(model):
    # Rename matrices, so that none is taken for the classifier.
    matrices = {_layer(name) for name, x in network.items() if x.ndim == 2}
    network = {
      f'{name} after {pooling}' if _layer(name) in matrices else name: array
      for name, array in network.items()
    }
  return Content(
    network,
    describe=functools.partial(keras_model.read_statement, model, arrays),
  )


def _layer(name: str) -> str:
  return name.rpartition('/')[0]


def _read_named(root: Any) -> Iterator[tuple[str, np.ndarray]]:
  for group in _names(root.attrs['layer_names']):
    counts: dict[str, Iterator[int]] = defaultdict(itertools.count)
    names = _names(root[group].attrs['weight_names'])
    # 'conv2d/kernel:0'; the group of a nested model has several layers.
    owners = [name.split('/')[-2] if '/' in name else group for name in names]
    nested = len(set(owners)) > 1
    for name, owner in zip(names, owners):
      layer = owner if nested else group
      array = archive.read_dataset(root[group][name])
      yield f'{layer}/{next(counts[layer])}', array


def _read_numbered(
  group: Any, config: Config
) -> Iterator[tuple[str, np.ndarray]]:
  """Yields the arrays of a model, including those of nested models.

  Groups are numbered per kind of layer, in the order of the model's layers. The
  layers' own names are stored with the variables (since Keras 3.15), or derived
  from the config.
  """
  children = group.get(
    'layers', group.get('_layer_checkpoint_dependencies', {})
  )
  known = dict(_group_names(config))
  for name, child in (children or {}).items():
    variables = child.get('vars', {})
    layer = known.get(name, {})
    own_name = getattr(variables, 'attrs', {}).get(
      'name', layer.get('config', {}).get('name')
    )
    if len(variables) and own_name is None:
      raise ValueError(
        'it does not name its layers, like .weights.h5 files before Keras 3.15;'
        ' save the model as .keras or .h5'
      )
    for index, variable in variables.items():
      yield f'{own_name}/{index}', archive.read_dataset(variable)
    yield from _read_numbered(child, layer)


def _group_names(config: Config) -> Iterator[tuple[str, Config]]:
  """Yields the group and the config of every layer of a model."""
  counts: dict[str, Iterator[int]] = defaultdict(itertools.count)
  for layer in config.get('config', {}).get('layers', ()):
    kind = _snake_case(layer['class_name'])
    count = next(counts[kind])
    yield f'{kind}_{count}' if count else kind, layer


def _snake_case(name: str) -> str:
  """Returns the name that Keras gives to the group of a class of layers."""
  name = re.sub(r'\W+', '', name.rpartition('>')[2])
  name = re.sub('(.)([A-Z][a-z]+)', r'\1_\2', name)
  return re.sub('([a-z])([A-Z])', r'\1_\2', name).lower()


def _names(attribute: Iterable[Any]) -> list[str]:
  return [n.decode() if isinstance(n, bytes) else str(n) for n in attribute]
