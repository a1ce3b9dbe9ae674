"""Files without an answer."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Failure:
  """A file that the network has no answer for; the reason is a sentence."""

  file: str
  reason: str
