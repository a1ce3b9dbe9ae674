"""Repositories of timm's kind on the Hugging Face Hub.

Such a repository has model.safetensors (older ones pytorch_model.bin), and a
config.json that says which network it is, and how it wants its images.
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
    own: Folder of the cache for this name; gets the repository's config.json.

  Raises:
    UserError: There is no such repository, or it holds another kind of network.
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
    UserError: The name has another form.
  """
  match = _NAME.fullmatch(name)
  if match is None:
    raise UserError(f'{name} must be hf:owner/name, or hf:owner/name@revision')
  owner, repository, revision = match.groups()
  return f'{download.hub()}/{owner}/{repository}/resolve/{revision or "main"}'


def _parse(file: paths.Path, name: str) -> dict[str, Any]:
  """Reads a config.json, on one level, of an Inception network."""
  fields = json_text.read(file)
  if not isinstance(fields, dict):
    fields = {}
  architecture = fields.get('architecture')
  if 'inception' not in str(architecture):
    raise UserError(
      f'{name} holds {architecture or "no model of timm"}, which is not an'
      ' Inception network'
    )
  # Repositories of timm before version 0.9 have one level.
  inner = fields.get('pretrained_cfg')
  return {**fields, **inner} if isinstance(inner, dict) else fields


def _adjust(
  config: ml_collections.ConfigDict, stated: dict[str, Any], name: str
) -> None:
  """Records how the weights want their images, and the names of classes."""
  try:
    size = int(stated['input_size'][-1])
    mean = tuple(255 * float(number) for number in stated['mean'])
    std = tuple(255 * float(number) for number in stated['std'])
    crop_pct = float(stated['crop_pct'])
  except (LookupError, TypeError, ValueError, OverflowError) as error:
    raise UserError(
      f'the config.json of {name} does not say how images are prepared, in'
      f' input_size, mean, std and crop_pct: {reason(error)}'
    ) from error
  interpolation = stated.get('interpolation')
  crop_mode = stated.get('crop_mode', 'center')
  if interpolation not in _INTERPOLATIONS or crop_mode != 'center':
    raise UserError(
      f'{name} wants {crop_mode} crops with {interpolation} interpolation; this'
      f' project has center crops, {" or ".join(_INTERPOLATIONS)}'
    )
  config.data.image_size = size
  config.data.mean, config.data.std = mean, std
  config.data.crop_pct, config.data.interpolation = crop_pct, interpolation
  labels = stated.get('label_names')
  count = config.model.num_classes - config.data.class_offset
  if isinstance(labels, list) and len(set(map(str, labels))) == count:
    config.data.class_names = tuple(map(str, labels))
