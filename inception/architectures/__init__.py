"""The networks: one table per architecture, and a dict of them by name."""

from inception.architectures import (
  bn_inception,
  googlenet,
  inception_resnet,
  inception_v3,
  inception_v4,
)
from inception.errors import UserError
from inception.spec import transforms
from inception.spec.vocabulary import Architecture

ARCHITECTURES = {
  'googlenet': googlenet.GOOGLENET,
  'inception_v1': googlenet.INCEPTION_V1,
  'inception_v1_slim': googlenet.INCEPTION_V1_SLIM,
  'inception_v1_torchvision': googlenet.INCEPTION_V1_TORCHVISION,
  'bn_inception': bn_inception.BN_INCEPTION,
  'inception_v2_slim': bn_inception.INCEPTION_V2_SLIM,
  'inception_v3': inception_v3.INCEPTION_V3,
  'inception_v3_torchvision': inception_v3.INCEPTION_V3_TORCHVISION,
  'inception_v3_fid': inception_v3.INCEPTION_V3_FID,
  'inception_v4': inception_v4.INCEPTION_V4,
  'inception_resnet_v1': inception_resnet.INCEPTION_RESNET_V1,
  'inception_resnet_v1_facenet': inception_resnet.INCEPTION_RESNET_V1_FACENET,
  'inception_resnet_v2': inception_resnet.INCEPTION_RESNET_V2,
  'inception_resnet_v2_paper': inception_resnet.INCEPTION_RESNET_V2_PAPER,
}


def get_architecture(name: str) -> Architecture:
  """Returns the table of a network.

  Raises:
    UserError: The name is unknown; lists the known ones.
  """
  if name not in ARCHITECTURES:
    raise UserError(
      f'unknown architecture {name!r}; known: {", ".join(ARCHITECTURES)}'
    )
  return ARCHITECTURES[name]


def make_table(
  architecture: str | Architecture,
  width: float = 1.0,
  squeeze_excite: int | None = None,
) -> Architecture:
  """Returns the table of a network with the width and gates of a config.

  Args:
    architecture: A name, or a table.
    width: Factor on the features of every layer; see `scale_width`.
    squeeze_excite: See `with_squeeze_excite`.

  Raises:
    UserError: The name is unknown; lists the known ones.
  """
  table = architecture
  if isinstance(table, str):
    table = get_architecture(table)
  table = transforms.scale_width(table, width)
  return transforms.with_squeeze_excite(table, squeeze_excite)
