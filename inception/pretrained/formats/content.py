"""Content of a weights file: its arrays, and its description of the model."""

from collections.abc import Callable, Sequence
import dataclasses
import re

from inception.errors import UserError
from inception.pretrained.tensors import Arrays

_AVERAGE = re.compile(r'(^|_)ema(_|$)')

Channels = tuple[float, float, float]


@dataclasses.dataclass(frozen=True)
class Statement:
  """What a model file says about the model's input and output.

  Attributes:
    image_size: Height and width of the images in pixels, or None.
    mean: Subtracted from pixels of 0 to 255, per channel, or None.
    std: Standard deviation of these pixels, per channel, or None.
    activation: A name in `ACTIVATIONS`, or None.
  """

  image_size: int | None = None
  mean: Channels | None = None
  std: Channels | None = None
  activation: str | None = None


@dataclasses.dataclass(frozen=True)
class Content:
  """What a weights file holds.

  Attributes:
    arrays: Arrays by their names in the file.
    copy: Name of the dict that they are in, such as 'state_dict_ema', or None.
    others: Names of the other copies.
    left_out: Names of all other entries in the file.
    describe: Reads what the file says about the model; raises ValueError if
      that cannot be recorded.
  """

  arrays: Arrays
  copy: str | None = None
  others: tuple[str, ...] = ()
  left_out: tuple[str, ...] = ()
  describe: Callable[[], Statement] = Statement


def choose_copy(names: Sequence[str], wanted: str | None) -> str:
  """Returns the copy of the weights to take: the moving average, if any.

  Args:
    names: Names of the copies in the file, the usual choice first.
    wanted: The name that the user gave, or None.

  Raises:
    UserError: There is no such copy; lists the names.
  """
  if wanted is None:
    return next(filter(_AVERAGE.search, names), names[0])
  if wanted not in names:
    raise UserError(
      f'--copy={wanted} is not in the file, which has'
      f' {", ".join(names) or "no copies"}'
    )
  return wanted


def take_copy(content: Content, wanted: str | None) -> Content:
  """Selects one of several copies whose names differ only in a prefix.

  If `wanted` is None and there is no moving average, nothing changes.

  Raises:
    UserError: There is no such copy; lists the names.
  """
  names = copies(content.arrays)
  if wanted is None and not any(map(_AVERAGE.search, names)):
    return content
  copy = choose_copy(names, wanted)
  prefix = f'{copy}.'
  return dataclasses.replace(
    content,
    arrays={
      name.removeprefix(prefix): array
      for name, array in content.arrays.items()
      if name.startswith(prefix)
    },
    copy=copy,
    others=tuple(name for name in names if name != copy),
  )


def copies(arrays: Arrays) -> list[str]:
  """Returns the prefixes, such as 'model' and 'ema', that hold the same names.

  A prefix ends at the first dot of a name.
  """
  inside: dict[str, set[str]] = {}
  for name in arrays:
    prefix, _, rest = name.partition('.')
    inside.setdefault(prefix, set()).add(rest)
  first = max(inside.values(), key=len, default=set())
  same = sorted(prefix for prefix, rest in inside.items() if rest == first)
  # Blocks of one network can match too, but are not most of the file.
  is_all = len(same) * len(first) > 0.9 * len(arrays)
  return same if is_all and len(same) > 1 and len(first) > 1 else []
