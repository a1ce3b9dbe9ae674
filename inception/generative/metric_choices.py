"""How metrics are computed, where papers differ."""

import dataclasses

from inception.errors import UserError, lookup
from inception.generative import class_score, frechet, kernels


@dataclasses.dataclass(frozen=True)
class Choices:
  """How metrics are computed.

  Attributes:
    is_order: A name in `class_score.ORDERS`.
    subsets: Of KID.
    subset_size: Images of each side in a subset of KID.
    smallest: Images in the smallest subset of FID-infinity.
    bootstrap: Resamples for standard errors of FID and KID; 0: none.

  Raises:
    UserError: A value is unknown or out of range.
  """

  is_order: str = 'shuffled'
  subsets: int = kernels.SUBSETS
  subset_size: int = kernels.SUBSET_SIZE
  smallest: int = frechet.SMALLEST_SUBSET
  bootstrap: int = 0

  def __post_init__(self) -> None:
    lookup(class_score.ORDERS, self.is_order, 'is_order')
    for name, least in (
      ('subsets', 1),
      ('subset_size', 2),
      ('smallest', 2),
      ('bootstrap', 0),
    ):
      value = getattr(self, name)
      if not isinstance(value, int) or value < least:
        raise UserError(
          f'{name}={value!r} must be a whole number of at least {least}'
        )
    if self.bootstrap == 1:
      raise UserError('bootstrap=1 gives no deviation; give 0, or 2 or more')


DEFAULT = Choices()
