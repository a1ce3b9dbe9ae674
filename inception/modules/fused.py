"""Runs the fused words of `spec.fused` with the variables of a `Network`.

The same function of images and variables as the modules of blocks.py, to
rounding.
"""

from collections.abc import Sequence
import itertools
from typing import Any

from flax import linen as nn
import jax
from jax import lax
import jax.numpy as jnp

from inception.modules import blocks, pooling
from inception.modules.fused_units import Raw, Scope, part_at, put_at, run_units
from inception.spec import fused
from inception.spec import vocabulary as v

Array = jax.Array


def run(words: Sequence[fused.Word], scope: Scope, x: Array) -> Array:
  """Runs words in series.

  Args:
    words: From `fused.fuse`.
    scope: Their variables.
    x: [batch, height, width, channels].

  Returns:
    [batch, height, width, channels] in `options.dtype`.
  """
  for word in words:
    x = _join(_run(word, scope, x), scope)
  return x


def _run(word: fused.Word, scope: Scope, x: Array) -> list[Array | Raw]:
  """Returns outputs that are to be concatenated along channels."""
  match word:
    case fused.Unit():
      return [*run_units([word], scope, x)]
    case fused.Fork():
      return _fork(word, scope, x)
    case fused.Shortcut():
      return [_shortcut(word, scope, x)]
    case fused.Gate(block, path):
      gate = blocks.SqueezeExcite(block, scope.options, parent=None)
      gated: Any = gate.apply({'params': part_at(scope.params, path)}, x)
      return [gated]
    case fused.Loop():
      return [_loop(word, scope, x)]
    case v.MaxPool():
      return [pooling.max_pool(x, word)]
    case v.AvgPool():
      return [pooling.avg_pool(x, word)]
    case v.AdaptiveAvgPool():
      return [pooling.adaptive_avg_pool(x, word)]
    case v.LocalResponseNorm():
      return [pooling.local_response_norm(x, word)]
  raise TypeError(f'{word!r} is not a fused word')


def _fork(word: fused.Fork, scope: Scope, x: Array) -> list[Array | Raw]:
  starts = run_units(word.joined, scope, x) if word.joined else []
  outputs: list[Array | Raw] = []
  for branch in word.branches:
    start: Array | Raw = x if branch.start is None else starts[branch.start]
    if not branch.words:
      outputs.append(start)
      continue
    *words, last = branch.words
    inner = run(words, scope, _join([start], scope))
    outputs += _run(last, scope, inner)
  return outputs


def _join(outputs: Sequence[Array | Raw], scope: Scope) -> Array:
  """Finishes and concatenates outputs.

  Raw ones are concatenated first: to finish each of them and then concatenate
  would take the TPU's vector unit as many passes over the whole block. On CPUs
  that pays in training only.
  """
  if len(outputs) == 1 or scope.train:
    return _join_first(outputs, scope.options.dtype)
  return lax.platform_dependent(
    cpu=lambda: _finish_first(outputs, scope.options.dtype),
    default=lambda: _join_first(outputs, scope.options.dtype),
  )


def _join_first(outputs: Sequence[Array | Raw], dtype: jnp.dtype) -> Array:
  finished: list[Array] = []
  kinds = itertools.groupby(
    outputs, lambda x: x.kind if isinstance(x, Raw) else None
  )
  for _, group in kinds:
    alike = list(group)
    if raw := [x for x in alike if isinstance(x, Raw)]:
      finished.append(_finish(raw, dtype))
    finished += [x for x in alike if not isinstance(x, Raw)]
  return _concatenate(finished)


def _finish_first(outputs: Sequence[Array | Raw], dtype: jnp.dtype) -> Array:
  return _concatenate(
    [_finish([x], dtype) if isinstance(x, Raw) else x for x in outputs]
  )


def _concatenate(parts: Sequence[Array]) -> Array:
  return parts[0] if len(parts) == 1 else jnp.concatenate(parts, axis=-1)


def _finish(raw: Sequence[Raw], dtype: jnp.dtype) -> Array:
  x = jnp.concatenate([r.values for r in raw], axis=-1).astype(jnp.float32)
  scales = [r.scale for r in raw if r.scale is not None]
  if scales:
    x = x * jnp.concatenate(scales)
  x = x + jnp.concatenate([r.offset for r in raw])
  return (nn.relu(x) if raw[0].relu else x).astype(dtype)


def _shortcut(word: fused.Shortcut, scope: Scope, x: Array) -> Array:
  projection = fused.Unit(word.block.projection(x.shape[-1]), word.projection)
  change = run((*word.words, projection), scope, x)
  if word.gate:
    change = run([word.gate], scope, change)
  x = x + word.block.scale * change
  return nn.relu(x) if word.block.relu else x


def _loop(word: fused.Loop, scope: Scope, x: Array) -> Array:
  """Runs equal blocks: unrolled, or as one loop over their variables."""
  each = [
    {
      'params': part_at(scope.params, (*word.path, name)),
      'stats': part_at(scope.stats, (*word.path, name)),
    }
    for name in word.names
  ]

  def block(x: Array, variables: Any) -> tuple[Array, Any]:
    inner = Scope(**variables, options=scope.options, train=scope.train)
    return run(word.words, inner, x), inner.updated

  if scope.options.remat and scope.train:
    block = jax.checkpoint(block)
  if scope.options.scan_blocks:
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *each)
    x, updated = lax.scan(block, x, stacked)
    news = [
      jax.tree.map(lambda leaf, i=i: leaf[i], updated) for i in range(len(each))
    ]
  else:
    news = []
    for variables in each:
      x, updated = block(x, variables)
      news.append(updated)
  for name, new in zip(word.names, news):
    if new:
      put_at(scope.updated, (*word.path, name), new)
  return x
