#!/usr/bin/env bash
# Measures the relay beside its peers in one run: see bench/README.md.
#   sudo ./bench/compare/run.sh [--group memif|latency|opening|veth|all] [--rounds 6] [--json FILE] [--svg FILE] ...
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
build=${BRIDGEHEAD_BUILD:-}
export PATH=$PATH:/usr/sbin:/sbin  # of nginx, nft, ethtool and sysctl
programs=(relay/bridgehead-relay ctrl/bridgehead-ctrl bench/bridgehead-rig bench/bridgehead-core-distance bpf/steer.bpf.o)

for argument in "$@"; do
  if [[ $argument == -h || $argument == --help ]]; then
    exec /usr/bin/python3 -B "$root/bench/compare/compare.py" --help
  fi
done
if [[ $(id -u) != 0 ]]; then
  echo "bench/compare/run.sh: namespaces and hugepages need root; run it with sudo" >&2
  exit 2
fi
if [[ -z $build ]]; then
  # shellcheck source=/dev/null
  source "$root/deploy/packages.sh"
  install_packages build bench
  build=$root/build-release
  [[ -f $build/build.ninja ]] || meson setup --buildtype=release "$build" "$root" >/dev/null
  ninja -C "$build" "${programs[@]}"
fi
for program in "${programs[@]}"; do
  if [[ ! -e $build/$program ]]; then
    echo "bench/compare/run.sh: $build has no $program; build it with: ninja -C $build" >&2
    exit 2
  fi
done
# Everything runs in namespaces of its own: the host's interfaces, firewall and mounts are not touched,
# and with unshare all of it ends and vanishes, whatever way the measurement ends. unshare itself
# ignores TERM and INT. Hugepages are the host's, so they are given back here.
hugepages=/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages
before=$(cat "$hugepages")
unshare --net --pid --mount --mount-proc --fork --kill-child \
  /usr/bin/python3 -B "$root/bench/compare/compare.py" --build "$build" "$@" &
measurement=$!
end() {
  kill -KILL "$measurement" 2>/dev/null || true
  wait "$measurement" 2>/dev/null || true
  # The kernel lets go of AF_XDP's memory a while after its last user has ended.
  local tries
  for ((tries = 0; tries < 100; tries++)); do
    echo "$before" >"$hugepages"
    [[ $(cat "$hugepages") != "$before" ]] || return 0
    sleep 0.1
  done
  echo "bench/compare/run.sh: $(cat "$hugepages") hugepages of 2 MiB are left, $before were there before" >&2
}
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
wait "$measurement"
