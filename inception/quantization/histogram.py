"""Histograms of magnitudes on a logarithmic scale.

One pass over images suffices: the bins do not depend on the largest value.
Histograms of parts add up to that of the whole.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

Array = jax.Array
Histogram = dict[str, Array]

_BINS_PER_OCTAVE = 16
_SMALLEST, _LARGEST = -24, 24  # Powers of two.
BINS = _BINS_PER_OCTAVE * (_LARGEST - _SMALLEST)

# Magnitude in the middle of each bin.
CENTERS = 2.0 ** (_SMALLEST + (np.arange(BINS) + 0.5) / _BINS_PER_OCTAVE)

# Approximate number of values sampled per tensor.
_SAMPLES = 2**16


def of(x: Array) -> Histogram:
  """Returns the largest magnitude of a tensor, and counts in `BINS` bins.

  Counts are of evenly spaced samples; zeros are not counted.
  """
  flat = jnp.abs(x.reshape(-1)).astype(jnp.float32)
  # Odd, so that the samples cover all channels.
  sample = flat[:: max(1, flat.size // _SAMPLES) | 1]
  power = jnp.log2(jnp.maximum(sample, 2.0**_SMALLEST))
  bins = ((power - _SMALLEST) * _BINS_PER_OCTAVE).astype(jnp.int32)
  bins = jnp.minimum(bins, BINS - 1)
  weights = (sample > 0).astype(jnp.float32)
  return {
    'largest': jnp.max(flat),
    'counts': jnp.bincount(bins, weights, length=BINS),
  }


def total(*parts: Histogram) -> Histogram:
  """Returns the histogram of all parts."""
  return {
    'largest': functools.reduce(jnp.maximum, (p['largest'] for p in parts)),
    'counts': functools.reduce(jnp.add, (p['counts'] for p in parts)),
  }
