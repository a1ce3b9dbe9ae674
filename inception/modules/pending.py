"""Outputs of convolutions whose scale, offset and ReLU are deferred."""

from collections.abc import Sequence
import dataclasses
import itertools
from typing import Any

import jax
from jax import lax
import jax.numpy as jnp

from inception.modules.relu import relu

Array = jax.Array


@dataclasses.dataclass(frozen=True)
class Pending:
  """The output of a unit before scale, offset and, if any, ReLU.

  Attributes:
    values: [batch, height, width, out], of the convolution or pooling.
    scale: float32 [out], or None for 1.
    offset: float32 [out].
    relu: A ReLU follows.
  """

  values: Array
  scale: Array | None
  offset: Array
  relu: bool

  @property
  def kind(self) -> tuple[bool, bool]:
    """Outputs of one kind can be finished together."""
    return self.scale is None, self.relu


def join(
  parts: Sequence[Array | Pending], dtype: jnp.dtype, train: bool
) -> Array:
  """Finishes parts and concatenates them along channels.

  Pending parts are concatenated first: finishing each one separately would cost
  the TPU's vector unit one pass over the whole block per part. On CPUs this
  pays off in training only.
  """
  if len(parts) == 1 or train:
    return _concatenate_first(parts, dtype)
  return lax.platform_dependent(
    cpu=lambda: _finish_first(parts, dtype),
    default=lambda: _concatenate_first(parts, dtype),
  )


def finish(parts: Sequence[Pending], dtype: jnp.dtype) -> Array:
  """Concatenates outputs of one kind, then finishes them."""
  x = jnp.concatenate([p.values for p in parts], axis=-1).astype(jnp.float32)
  scales = [p.scale for p in parts if p.scale is not None]
  if scales:
    x = x * jnp.concatenate(scales)
  x = x + jnp.concatenate([p.offset for p in parts])
  return (relu(x) if parts[0].relu else x).astype(dtype)


def _concatenate_first(
  parts: Sequence[Array | Pending], dtype: jnp.dtype
) -> Array:
  finished: list[Array] = []
  kinds = itertools.groupby(parts, lambda x: isinstance(x, Pending) and x.kind)
  for is_pending, group in kinds:
    alike: list[Any] = list(group)
    finished += [finish(alike, dtype)] if is_pending else alike
  return _concatenate(finished)


def _finish_first(parts: Sequence[Array | Pending], dtype: jnp.dtype) -> Array:
  return _concatenate(
    [finish([x], dtype) if isinstance(x, Pending) else x for x in parts]
  )


def _concatenate(parts: Sequence[Array]) -> Array:
  return parts[0] if len(parts) == 1 else jnp.concatenate(parts, axis=-1)
