"""Draws the figure in the README: digits, their classes and Grad-CAM.

Run:  make demo
      python scripts/draw_readme.py
"""

import pathlib
import tempfile

import numpy as np
from PIL import Image
from sklearn import datasets

from inception import load_pretrained
from inception.cli import outputs
from inception.data.sources import digits

WORKDIR = 'runs/digits'
OUTPUT = pathlib.Path('docs/digits.png')
COUNT = 10


def main() -> None:
  """Classifies and explains the first test image of each digit."""
  network = load_pretrained(WORKDIR)
  with tempfile.TemporaryDirectory() as folder:
    files = []
    bunch = datasets.load_digits()
    images = bunch.images[:: digits.TEST_EVERY]
    labels = list(bunch.target[:: digits.TEST_EVERY])
    for label in range(COUNT):
      files.append(f'{folder}/{label}.png')
      pixels = images[labels.index(label)] * (255 / 16)
      Image.fromarray(np.round(pixels).astype(np.uint8)).save(files[-1])
    results = list(network.stream(files, network.explain(1)))
  figure = outputs.figure(8.4, 2.1, dpi=110)
  axes = figure.subplots(2, COUNT)
  for column, (file, result) in enumerate(results):
    prediction = network.name(file, result)
    above, below = axes[:, column]
    for axis in (above, below):
      axis.imshow(result['image'], extent=(0, 1, 0, 1))
      axis.axis('off')
    heat = below.imshow(
      result['heat'],
      cmap='inferno',
      alpha=0.55,
      vmin=0,
      vmax=1,
      interpolation='bilinear',
      extent=(0, 1, 0, 1),
    )
    above.set_title(
      f'{prediction.classes[0]}  {prediction.probabilities[0]:.0%}', fontsize=9
    )
  figure.colorbar(heat, ax=axes, ticks=[0, 1])
  config = network.config.model
  figure.suptitle(
    f'{config.architecture}, width {config.width}, trained by make demo; test'
    ' images, and the regions that support the predicted class (Grad-CAM)',
    fontsize=9,
  )
  outputs.save(figure, OUTPUT)


if __name__ == '__main__':
  main()
