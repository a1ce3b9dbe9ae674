"""Files without an answer."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Failure:
  """A file that the network has no answer for.

  Attributes:
    file: Its path.
    reason: Why, as a sentence about the file.
  """

  file: str
  reason: str
