#!/usr/bin/env bash
# Measures the TCP edge beside nginx and HAProxy in one run: see bench/README.md.
#   sudo ./bench/compare/edge.sh [--rounds 5] [--seconds 3] [--only requests,idle] ...
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
build=${BRIDGEHEAD_BUILD:-}

for argument in "$@"; do
  if [[ $argument == -h || $argument == --help ]]; then
    exec /usr/bin/python3 -B "$root/bench/compare/edge/main.py" --help
  fi
done
if [[ $(id -u) != 0 ]]; then
  echo "bench/compare/edge.sh: a network namespace needs root; run it with sudo" >&2
  exit 2
fi
if [[ -z $build ]]; then
  # shellcheck source=/dev/null
  source "$root/deploy/packages.sh"
  install_packages build bench
  build=$root/build-release
  [[ -f $build/build.ninja ]] || meson setup --buildtype=release "$build" "$root" >/dev/null
  ninja -C "$build" ctrl/bridgehead-ctrl bench/bridgehead-edge-load
fi
# Everything runs in namespaces of its own: the host's ports are not touched, and with unshare all of
# it ends and vanishes, whatever way the measurement ends. unshare itself ignores TERM and INT.
unshare --net --pid --mount-proc --fork --kill-child \
  /usr/bin/python3 -B "$root/bench/compare/edge/main.py" --build "$build" "$@" &
measurement=$!
trap 'kill -KILL "$measurement" 2>/dev/null || true' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
wait "$measurement"
