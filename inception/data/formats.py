"""What an encoded image is, from its first bytes: format, alpha, orientation.

Decoders need to know these before they start. Pure Python, one call for many
images.
"""

import enum
import struct

import numpy as np

# Bytes of each image to look at. Headers that do not end within them are left
# to Pillow.
HEAD_BYTES = 16_384

SUPPORTED = 'JPEG, PNG, WebP, GIF or BMP'

_JPEG = b'\xff\xd8\xff'
_PNG = b'\x89PNG\r\n\x1a\n'
_OTHERS = (b'GIF87a', b'GIF89a', b'BM')

_SUFFIXES = ('.jpg', '.jpeg', '.png', '.webp', '.gif', '.bmp')

_EXIF = b'Exif\0\0'
_ORIENTATION_TAG = 0x0112
# Bytes of an EXIF field's value, by its type: SHORT or LONG.
_NUMBER_TYPES = {3: 'H', 4: 'I'}

# Markers of a JPEG: application data with EXIF, and the start of the pixels.
_APP1, _START_OF_SCAN = 0xE1, 0xDA

_GRAY, _PALETTE, _GRAY_ALPHA, _RGB_ALPHA = 0, 3, 4, 6


class Kind(enum.IntEnum):
  """How an image is decoded."""

  JPEG = 0
  PNG = 1  # Opaque.
  PNG_ALPHA = 2
  OTHER = 3  # By Pillow, which is slower, but knows everything.


def is_supported(head: bytes) -> bool:
  """True if a file begins as an image does; 12 bytes are enough."""
  return head.startswith((_JPEG, _PNG, *_OTHERS)) or _is_webp(head)


def is_supported_name(name: str) -> bool:
  """True if a file has the name of an image."""
  return name.lower().endswith(_SUFFIXES)


def is_jpeg(head: bytes) -> bool:
  """True if a file begins as a JPEG does."""
  return head.startswith(_JPEG)


def inspect_all(heads: np.ndarray) -> np.ndarray:
  """Returns int32 [n, 2], kind and orientation, for heads [n] of images."""
  return np.array([inspect(head) for head in heads], np.int32).reshape(-1, 2)


def inspect(head: bytes) -> tuple[Kind, int]:
  """Returns how to decode an image, and how to turn it upright.

  Args:
    head: First `HEAD_BYTES` of the file.

  Returns:
    The kind, and the orientation of a JPEG as EXIF counts it, 1 to 8. That of
    other kinds is 1: their decoder does it.
  """
  try:
    if head.startswith(_JPEG):
      return _inspect_jpeg(head)
    if head.startswith(_PNG):
      return _inspect_png(head), 1
  except (struct.error, IndexError):
    pass  # The header is damaged, or longer than the head.
  return Kind.OTHER, 1


def _inspect_jpeg(head: bytes) -> tuple[Kind, int]:
  position = 2
  while True:
    while head[position + 1] == 0xFF:  # Padding.
      position += 1
    marker = head[position + 1]
    if head[position] != 0xFF or marker == _START_OF_SCAN:
      return Kind.JPEG, 1
    (length,) = struct.unpack_from('>H', head, position + 2)
    if marker == _APP1 and head.startswith(_EXIF, position + 4):
      begin = position + 4 + len(_EXIF)
      return Kind.JPEG, _orientation(head[begin : position + 2 + length])
    position += 2 + length


def _orientation(tiff: bytes) -> int:
  """Reads the orientation from EXIF data, which has the structure of TIFF."""
  order = '>' if tiff.startswith(b'MM') else '<'
  (directory,) = struct.unpack_from(order + 'I', tiff, 4)
  (count,) = struct.unpack_from(order + 'H', tiff, directory)
  for field in range(directory + 2, directory + 2 + 12 * count, 12):
    tag, number_type = struct.unpack_from(order + 'HH', tiff, field)
    if tag == _ORIENTATION_TAG and number_type in _NUMBER_TYPES:
      number = order + _NUMBER_TYPES[number_type]
      (value,) = struct.unpack_from(number, tiff, field + 8)
      return value if 1 <= value <= 8 else 1
  return 1


def _inspect_png(head: bytes) -> Kind:
  depth, color = head[24], head[25]
  if depth < 8 and color == _GRAY:
    # TensorFlow would give it an alpha of 1 to 15 instead of 255.
    return Kind.OTHER
  alpha = color in (_GRAY_ALPHA, _RGB_ALPHA)
  position = len(_PNG)
  while True:
    length, name = struct.unpack_from('>I4s', head, position)
    match name:
      case b'eXIf':
        return Kind.OTHER
      case b'tRNS':
        alpha = True
      case b'IDAT':
        return Kind.PNG_ALPHA if alpha else Kind.PNG
    position += 12 + length


def _is_webp(head: bytes) -> bool:
  return head.startswith(b'RIFF') and head[8:12] == b'WEBP'
