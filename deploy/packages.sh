#!/bin/bash
# The Debian packages that each job needs, and a way to bring the missing ones.
#
#   sudo ./deploy/packages.sh build demo      installs what is missing for these jobs
#   . deploy/packages.sh; install_packages build demo
#
# Jobs: build, demo, test, interop, bench. Nothing is asked, and the package index is fetched only when
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
  curl nghttp2-client nginx haproxy python3-matplotlib python3-hpack python3-h2 varnish valgrind
)
# The servers and clients of the examples.
INTEROP_PACKAGES=(
  nginx prosody coturn janus chromium curl openssl iproute2 util-linux python3 python3-websockets
  testssl.sh slowhttptest
)
# nginx and HAProxy are what the TCP edge is measured beside; testpmd, nftables and nginx's stream
# module, the relay.
BENCH_PACKAGES=(
  dpdk dpdk-dev nginx libnginx-mod-stream nftables haproxy openssl iproute2 procps util-linux ethtool
  python3 python3-matplotlib
)
# Programs of these packages are run in namespaces; as services Debian starts them on every address
# of the host, at once and at each boot. PACKAGE or PACKAGE:SERVICE.
UNWANTED_SERVICES=(janus nginx haproxy prosody coturn varnish varnish:varnishncsa)

packages_of() {
  case $1 in
    build) printf '%s\n' "${BUILD_PACKAGES[@]}" ;;
    demo) printf '%s\n' "${DEMO_PACKAGES[@]}" ;;
    test) printf '%s\n' "${TEST_PACKAGES[@]}" ;;
    interop) printf '%s\n' "${INTEROP_PACKAGES[@]}" ;;
    bench) printf '%s\n' "${BENCH_PACKAGES[@]}" ;;
    *) echo "packages.sh: no such job: $1 (build, demo, test, interop, bench)" >&2; return 2 ;;
  esac
}

# Prints the packages of the named jobs that are not installed, one a line.
missing_packages() {
  local job package
  for job in "$@"; do packages_of "$job" || return; done | sort -u | while read -r package; do
    [[ $(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || echo "$package"
  done
}

# Runs a command during which no package starts its service: exit code 101 of policy-rc.d says so.
# A machine that has a policy of its own keeps it.
without_services() (
  policy=/usr/sbin/policy-rc.d
  if [[ ! -e $policy ]]; then
    trap 'rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 755 "$policy" || exit
  fi
  "$@"
)

install_packages() {
  local missing listed service
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
  without_services "${apt[@]}" install -y --no-install-recommends "${missing[@]}" || {
    echo "packages.sh: apt-get could not install: ${missing[*]}" >&2
    return 1
  }
  # Those that came with this call do not start at the next boot either.
  [[ -d /run/systemd/system ]] || return 0
  for service in "${UNWANTED_SERVICES[@]}"; do
    if [[ " ${missing[*]} " == *" ${service%%:*} "* ]]; then
      systemctl disable --now "${service##*:}.service" || return
    fi
  done
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
  set -euo pipefail
  (($#)) || { echo "usage: packages.sh JOB... (build, demo, test, interop, bench)" >&2; exit 2; }
  install_packages "$@"
fi
