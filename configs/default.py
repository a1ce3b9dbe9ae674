"""Every field of a config, once: meaning, unit, and the reason of its value.

The other files here start from this one and override. On the command line:
--config.optimizer.weight_decay=1e-4. An unset field (a placeholder) takes the
value that its comment names.
"""

import ml_collections
from ml_collections import config_dict

placeholder = config_dict.placeholder


def get_config() -> ml_collections.ConfigDict:
  """Returns the defaults: Inception networks with batch norm on ImageNet."""
  config = ml_collections.ConfigDict()

  # Every random choice follows from it: parameters, order, crops, dropout.
  config.seed = 0
  # Arithmetic of the network: 'float32', 'bfloat16', or 'float16', which adds
  # dynamic loss scaling. Parameters, batch-norm statistics, logits and loss are
  # float32 in all three.
  config.precision = 'float32'
  # Images per step over all devices of all hosts together.
  config.batch_size = 256
  # Length of training. num_steps, where set, wins over num_epochs.
  config.num_epochs = 100.0
  config.num_steps = placeholder(int)

  # A folder that `python -m inception.pretrained` wrote, or the workdir of a
  # run: training starts from its weights, with new heads where the number of
  # classes differs. Unset: from random ones.
  config.pretrained = placeholder(str)
  # Name of the last stage whose pretrained parameters and statistics stay as
  # they are, such as 'Mixed_6e'. Unset: all learn.
  config.freeze = placeholder(str)

  config.model = _model()
  config.data = _data()
  config.loss = _loss()
  config.optimizer = _optimizer()
  config.schedule = _schedule()

  # Training steps between two lines of the log. Numbers leave the devices only
  # then, so a small value costs speed.
  config.log_every_steps = 100
  # Epochs between two evaluations, and between two checkpoints; there is one of
  # each at the end. Fractions are fine.
  config.eval_every_epochs = 1.0
  config.checkpoint_every_epochs = 1.0
  # Checkpoints kept: the newest so many, and the best by top-1 besides.
  config.keep_checkpoints = 3
  return config


def _model() -> ml_collections.ConfigDict:
  model = ml_collections.ConfigDict()
  # A name in inception.architectures.
  model.architecture = 'inception_v1'
  # Factor on the features of every layer, rounded to a multiple of 8.
  model.width = 1.0
  # Logits. Unset: the classes of the data set.
  model.num_classes = placeholder(int)
  # Squeeze-excite on the output of every block (SENet paper): the factor by
  # which it narrows the channels, 16 in the paper. Unset: none.
  model.squeeze_excite = placeholder(int)
  # Equal residual blocks in series as one compiled loop instead of unrolled:
  # shorter compilation, the same parameters. See the README for how much.
  model.scan_blocks = False
  # How the last grid becomes a vector: 'average' or 'attention' (learned).
  model.head_pooling = 'average'
  # Rate before the classifier. Unset: the architecture's own. Auxiliary heads
  # always have their architecture's.
  model.dropout = placeholder(float)
  # Auxiliary classifiers during training, where the architecture has any.
  model.aux_heads = True
  # Scale (gamma) in batch norm, besides its bias. The Inception networks of
  # TF-slim and Keras have none: a ReLU and another layer follow each.
  model.batch_norm_scale = True
  # Share of the old moving statistics kept at each step. The papers' 0.9997
  # needs tens of thousands of steps before the statistics can be used.
  model.batch_norm_decay = 0.99
  # Added to the variance; the value of all Inception releases.
  model.batch_norm_epsilon = 1e-3
  # Statistics over the global batch instead of each device's share.
  model.batch_norm_sync = True
  # Of kernels: 'he_normal', 'glorot_uniform', or 'truncated_normal' with
  # standard deviation 0.01 (TF-slim's GoogLeNet; it needs batch norm).
  model.initializer = 'he_normal'
  return model


