"""Files without a result."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Failure:
  """A file without a result; the reason is a sentence."""

  file: str
  reason: str
