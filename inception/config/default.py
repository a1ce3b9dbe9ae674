"""Every config field, once: meaning, unit, and the reason for its default.

Config files start from this one and override; it is locked, so a misspelt field
is an error. On the command line: --config.optimizer.weight_decay=1e-4. An unset
field (a placeholder) takes the value that its comment names.
"""

import ml_collections
from ml_collections import config_dict

placeholder = config_dict.placeholder


def get_config() -> ml_collections.ConfigDict:
  """Returns the defaults: Inception networks with batch norm on ImageNet."""
  config = ml_collections.ConfigDict()

  # Seed of every random choice: parameters, order, crops, dropout.
  config.seed = 0
  # Arithmetic of the network: 'float32', 'bfloat16', or 'float16', which adds
  # dynamic loss scaling. Parameters, batch-norm statistics, logits and loss are
  # float32 in all three.
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

  # A folder written by `python -m inception.pretrained`, or the workdir of a
  # run. Training starts from its weights; heads start anew where the number of
  # classes differs. Unset: random weights.
  config.pretrained = placeholder(str)
  # Name of the last stage whose pretrained parameters and statistics stay
  # fixed, such as 'Mixed_6e'. Unset: all stages learn.
  config.freeze_through = placeholder(str)

  config.model = _model()
  config.data = _data()
  config.loss = _loss()
  config.optimizer = _optimizer()
  config.schedule = _schedule()

  # Training steps per line of the log. Metrics leave the devices only then, so
  # a small value costs speed.
  config.log_every_steps = 100
  # Epochs between evaluations and between checkpoints; fractions are allowed.
  # There is always one of each at the end.
  config.eval_every_epochs = 1.0
  config.checkpoint_every_epochs = 1.0
  # Minutes between checkpoints, in addition to checkpoint_every_epochs.
  # Unset: none.
  config.checkpoint_every_minutes = placeholder(float)
  # Checkpoints kept: the N most recent, plus the best by top-1.
  config.keep_checkpoints = 3

  # Also send metrics to 'wandb' (Weights & Biases) or 'mlflow', as their own
  # environment variables say. Unset: to files and TensorBoard only.
  config.tracker = placeholder(str)

  config.checkpoint = _checkpoint()
  config.divergence = _divergence()
  config.distributed = _distributed()
  # Without a step or a batch for this long, which has to include compilation,
  # all stacks are printed and the run ends with status 75: start it again.
  config.watchdog_minutes = 30.0
  return config.lock()


def _checkpoint() -> ml_collections.ConfigDict:
  checkpoint = ml_collections.ConfigDict()
  # When a checkpoint cannot be written, for example to a full disk: 'stop', or
  # 'continue' training and try again when the next checkpoint is due. The last
  # checkpoint of a run has to be written.
  checkpoint.on_full = 'stop'
  return checkpoint


def _divergence() -> ml_collections.ConfigDict:
  divergence = ml_collections.ConfigDict()
  # Updates that may be skipped because the loss or the gradient is not finite.
  # One more ends the run. 0 ends it at the first one, without a copy of the
  # state to go back to.
  divergence.skip_updates = 0
  return divergence


def _distributed() -> ml_collections.ConfigDict:
  distributed = ml_collections.ConfigDict()
  # A process that has not answered for this long is lost, and ends the others.
  distributed.timeout_seconds = 60.0
  return distributed


def _model() -> ml_collections.ConfigDict:
  """Returns the keyword arguments of `create_model`."""
  model = ml_collections.ConfigDict()
  # A name in inception.architectures. None: that of the pretrained weights.
  model.architecture = 'inception_v1'
  # Factor on the features of every layer, rounded to a multiple of 8. None:
  # that of the pretrained weights.
  model.width = 1.0
  # Logits per image. Unset: the number of classes in the data set. Imported
  # weights may have 0, which is no classifier.
  model.num_classes = placeholder(int)
  # Squeeze-excite on the output of every block: the factor by which it narrows
  # the channels, 16 in the SENet paper. Unset: none.
  model.squeeze_excite = placeholder(int)
  # Run equal residual blocks as one compiled loop instead of unrolled: shorter
  # compilation, same parameters. Figures are in docs/speed.md.
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
  # From the last grid to a vector: 'average', 'max', or with learned
  # parameters 'attention' or 'gem' (generalized mean).
  model.head_pooling = 'average'
  # From logits to probabilities: 'softmax', or 'sigmoid', which decides each
  # class by itself. Imported weights record theirs; training has softmax.
  model.activation = 'softmax'
  # Dropout rate before the classifier. Unset: the table's. Auxiliary heads
  # always have their table's.
  model.dropout = placeholder(float)
  # Use auxiliary classifiers in training, where the table has any.
  model.aux_heads = True
  # Scale (gamma) in batch norm, not only a bias. The networks of TF-slim and
  # Keras have none: a ReLU and another layer follow each batch norm.
  model.batch_norm_scale = True
  # Fraction of the old moving statistics kept at each step. The papers' 0.9997
  # needs tens of thousands of steps before the statistics are usable. None:
  # 1 - 10 / steps of the run, from 0.5 to 0.99.
  model.batch_norm_decay = 0.99
  # Added to the variance; the value of all Inception releases.
  model.batch_norm_epsilon = 1e-3
  # Compute statistics over the global batch, not over each device's part.
  model.batch_norm_sync = True
  # Initializer of kernels: 'he_normal', 'glorot_uniform', or
  # 'truncated_normal' with standard deviation 0.01 (TF-slim's GoogLeNet; it
  # needs batch norm).
  model.initializer = 'he_normal'
  return model


