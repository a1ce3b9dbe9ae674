"""Pixels of every format, against Pillow: transparency, orientation, WebP."""

import io
import struct
import zlib

import numpy as np
from PIL import Image, ImageOps
import pytest

from inception.data.pixels import decode, images, signature
from inception.data.pixels.signature import Kind
from inception.data.tensorflow import tf
from inception.errors import UserError

SIDES = 23, 31
WHITE, GREEN = (255, 255, 255), (0, 200, 10)


def noise(channels, levels=256):
  shape = (*SIDES, channels) if channels > 1 else SIDES
  return np.random.default_rng(0).integers(0, levels, shape, np.uint8)


def save(image, **options):
  buffer = io.BytesIO()
  image.save(buffer, **options)
  return buffer.getvalue()


def palette():
  return Image.fromarray(noise(3)).quantize(16)


def photo(file_format, orientation, **options):
  exif = Image.Exif()
  exif[0x0112] = orientation
  small = Image.fromarray(noise(3)[:5, :6])
  image = small.resize(SIDES[::-1], Image.Resampling.BICUBIC)
  return save(image, format=file_format, exif=exif, **options)


TRANSPARENT = {
  'RGBA': (save(Image.fromarray(noise(4)), format='PNG'), Kind.PNG_ALPHA),
  'LA': (save(Image.fromarray(noise(2), 'LA'), format='PNG'), Kind.PNG_ALPHA),
  'palette, one color': (
    save(palette(), format='PNG', transparency=3),
    Kind.PNG_ALPHA,
  ),
  'palette, levels': (
    save(palette(), format='PNG', transparency=bytes(range(0, 240, 15))),
    Kind.PNG_ALPHA,
  ),
  'RGB, one color': (
    save(Image.fromarray(noise(3, 2)), format='PNG', transparency=(1, 0, 1)),
    Kind.PNG_ALPHA,
  ),
  'WebP': (
    save(Image.fromarray(noise(4)), format='WEBP', lossless=True),
    Kind.OTHER,
  ),
  'GIF': (save(palette(), format='GIF', transparency=3), Kind.OTHER),
}
OPAQUE = {
  'RGB': (save(Image.fromarray(noise(3)), format='PNG'), Kind.PNG),
  'L': (save(Image.fromarray(noise(1)), format='PNG'), Kind.PNG),
  'palette': (save(palette(), format='PNG'), Kind.PNG),
  '1': (save(Image.fromarray(noise(1) > 99), format='PNG'), Kind.OTHER),
  'BMP': (save(Image.fromarray(noise(3)), format='BMP'), Kind.OTHER),
  'WebP': (
    save(Image.fromarray(noise(3)), format='WEBP', lossless=True),
    Kind.OTHER,
  ),
}


def pixels(file, config, count=1):
  """Decodes as training and evaluation do, in a graph."""

  @tf.function(autograph=False)
  def graph():
    (image,) = decode.inspect(tf.constant([file]), config.data).unstack(count)
    return decode.decode(image, config.data, 'INTEGER_ACCURATE')

  found = graph().numpy()
  (image,) = decode.inspect(tf.constant([file]), config.data).unstack(count)
  eager = decode.decode(image, config.data, 'INTEGER_ACCURATE').numpy()
  np.testing.assert_array_equal(found, eager)
  return found.astype(int)


@pytest.mark.parametrize('color', [WHITE, GREEN])
@pytest.mark.parametrize('name', TRANSPARENT)
def test_transparent_pixels_show_the_background(config, name, color):
  file, kind = TRANSPARENT[name]
  assert signature.inspect(file, whole=True) == (kind, 1)
  config.data.background = color
  image = Image.open(io.BytesIO(file)).convert('RGBA')
  below = Image.new('RGBA', image.size, color)
  wanted = np.asarray(Image.alpha_composite(below, image).convert('RGB'))
  assert np.abs(pixels(file, config) - wanted).max() <= 1
  # The colors under transparent pixels differ from the composite.
  config.data.background = ()
  hidden = np.asarray(image.convert('RGB'))
  np.testing.assert_array_equal(pixels(file, config), hidden)
  assert np.abs(hidden.astype(int) - wanted).max() > 50


@pytest.mark.parametrize('name', OPAQUE)
def test_opaque_pixels_match_pillow(config, name):
  file, kind = OPAQUE[name]
  assert signature.inspect(file, whole=True) == (kind, 1)
  wanted = np.asarray(Image.open(io.BytesIO(file)).convert('RGB'))
  np.testing.assert_array_equal(pixels(file, config), wanted)


@pytest.mark.parametrize('orientation', range(1, 9))
@pytest.mark.parametrize('name', ['JPEG', 'PNG', 'WEBP'])
def test_images_are_rotated_as_in_pillow(config, name, orientation):
  options = {'lossless': True} if name == 'WEBP' else {}
  file = photo(name, orientation, **options)
  stored = Image.open(io.BytesIO(file))
  upright = np.asarray(ImageOps.exif_transpose(stored).convert('RGB'))
  assert np.abs(pixels(file, config) - upright).max() <= 1
  config.data.exif_orientation = False
  as_stored = np.asarray(stored.convert('RGB'))
  assert np.abs(pixels(file, config) - as_stored).max() <= 1


@pytest.mark.parametrize('name', ['torchvision', 'inception'])
@pytest.mark.parametrize('orientation', range(2, 9))
def test_evaluation_sees_upright_images(config, name, orientation):
  config.data.image_size, config.data.eval_transform = 16, name
  file = photo('JPEG', orientation, quality=95)
  upright = save(
    ImageOps.exif_transpose(Image.open(io.BytesIO(file))), format='PNG'
  )
  files = tf.constant([file, upright])
  found = images.eval_images(files, config.data).numpy()
  difference = np.abs(found[0].astype(int) - found[1])
  assert difference.max() <= (2 if name == 'torchvision' else 8)


