"""How an importer describes another project: its tensors and our paths."""

from collections.abc import Callable, Container, Iterable, Mapping
import dataclasses

import numpy as np

from inception import architectures
from inception.spec import unroll
from inception.spec.layers import Layer

Shape = tuple[int, ...]
Arrays = Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Tensor:
  """A tensor of another project and the path of the matching parameter here.

  Attributes:
    name: Name in the file.
    shape: Shape in the file.
    path: Our path, such as 'params/Mixed_5b/Branch_0/Conv2d_0a_1x1/kernel'.
    convert: Function from the file's memory layout to ours.
  """

  name: str
  shape: Shape
  path: str
  convert: Callable[[np.ndarray], np.ndarray] = np.asarray


@dataclasses.dataclass(frozen=True)
class NetworkLayers:
  """The layers of a network that have parameters, in the order of definition.

  Attributes:
    trunk: Convolutions, including the projections of residual blocks.
    head: Layers from the pooled grid to the logits.
    aux: Layers of every auxiliary head.
  """

  trunk: tuple[Layer, ...]
  head: tuple[Layer, ...]
  aux: tuple[tuple[Layer, ...], ...]


@dataclasses.dataclass(frozen=True)
class PublishedNetwork:
  """A network as another project publishes it.

  Attributes:
    name_tensors: Function from the network's layers and all arrays in the file
      to the network's tensors.
    find_classifier: Function from all arrays in the file to the name of the
      classifier's bias, whose size is the number of classes. Without one, None
      or a name that is not in the file.
    is_of_head: True for the name of a tensor after the last grid.
    aux_prefixes: Name prefixes of the tensors of auxiliary heads; empty if the
      project's network has no such heads.
    unwrap: Restores the name of a classifier that users have wrapped.
  """

  name_tensors: Callable[[NetworkLayers, Arrays], list[Tensor]]
  find_classifier: Callable[[Arrays], str | None]
  is_of_head: Callable[[str], bool]
  aux_prefixes: tuple[str, ...] = ()
  unwrap: Callable[[Arrays], Arrays] = lambda arrays: arrays


@dataclasses.dataclass(frozen=True)
class Project:
  """Another project whose weights can be imported.

  Attributes:
    networks: The networks it publishes, by our name of the architecture.
    batch_norm_scale: Its batch norm has a scale (gamma).
    of_imagenet: True if 1000 classes mean those of ILSVRC, in its order.
    allows_classes: True if its networks can have this number of classes.
    ignores: True for a tensor that is not part of the network, given its name
      and all names in the file.
  """

  networks: dict[str, PublishedNetwork]
  batch_norm_scale: bool
  of_imagenet: bool = True
  allows_classes: Callable[[int], bool] = lambda _: True
  ignores: Callable[[str, Container[str]], bool] = lambda *_: False


def network_layers(
  architecture: str, num_classes: int, with_aux: bool
) -> NetworkLayers:
  """Returns the layers of a network that have parameters.

  Args:
    architecture: A name in `architectures.ARCHITECTURES`.
    num_classes: Logits per image; 0 for a network without a classifier.
    with_aux: Include the auxiliary heads.
  """
  table = architectures.get_architecture(architecture)
  size = table.input_size
  trunk = unroll.stage_layers(table, size, size).values()
  aux = unroll.aux_layers(table, size, size, num_classes) if with_aux else {}
  return NetworkLayers(
    trunk=_with_weights(layer for stage in trunk for layer in stage),
    head=unroll.head_layers(table, size, size, num_classes),
    aux=tuple(_with_weights(layers) for layers in aux.values()),
  )


def _with_weights(layers: Iterable[Layer]) -> tuple[Layer, ...]:
  return tuple(layer for layer in layers if layer.weights)
