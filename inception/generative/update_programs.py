"""Programs that a collector runs on the devices of this process.

They are kept for later collectors, so they hold no variables.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from inception.generative import modes, moments
from inception.generative.extractor import Features
from inception.generative.generator_images import ValueRange
from inception.generative.sample import LOGITS, SPATIAL
from inception.processes.device_program import pmap

Array = jax.Array

MAIN = 'main'  # Statistics of the extractor's main features.

# Into how many parts images are divided by row: two halves show FID's bias.
PARTS = {MAIN: 2, SPATIAL: 1}


@functools.partial(jax.jit, static_argnums=0)
def resize(mode: str, axes: Any, images: Array) -> Array:
  """Resizes images of one size; see `modes.apply`."""
  return modes.apply(modes.find(mode), axes, images)


@functools.lru_cache(maxsize=8)
def prepare(mode: str | None, value_range: ValueRange) -> Any:
  """Returns the program from images to what the extractor reads."""

  def run(axes: Any, images: Array) -> Array:
    pixels = value_range.to_pixels(images)
    return pixels if mode is None else resize(mode, axes, pixels)

  return pmap(run, {}, in_axes=(None, 0), devices=jax.local_devices())


@functools.lru_cache(maxsize=4)
def add(function: Features, main: str, options: tuple[Any, ...]) -> Any:
  """Returns the program that adds a batch to the state."""

  def step(variables: Any, state: Any, images: Array, rows: Array) -> Any:
    found = function(variables, images)
    found = {**found, MAIN: found[main]}
    state = {
      name: jax.vmap(moments.add, (0, None, 0))(
        parts, found[name], _masks(rows, PARTS[name])
      )
      for name, parts in state.items()
    }
    kept = {'features': found[MAIN]}
    if LOGITS in found:
      kept[LOGITS] = found[LOGITS]
    return state, kept

  return pmap(
    step,
    dict(options),
    in_axes=(None, 0, 0, 0),
    devices=jax.local_devices(),
    donate_argnums=1,
  )


def _masks(rows: Array, parts: int) -> Array:
  """Returns which images count for each part, [parts, batch]."""
  return (rows >= 0) & (rows % parts == jnp.arange(parts)[:, None])