def test_a_jpeg_with_a_long_header_is_rotated(config):
  """The orientation lies beyond the bytes that are read first."""
  file = photo('JPEG', 6, quality=95)
  comment = b'\xff\xfe' + (20_002).to_bytes(2, 'big') + bytes(20_000)
  long = file[:2] + comment + file[2:]
  head = long[: signature.HEAD_BYTES]
  assert signature.inspect(head, whole=False) == (Kind.JPEG, signature.UNKNOWN)
  assert signature.inspect(long, whole=True) == (Kind.JPEG, 6)
  both = decode.inspect(tf.constant([long, file]), config.data)
  assert both.orientation.numpy().tolist() == [6, 6]
  assert np.abs(pixels(long, config) - pixels(file, config)).max() <= 1


def test_orientation_in_xmp_counts_where_exif_has_none(config):
  """As in Pillow's exif_transpose."""
  file = photo('JPEG', 1, quality=95)
  text = b'http://ns.adobe.com/xap/1.0/\0<x tiff:Orientation="6"/>'
  packet = b'\xff\xe1' + (len(text) + 2).to_bytes(2, 'big') + text
  turned = file[:2] + packet + file[2:]
  if Image.open(io.BytesIO(file)).getexif().get(0x0112):
    turned = turned.replace(b'Exif\0\0', b'None\0\0', 1)
  wanted = ImageOps.exif_transpose(Image.open(io.BytesIO(turned)))
  assert wanted.size == Image.open(io.BytesIO(file)).size[::-1]
  wanted = np.asarray(wanted.convert('RGB'))
  assert np.abs(pixels(turned, config) - wanted).max() <= 1


def test_16_bit_gray_is_scaled_not_clipped(config):
  levels = np.linspace(0, 65_535, 256).astype(np.uint16).reshape(16, 16)
  file = io.BytesIO()
  exif = Image.Exif()
  exif[0x0112] = 1
  Image.fromarray(levels).save(file, 'PNG', exif=exif)  # Pillow decodes it.
  found = pixels(file.getvalue(), config)
  assert np.abs(found - (levels >> 8)[..., None]).max() <= 1


@pytest.mark.parametrize('order', ['MM', 'II'])
@pytest.mark.parametrize('number_type', [3, 4])
def test_orientations_are_read_in_both_byte_orders(order, number_type):
  byte_order = 'big' if order == 'MM' else 'little'

  def number(value, size):
    return value.to_bytes(size, byte_order)

  value = number(6, 2) + bytes(2) if number_type == 3 else number(6, 4)
  field = number(0x0112, 2) + number(number_type, 2) + number(1, 4) + value
  other = number(0x0100, 2) + number(3, 2) + number(1, 4) + bytes(4)
  tiff = order.encode() + number(42, 2) + number(8, 4) + number(2, 2)
  exif = b'Exif\0\0' + tiff + other + field
  head = b'\xff\xd8\xff\xe1' + (len(exif) + 2).to_bytes(2, 'big') + exif
  assert signature.inspect(head, whole=True) == (Kind.JPEG, 6)
  # Damaged: a missing orientation is not a reason to refuse an image.
  for end in range(12, len(head) - 2):
    assert signature.inspect(head[:end], whole=True)[1] == 1


@pytest.mark.parametrize(
  'content, message',
  [
    (b'', 'it is empty'),
    (b'<html>', 'its format is not JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF'),
    (OPAQUE['RGB'][0][:500], 'damaged or incomplete'),
    (photo('JPEG', 1)[:700], 'damaged or incomplete'),
    (OPAQUE['WebP'][0][:500], 'damaged or incomplete'),
  ],
)
def test_a_file_that_is_not_an_image_is_reported_with_a_reason(
  config, tmp_path, content, message
):
  path = tmp_path / 'picture.png'
  path.write_bytes(content)
  with pytest.raises(UserError, match=message) as caught:
    images.load_image(path, config.data)
  assert 'picture.png' in str(caught.value)
  assert 'function_node' not in str(caught.value)


@pytest.mark.parametrize('depth', [1, 2, 4, 8])
def test_a_transparent_gray_of_any_depth_shows_the_background(config, depth):
  top = 2**depth - 1
  grays = sorted({0, top // 3, top // 2, top})
  for hidden in grays:
    found = pixels(gray_png(depth, grays, hidden), config)[0, :, 0]
    wanted = [255 if g == hidden else round(255 * g / top) for g in grays]
    assert np.abs(found - wanted).max() <= 1


def gray_png(depth, grays, hidden):
  """Returns a one-row PNG with one transparent gray level."""

  def chunk(name, content):
    checksum = zlib.crc32(name + content)
    length = len(content)
    return struct.pack(f'>I4s{length}sI', length, name, content, checksum)

  bits = ''.join(f'{gray:0{depth}b}' for gray in grays)
  row = int(bits.ljust(-(-len(bits) // 8) * 8, '0'), 2)
  line = b'\0' + row.to_bytes(-(-len(bits) // 8), 'big')
  header = struct.pack('>IIBBBBB', len(grays), 1, depth, 0, 0, 0, 0)
  return (
    b'\x89PNG\r\n\x1a\n'
    + chunk(b'IHDR', header)
    + chunk(b'tRNS', struct.pack('>H', hidden))
    + chunk(b'IDAT', zlib.compress(line))
    + chunk(b'IEND', b'')
  )
