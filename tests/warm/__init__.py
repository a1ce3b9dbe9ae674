"""A `python` for tests that starts at once, instead of in 12 seconds.

Importing TensorFlow takes 11 of the 12 CPU seconds of a command. A server
imports it once per test process. `python()` returns the path of a program that
takes the arguments of the interpreter and runs in a fork of the server.
"""

import atexit
import functools
import os
import pathlib
import shlex
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).parent.parent.parent


@functools.cache
def python() -> str:
  """Returns the path of an executable `python`; starts its server."""
  folder = pathlib.Path(tempfile.mkdtemp(prefix='inception-warm-'))
  atexit.register(shutil.rmtree, folder, ignore_errors=True)
  address, executable = folder / 'socket', folder / 'python'
  client = ROOT / 'tests' / 'warm' / 'client.py'
  words = [sys.executable, '-I', '-S', client]
  words += [address, executable, sys.executable]
  line = ' '.join(shlex.quote(str(word)) for word in words)
  executable.write_text(f'#!/bin/sh\nexec {line} "$@"\n')
  executable.chmod(0o755)
  server = subprocess.Popen(
    [sys.executable, '-m', 'tests.warm.server', str(address)],
    cwd=ROOT,
    stdin=subprocess.PIPE,  # It ends with this process.
    stdout=subprocess.PIPE,
    text=True,
  )
  if server.stdout.readline() != 'ready\n':
    raise RuntimeError(f'the server of {executable} has not started')
  atexit.register(server.communicate)
  return os.fspath(executable)
