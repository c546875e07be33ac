#!/usr/bin/env bash
# Brings what is missing, builds, and runs every test: see tests/README.md.
#   sudo ./tests/run.sh [--quick] [--sanitize] [--only SUITE]...
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

help=no quick=no
for argument in "$@"; do
  case $argument in
    -h | --help) help=yes ;;
    --quick) quick=yes ;;
  esac
done
if [[ $help == no ]]; then
  if ((EUID != 0)); then
    echo "tests/run.sh: network namespaces and BPF programs need root; run it with sudo" >&2
    exit 2
  fi
  # shellcheck source=../deploy/packages.sh
  source "$root/deploy/packages.sh"
  jobs=(build test)
  [[ $quick == yes ]] || jobs+=(demo interop)  # real calls and servers
  install_packages "${jobs[@]}"
fi
# Debian's own python3, which is the one that Debian's pytest and scapy belong to.
exec /usr/bin/python3 "$root/tests/run.py" "$@"
