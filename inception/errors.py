"""The exception for what a user can mend: a name, a path, a size, a value."""


class UserError(Exception):
  """Says in one line what is wrong and the way out; commands exit with 2."""
