"""Detects the format, alpha and orientation of an image from its first bytes.

Decoders need these before they start. Pure Python; one call handles many
images.
"""

import contextlib
import enum
import re
import struct

import numpy as np

# Bytes of each image to look at first; few headers are longer.
HEAD_BYTES = 16_384
# Orientation of an image whose header is longer than `HEAD_BYTES`.
UNKNOWN = 0

SUPPORTED = 'JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF'

_JPEG = b'\xff\xd8\xff'
_PNG = b'\x89PNG\r\n\x1a\n'
_OTHERS = (b'GIF87a', b'GIF89a', b'BM', b'II*\0', b'MM\0*')

_SUFFIXES = (
  *('.jpg', '.jpeg', '.png', '.webp', '.gif', '.bmp'),
  *('.tif', '.tiff', '.avif'),
)

# Brands of the ISO base media file format.
_AVIF = (b'avif', b'avis')
_HEIC = (b'heic', b'heix', b'heim', b'heis', b'hevc', b'hevx', b'mif1')

_EXIF = b'Exif\0\0'
_XMP = b'http://ns.adobe.com/xap/1.0/\0'
_XMP_ORIENTATION = re.compile(rb'tiff:Orientation(?:="|>)([1-8])')
_ORIENTATION_TAG = 0x0112
# `struct` code of an EXIF field's value, by its type: SHORT or LONG.
_NUMBER_TYPES = {3: 'H', 4: 'I'}

# Markers of a JPEG: application data with EXIF, and the start of the pixels.
_APP1, _START_OF_SCAN = 0xE1, 0xDA

_GRAY, _PALETTE, _GRAY_ALPHA, _RGB_ALPHA = 0, 3, 4, 6


class Kind(enum.IntEnum):
  """How an image is decoded."""

  JPEG = 0
  PNG = 1  # Opaque.
  PNG_ALPHA = 2
  OTHER = 3  # Decoded by Pillow: slower, but reads every supported format.


def is_supported(head: bytes) -> bool:
  """True if a file starts like a supported image; 12 bytes are enough."""
  return (
    head.startswith((_JPEG, _PNG, *_OTHERS))
    or _is_webp(head)
    or _brand(head) in _AVIF
  )


def is_heic(head: bytes) -> bool:
  """True if a file starts like HEIC, the photo format of iPhones."""
  return _brand(head) in _HEIC


def is_supported_name(name: str) -> bool:
  """True if a file name has the extension of a supported image."""
  return name.lower().endswith(_SUFFIXES)


def is_jpeg(head: bytes) -> bool:
  """True if a file starts like a JPEG."""
  return head.startswith(_JPEG)


def inspect_all(whole: bool, images: np.ndarray) -> np.ndarray:
  """Returns int32 [n, 2], kind and orientation, for images [n] or their heads.

  Args:
    whole: `images` are whole images. Otherwise the orientation is `UNKNOWN` if
      a header is longer than `HEAD_BYTES`.
    images: Object array of bytes.
  """
  found = [inspect(i, whole or len(i) < HEAD_BYTES) for i in images]
  return np.array(found, np.int32).reshape(-1, 2)


def inspect(head: bytes, whole: bool) -> tuple[Kind, int]:
  """Returns how to decode an image, and how to turn it upright.

  Args:
    head: The file, or its first `HEAD_BYTES`.
    whole: `head` is the whole file.

  Returns:
    The kind, and the EXIF or XMP orientation of a JPEG: 1 to 8, or `UNKNOWN`.
    Other kinds have 1, because their decoders turn them upright.
  """
  kind = Kind.JPEG if is_jpeg(head) else Kind.OTHER
  try:
    if kind == Kind.JPEG:
      return kind, _orientation_of_jpeg(head)
    return _inspect_png(head) if head.startswith(_PNG) else kind, 1
  except (struct.error, IndexError):  # The header is cut off.
    return kind, 1 if whole else UNKNOWN


def _orientation_of_jpeg(head: bytes) -> int:
  """Reads the orientation from EXIF, or else from XMP, as Pillow does."""
  position = 2
  of_xmp = 1
  while True:
    while head[position + 1] == 0xFF:  # Padding.
      position += 1
    marker = head[position + 1]
    if head[position] != 0xFF or marker == _START_OF_SCAN:
      return of_xmp
    (length,) = struct.unpack_from('>H', head, position + 2)
    end = position + 2 + length
    if marker == _APP1 and end > len(head):
      raise IndexError
    if marker == _APP1 and head.startswith(_EXIF, position + 4):
      of_exif = _orientation(head[position + 4 + len(_EXIF) : end])
      if of_exif is not None:
        return of_exif
    elif marker == _APP1 and head.startswith(_XMP, position + 4):
      found = _XMP_ORIENTATION.search(head, position, end)
      of_xmp = int(found[1]) if found else of_xmp
    position = end


def _orientation(tiff: bytes) -> int | None:
  """Reads the orientation from EXIF data, which has the structure of TIFF."""
  order = '>' if tiff.startswith(b'MM') else '<'
  with contextlib.suppress(struct.error):  # Damaged: treated as missing.
    (directory,) = struct.unpack_from(order + 'I', tiff, 4)
    (count,) = struct.unpack_from(order + 'H', tiff, directory)
    for field in range(directory + 2, directory + 2 + 12 * count, 12):
      tag, number_type = struct.unpack_from(order + 'HH', tiff, field)
      if tag == _ORIENTATION_TAG and number_type in _NUMBER_TYPES:
        number = order + _NUMBER_TYPES[number_type]
        (value,) = struct.unpack_from(number, tiff, field + 8)
        return value if 1 <= value <= 8 else 1
  return None


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


def _brand(head: bytes) -> bytes:
  """Returns the brand of an ISO base media file; b'' for other files."""
  return head[8:12] if head[4:8] == b'ftyp' else b''


def levels_of_gray(png: bytes) -> int:
  """Returns the number of gray levels of a gray PNG of up to 8 bits."""
  return 256 if not png.startswith(_PNG) else 2 ** min(png[24], 8)


def _is_webp(head: bytes) -> bool:
  return head.startswith(b'RIFF') and head[8:12] == b'WEBP'
