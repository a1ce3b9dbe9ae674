"""Forks, for each client, a process that has imported every slow package.

Only third-party packages: a program still imports this project itself, so a
missing import fails as it would in a shell.

Run:  python -m tests.warm.server SOCKET; ends with its standard input.
"""

import atexit
from collections.abc import Callable
import contextlib
import gc
import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import sys
import threading
from typing import NoReturn
import warnings

PACKAGES = (
  *('jax', 'flax.linen', 'optax', 'orbax.checkpoint'),
  *('tensorflow', 'tensorflow_datasets', 'ml_collections.config_flags'),
  *('matplotlib.pyplot', 'sklearn.datasets', 'cv2', 'h5py', 'PIL.Image'),
  *('tensorboard.summary.writer.event_file_writer', 'safetensors.numpy'),
)
# Read when a package is imported: later changes would have no effect.
_READ_AT_IMPORT = ('JAX_', 'TF_', 'TFDS_', 'KERAS_')
# But these are read when they are used. Keras sets the last one, for GPUs.
_READ_LATER = (
  *('JAX_COMPILATION_CACHE_DIR', 'JAX_COORDINATOR_ADDRESS'),
  *('JAX_NUM_PROCESSES', 'JAX_PROCESS_ID', 'TF_FORCE_GPU_ALLOW_GROWTH'),
)

Program = Callable[[], object]


def main(address: str) -> None:
  """Imports packages, prints 'ready', serves; a child runs the program."""
  environment = dict(os.environ)
  import_packages()
  listener = socket.socket(socket.AF_UNIX)
  listener.bind(address)
  listener.listen(64)
  print('ready', flush=True)
  request = Server(listener).run()
  if request is not None:
    run(make_program(request, environment))


def run(program: Program) -> NoReturn:
  """Runs a program and ends as the interpreter does.

  Skips the interpreter's teardown, which takes 0.4 s in a process this large.
  """
  status: object = 0
  try:
    program()
  except SystemExit as end:
    status = end.code
    if isinstance(status, str):
      print(status, file=sys.stderr)
  except BaseException:
    sys.excepthook(*sys.exc_info())
    status = 1
  threading._shutdown()
  atexit._run_exitfuncs()
  sys.stdout.flush()
  sys.stderr.flush()
  os._exit(status if isinstance(status, int) else int(status is not None))


def import_packages() -> None:
  """Imports the slow packages, and hides what their C++ code prints."""
  os.environ['TF_CPP_MIN_LOG_LEVEL'] = '3'  # As in inception.data.tensorflow.
  kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
  os.dup2(nowhere, 2)
  for name in PACKAGES:
    with contextlib.suppress(ImportError):
      importlib.import_module(name)
  os.dup2(kept, 2)
  os.close(kept)
  os.close(nowhere)
  gc.freeze()  # Garbage collection would copy shared pages.


