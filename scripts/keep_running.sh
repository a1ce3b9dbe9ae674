#!/usr/bin/env bash
# Restarts a command as long as that can help, up to 100 attempts:
#
#   scripts/keep_running.sh python train.py --config=... --workdir=...
#
# Status 75 asks for a restart after a hang or the loss of another process. 134
# to 137 and 139 are crashes and kills (SIGABRT, SIGKILL, SIGSEGV). Others are
# final: 0 means training is done, 2 an error to fix, 130 and 143 a requested
# stop.
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
