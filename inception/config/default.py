"""Every config field, once: meaning, unit, and the reason for its default.

Config files override fields of this one, which is locked, so a misspelled field
is an error. On the command line: --config.optimizer.weight_decay=1e-4. The
comment of an unset field (a placeholder) says what it defaults to.
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
  # Gradient accumulation: each device processes its images in this many parts,
  # to save memory. Batch norm computes its statistics over one part at a time.
  config.accumulation_steps = 1
  # Length of training. num_steps, if set, takes precedence.
  config.num_epochs = 100.0
  config.num_steps = placeholder(int)
  # Stop after this many consecutive evaluations without a better top-1.
  # Unset: never.
  config.early_stopping_patience = placeholder(int)

  # Weights to start from: a name such as 'inception_v3.tv_in1k', a folder
  # written by `python -m inception.pretrained`, or the workdir of a run. If the
  # number of classes differs, heads start from scratch. Unset: random weights.
  config.pretrained = placeholder(str)
  # Freeze parameters and statistics up to and including this stage, such as
  # 'Mixed_6e'. Unset: train all stages.
  config.freeze_through = placeholder(str)

  config.model = _model()
  config.data = _data()
  config.loss = _loss()
  config.optimizer = _optimizer()
  config.schedule = _schedule()
  _add_records(config)
  return config.lock()


def _add_records(config: ml_collections.ConfigDict) -> None:
  """Adds the fields for logging, checkpoints and failures."""
  # Training steps per log line. Small values slow training down.
  config.log_every_steps = 100
  # Epochs between evaluations and between checkpoints; fractions are allowed.
  # Both also happen at the end of training.
  config.eval_every_epochs = 1.0
  config.checkpoint_every_epochs = 1.0
  # Minutes between additional checkpoints. Unset: none.
  config.checkpoint_every_minutes = placeholder(float)
  # Checkpoints kept: the N most recent, plus the best by top-1.
  config.keep_checkpoints = 3

  # Also send metrics to 'wandb' (Weights & Biases) or 'mlflow', configured by
  # their own environment variables. Unset: files and TensorBoard only.
  config.tracker = placeholder(str)

  # If a checkpoint cannot be written, such as to a full disk: 'stop', or
  # 'continue' until the next one. Failing to write the last one is an error.
  config.checkpoint = _section({'on_full': 'stop'})
  # Updates that may be skipped because the loss or the gradient is not finite;
  # one more ends the run. 0 saves the memory for a copy of the state.
  config.divergence = _section({'skip_updates': 0})
  # A process silent for this long is considered lost, and the others exit.
  config.distributed = _section({'timeout_seconds': 60.0})
  # After this long without a step or a batch, print all stacks and exit with
  # status 75 (restart the run). Must be longer than compilation takes.
  config.watchdog_minutes = 30.0


def _model() -> ml_collections.ConfigDict:
  """Returns the keyword arguments of `create_model`."""
  model = _section()
  # A name in inception.architectures. None: that of the pretrained weights.
  model.architecture = 'inception_v1'
  # Multiplier on the channels of every layer, rounded to multiples of 8. None:
  # that of the pretrained weights.
  model.width = 1.0
  # Number of logits. Unset: the number of classes in the data set. 0: no
  # classifier, only in imported weights.
  model.num_classes = placeholder(int)
  # Reduction ratio of squeeze-and-excitation on the output of every block, 16
  # in the SENet paper. Unset: none.
  model.squeeze_excite = placeholder(int)
  # Run identical residual blocks as one compiled loop: faster compilation, same
  # parameters. Measured in docs/speed.md.
  model.scan_blocks = False
  # Keep only the outputs of stages and residual blocks for the gradient, and
  # recompute the rest: less memory, more time. See docs/planning.md.
  model.remat = False
  # Merge convolutions and poolings into fewer, larger operations: faster, with
  # the same results up to rounding. False runs the table as written.
  model.fuse = True
  # Quantization-aware training: round kernels and convolution inputs as int8
  # does. A few epochs from pretrained weights make them fit int8 better.
  model.quantization_aware = False
  # Pooling of the last feature map: 'average', 'max', or learned: 'attention'
  # or 'gem' (generalized mean).
  model.head_pooling = 'average'
  # From logits to probabilities: 'softmax', or 'sigmoid', which scores each
  # class independently. Imported weights record theirs; training uses softmax.
  model.activation = 'softmax'
  # Dropout rate before the main classifier. Unset: the table's.
  model.dropout = placeholder(float)
  # Use auxiliary classifiers in training, if the table has any.
  model.aux_heads = True
  # Initializer of kernels: 'he_normal', 'glorot_uniform', or
  # 'truncated_normal' with standard deviation 0.01 (TF-slim's GoogLeNet; it
  # needs batch norm).
  model.initializer = 'he_normal'
  _add_batch_norm(model)
  return model


def _add_batch_norm(model: ml_collections.ConfigDict) -> None:
  # Learn a scale (gamma), not only a bias. TF-slim and Keras networks have no
  # scale, because a ReLU and another layer follow each batch norm.
  model.batch_norm_scale = True
  # Fraction of the old moving statistics kept at each step. The papers' 0.9997
  # needs tens of thousands of steps before the statistics are usable. None:
  # 1 - 10 / steps of the run, clipped to [0.5, 0.99].
  model.batch_norm_decay = 0.99
  # Added to the variance; the value of all Inception releases.
  model.batch_norm_epsilon = 1e-3
  # Compute statistics over the global batch, not over each device's part.
  model.batch_norm_sync = True


def _data() -> ml_collections.ConfigDict:
  data = _section()
  # A TFDS data set ('imagenet2012', 'imagenet2012:5.1.0'), 'folder' for images
  # in data_dir/<split>/<class>/, 'digits', or 'fake' for one batch of noise in
  # all steps, to benchmark the accelerator alone.
  data.dataset = 'imagenet2012'
  # Folder of the data set. Unset: TFDS's default, ~/tensorflow_datasets.
  data.data_dir = placeholder(str)
  # Splits in TFDS slicing syntax, such as 'train[:90%]'.
  data.train_split = 'train'
  data.eval_split = 'validation'
  # Bytes of encoded images that each process keeps in memory.
  data.cache_bytes = 0
  # Failed reads are retried for this long, with growing pauses.
  data.retry_seconds = 60.0
  # Fraction of corrupt images that training tolerates. Each is reported, and
  # replaced by the next good image.
  data.max_broken = 0.0
  # RGB color, 0 to 255, behind transparent pixels. (): the colors stored in
  # them, ignoring alpha. Unset: white.
  data.background = placeholder(tuple)
  # Rotate images as their EXIF orientation says; Keras, timm and TF-slim do
  # not. Unset: True.
  data.exif_orientation = placeholder(bool)
  # Height and width of the network's input, in pixels. None: those of the
  # pretrained weights.
  data.image_size = 224
  _add_augmentation(data)
  _add_input_and_labels(data)
  return data


def _add_input_and_labels(data: ml_collections.ConfigDict) -> None:
  # The network's input is (pixel - mean) / std, for pixels from 0 to 255; one
  # number per channel, RGB. Unset: those of the pretrained weights, else those
  # of data.eval_transform: 127.5 for most, which gives [-1, 1].
  data.mean = placeholder(tuple)
  data.std = placeholder(tuple)
  # Channel order of the network's input: 'RGB' or 'BGR'. None: that of the
  # pretrained weights.
  data.channel_order = 'RGB'
  # Class names in label order. Unset: those of the data set, in the order of
  # the pretrained weights if these have the same classes. Filled in when a run
  # starts; from then on, labels are matched by name.
  data.class_names = placeholder(tuple)
  # If the number or the content of the examples has changed when a run is
  # resumed: 'refuse', or 'continue'.
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
  # Training crops: fraction of the image's area, and aspect ratio (width /
  # height), each uniform in its range. GoogLeNet paper, section 6.
  data.crop_area = (0.08, 1.0)
  data.crop_aspect = (3 / 4, 4 / 3)
  # Flip each training image left to right with probability 1/2.
  data.flip = True
  # Strength of TF-slim's color distortions, 0 to 1; see data/device/augment.py.
  data.color_jitter = 0.0
  # Probability that a random rectangle of a training image is painted gray
  # (random erasing, Zhong et al., 2020); 0.25 is usual.
  data.random_erase_prob = 0.0
  # Mix pairs of training images and their labels: all pixels, weighted by
  # Beta(alpha, alpha) (mixup, Zhang et al., 2018), or a rectangle of that area
  # (cutmix, Yun et al., 2019). With both, each image gets one of them. 0: off.
  data.mixup_alpha = 0.0
  data.cutmix_alpha = 0.0


def _loss() -> ml_collections.ConfigDict:
  loss = _section()
  # Probability spread evenly over all classes. Inception-v3 paper, section 7.
  loss.label_smoothing = 0.1
  # Weight of the loss of each auxiliary head. GoogLeNet paper, section 5.
  loss.aux_weight = 0.3
  # Weights of examples: 'equal', or 'balanced', which gives every class the
  # same total weight per epoch, however many examples it has.
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
  # Multiplier on the learning rate of all stages but not the heads: below 1,
  # pretrained stages change less than a new classifier.
  optimizer.trunk_learning_rate = 1.0
  # Adds weight_decay * kernel to each kernel's gradient (an L2 penalty of half
  # this weight). Biases and batch norm are not decayed.
  optimizer.weight_decay = 1e-4
  # Maximum gradient norm; larger gradients are scaled down. Unset: no clipping.
  optimizer.clip_norm = placeholder(float)
  # Decay per step of a moving average of parameters and statistics, used for
  # evaluation; lower in the first steps, as in TensorFlow. Unset: no average.
  optimizer.ema_decay = placeholder(float)
  return optimizer


def _schedule() -> ml_collections.ConfigDict:
  schedule = _section()
  # After the warm-up: 'cosine' to zero, 'staircase', or 'constant'.
  schedule.name = 'cosine'
  # Peak learning rate for base_batch_size images per step; the peak scales
  # linearly with batch_size (Goyal et al., 2017).
  schedule.base_learning_rate = 0.1
  schedule.base_batch_size = 256
  # Linear warm-up from zero.
  schedule.warmup_epochs = 5.0
  # 'staircase' only: decay factor, and epochs between decays, counted from the
  # start of training. Inception-v3 paper, section 8.
  schedule.decay_rate = 0.94
  schedule.decay_every_epochs = 2.0
  return schedule