class Server:
  """Forks a child per connection; forwards signals and exit statuses."""

  def __init__(self, listener: socket.socket):
    """Wakes up for clients, ended children, and the end of standard input."""
    self._listener = listener
    self._connections: dict[int, tuple[socket.socket, bool]] = {}
    self._ended, wakeup = socket.socketpair()
    for end in (self._ended, wakeup):
      end.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wakeup.fileno())
    self._wakeup = wakeup
    self._selector = selectors.DefaultSelector()
    for ready in (listener, self._ended, sys.stdin):
      self._selector.register(ready, selectors.EVENT_READ)

  def run(self) -> dict | None:
    """Serves clients; returns the request in a child, None at the end."""
    while True:
      for key, _ in self._selector.select():
        if key.fileobj is sys.stdin:
          for pid in list(self._connections):
            self._kill(pid, signal.SIGKILL)
          return None
        if key.fileobj is self._listener:
          request = self._accept()
          if request is not None:
            return request
        elif key.fileobj is self._ended:
          self._ended.recv(4096)
          self._reap()
        else:
          self._pass_on(key.data)

  def _accept(self) -> dict | None:
    """Forks for the next client; returns its request in the child."""
    connection, _ = self._listener.accept()
    header, descriptors, _, _ = socket.recv_fds(connection, 8, 3)
    content, size = b'', int.from_bytes(header, 'big')
    while len(content) < size and (more := connection.recv(1 << 16)):
      content += more
    if not size or len(content) < size:  # The client was killed.
      connection.close()
      for descriptor in descriptors:
        os.close(descriptor)
      return None
    request = json.loads(content)
    with warnings.catch_warnings():
      warnings.simplefilter('ignore')  # BLAS threads are idle.
      pid = os.fork()
    if pid == 0:
      if request['leads_a_group']:
        os.setpgid(0, 0)
      self._leave(connection)
      for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
    for descriptor in descriptors:
      os.close(descriptor)
    if pid == 0:
      return request
    if request['leads_a_group']:
      # Also here: the group has to exist before it can be killed.
      with contextlib.suppress(OSError):
        os.setpgid(pid, pid)
    self._connections[pid] = (connection, request['leads_a_group'])
    self._selector.register(connection, selectors.EVENT_READ, pid)
    return None

  def _leave(self, connection: socket.socket) -> None:
    """Closes the sockets of the server in a child."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    self._selector.close()
    others = [other for other, _ in self._connections.values()]
    for end in (self._listener, self._ended, self._wakeup, connection, *others):
      end.close()

  def _pass_on(self, pid: int) -> None:
    """Forwards a client's signals to its child; kills it with the client."""
    if pid not in self._connections:  # It has just ended.
      return
    connection, _ = self._connections[pid]
    signals = connection.recv(64)
    for number in signals or [signal.SIGKILL]:
      self._kill(pid, number)
    if not signals:
      self._selector.unregister(connection)

  def _kill(self, pid: int, number: int) -> None:
    leads_a_group = self._connections[pid][1]
    with contextlib.suppress(ProcessLookupError):
      if number == signal.SIGKILL and leads_a_group:
        os.killpg(pid, number)
      else:
        os.kill(pid, number)

  def _reap(self) -> None:
    """Sends clients the exit statuses of their children."""
    for pid in list(self._connections):
      ended, status = os.waitpid(pid, os.WNOHANG)
      if not ended:
        continue
      connection, _ = self._connections.pop(pid)
      with contextlib.suppress(KeyError):  # The client has gone.
        self._selector.unregister(connection)
      with contextlib.suppress(OSError):
        connection.send(b'%d' % os.waitstatus_to_exitcode(status))
      connection.close()


def make_program(request: dict, old: dict[str, str]) -> Program:
  """Prepares this process as the interpreter would; returns its program.

  Args:
    request: From the client.
    old: Environment in which packages were imported.
  """
  arguments, new = request['arguments'], request['environment']
  os.chdir(request['folder'])
  os.sched_setaffinity(0, request['cpus'])
  changed = {
    name
    for name in old.keys() | new.keys()
    if name.startswith(_READ_AT_IMPORT) and old.get(name) != new.get(name)
  }
  if too_late := changed - set(_READ_LATER):
    sys.exit(f'{too_late} have changed since packages were imported')
  # Packages set some of these when they were imported.
  for name in old.keys() - new.keys():
    os.environ.pop(name, None)
  os.environ.update(new)
  if 'JAX_COMPILATION_CACHE_DIR' in changed:
    import jax

    folder = new.get('JAX_COMPILATION_CACHE_DIR')
    jax.config.update('jax_compilation_cache_dir', folder)
  sys.executable = request['python']  # Its child processes are warm as well.
  sys.path[1:1] = filter(None, new.get('PYTHONPATH', '').split(os.pathsep))
  if arguments[0] == '-c':
    sys.argv, sys.path[0] = ['-c', *arguments[2:]], ''
    return lambda: exec(arguments[1], {'__name__': '__main__'})
  if arguments[0] == '-m':
    sys.argv, sys.path[0] = arguments[1:], os.getcwd()
    return lambda: runpy.run_module(
      arguments[1], run_name='__main__', alter_sys=True
    )
  sys.argv, sys.path[0] = arguments, os.path.dirname(arguments[0])
  return lambda: runpy.run_path(arguments[0], run_name='__main__')


if __name__ == '__main__':
  main(sys.argv[1])
