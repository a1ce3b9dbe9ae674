"""Classes have names: labels are matched by name, not by number."""

from inception import distributed
from inception.data.sources.source import Source, with_classes
from inception.errors import UserError, count, warn

_NAMED = 3  # Classes named in a message.


def match(source: Source, expected: tuple[str, ...], owner: str) -> Source:
  """Returns a source whose labels are indices into the expected classes.

  The order of its own classes does not matter, and some may be missing: an
  evaluation of fewer classes is still one.

  Args:
    source: A split.
    expected: Names of the classes, in the order of their labels.
    owner: Who expects them, for messages.

  Raises:
    UserError: It has a class that is not expected; names the first.
  """
  known, here = set(expected), set(source.classes)
  unknown = [name for name in source.classes if name not in known]
  if unknown:
    label = source.classes.index(unknown[0])
    there = repr(expected[label]) if label < len(expected) else 'none'
    raise UserError(
      f'{source.name} has other classes than {owner}: the first difference is'
      f' class {label}, {unknown[0]!r} here and {there} there'
    )
  missing = [name for name in expected if name not in here]
  if missing and distributed.is_first():
    some = ', '.join(missing[:_NAMED]) + (', ...' * (len(missing) > _NAMED))
    warn(
      f'{source.name} has {len(source.classes)} of the'
      f' {count(len(expected), "class")} of {owner}; it lacks {some}'
    )
  return with_classes(source, expected)
