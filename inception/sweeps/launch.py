"""Replaces itself with a command that is killed when its parent ends.

Run:  python launch.py PARENT CPUS COMMAND...

PARENT is the process ID of the parent; CPUS is a comma-separated list of CPU
numbers, or empty. If a sweep is killed, Linux kills its runs too; checkpoints
remain. A process must request this itself, and a fork of a multithreaded one
cannot do so safely, so this is a script that imports nothing from the project.
"""

import ctypes
import os
import signal
import sys

_SET_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG


def main(parent: int, cpus: str, command: list[str]) -> None:
  """Replaces this process with `command`."""
  if sys.platform == 'linux':
    ctypes.CDLL(None).prctl(_SET_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != parent:
      sys.exit('the sweep has ended')
    if cpus:
      os.sched_setaffinity(0, {int(cpu) for cpu in cpus.split(',')})
  os.execvp(command[0], command)


if __name__ == '__main__':
  main(int(sys.argv[1]), sys.argv[2], sys.argv[3:])
