"""GoogLeNet of the paper on ImageNet, 224 x 224, SGD with momentum, cosine.

Run:     python train.py --config=configs/googlenet.py --workdir=runs/googlenet
Needs:   ImageNet prepared by TFDS; accelerators. Not yet run on either.
Expect:  top-1 not yet measured here; the network released with Caffe: 68.7 %.

The paper gives no learning rate; 0.01 is that of the release.
"""

import ml_collections

from configs import default


def get_config() -> ml_collections.ConfigDict:
  """Returns the config of GoogLeNet without batch norm."""
  config = default.get_config()
  config.model.architecture = 'googlenet'
  config.batch_size = 256
  config.num_epochs = 100.0
  config.schedule.base_learning_rate = 0.01
  config.optimizer.weight_decay = 2e-4
  config.loss.label_smoothing = 0.0
  # Polyak averaging, paper, section 6.
  config.optimizer.ema_decay = 0.9999
  return config
