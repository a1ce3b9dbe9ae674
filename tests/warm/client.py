"""Runs a Python program in a fork of the warm server.

Standard input and output, environment, folder, signals and exit status are
those of this process. Run with `python -I -S`, so that it starts in 20 ms:

Run:  client.py SOCKET EXECUTABLE PYTHON ARGUMENTS...; EXECUTABLE runs this.
"""

import contextlib
import json
import os
import signal
import socket
import sys

SIGNALS = (
  *(signal.SIGINT, signal.SIGTERM, signal.SIGHUP),
  *(signal.SIGUSR1, signal.SIGUSR2),
)


def main(
  address: str, executable: str, python: str, arguments: list[str]
) -> int:
  """Runs the program in the arguments; returns its exit status."""
  options = [word for word in arguments[:1] if word.startswith('-')]
  if not arguments or options not in ([], ['-m'], ['-c']):
    # The warm interpreter is already running and cannot take options.
    os.execv(python, [python, *arguments])
  server = socket.socket(socket.AF_UNIX)
  server.connect(address)
  # Block signals until the request is sent.
  before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)

  def pass_on(number: int, frame: object) -> None:
    with contextlib.suppress(OSError):  # The program has just ended.
      server.send(bytes([number]))

  for number in SIGNALS:
    if signal.getsignal(number) != signal.SIG_IGN:
      signal.signal(number, pass_on)
  request = {
    'arguments': arguments,
    'python': executable,
    'environment': dict(os.environ),
    'folder': os.getcwd(),
    'cpus': sorted(os.sched_getaffinity(0)),
    'leads_a_group': os.getpgrp() == os.getpid(),
  }
  content = json.dumps(request).encode()
  socket.send_fds(server, [len(content).to_bytes(8, 'big')], [0, 1, 2])
  server.sendall(content)
  signal.pthread_sigmask(signal.SIG_SETMASK, before)
  answer = server.recv(8)
  status = int(answer) if answer else 1
  if status < 0:  # Killed by a signal.
    with contextlib.suppress(OSError):  # SIGKILL has no handler.
      signal.signal(-status, signal.SIG_DFL)
    os.kill(os.getpid(), -status)
  return status


if __name__ == '__main__':
  sys.exit(main(*sys.argv[1:4], sys.argv[4:]))
