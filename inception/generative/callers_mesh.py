"""Keeps the caller's mesh, from `jax.set_mesh`, out of this package's pmaps."""

from collections.abc import Callable
import functools
from typing import ParamSpec, TypeVar

import jax

Arguments = ParamSpec('Arguments')
Result = TypeVar('Result')


def ignored(
  function: Callable[Arguments, Result],
) -> Callable[Arguments, Result]:
  """Returns the function, run as if the caller had set no mesh."""

  @functools.wraps(function)
  def run(*arguments: Arguments.args, **named: Arguments.kwargs) -> Result:
    with jax.set_mesh(None):
      return function(*arguments, **named)

  return run
