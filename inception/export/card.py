"""What travels in an exported file: where it came from, and how to feed it."""

from collections.abc import Mapping
from importlib import metadata
import json

from inception.checkpoints import arrays
from inception.data.pixels.eval_transforms import eval_transform
from inception.export.request import Request
from inception.predict.load import Pretrained
from inception.pretrained import published


def facts(network: Pretrained, request: Request) -> dict[str, str]:
  """Returns facts by name; numbers and lists are JSON.

  `mean` and `std` are those of pixels from 0 to 255. Images are resized to
  `short_side` pixels, if it is there, and cropped to the central square;
  without it, the central `crop_pct` of each side is cropped, then resized.
  """
  config, data = network.config, network.config.data
  transform = eval_transform(data)
  known = {
    'project': 'inception-jax',
    'version': _version(),
    'architecture': config.model.architecture,
    'weights_digest': arrays.digest(arrays.flatten(network.variables)),
    'step': network.step,
    'top1': network.top1,
    'precision': request.precision,
    'input': request.input,
    'image_size': request.image_size,
    'mean': list(data.mean or transform.mean),
    'std': list(data.std or transform.std),
    'channel_order': data.channel_order,
    'eval_transform': data.eval_transform,
    'crop_pct': transform.crop_pct,
    'short_side': transform.resized_side(request.image_size),
    'interpolation': transform.interpolation,
    'antialias': transform.antialias,
    'class_names': list(network.class_names),
    **_origin(config.get('provenance', {})),
  }
  return {
    name: value if isinstance(value, str) else json.dumps(value)
    for name, value in known.items()
    if value is not None
  }


def _origin(provenance: Mapping[str, str]) -> dict[str, str]:
  """Returns where imported weights come from, and their license if known."""
  origin = {f'weights_{name}': value for name, value in provenance.items()}
  row = published.of_file(provenance.get('sha256', 'unknown'))
  if row is not None and row.license:
    origin['weights_license'] = row.license
  return origin


def _version() -> str | None:
  try:
    return metadata.version('inception-jax')
  except metadata.PackageNotFoundError:  # In a clone that is not installed.
    return None
