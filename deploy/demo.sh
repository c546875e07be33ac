#!/bin/bash
# A real WebRTC call through the relay, on one machine. See --help.
set -euo pipefail
umask 022

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
REPO=$(dirname "$HERE")
BUILD=$REPO/build
RUN=bh-demo-$$
DIRECTORY=/run/$RUN

SECONDS_CONNECTED=
CLIENTS=2
NAT=source
WORKER_COUNT=1
BRIDGES=1
IPV6=
ATTACK=
KEEP=
CONFIG=
MAX_CLIENTS=6 # participants.py's names; 6 participants need 36 of the 51 media ports

usage() {
  cat <<END
usage: sudo ./deploy/demo.sh [options]

Runs a video call between headless browsers and a bridge (Janus) through bridgehead-relay, in network
namespaces of its own, and shows each second what arrives. Installs the Debian packages it needs and
builds the project first. Exits 0 only if audio and video flowed both ways for every participant, the
relay lost nothing, and a TCP session beside the call never stalled. Leaves nothing running.

  --seconds N      how long the call is measured once everyone is connected (default 20; with
                   --attack 60)
  --clients N      participants, 1 to $MAX_CLIENTS (default 2; one alone talks to Janus' echo test)
  --nat MODE       source: the bridge sees the relay (default); destination: it sees the clients
  --workers N      relay workers, 1 or 2 (default 1)
  --bridges N      2: two bridges (aiortc) behind one address and port, chosen by ufrag prefix; each
                   sends its participants back what they sent (default 1: one Janus)
  --ipv6           participants have IPv6 only; so has the bridge with --nat destination, while with
                   --nat source it has IPv4 only and the relay translates
  --attack         floods the relay with forged STUN requests while the call is measured; somebody
                   joins it then. Loss that the flood's share of the processor explains is allowed
  --keep           leave the call running at the end, and say how to look at it
  --clean [RUN]    only remove what --keep, or a killed run, left behind (RUN: only that one)
  --config FILE    another template for the relay's configuration (default deploy/demo/bridgehead.yaml,
                   with --bridges 2 bridges.yaml)
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
    --ipv6) IPV6=1; shift; continue ;;
    --attack) ATTACK=1; shift; continue ;;
    --clean)
      CLEAN=${2:-all}
      [[ $CLEAN =~ ^(all|bh-demo-[0-9]+)$ ]] || wrong "--clean: got '$CLEAN', expected a run's name"
      (($# <= 2)) || wrong "--clean: takes no other option"
      break ;;
    --seconds | --clients | --nat | --workers | --bridges | --config | --build-dir)
      (($# > 1)) || wrong "$1: a value is missing" ;;
    *) wrong "unknown option: $1" ;;
  esac
  case $1 in
    --seconds) number "$1" "$2" 1 86400; SECONDS_CONNECTED=$((10#$2)) ;;
    --clients) number "$1" "$2" 1 $MAX_CLIENTS; CLIENTS=$((10#$2)) ;;
    --bridges) number "$1" "$2" 1 2; BRIDGES=$((10#$2)) ;;
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
((CLIENTS >= BRIDGES)) || wrong "--clients: each of the $BRIDGES bridges needs a participant"
((CLIENTS < MAX_CLIENTS)) || [[ -z $ATTACK ]] || wrong "--clients: with --attack one more joins later"
[[ -z $ATTACK || -z $KEEP ]] || wrong "--keep: not with --attack"
[[ $SECONDS_CONNECTED ]] || SECONDS_CONNECTED=$([[ $ATTACK ]] && echo 60 || echo 20)
if [[ -z $CONFIG ]]; then
  CONFIG=$HERE/demo/bridgehead.yaml
  ((BRIDGES == 1)) || CONFIG=$HERE/demo/bridges.yaml
fi
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
  set +e # whatever fails here, the rest is to be removed all the same
  trap '' INT TERM HUP
  ((status <= 128)) || printf '\ndemo: interrupted, removing everything\n'
  if [[ $CHILD ]]; then
    kill -TERM "$CHILD" 2>/dev/null
    wait "$CHILD" 2>/dev/null
  fi
  if [[ $KEEP && $SUCCESS ]]; then
    exit "$status"
  fi
  # One that was only just started is not in its namespace yet, where remove_run looks.
  if ((${#PIDS[@]})); then kill -TERM "${PIDS[@]}" 2>/dev/null; fi
  remove_run "$RUN"
  if ((status == 0 || status > 128)); then
    rm -rf "$LOGS"
    rmdir "$(dirname "$LOGS")" 2>/dev/null
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
start_bridges
start_edge
start_tcp_services
echo "demo: relay and $BRIDGES bridge(s) are up; starting $CLIENTS browser(s)"

title="nat $NAT, $WORKER_COUNT worker(s)"
call=(
  --clients "$CLIENTS" --seconds "$SECONDS_CONNECTED" --public "$PUBLIC" --client "$CLIENT"
  --line-port "$LINE_PORT" --command "$BUILD/ctrl/bridgehead" --run-dir "$DIRECTORY/run"
  --directory "$DIRECTORY" --logs "$LOGS" --bridge-pid "${PIDS[${BRIDGE_NAMES[0]}]}"
)
for name in relay ctrl "${BRIDGE_NAMES[@]}"; do
  call+=(--watch "$name:${PIDS[$name]}:$LOGS/$name.log")
done
url=$(bracketed "$PUBLIC")
if ((BRIDGES == 1)); then
  call+=(--bridge "janus=ws://$url:$JANUS_PORT")
  # Janus can not announce an address of a family that it has not; the participant's page puts it in.
  [[ $IPV6 && $BRIDGE_IPV6 == false ]] && call+=(--announced "$BRIDGE")
else
  call+=(--bridge "jvb1=http://$url:$OFFER_PORT/offer" --bridge "jvb2=http://$url:$((OFFER_PORT + 1))/offer")
  title="$BRIDGES bridges, $title"
fi
[[ $IPV6 ]] && title="IPv6, $title"
if [[ $ATTACK ]]; then
  title="attack, $title"
  call+=(--flood "$BUILD/bench/bridgehead-flood" --flood-mac "$(mac_of "$EDGE_NS" wan)")
fi
[[ $KEEP ]] && call+=(--stay)
foreground nsenter --net="/run/netns/$CLIENT_NS" /usr/bin/python3 -B "$HERE/demo/call.py" \
  --title "$title" "${call[@]}"
SUCCESS=1
[[ $KEEP ]] && explain_keep
exit 0
