"""Networks of other projects, timed next to ours if they are installed.

Each maps (architecture, precision, images per call, pixels) to a function that
runs once, or to None if the project has no such network or precision. Training
steps use SGD with momentum, and autocast for bfloat16.
"""

from collections.abc import Callable, Mapping
import importlib.util
import io
import os
from typing import Any

import numpy as np

Run = Callable[[], object]
Make = Callable[[str, str, int, int], Run | None]

# TensorFlow imports Keras, which reads this once.
os.environ['KERAS_BACKEND'] = 'jax'

# PyTorch must be loaded before TensorFlow, or the process crashes.
for _package in ('torch', 'torchvision'):
  if importlib.util.find_spec(_package):
    importlib.import_module(_package)

# Our names to theirs.
_TORCHVISION = {
  'inception_v1': 'googlenet',
  'inception_v3': 'inception_v3',
}
_TIMM = {
  'inception_v3': 'inception_v3',
  'inception_v4': 'inception_v4',
  'inception_resnet_v2': 'inception_resnet_v2',
}
_KERAS = {
  'inception_v3': 'InceptionV3',
  'inception_resnet_v2': 'InceptionResNetV2',
}


def keras(
  architecture: str, precision: str, rows: int, size: int
) -> Run | None:
  """Keras on JAX, compiled."""
  if architecture not in _KERAS or precision not in ('float32', 'bfloat16'):
    return None
  import jax
  import keras as package

  package.config.set_dtype_policy(
    'float32' if precision == 'float32' else 'mixed_bfloat16'
  )
  model = getattr(package.applications, _KERAS[architecture])(
    weights=None, input_shape=(size, size, 3)
  )
  variables = [
    [variable.value for variable in group]
    for group in (model.trainable_variables, model.non_trainable_variables)
  ]
  run = jax.jit(lambda v, x: model.stateless_call(*v, x, training=False)[0])
  images = np.zeros((rows, size, size, 3), np.float32)
  return lambda: jax.block_until_ready(run(variables, images))


def onnxruntime(
  architecture: str, precision: str, rows: int, size: int
) -> Run | None:
  """ONNX Runtime on torchvision's network, in float32."""
  if architecture not in _TORCHVISION or precision != 'float32':
    return None
  import onnxruntime as package
  import torch

  images = torch.zeros(rows, 3, size, size)
  file = io.BytesIO()
  torch.onnx.export(
    _torchvision_model(architecture).eval(),
    (images,),
    file,
    input_names=['images'],
    dynamo=False,
  )
  options = package.SessionOptions()
  options.intra_op_num_threads = len(os.sched_getaffinity(0))
  session = package.InferenceSession(
    file.getvalue(), options, providers=package.get_available_providers()
  )
  return lambda: session.run(None, {'images': images.numpy()})


def _torchvision_model(architecture: str) -> Any:
  from torchvision import models

  make = getattr(models, _TORCHVISION[architecture])
  return make(weights=None, init_weights=False)


def _timm_model(architecture: str) -> Any:
  import timm as package

  return package.create_model(_TIMM[architecture], pretrained=False)


def _torch(model: Any, precision: str, rows: int, size: int) -> Run | None:
  import torch

  if precision not in ('float32', 'bfloat16', 'float16'):
    return None
  dtype = getattr(torch, precision)
  device = 'cuda' if torch.cuda.is_available() else 'cpu'
  layout = torch.channels_last
  model = model.eval().to(device, dtype).to(memory_format=layout)
  images = torch.zeros(rows, 3, size, size, device=device, dtype=dtype)
  images = images.to(memory_format=layout)

  def run() -> None:
    with torch.inference_mode():
      model(images)
    if device == 'cuda':
      torch.cuda.synchronize()

  return run


