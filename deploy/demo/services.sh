# The demo's programs: starting them, waiting for them, and telling what went wrong. Sourced by demo.sh;
# needs network.sh, DIRECTORY (this run's files), LOGS and BUILD (where the programs are).

declare -A PIDS=()
START_SECONDS=90
JANUS_PORT=8188
OFFER_PORT=8080 # of the bridges that are not Janus; outside, the second one's is the next
LINE_PORT=22 # in the edge's own namespace, so no ssh server of the host is in the way

# start NAME NAMESPACE COMMAND...: runs it in the background in a process group of its own.
start() {
  local name=$1 ns=$2
  shift 2
  setsid nsenter --net="/run/netns/$ns" "$@" </dev/null >"$LOGS/$name.log" 2>&1 &
  PIDS[$name]=$!
}

alive() {
  kill -0 "${PIDS[$1]}" 2>/dev/null
}

# die MESSAGE [NAME]: ends the demo; NAME's log shows why.
die() {
  echo "demo: $1" >&2
  if [[ -n ${2-} && -s $LOGS/$2.log ]]; then
    echo "--- the end of $LOGS/$2.log" >&2
    tail -n 15 "$LOGS/$2.log" >&2
  fi
  exit 1
}

# await NAME WHAT COMMAND...: until COMMAND succeeds; gives up early if NAME's process ends. The time is
# for a machine that reads the program from a cold disk for the first time.
await() {
  local name=$1 what=$2 tries
  shift 2
  for ((tries = 0; tries < START_SECONDS * 10; tries++)); do
    alive "$name" || die "$name ended before $what" "$name"
    if "$@" >/dev/null 2>&1; then return 0; fi
    sleep 0.1
  done
  die "$name: not $what after $START_SECONDS s" "$name"
}

# fill TEMPLATE FILE: replaces @WORDS@ by the variables of the same names.
fill() {
  local word script=()
  for word in LISTEN PUBLIC LAN BRIDGE_SECOND BRIDGE NAT WORKERS MEDIA_PORTS NAT_PORTS BRIDGE_IPV6; do
    script+=(-e "s|@$word@|${!word}|g")
  done
  sed "${script[@]}" "$1" >"$2"
}

# What runs in the bridge network; BRIDGE_NAMES are also the names in the relay's configuration.
start_bridges() {
  if ((BRIDGES == 1)); then
    BRIDGE_NAMES=(janus)
    start_janus
  else
    BRIDGE_NAMES=(jvb1 jvb2)
    start_bridge jvb1 "$BRIDGE"
    start_bridge jvb2 "$BRIDGE_SECOND"
    await jvb1 "listening on TCP port $OFFER_PORT" listening "$BRIDGE_NS" "$BRIDGE" "$OFFER_PORT"
    await jvb2 "listening on TCP port $OFFER_PORT" listening "$BRIDGE_NS" "$BRIDGE_SECOND" "$OFFER_PORT"
  fi
}

start_janus() {
  local template
  mkdir "$DIRECTORY/janus"
  for template in "$HERE"/demo/janus/*.jcfg; do
    fill "$template" "$DIRECTORY/janus/$(basename "$template")"
  done
  start janus "$BRIDGE_NS" janus --configs-folder="$DIRECTORY/janus" --config="$DIRECTORY/janus/janus.jcfg"
  await janus "listening on TCP port $JANUS_PORT" listening "$BRIDGE_NS" "$BRIDGE" "$JANUS_PORT"
}

start_bridge() { # start_bridge NAME ADDRESS
  start "$1" "$BRIDGE_NS" /usr/bin/python3 -B "$HERE/demo/bridge.py" --address "$2" \
    --http-port "$OFFER_PORT" --public "$PUBLIC" --ufrag-prefix "$1/"
}

listening() { # listening NAMESPACE ADDRESS PORT
  [[ -n $(in_ns "$1" ss -Hltn "src $(bracketed "$2"):$3") ]]
}

# TCP takes the kernel's way on the same interface as the media: the call's signalling, and an echo
# service for the ssh-like session.
start_tcp_services() {
  if ((BRIDGES == 1)); then
    start_tcp_service signalling "$JANUS_PORT" "TCP:$(bracketed "$BRIDGE"):$JANUS_PORT"
  else
    start_tcp_service signalling1 "$OFFER_PORT" "TCP:$(bracketed "$BRIDGE"):$OFFER_PORT"
    start_tcp_service signalling2 $((OFFER_PORT + 1)) "TCP:$(bracketed "$BRIDGE_SECOND"):$OFFER_PORT"
  fi
  start_tcp_service echo "$LINE_PORT" PIPE
}

start_tcp_service() { # start_tcp_service NAME PORT TO
  local listen=TCP4-LISTEN
  [[ $IPV6 ]] && listen=TCP6-LISTEN
  start "$1" "$EDGE_NS" socat "$listen:$2,bind=$(bracketed "$PUBLIC"),reuseaddr,fork" "$3"
  await "$1" "listening" listening "$EDGE_NS" "$PUBLIC" "$2"
}

# ctrl needs no privilege: it runs as the repository's owner, or as nobody when that is root. The
# run directory's group is what lets it reach the relay.
prepare_ctrl_user() {
  local uid gid
  uid=$(stat -c %u "$REPO") gid=$(stat -c %g "$REPO")
  ((uid)) || { uid=$(id -u nobody) gid=$(id -g nobody); }
  CTRL_USER=(setpriv "--reuid=$uid" "--regid=$gid" --clear-groups)
  if ! "${CTRL_USER[@]}" test -x "$BUILD/ctrl/bridgehead-ctrl"; then
    echo "demo: user $uid can not reach $BUILD, so bridgehead-ctrl runs as root this time"
    CTRL_USER=() gid=0
  fi
  mkdir "$DIRECTORY/run"
  chown ":$gid" "$DIRECTORY/run"
  chmod 770 "$DIRECTORY/run"
}

start_edge() {
  fill "$CONFIG" "$DIRECTORY/bridgehead.yaml"
  prepare_ctrl_user
  start relay "$EDGE_NS" "$BUILD/relay/bridgehead-relay" --run-dir "$DIRECTORY/run" \
    --steer-program "$BUILD/bpf/steer.bpf.o"
  start ctrl "$EDGE_NS" "${CTRL_USER[@]}" "$BUILD/ctrl/bridgehead-ctrl" --config "$DIRECTORY/bridgehead.yaml" \
    --run-dir "$DIRECTORY/run"
  await ctrl "answering" test -S "$DIRECTORY/run/ctrl.sock"
  await relay "forwarding" forwarding
}

forwarding() {
  bridgehead status --json | grep -q '"ready": true'
}

bridgehead() {
  "$BUILD/ctrl/bridgehead" --run-dir "$DIRECTORY/run" "$@"
}
