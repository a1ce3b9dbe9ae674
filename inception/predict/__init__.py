"""From images to logits, features, names and explanations."""

from inception.predict.load import Pretrained, load_pretrained
from inception.predict.predictor import Predictor, make_predictor

__all__ = [
  'Predictor',
  'Pretrained',
  'load_pretrained',
  'make_predictor',
]
