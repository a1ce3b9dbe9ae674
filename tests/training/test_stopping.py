"""Signals and the watchdog, in separate processes."""

import signal
import subprocess
import sys
import time

import pytest

from inception.errors import RESTART

# Seconds until a process that should end counts as hung.
LIMIT = 60

# The main thread is busy in C code, where no Python handler runs.
WAIT = """
import hashlib
from inception.processes.signals import stop_signals
with stop_signals():
  print('ready', flush=True)
  hashlib.pbkdf2_hmac('sha256', b'', b'', 10**9)
"""

HANG = """
import threading
from inception.processes.watchdog import Watchdog
with Watchdog(minutes=0.5 / 60) as watchdog:
  for _ in range(10):
    watchdog.feed()
    threading.Event().wait(0.1)
  print('fed', flush=True)
  threading.Event().wait(600)
"""


def start(program):
  return subprocess.Popen(
    [sys.executable, '-c', program],
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
  )


@pytest.mark.parametrize(
  'second, status', [(signal.SIGINT, 130), (signal.SIGTERM, 143)]
)
def test_a_second_signal_ends_at_once(second, status):
  with start(WAIT) as process:
    assert process.stdout.readline() == 'ready\n'
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert process.poll() is None
    process.send_signal(second)
    assert process.wait(LIMIT) == status
    assert process.stderr.read() == ''


def test_a_hang_prints_the_stacks_and_asks_for_a_restart():
  with start(HANG) as process:
    assert process.stdout.readline() == 'fed\n'
    assert process.wait(LIMIT) == RESTART
    error = process.stderr.read()
  assert 'in <module>' in error  # The main thread is among them.
  assert error.splitlines()[-1].startswith('error: no step within')
