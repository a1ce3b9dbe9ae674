"""Every config field, once: meaning, unit, and the reason for its default.

Config files start from this one and override; it is locked, so a misspelt field
is an error. On the command line: --config.optimizer.weight_decay=1e-4. An unset
field (a placeholder) takes the value that its comment names.
"""

import ml_collections
from ml_collections import config_dict

placeholder = config_dict.placeholder
_section = ml_collections.ConfigDict


def get_config() -> ml_collections.ConfigDict:
  """Returns the defaults: Inception networks with batch norm on ImageNet."""
  config = _section()

  # Seed of every random choice: parameters, order, crops, dropout.
  config.seed = 0
  # Arithmetic of the network: 'float32', 'bfloat16', or 'float16', with dynamic
  # loss scaling. Parameters, statistics, logits and loss are always float32.
  config.precision = 'float32'
  # Images per step, summed over all devices of all hosts.
  config.batch_size = 256
  # Parts of a device's images that a step computes one after the other: less
  # memory for the same batch_size. Batch norm sees the images of a part alone.
  config.accumulation_steps = 1
  # Length of training. num_steps takes precedence where it is set.
  config.num_epochs = 100.0
  config.num_steps = placeholder(int)
  # End training after this many evaluations in a row without a better top-1.
  # Unset: never.
  config.early_stopping_patience = placeholder(int)

  # Training starts from these weights: a name such as 'inception_v3.tv_in1k', a
  # folder that `python -m inception.pretrained` wrote, or the workdir of a run.
  # Heads start anew where the number of classes differs. Unset: random weights.
  config.pretrained = placeholder(str)
  # The last stage whose parameters and statistics stay fixed, such as
  # 'Mixed_6e'. Unset: all stages learn.
  config.freeze_through = placeholder(str)

  config.model = _model()
  config.data = _data()
  config.loss = _loss()
  config.optimizer = _optimizer()
  config.schedule = _schedule()
  _add_records(config)
  return config.lock()


def _add_records(config: ml_collections.ConfigDict) -> None:
  """Adds what a run logs and saves, and how it ends."""
  # Training steps per line of the log. Small values cost speed.
  config.log_every_steps = 100
  # Epochs between evaluations and between checkpoints; fractions are allowed.
  # There is always one of each at the end.
  config.eval_every_epochs = 1.0
  config.checkpoint_every_epochs = 1.0
  # Minutes between checkpoints, in addition. Unset: none.
  config.checkpoint_every_minutes = placeholder(float)
  # Checkpoints kept: the N most recent, plus the best by top-1.
  config.keep_checkpoints = 3

  # Also send metrics to 'wandb' (Weights & Biases) or 'mlflow', as their own
  # environment variables say. Unset: to files and TensorBoard only.
  config.tracker = placeholder(str)

  # When a checkpoint cannot be written, such as to a full disk: 'stop', or
  # 'continue', which tries again with the next one. The last has to be written.
  config.checkpoint = _section({'on_full': 'stop'})
  # Updates that may be skipped because the loss or the gradient is not finite;
  # one more ends the run. With 0, no copy of the state is kept to go back to.
  config.divergence = _section({'skip_updates': 0})
  # A process that has not answered for this long is lost, and ends the others.
  config.distributed = _section({'timeout_seconds': 60.0})
  # Without a step or a batch for this long, which has to include compilation,
  # all stacks are printed and the run ends with status 75: start it again.
  config.watchdog_minutes = 30.0


