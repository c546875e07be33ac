#!/bin/bash
# A real WebRTC call through the relay, on one machine. See --help.
set -euo pipefail
umask 022

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
REPO=$(dirname "$HERE")
BUILD=$REPO/build
RUN=bh-demo-$$
DIRECTORY=/run/$RUN

SECONDS_CONNECTED=20
CLIENTS=2
NAT=source
WORKER_COUNT=1
KEEP=
CONFIG=$HERE/demo/bridgehead.yaml
MAX_CLIENTS=6 # participants.py's names; 6 participants need 36 of the 51 media ports

usage() {
  cat <<END
usage: sudo ./deploy/demo.sh [options]

Runs a video call between headless browsers and a Janus bridge through bridgehead-relay, in network
namespaces of its own, and shows each second what arrives. Installs the Debian packages it needs and
builds the project first. Exits 0 only if audio and video flowed both ways for every participant, the
relay lost nothing, and a TCP session beside the call never stalled. Leaves nothing running.

  --seconds N      how long the call is measured once everyone is connected (default 20)
  --clients N      participants, 1 to $MAX_CLIENTS (default 2; one alone talks to Janus' echo test)
  --nat MODE       source: the bridge sees the relay (default); destination: it sees the clients
  --workers N      relay workers, 1 or 2 (default 1)
  --keep           leave the call running at the end, and say how to look at it
  --clean [RUN]    only remove what --keep, or a killed run, left behind (RUN: only that one)
  --config FILE    another template for the relay's configuration (default deploy/demo/bridgehead.yaml)
  --build-dir DIR  where to build (default build)
  --help           this text
END
}

wrong() {
  echo "demo.sh: $1" >&2
  echo "Try ./deploy/demo.sh --help" >&2
  exit 2
}

number() { # number OPTION VALUE FIRST LAST
  if [[ ! $2 =~ ^[0-9]{1,5}$ ]] || ((10#$2 < $3 || 10#$2 > $4)); then
    wrong "$1: got '$2', expected a number from $3 to $4"
  fi
}

CLEAN=
while (($#)); do
  case $1 in
    --help | -h) usage; exit 0 ;;
    --keep) KEEP=1; shift; continue ;;
    --clean)
      CLEAN=${2:-all}
      [[ $CLEAN =~ ^(all|bh-demo-[0-9]+)$ ]] || wrong "--clean: got '$CLEAN', expected a run's name"
      (($# <= 2)) || wrong "--clean: takes no other option"
      break ;;
    --seconds | --clients | --nat | --workers | --config | --build-dir)
      (($# > 1)) || wrong "$1: a value is missing" ;;
    *) wrong "unknown option: $1" ;;
  esac
  case $1 in
    --seconds) number "$1" "$2" 1 86400; SECONDS_CONNECTED=$((10#$2)) ;;
    --clients) number "$1" "$2" 1 $MAX_CLIENTS; CLIENTS=$((10#$2)) ;;
    --workers) number "$1" "$2" 1 2; WORKER_COUNT=$((10#$2)) ;;
    --nat)
      [[ $2 == source || $2 == destination ]] || wrong "--nat: got '$2', expected source or destination"
      NAT=$2 ;;
    --config)
      [[ -r $2 ]] || wrong "--config: can not read '$2'"
      CONFIG=$2 ;;
    --build-dir) BUILD=$(realpath -m "$2") ;;
  esac
  shift 2
done
LOGS=$BUILD/demo-logs/$RUN
((EUID == 0)) || wrong "needs root, for network namespaces and XDP: sudo ./deploy/demo.sh"

. "$HERE/packages.sh"
. "$HERE/demo/cleanup.sh"
. "$HERE/demo/network.sh"
. "$HERE/demo/services.sh"
. "$HERE/demo/build.sh"

if [[ $CLEAN ]]; then
  remove_abandoned_runs kept "$CLEAN"
  exit 0
fi

CHILD= # the command that `foreground` runs
SUCCESS=

# Runs a command so that a signal to this shell is handled at once, not when the command ends.
foreground() {
  "$@" &
  CHILD=$!
  local status=0
  wait "$CHILD" || status=$?
  CHILD=
  return "$status"
}

make_directories() {
  local old
  mkdir -p "$BUILD/demo-logs"
  # Failed runs leave their logs: keep the latest five.
  find "$BUILD/demo-logs" -mindepth 1 -maxdepth 1 -printf '%T@ %p\n' | sort -rn | tail -n +6 |
    while read -r _ old; do rm -rf "$old"; done
  mkdir "$LOGS" "$DIRECTORY"
}

finish() {
  local status=$?
  trap '' INT TERM HUP
  ((status <= 128)) || printf '\ndemo: interrupted, removing everything\n'
  if [[ $CHILD ]]; then
    kill -TERM "$CHILD" 2>/dev/null || true
    wait "$CHILD" 2>/dev/null || true
  fi
  if [[ $KEEP && $SUCCESS ]]; then
    exit "$status"
  fi
  # One that was only just started is not in its namespace yet, where remove_run looks.
  ((${#PIDS[@]})) && kill -TERM "${PIDS[@]}" 2>/dev/null
  remove_run "$RUN"
  if ((status == 0 || status > 128)); then
    rm -rf "$LOGS"
    rmdir "$(dirname "$LOGS")" 2>/dev/null || true
  elif [[ -n $(ls "$LOGS" 2>/dev/null) ]]; then
    echo "demo: failed; all logs of this run: $LOGS" >&2
  fi
  exit "$status"
}

explain_keep() {
  echo "$LOGS" >"$DIRECTORY/kept"
  cat <<END

The call goes on. To look at it:
  sudo $BUILD/ctrl/bridgehead --run-dir $DIRECTORY/run status     (also: sessions, drops, bridges)
  sudo nsenter --net=/run/netns/$EDGE_NS ip address               (also: $CLIENT_NS, $BRIDGE_NS)
  configuration $DIRECTORY/bridgehead.yaml, logs $LOGS
To end it and remove everything:
  sudo $HERE/demo.sh --clean $RUN
END
}

trap finish EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

install_packages build demo
WORKERS=$(worker_cores "$WORKER_COUNT")
remove_abandoned_runs
build_programs
make_directories

echo "demo: client network, edge and bridge network: namespaces $CLIENT_NS, $EDGE_NS, $BRIDGE_NS"
make_network
start_bridge
start_edge
start_tcp_services
echo "demo: relay and bridge are up; starting $CLIENTS browser(s)"

stay=()
[[ $KEEP ]] && stay=(--stay)
foreground nsenter --net="/run/netns/$CLIENT_NS" /usr/bin/python3 -B "$HERE/demo/call.py" \
  --title "nat $NAT, $WORKER_COUNT worker(s)" --clients "$CLIENTS" --seconds "$SECONDS_CONNECTED" \
  --public "$PUBLIC" --janus-port "$JANUS_PORT" --line-port "$LINE_PORT" \
  --command "$BUILD/ctrl/bridgehead" --run-dir "$DIRECTORY/run" \
  --directory "$DIRECTORY" --logs "$LOGS" --bridge-pid "${PIDS[janus]}" \
  --watch "relay:${PIDS[relay]}:$LOGS/relay.log" --watch "ctrl:${PIDS[ctrl]}:$LOGS/ctrl.log" \
  --watch "janus:${PIDS[janus]}:$LOGS/janus.log" "${stay[@]}"
SUCCESS=1
[[ $KEEP ]] && explain_keep
exit 0