def _data() -> ml_collections.ConfigDict:
  data = ml_collections.ConfigDict()
  # A TFDS data set by name ('imagenet2012', 'imagenet2012:5.1.0'), 'folder' for
  # images in data_dir/<split>/<class>/, 'digits', or 'fake' for the same batch
  # of noise at every step, which measures the devices alone.
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
  # Fraction of corrupt images that training tolerates. Each is named, and the
  # next good image of the data set replaces it.
  data.max_broken = 0.0
  # Color that shows through transparent pixels: red, green and blue from 0 to
  # 255. (): the color that is hidden under them. Unset: white.
  data.background = placeholder(tuple)
  # Turn pictures upright as their EXIF data says. Keras, timm and TF-slim do
  # not, and torchvision leaves it to its users. Unset: True.
  data.exif_orientation = placeholder(bool)
  # Height and width of the images that the network sees, pixels. None: those
  # of the pretrained weights.
  data.image_size = 224
  _add_augmentation(data)
  # The network sees (pixel - mean) / std, with pixels from 0 to 255 and one
  # number each for red, green and blue. Unset: the values of the pretrained
  # weights, else those of data.eval_transform: 127.5 for most, which gives
  # [-1, 1], the range of all of Google's weights.
  data.mean = placeholder(tuple)
  data.std = placeholder(tuple)
  # Order of the channels that the network sees: 'RGB' or 'BGR'. None: that of
  # the pretrained weights.
  data.channel_order = 'RGB'
  # Names of the classes in the order of their labels. Unset: those of the data
  # set, or of the pretrained weights where they are the same ones. Filled in
  # when a run starts; from then on, labels are matched by name.
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
  # Fraction of the image that evaluation keeps, and how it resizes: 'bilinear',
  # 'bicubic', or 'bilinear_tf1', which samples at pixel corners as TensorFlow 1
  # does. Unset: those of the transform.
  data.crop_pct = placeholder(float)
  data.interpolation = placeholder(str)
  return data


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
  # Mix pairs of training images and their labels: all pixels, with a weight
  # from Beta(mixup_alpha, mixup_alpha) (Zhang et al., 2018), or a rectangle of
  # pixels, its area from Beta(cutmix_alpha, cutmix_alpha) (Yun et al., 2019).
  # With both, each image gets one of them. 0 for none.
  data.mixup_alpha = 0.0
  data.cutmix_alpha = 0.0


def _loss() -> ml_collections.ConfigDict:
  loss = ml_collections.ConfigDict()
  # Probability spread evenly over all classes. Inception-v3 paper, section 7.
  loss.label_smoothing = 0.1
  # Weight of the loss of each auxiliary head. GoogLeNet paper, section 5.
  loss.aux_weight = 0.3
  # Weight of an example by its class: 'equal', or 'balanced', so that every
  # class weighs the same in an epoch, however many examples it has.
  loss.class_weights = 'equal'
  return loss


def _optimizer() -> ml_collections.ConfigDict:
  optimizer = ml_collections.ConfigDict()
  # 'sgd', or 'rmsprop' exactly as TensorFlow computes it.
  optimizer.name = 'sgd'
  optimizer.momentum = 0.9
  # Nesterov momentum; 'sgd' only.
  optimizer.nesterov = False
  # Fraction of the old mean square kept at each step, and the constant added to
  # it inside the root; 'rmsprop' only. Inception-v3 paper, section 8.
  optimizer.rmsprop_decay = 0.9
  optimizer.rmsprop_epsilon = 1.0
  # Factor on the learning rate of all stages, but not of the heads: below 1,
  # pretrained stages change less than a new classifier.
  optimizer.trunk_learning_rate = 1.0
  # Weight decay w adds w * kernel to a kernel's gradient, the L2 penalty
  # w / 2 * |kernel|^2. Biases and batch norm have none.
  optimizer.weight_decay = 1e-4
  # Largest norm of the whole gradient; longer gradients are scaled down to it.
  # Unset: no clipping.
  optimizer.clip_norm = placeholder(float)
  # Moving average of parameters and batch statistics, used by evaluation: the
  # fraction kept at each step, smaller in the first steps as in TensorFlow.
  # Unset: no average.
  optimizer.ema_decay = placeholder(float)
  return optimizer


def _schedule() -> ml_collections.ConfigDict:
  schedule = ml_collections.ConfigDict()
  # After the warm-up: 'cosine' to zero, 'staircase', or 'constant'.
  schedule.name = 'cosine'
  # Peak for a batch of base_batch_size images; the peak grows in proportion to
  # batch_size (Goyal et al., 2017).
  schedule.base_learning_rate = 0.1
  schedule.base_batch_size = 256
  # Linear warm-up from zero.
  schedule.warmup_epochs = 5.0
  # 'staircase': factor on the learning rate, and epochs between two steps,
  # counted from the start of training. Inception-v3 paper, section 8.
  schedule.decay_rate = 0.94
  schedule.decay_every_epochs = 2.0
  return schedule