def _model() -> ml_collections.ConfigDict:
  """Returns the keyword arguments of `create_model`."""
  model = _section()
  # A name in inception.architectures. None: that of the pretrained weights.
  model.architecture = 'inception_v1'
  # Factor on the features of every layer, rounded to multiples of 8. None: as
  # above.
  model.width = 1.0
  # Logits per image. Unset: the classes of the data set. 0: no classifier, in
  # imported weights alone.
  model.num_classes = placeholder(int)
  # Squeeze-excite on the output of every block: the factor by which it narrows
  # the channels, 16 in the SENet paper. Unset: none.
  model.squeeze_excite = placeholder(int)
  # Run equal residual blocks as one compiled loop: shorter compilation, same
  # parameters. Figures are in docs/speed.md.
  model.scan_blocks = False
  # Keep only the outputs of stages and residual blocks for the gradient, and
  # compute what is inside again: less memory, more time. See docs/planning.md.
  model.remat = False
  # Run convolutions and poolings in fewer and larger operations: faster, with
  # the same results but for rounding. False runs the table as it is written.
  model.fuse = True
  # In training, round kernels and the inputs of convolutions as int8 does: for
  # a few epochs from pretrained weights, which int8 then fits better.
  model.quantization_aware = False
  # From the last grid to a vector: 'average', 'max', or learned: 'attention' or
  # 'gem' (generalized mean).
  model.head_pooling = 'average'
  # From logits to probabilities: 'softmax', or 'sigmoid', which decides each
  # class by itself. Imported weights record theirs; training has softmax.
  model.activation = 'softmax'
  # Dropout rate before the main classifier. Unset: the table's.
  model.dropout = placeholder(float)
  # Use auxiliary classifiers in training, where the table has any.
  model.aux_heads = True
  # Initializer of kernels: 'he_normal', 'glorot_uniform', or
  # 'truncated_normal' with standard deviation 0.01 (TF-slim's GoogLeNet; it
  # needs batch norm).
  model.initializer = 'he_normal'
  _add_batch_norm(model)
  return model


def _add_batch_norm(model: ml_collections.ConfigDict) -> None:
  # Scale (gamma), not only a bias. The networks of TF-slim and Keras have none:
  # a ReLU and another layer follow each batch norm.
  model.batch_norm_scale = True
  # Fraction of the old moving statistics kept at each step. The papers' 0.9997
  # needs tens of thousands of steps before the statistics are usable. None:
  # 1 - 10 / steps of the run, from 0.5 to 0.99.
  model.batch_norm_decay = 0.99
  # Added to the variance; the value of all Inception releases.
  model.batch_norm_epsilon = 1e-3
  # Compute statistics over the global batch, not over each device's part.
  model.batch_norm_sync = True


def _data() -> ml_collections.ConfigDict:
  data = _section()
  # A TFDS data set ('imagenet2012', 'imagenet2012:5.1.0'), 'folder' for images
  # in data_dir/<split>/<class>/, 'digits', or 'fake' for one batch of noise in
  # all steps, which measures the devices alone.
  data.dataset = 'imagenet2012'
  # Folder of the data set. Unset: TFDS's own, ~/tensorflow_datasets.
  data.data_dir = placeholder(str)
  # Splits in TFDS slicing syntax, such as 'train[:90%]'.
  data.train_split = 'train'
  data.eval_split = 'validation'
  # Bytes of encoded images that each process keeps in memory.
  data.cache_bytes = 0
  # Reading a file that fails is tried again for this long, with growing pauses.
  data.retry_seconds = 60.0
  # Fraction of corrupt images that training tolerates. Each is named, and
  # replaced by the next good image.
  data.max_broken = 0.0
  # RGB color, 0 to 255, that shows through transparent pixels. (): the one that
  # is stored under them. Unset: white.
  data.background = placeholder(tuple)
  # Turn pictures upright as their EXIF data says; Keras, timm and TF-slim do
  # not. Unset: True.
  data.exif_orientation = placeholder(bool)
  # Height and width that the network sees, pixels. None: those of the
  # pretrained weights.
  data.image_size = 224
  _add_augmentation(data)
  _add_input_and_labels(data)
  return data


def _add_input_and_labels(data: ml_collections.ConfigDict) -> None:
  # The network sees (pixel - mean) / std, of pixels from 0 to 255; a number per
  # channel, RGB. Unset: those of the pretrained weights, else of
  # data.eval_transform: 127.5 for most, which gives [-1, 1].
  data.mean = placeholder(tuple)
  data.std = placeholder(tuple)
  # Order of the channels that the network sees: 'RGB' or 'BGR'. None: that of
  # the pretrained weights.
  data.channel_order = 'RGB'
  # Names of the classes in the order of their labels. Unset: those of the data
  # set, in the order of the pretrained weights where they have the same. Filled
  # in when a run starts; from then on, labels are matched by name.
  data.class_names = placeholder(tuple)
  # When a run is resumed and the number or the content of the examples is not
  # what it was: 'refuse', or 'continue'.
  data.on_change = 'refuse'
  # Index of the first class's logit: 1 for TF-slim's weights, which have a
  # background class at 0.
  data.class_offset = 0
  # How evaluation images are cropped and resized: a name in
  # inception/data/pixels/eval_transforms.py, such as 'inception' (the central
  # 87.5 % of each side), 'slim', 'torchvision' or 'timm'. None: that of the
  # pretrained weights.
  data.eval_transform = 'inception'
  # Fraction of the image that is kept, and how it is resized: 'bilinear',
  # 'bicubic', or 'bilinear_tf1', which samples at pixel corners as TensorFlow 1
  # does. Unset: those of the transform.
  data.crop_pct = placeholder(float)
  data.interpolation = placeholder(str)


