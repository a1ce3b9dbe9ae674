"""Repositories in timm's format on the Hugging Face Hub.

Such a repository has model.safetensors (older ones: pytorch_model.bin), and a
config.json that gives the network and its preprocessing.
"""

import re
from typing import Any

import ml_collections

from inception import paths
from inception.errors import UserError, reason
from inception.files import json_text
from inception.pretrained import download, partial
from inception.pretrained.published import Published

PREFIX = 'hf:'

_NAME = re.compile(r'hf:([\w.-]+)/([\w.-]+)(?:@([\w./-]+))?')
_INTERPOLATIONS = ('bilinear', 'bicubic')


def read(name: str, own: paths.Path) -> Published:
  """Returns what a repository says about its weights.

  Args:
    name: hf:owner/name[@revision].
    own: Cache folder of this name; the config.json is saved there.

  Raises:
    UserError: There is no such repository, or it holds a different network.
  """
  base = base_url(name)
  file, part = own / 'config.json', own / 'config.part'
  if not file.exists():
    download.download(f'{base}/config.json', part)
    try:
      _parse(part, name)
      part.replace(file)
    finally:
      partial.discard(part)
  fields = _parse(file, name)

  def adjust(config: ml_collections.ConfigDict) -> None:
    _adjust(config, fields, name)

  return Published(
    name,
    'timm',
    None,
    (f'{base}/model.safetensors', f'{base}/pytorch_model.bin'),
    adjust=adjust,
  )


def base_url(name: str) -> str:
  """Returns the address of a repository's files.

  Raises:
    UserError: The name is malformed.
  """
  match = _NAME.fullmatch(name)
  if match is None:
    raise UserError(f'{name} must be hf:owner/name, or hf:owner/name@revision')
  owner, repository, revision = match.groups()
  return f'{download.hub()}/{owner}/{repository}/resolve/{revision or "main"}'


def _parse(file: paths.Path, name: str) -> dict[str, Any]:
  """Reads and flattens the config.json of an Inception network."""
  fields = json_text.read(file)
  if not isinstance(fields, dict):
    fields = {}
  architecture = fields.get('architecture')
  if 'inception' not in str(architecture):
    raise UserError(
      f'{name} holds {architecture or "an unknown model"}, not an Inception'
      ' network of timm'
    )
  # Before timm 0.9, config.json had a single level.
  inner = fields.get('pretrained_cfg')
  return {**fields, **inner} if isinstance(inner, dict) else fields


def _adjust(
  config: ml_collections.ConfigDict, stated: dict[str, Any], name: str
) -> None:
  """Records the preprocessing of the weights, and the class names."""
  try:
    size = int(stated['input_size'][-1])
    mean = tuple(255 * float(number) for number in stated['mean'])
    std = tuple(255 * float(number) for number in stated['std'])
    crop_pct = float(stated['crop_pct'])
  except (LookupError, TypeError, ValueError, OverflowError) as error:
    raise UserError(
      f'the config.json of {name} must give the preprocessing as input_size,'
      f' mean, std and crop_pct: {reason(error)}'
    ) from error
  interpolation = stated.get('interpolation')
  crop_mode = stated.get('crop_mode', 'center')
  if interpolation not in _INTERPOLATIONS or crop_mode != 'center':
    raise UserError(
      f'{name} needs {crop_mode} crops with {interpolation} interpolation; only'
      f' center crops with {" or ".join(_INTERPOLATIONS)} are supported'
    )
  config.data.image_size = size
  config.data.mean, config.data.std = mean, std
  config.data.crop_pct, config.data.interpolation = crop_pct, interpolation
  labels = stated.get('label_names')
  count = config.model.num_classes - config.data.class_offset
  if isinstance(labels, list) and len(set(map(str, labels))) == count:
    config.data.class_names = tuple(map(str, labels))
