"""The projects whose weights can be imported, by the name that --from takes.

Imports neither JAX nor TensorFlow: the command reads the names before it parses
its flags.
"""

from inception.pretrained.projects import fid, keras, pytorch, slim
from inception.pretrained.tensors import Project

PROJECTS: dict[str, Project] = {
  'slim': slim.SLIM,
  'keras': keras.KERAS,
  'torchvision': pytorch.TORCHVISION,
  'timm': pytorch.TIMM,
  'fid': fid.FID,
  'facenet': pytorch.FACENET,
}