def _add_augmentation(data: ml_collections.ConfigDict) -> None:
  # Training crops: fraction of the image's area, and width over height, each
  # uniform in its range. GoogLeNet paper, section 6.
  data.crop_area = (0.08, 1.0)
  data.crop_aspect = (3 / 4, 4 / 3)
  # Mirror half of the training images left to right.
  data.flip = True
  # Strength of TF-slim's color distortions, 0 to 1; see data/device/augment.py.
  data.color_jitter = 0.0
  # Probability that a random rectangle of a training image is painted gray
  # (random erasing, Zhong et al., 2020); 0.25 is usual.
  data.random_erase_prob = 0.0
  # Mix pairs of training images and their labels: all pixels, weighted by
  # Beta(alpha, alpha) (mixup, Zhang et al., 2018), or a rectangle of that area
  # (cutmix, Yun et al., 2019). With both, each image gets one. 0 for none.
  data.mixup_alpha = 0.0
  data.cutmix_alpha = 0.0


def _loss() -> ml_collections.ConfigDict:
  loss = _section()
  # Probability spread evenly over all classes. Inception-v3 paper, section 7.
  loss.label_smoothing = 0.1
  # Weight of the loss of each auxiliary head. GoogLeNet paper, section 5.
  loss.aux_weight = 0.3
  # Weight of an example: 'equal', or 'balanced', so that every class weighs the
  # same in an epoch, however many examples it has.
  loss.class_weights = 'equal'
  return loss


def _optimizer() -> ml_collections.ConfigDict:
  optimizer = _section()
  # 'sgd', or 'rmsprop' exactly as TensorFlow computes it.
  optimizer.name = 'sgd'
  optimizer.momentum = 0.9
  # Nesterov momentum; 'sgd' only.
  optimizer.nesterov = False
  # 'rmsprop' only: fraction of the old mean square kept at each step, and the
  # constant added inside the root. Inception-v3 paper, section 8.
  optimizer.rmsprop_decay = 0.9
  optimizer.rmsprop_epsilon = 1.0
  # Factor on the learning rate of all stages, but not of the heads: below 1,
  # pretrained stages change less than a new classifier.
  optimizer.trunk_learning_rate = 1.0
  # Adds this times the kernel to a kernel's gradient (an L2 penalty of half of
  # it). Biases and batch norm have none.
  optimizer.weight_decay = 1e-4
  # Longest gradient; longer ones are scaled down. Unset: no clipping.
  optimizer.clip_norm = placeholder(float)
  # Evaluate a moving average of parameters and statistics: the fraction kept at
  # each step, smaller in the first steps as in TensorFlow. Unset: no average.
  optimizer.ema_decay = placeholder(float)
  return optimizer


def _schedule() -> ml_collections.ConfigDict:
  schedule = _section()
  # After the warm-up: 'cosine' to zero, 'staircase', or 'constant'.
  schedule.name = 'cosine'
  # Peak for a batch of base_batch_size images; the peak grows in proportion to
  # batch_size (Goyal et al., 2017).
  schedule.base_learning_rate = 0.1
  schedule.base_batch_size = 256
  # Linear warm-up from zero.
  schedule.warmup_epochs = 5.0
  # 'staircase' only: factor on the learning rate, and epochs between two steps
  # from the start of training. Inception-v3 paper, section 8.
  schedule.decay_rate = 0.94
  schedule.decay_every_epochs = 2.0
  return schedule
