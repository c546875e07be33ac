#!/bin/bash
# The Debian packages that each job needs, and a way to bring the missing ones.
#
#   sudo ./deploy/packages.sh build demo      installs what is missing for these jobs
#   . deploy/packages.sh; install_packages build demo
#
# Jobs: build, demo, test, bench. Nothing is asked, and the package index is fetched only when
# something is missing.

BUILD_PACKAGES=(
  g++ meson ninja-build pkg-config python3 clang llvm bpftool protobuf-compiler
  libdpdk-dev libbpf-dev libxdp-dev libfmt-dev libabsl-dev libprotobuf-dev libyaml-cpp-dev
  prometheus-cpp-dev libcap-ng-dev libmnl-dev zlib1g-dev libsystemd-dev libspdlog-dev libevent-dev libcli11-dev
  nlohmann-json3-dev libssl-dev libnghttp2-dev libre2-dev libcrypt-dev node-llhttp
  libgtest-dev libgmock-dev libbenchmark-dev
)
# socat carries the call's signalling and the demo's TCP session; util-linux has nsenter and setsid.
# Janus is the one bridge of a call; of several each is deploy/demo/bridge.py, on aiortc.
DEMO_PACKAGES=(
  iproute2 procps util-linux socat chromium janus python3 python3-aiohttp python3-aiortc
)
TEST_PACKAGES=(
  iproute2 iputils-ping procps util-linux ethtool nftables socat tcpdump
  git clang-format clang-tidy libclang-rt-dev python3 python3-pytest python3-scapy python3-yaml
)
BENCH_PACKAGES=(dpdk dpdk-dev python3)

packages_of() {
  case $1 in
    build) printf '%s\n' "${BUILD_PACKAGES[@]}" ;;
    demo) printf '%s\n' "${DEMO_PACKAGES[@]}" ;;
    test) printf '%s\n' "${TEST_PACKAGES[@]}" ;;
    bench) printf '%s\n' "${BENCH_PACKAGES[@]}" ;;
    *) echo "packages.sh: no such job: $1 (build, demo, test, bench)" >&2; return 2 ;;
  esac
}

# Prints the packages of the named jobs that are not installed, one a line.
missing_packages() {
  local job package
  for job in "$@"; do packages_of "$job" || return; done | sort -u | while read -r package; do
    [[ $(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || echo "$package"
  done
}

install_packages() {
  local missing listed
  command -v dpkg-query >/dev/null || {
    echo "packages.sh: this is not a Debian system; bring the tools named in deploy/packages.sh yourself" >&2
    return 1
  }
  for listed in "$@"; do packages_of "$listed" >/dev/null || return; done
  mapfile -t missing < <(missing_packages "$@")
  ((${#missing[@]})) || return 0
  if ((EUID != 0)); then
    echo "packages.sh: missing packages; bring them with: sudo apt-get install -y ${missing[*]}" >&2
    return 1
  fi
  echo "packages: installing ${#missing[@]} missing: ${missing[*]}"
  local apt=(apt-get -q -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0)
  export DEBIAN_FRONTEND=noninteractive
  "${apt[@]}" update || {
    echo "packages.sh: apt-get update failed: check the network and /etc/apt/sources.list" >&2
    return 1
  }
  "${apt[@]}" install -y --no-install-recommends "${missing[@]}" || {
    echo "packages.sh: apt-get could not install: ${missing[*]}" >&2
    return 1
  }
  # Debian starts a packaged Janus on every address of the host. Only the one inside the demo's
  # namespace is wanted, so a Janus that came with this call does not stay on as a service.
  if [[ " ${missing[*]} " == *" janus "* && -d /run/systemd/system ]]; then
    systemctl disable --now janus.service
  fi
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
  set -euo pipefail
  (($#)) || { echo "usage: packages.sh JOB... (build, demo, test, bench)" >&2; exit 2; }
  install_packages "$@"
fi
