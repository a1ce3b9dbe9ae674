#!/usr/bin/env bash
# Starts a command again for as long as that can help, at most 100 times:
#
#   scripts/keep_running.sh python train.py --config=... --workdir=...
#
# Status 75 asks for it: a hang, or the loss of another process. 134 to 139 are
# signals of crashes and kills (SIGABRT, SIGKILL, SIGSEGV). Others are final: 0
# is the end of training, 2 an error to be fixed, 130 and 143 a stop on request.
set -uo pipefail

for attempt in $(seq 1 100); do
  "$@"
  status=$?
  case "$status" in
    75 | 134 | 135 | 136 | 137 | 139) ;;
    *) exit "$status" ;;
  esac
  echo "keep_running: status $status, attempt $attempt; starting again" >&2
  sleep "${RESTART_SECONDS:-10}"
done
exit "$status"