def _torch_step(model: Any, precision: str, rows: int, size: int) -> Run | None:
  import torch

  if precision not in ('float32', 'bfloat16'):
    return None  # float16 would need loss scaling.
  device = 'cuda' if torch.cuda.is_available() else 'cpu'
  layout = torch.channels_last
  model = model.train().to(device).to(memory_format=layout)
  images = torch.randn(rows, 3, size, size, device=device)
  images = images.to(memory_format=layout)
  labels = torch.randint(1000, (rows,), device=device)
  optimizer = torch.optim.SGD(
    model.parameters(), 0.01, momentum=0.9, weight_decay=4e-5
  )
  loss_of = torch.nn.functional.cross_entropy

  def run() -> None:
    optimizer.zero_grad(set_to_none=True)
    with torch.autocast(device, torch.bfloat16, precision == 'bfloat16'):
      outputs = model(images)
      if isinstance(outputs, torch.Tensor):
        outputs = (outputs,)
      logits, *auxiliary = outputs
      loss = loss_of(logits, labels)
      for output in auxiliary:
        loss = loss + 0.4 * loss_of(output, labels)
    loss.backward()
    optimizer.step()
    if device == 'cuda':
      torch.cuda.synchronize()

  return run


def _of(
  names: Mapping[str, str],
  make: Callable[[str], Any],
  time: Callable[[Any, str, int, int], Run | None],
) -> Make:
  def peer(
    architecture: str, precision: str, rows: int, size: int
  ) -> Run | None:
    if architecture not in names:
      return None
    return time(make(architecture), precision, rows, size)

  return peer


def _compiled(time: Callable[[Any, str, int, int], Run | None]) -> Any:
  def time_compiled(
    model: Any, precision: str, rows: int, size: int
  ) -> Run | None:
    import torch

    return time(torch.compile(model), precision, rows, size)

  return time_compiled


def _exported(name: str, **how: str) -> Make:
  """Returns a function of exported.py, which imports TensorFlow."""

  def peer(
    architecture: str, precision: str, rows: int, size: int
  ) -> Run | None:
    from benchmarks import exported

    run: Run | None = getattr(exported, name)(
      architecture, precision, rows, size, **how
    )
    return run

  return peer


_TORCHVISION_PACKAGES = ('torch', 'torchvision')
_ONNX = ('onnxruntime', 'onnx')
_OPENVINO = ('openvino', 'onnx')
# In int8, outputs of ReLUs are uint8.
_UNSIGNED = {'activations': 'unsigned'}

# By name: the packages that each needs, and how to make it. PyTorch networks
# run channels last, and eagerly unless the name says compiled. timm's have no
# auxiliary heads.
_PEERS: dict[str, dict[str, tuple[tuple[str, ...], Make]]] = {
  'inference': {
    'torchvision': (
      _TORCHVISION_PACKAGES,
      _of(_TORCHVISION, _torchvision_model, _torch),
    ),
    'torchvision_compiled': (
      _TORCHVISION_PACKAGES,
      _of(_TORCHVISION, _torchvision_model, _compiled(_torch)),
    ),
    'timm': (('torch', 'timm'), _of(_TIMM, _timm_model, _torch)),
    'keras': (('keras',), keras),
    'onnxruntime': (('onnxruntime', 'onnx', 'torchvision'), onnxruntime),
    'exported_onnx': (_ONNX, _exported('onnxruntime')),
    'exported_onnx_unsigned': (_ONNX, _exported('onnxruntime', **_UNSIGNED)),
    'exported_openvino': (_OPENVINO, _exported('openvino')),
    'exported_openvino_unsigned': (
      _OPENVINO,
      _exported('openvino', **_UNSIGNED),
    ),
    'exported_litert': (('ai_edge_litert',), _exported('litert')),
  },
  'training': {
    'torchvision': (
      _TORCHVISION_PACKAGES,
      _of(_TORCHVISION, _torchvision_model, _torch_step),
    ),
    'torchvision_compiled': (
      _TORCHVISION_PACKAGES,
      _of(_TORCHVISION, _torchvision_model, _compiled(_torch_step)),
    ),
    'timm': (('torch', 'timm'), _of(_TIMM, _timm_model, _torch_step)),
  },
}


def installed(what: str = 'inference') -> dict[str, Make]:
  """Returns the peers whose packages are installed, by name."""
  return {
    name: make
    for name, (packages, make) in _PEERS[what].items()
    if all(importlib.util.find_spec(package) for package in packages)
  }
