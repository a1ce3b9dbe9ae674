"""Combines networks into one predictor, which averages probabilities."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from inception import paths
from inception.errors import UserError
from inception.evaluation.members import Member, Procedure, open_member
from inception.modules.activations import ACTIVATIONS
from inception.predict.predictor import Predictor

Array = jax.Array


def open_members(
  folders: Sequence[paths.PathLike],
  step: str,
  split: str | None,
  dataset: str | None,
  data_dir: str | None,
  protocol: Procedure,
) -> list[Member]:
  """Opens networks on the data of the first; see `open_member`.

  Raises:
    UserError: One cannot be opened, or their classes or activations differ.
  """
  members: list[Member] = []
  for folder in folders:
    member = open_member(folder, step, split, dataset, data_dir, protocol)
    members.append(member)
    data = members[0].config.data
    split, dataset, data_dir = data.eval_split, data.dataset, data.data_dir
  _check_outputs(members)
  return members


def _check_outputs(members: Sequence[Member]) -> None:
  """Checks that the outputs of networks can be averaged."""
  for other in members[1:]:
    if other.activation != members[0].activation:
      raise UserError(
        'the networks of an ensemble must have the same last activation, not'
        f' {members[0].activation} and {other.activation}'
      )
    if other.source.classes != members[0].source.classes:
      raise UserError(
        'the networks of an ensemble must have the same classes in the same'
        ' order'
      )


def average_members(members: Sequence[Member]) -> Predictor:
  """Makes the predictor of an ensemble, which averages probabilities.

  GoogLeNet paper, section 7. A background class is ignored.

  Returns:
    A predictor of a tuple of variables, one per member, and a tuple of images,
    one per entry of `by_pixels`. Its labels are those of the first member.
  """
  seen = list(by_pixels(members))
  last = ACTIVATIONS[members[0].activation]

  def predict(variables: Any, images: Any) -> Array:
    total: Any = 0.0
    for member, own in zip(members, variables):
      logits = member.predictor(own, images[seen.index(member.pixels)])
      total += last.probabilities(logits[:, member.offset :])
    logits = last.logits(total / len(members))
    background = ((0, 0), (members[0].offset, 0))
    return jnp.pad(logits, background, constant_values=-jnp.inf)

  # One that needs XLA's own options, such as int8, needs them for all.
  options = min((m.predictor.options for m in members), key=len)
  return Predictor(predict, options)


def by_pixels(members: Sequence[Member]) -> dict[str, Member]:
  """Returns the first member of each `Member.pixels`, in order."""
  first: dict[str, Member] = {}
  for member in members:
    first.setdefault(member.pixels, member)
  return first
