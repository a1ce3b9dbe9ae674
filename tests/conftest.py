"""Settings of every test process; tests/fixtures.py has the fixtures."""

import atexit
import os
import shutil
import tempfile

# Set before JAX and TFDS are imported: they read these once. Each test process
# has its own folders, because JAX does not write to its cache atomically.
_CACHE = tempfile.mkdtemp(prefix='inception-tests-')
atexit.register(shutil.rmtree, _CACHE, ignore_errors=True)
os.environ['XLA_FLAGS'] = (
  '--xla_force_host_platform_device_count=4'
  # Test programs run only briefly. Without LLVM's optimizer, a training step of
  # a short Inception v1 compiles in 12 s instead of 23 s.
  ' --xla_backend_optimization_level=0'
)
os.environ['JAX_PLATFORMS'] = 'cpu'
os.environ['JAX_COMPILATION_CACHE_DIR'] = os.path.join(_CACHE, 'jax')
# Tests compile the same small programs again and again.
os.environ['JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS'] = '0'
os.environ['TFDS_DATA_DIR'] = os.path.join(_CACHE, 'tfds')


def pytest_configure(config):
  """Loads the budget everywhere, and the fixtures where tests run."""
  config.pluginmanager.import_plugin('tests.budget')
  is_worker = hasattr(config, 'workerinput')
  if is_worker or not config.getoption('numprocesses', 0):
    # Not in a process that only distributes tests to workers: this imports JAX
    # and TensorFlow, which takes 12 CPU seconds.
    config.pluginmanager.import_plugin('tests.fixtures')
