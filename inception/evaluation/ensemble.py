"""Several networks as one predictor, which averages their probabilities."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from inception.errors import UserError
from inception.evaluation.members import Member
from inception.modules.activations import ACTIVATIONS
from inception.predict import Predictor

Array = jax.Array


def check_ensemble(members: Sequence[Member]) -> None:
  """Checks that the outputs of networks can be averaged.

  Raises:
    UserError: They have different classes or activations.
  """
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

  GoogLeNet paper, section 7. A background class is left out.

  Args:
    members: Networks for the same classes.

  Returns:
    A predictor of a tuple of variables, one per member, and a tuple of images,
    one per entry of `distinct_pixels`. Its labels are those of the first
    member.
  """
  seen = distinct_pixels(members)
  last = ACTIVATIONS[members[0].activation]

  def predict(variables: Any, images: Any) -> Array:
    total: Any = 0.0
    for member, own in zip(members, variables):
      logits = member.predictor(own, images[seen.index(member.pixels)])
      total += last.probabilities(logits[:, member.offset :])
    logits = last.logits(total / len(members))
    background = ((0, 0), (members[0].offset, 0))
    return jnp.pad(logits, background, constant_values=-jnp.inf)

  return predict


def distinct_pixels(members: Sequence[Member]) -> list[str]:
  """Returns each `Member.pixels` once, in order."""
  return list(dict.fromkeys(member.pixels for member in members))
