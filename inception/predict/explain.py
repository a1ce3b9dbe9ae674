"""Grad-CAM: the image regions that support a class."""

from typing import Any

from flax import linen as nn
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from PIL import ExifTags, Image

from inception import paths
from inception.cli import outputs
from inception.data.device import feed
from inception.data.pixels import eval_transforms
from inception.modules.heads import Classifier
from inception.modules.network import Network

Array = jax.Array

_INCHES = 3.2  # Height of each drawn image.


def make_explainer(model: Network, data: ml_collections.ConfigDict) -> Any:
  """Returns a function that explains the top class of images.

  Selvaraju et al., 2017, "Grad-CAM", equations 1 and 2: the channels of the
  last grid, weighted by the mean gradient of the class's logit, then a ReLU.

  Returns:
    A function of variables and uint8 images [batch, height, width, 3], which
    returns `logits` float32 [batch, num_classes], `heat` float32 [batch, rows,
    columns], scaled to a maximum of 1, and `image`, the images.
  """
  last = model.architecture.stages[-1].name

  def explain(variables: Any, images: Array) -> dict[str, Array]:
    normalized = feed.normalize(images, data)

    def top_logits(change: Array) -> tuple[Array, tuple[Array, Array]]:
      """Sums top logits with `change` added; each depends only on its image."""

      def intercept(call: Any, args: Any, kwargs: Any, context: Any) -> Any:
        if isinstance(context.module, Classifier):
          args = (args[0] + change, *args[1:])
        return call(*args, **kwargs)

      with nn.intercept_methods(intercept):
        outputs: Any = model.apply(variables, normalized, endpoints=True)
      top = jnp.sum(jnp.max(outputs.logits, axis=1))
      return top, (outputs.logits, outputs.endpoints[last])

    shape = jax.eval_shape(
      lambda: model.apply(variables, normalized, endpoints=True)
    ).endpoints[last]
    gradient, (logits, grid) = jax.grad(top_logits, has_aux=True)(
      jnp.zeros(shape.shape, shape.dtype)
    )
    weights = jnp.mean(gradient.astype(jnp.float32), axis=(1, 2))
    heat = jnp.einsum('bhwc,bc->bhw', grid.astype(jnp.float32), weights)
    heat = jnp.maximum(heat, 0)
    strongest = jnp.max(heat, axis=(1, 2), keepdims=True)
    heat = heat / jnp.where(strongest > 0, strongest, 1)
    return {'logits': logits, 'heat': heat, 'image': images}

  return explain


def proportions(file: str, data: ml_collections.ConfigDict) -> float:
  """Returns width / height of the part of an image that the network sees.

  Some transforms crop a square; others resize their crop to a square.

  Args:
    file: An image that Pillow can open.
    data: `config.data`.
  """
  if eval_transforms.eval_transform(data).short_side is not None:
    return 1.0
  with Image.open(file) as image:
    width, height = image.size
    orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
  if orientation > 4 and data.exif_orientation is not False:  # Quarter turn.
    width, height = height, width
  return width / height


def draw(
  image: np.ndarray,
  heat: np.ndarray,
  title: str,
  output: paths.Path,
  proportions: float = 1.0,
) -> None:
  """Draws an image next to a heat map of the regions supporting its class.

  Args:
    image: uint8 [height, width, 3], the square that the network sees.
    heat: float32 [rows, columns], from 0 to 1.
    title: Title of the figure: the file and its class.
    output: PNG file to write.
    proportions: Width / height of the drawn image.

  Raises:
    UserError: The file cannot be written.
  """
  width = _INCHES * min(max(proportions, 0.4), 2.5)
  picture = outputs.figure(2 * width + 0.9, _INCHES + 0.4, dpi=110)
  axes = picture.subplots(1, 2)
  for axis in axes:
    axis.imshow(image, extent=(0, proportions, 0, 1))
    axis.axis('off')
  colors = axes[1].imshow(
    heat,
    cmap='inferno',
    alpha=0.55,
    vmin=0,
    vmax=1,
    interpolation='bilinear',
    extent=(0, proportions, 0, 1),
  )
  picture.colorbar(
    colors, ax=axes, label='support (Grad-CAM)', ticks=[0, 1], shrink=0.8
  )
  picture.suptitle(outputs.label(title), fontsize=9)
  outputs.save(picture, output)
