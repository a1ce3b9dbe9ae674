"""What an importer says of another project: tensors and where they belong."""

from collections.abc import Callable, Container, Iterable
import dataclasses

import numpy as np

from inception import architectures
from inception.architectures import layers
from inception.architectures.layer import Layer

Shape = tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Tensor:
  """A tensor of another project and the place that it has here.

  Attributes:
    name: in the file.
    shape: in the file.
    path: here, 'params/Mixed_5b/Branch_0/Conv2d_0a_1x1/kernel'.
    convert: from the file's layout to ours.
  """

  name: str
  shape: Shape
  path: str
  convert: Callable[[np.ndarray], np.ndarray] = np.asarray


@dataclasses.dataclass(frozen=True)
class NetworkLayers:
  """The layers with parameters of a network, in the order of definition.

  Attributes:
    trunk: convolutions, projections of residual blocks included.
    head: from the pooled grid to logits.
    aux: of every auxiliary head, by name; empty without them.
  """

  trunk: tuple[Layer, ...]
  head: tuple[Layer, ...]
  aux: dict[str, tuple[Layer, ...]]


@dataclasses.dataclass(frozen=True)
class Project:
  """Another project whose weights can be imported.

  Attributes:
    networks: name of each network here that it has weights for, and the
      function that names all tensors of it, given its layers and the names in
      the file.
    classifier: name of the classifier's bias in a file, by network; its size
      is the number of classes.
    aux_prefix: what names of tensors of auxiliary heads begin with, by network;
      only of networks that have such heads in that project.
    batch_norm_scale: its batch norm has a scale (gamma).
    has_classes: whether its networks can have so many classes.
    ignore: whether a tensor is no part of the network, by its name and all
      names in the file.
  """

  networks: dict[str, Callable[[NetworkLayers, Iterable[str]], list[Tensor]]]
  classifier: dict[str, str]
  aux_prefix: dict[str, str]
  batch_norm_scale: bool
  has_classes: Callable[[int], bool] = lambda _: True
  ignore: Callable[[str, Container[str]], bool] = lambda *_: False


def network_layers(
  architecture: str, num_classes: int, with_aux: bool
) -> NetworkLayers:
  """Unrolls the table of a network, by name."""
  table = architectures.get_architecture(architecture)
  size = table.input_size
  trunk = layers.stage_layers(table, size, size).values()
  aux = layers.aux_layers(table, size, size, num_classes) if with_aux else {}
  return NetworkLayers(
    trunk=_with_weights(layer for stage in trunk for layer in stage),
    head=layers.head_layers(table, size, size, num_classes),
    aux={name: _with_weights(some) for name, some in aux.items()},
  )


def _with_weights(some: Iterable[Layer]) -> tuple[Layer, ...]:
  return tuple(layer for layer in some if layer.weights)
