"""Becomes another program, which ends when the process that started it ends.

Run:  python launch.py PARENT CPUS COMMAND...

PARENT is the process id of the parent; CPUS are numbers with commas between, or
empty. A sweep that is killed leaves no run behind: Linux kills the program,
which keeps its checkpoints. It has to ask for that itself, and not in a fork of
a process with threads; so this file imports nothing of the project.
"""

import ctypes
import os
import signal
import sys

_SET_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG


def main(parent: int, cpus: str, command: list[str]) -> None:
  """Becomes `command`."""
  if sys.platform == 'linux':
    ctypes.CDLL(None).prctl(_SET_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != parent:
      sys.exit('the sweep has ended')
    if cpus:
      os.sched_setaffinity(0, {int(cpu) for cpu in cpus.split(',')})
  os.execvp(command[0], command)


if __name__ == '__main__':
  main(int(sys.argv[1]), sys.argv[2], sys.argv[3:])
