#!/usr/bin/env bash
# Measures the relay beside dpdk-testpmd's 5tswap in one run: see bench/README.md.
#   sudo ./bench/compare/run.sh [--sessions 1024] [--rounds 6] [--seconds 2] [--json FILE] ...
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
build=${BRIDGEHEAD_BUILD:-}

for argument in "$@"; do
  if [[ $argument == -h || $argument == --help ]]; then
    exec /usr/bin/python3 "$root/bench/compare/compare.py" --help
  fi
done
if [[ $(id -u) != 0 ]]; then
  echo "bench/compare/run.sh: hugepages and core pinning need root; run it with sudo" >&2
  exit 2
fi
if [[ -z $build ]]; then
  # shellcheck source=/dev/null
  source "$root/deploy/packages.sh"
  install_packages build bench
  build=$root/build-release
  [[ -f $build/build.ninja ]] || meson setup --buildtype=release "$build" "$root" >/dev/null
  ninja -C "$build" relay/bridgehead-relay ctrl/bridgehead-ctrl bench/bridgehead-rig
fi
for program in relay/bridgehead-relay ctrl/bridgehead-ctrl bench/bridgehead-rig; do
  if [[ ! -x $build/$program ]]; then
    echo "bench/compare/run.sh: $build has no $program; build it with: ninja -C $build" >&2
    exit 2
  fi
done
exec /usr/bin/python3 "$root/bench/compare/compare.py" --build "$build" "$@"
