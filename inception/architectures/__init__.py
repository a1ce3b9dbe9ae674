"""What a network is: plain immutable tables, and the table of their names."""

from inception.architectures import googlenet
from inception.architectures.vocabulary import Architecture
from inception.errors import UserError

ARCHITECTURES = {
  'googlenet': googlenet.GOOGLENET,
  'inception_v1': googlenet.INCEPTION_V1,
}


def get_architecture(name: str) -> Architecture:
  """Returns the table of a network.

  Raises:
    UserError: no such name; lists the known ones.
  """
  if name not in ARCHITECTURES:
    raise UserError(
      f'unknown architecture {name!r}; known: {", ".join(ARCHITECTURES)}'
    )
  return ARCHITECTURES[name]