def _data() -> ml_collections.ConfigDict:
  data = ml_collections.ConfigDict()
  # A TFDS data set by name ('imagenet2012', 'imagenet2012:5.1.0'), 'folder' for
  # images in data_dir/<split>/<class>/, 'digits', or 'fake' for one batch of
  # noise over and over, which measures the devices alone.
  data.dataset = 'imagenet2012'
  # Where it lies. Unset: TFDS's own folder, ~/tensorflow_datasets.
  data.data_dir = placeholder(str)
  # Splits in TFDS slicing syntax, as in 'train[:90%]'.
  data.train_split = 'train'
  data.eval_split = 'validation'
  # Bytes of encoded images kept in memory by each process; 0 keeps none.
  data.cache_bytes = 0
  # Broken images of a data set that training puts up with, as a share of all.
  # Each is named, and the next good one in the data set stands in for it.
  data.max_broken = 0.0
  # Height and width of the images that the network sees, pixels.
  data.image_size = 224
  # Training crops: share of the image's area and width over height, each
  # uniform in its range. GoogLeNet paper, section 6.
  data.crop_area = (0.08, 1.0)
  data.crop_aspect = (3 / 4, 4 / 3)
  # Mirror half of the training images left to right.
  data.flip = True
  # Strength of TF-slim's colour distortions, 0 for none. At 1 brightness moves
  # by up to 32 of 255, saturation and contrast by factors of 0.5 to 1.5, hue by
  # up to a fifth of the circle, in one of four orders.
  data.color = 0.0
  # Probability that a random rectangle of a training image is grey (random
  # erasing, Zhong et al., 2020); 0.25 is usual.
  data.erase = 0.0
  # Mix pairs of training images and their labels: all pixels, with a share from
  # Beta(mixup, mixup) (Zhang et al., 2018), or a rectangle of pixels, its area
  # from Beta(cutmix, cutmix) (Yun et al., 2019); with both, each image gets one
  # of them. 0 for none.
  data.mixup = 0.0
  data.cutmix = 0.0
  # What the network sees is (pixel - mean) / std, pixels from 0 to 255, one
  # number each for red, green and blue. Unset: those of the pretrained weights,
  # else 127.5, which is [-1, 1] and what all weights trained at Google expect.
  data.mean = placeholder(tuple)
  data.std = placeholder(tuple)
  # Order of the channels that the network sees: 'RGB' or 'BGR'.
  data.channel_order = 'RGB'
  # Logit of the first class. TF-slim's weights have a background before it.
  data.class_offset = 0
  # Evaluation images as 'slim', 'torchvision' or 'timm' make them, keeping the
  # share eval_crop; the other eval_ fields are then not read. Unset: they are.
  data.eval_preset = placeholder(str)
  # Where eval_short_side (pixels) is set, the short side is
  # resized to it and the central square taken, as in torchvision and timm.
  # Unset: the central share eval_crop of height and of width is resized to the
  # square, as in TF-slim.
  data.eval_short_side = placeholder(int)
  data.eval_crop = 0.875
  # 'bilinear', 'bicubic', or 'bilinear_tf1', TensorFlow 1's with corners of
  # pixels where others have their centres; and whether shrinking averages.
  data.eval_resize = 'bilinear'
  data.eval_antialias = False
  return data


def _loss() -> ml_collections.ConfigDict:
  loss = ml_collections.ConfigDict()
  # Probability spread evenly over all classes. Inception-v3 paper, section 7.
  loss.label_smoothing = 0.1
  # Factor on the loss of each auxiliary head. GoogLeNet paper, section 5.
  loss.aux_weight = 0.3
  return loss


def _optimizer() -> ml_collections.ConfigDict:
  optimizer = ml_collections.ConfigDict()
  # 'sgd', or 'rmsprop' exactly as TensorFlow computes it.
  optimizer.name = 'sgd'
  optimizer.momentum = 0.9
  # Nesterov's momentum; for 'sgd' only.
  optimizer.nesterov = False
  # Share of the old mean square kept at each step, and what is added to it
  # inside the root; for 'rmsprop' only. Inception-v3 paper, section 8.
  optimizer.rmsprop_decay = 0.9
  optimizer.rmsprop_epsilon = 1.0
  # Weight decay w adds w * kernel to a kernel's gradient, the L2 penalty
  # w / 2 * |kernel|^2. Biases and batch norm have none.
  optimizer.weight_decay = 1e-4
  # Largest norm of the whole gradient; longer ones are scaled down to it.
  # Unset: no clipping.
  optimizer.clip_norm = placeholder(float)
  # Moving average of parameters and batch statistics, used by evaluation: share
  # kept at each step, less in the first steps as in TensorFlow. Unset: none.
  optimizer.ema_decay = placeholder(float)
  return optimizer


def _schedule() -> ml_collections.ConfigDict:
  schedule = ml_collections.ConfigDict()
  # After the warm-up: 'cosine' to zero, 'stairs', or 'constant'.
  schedule.name = 'cosine'
  # Peak for a batch of base_batch_size images; it grows in proportion to
  # batch_size (Goyal et al., 2017).
  schedule.base_learning_rate = 0.1
  schedule.base_batch_size = 256
  # Linear warm-up from zero.
  schedule.warmup_epochs = 5.0
  # 'stairs': factor on the learning rate, and the epochs between two steps,
  # counted from the start of training. Inception-v3 paper, section 8.
  schedule.decay_rate = 0.94
  schedule.decay_every_epochs = 2.0
  return schedule
