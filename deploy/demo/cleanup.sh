# Removing what a run made. Sourced by demo.sh.
#
# Everything a run makes hangs on its name, bh-demo-PID, where PID is demo.sh's own: namespaces
# /run/netns/RUN-*, one directory /run/RUN. All its processes live in its namespaces, so they are
# found there, and none by its name; interfaces and XDP programs end with the namespaces.

run_namespaces() {
  local path
  for path in /run/netns/"$1"-*; do
    [[ -e $path ]] && basename "$path"
  done
  return 0
}

run_processes() {
  local ns
  for ns in $(run_namespaces "$1"); do ip netns pids "$ns" 2>/dev/null || true; done | sort -u
}

signal_run() {
  local run=$1 signal=$2 pid
  for pid in $(run_processes "$run"); do kill "-$signal" "$pid" 2>/dev/null || true; done
}

# Ends the run's processes in good order, the stubborn ones after 5 s, then removes the rest.
remove_run() {
  local run=$1 ns tries
  signal_run "$run" TERM
  for ((tries = 0; tries < 50; tries++)); do
    [[ -n $(run_processes "$run") ]] || break
    sleep 0.1
  done
  for ((tries = 0; tries < 20; tries++)); do
    [[ -n $(run_processes "$run") ]] || break
    signal_run "$run" KILL
    sleep 0.1
  done
  [[ -s /run/$run/kept ]] && rm -rf "$(<"/run/$run/kept")" # the logs of a run that --keep left
  for ns in $(run_namespaces "$run"); do
    # A relay that was killed leaves its interfaces' lock files; their names begin with the namespace.
    rm -f "/run/lock/bridgehead/$(stat -L -c %i "/run/netns/$ns")"-*.lock
    ip netns del "$ns" || true
  done
  rm -rf "/run/${run:?}"
}

# Prints the names of the runs whose demo.sh is no longer there. With "kept": also those that
# --keep left on purpose.
abandoned_runs() {
  local path run pid
  for path in /run/bh-demo-* /run/netns/bh-demo-*; do
    [[ $path =~ (bh-demo-([0-9]+)) ]] || continue
    run=${BASH_REMATCH[1]} pid=${BASH_REMATCH[2]}
    if [[ -r /proc/$pid/cmdline ]] && tr '\0' ' ' <"/proc/$pid/cmdline" | grep -q 'demo\.sh'; then continue; fi
    [[ -e /run/$run/kept && ${1-} != kept ]] || echo "$run"
  done | sort -u
}

# remove_abandoned_runs [kept [RUN]]
remove_abandoned_runs() {
  local run
  for run in $(abandoned_runs "${1-}"); do
    [[ ${2-all} == all || $2 == "$run" ]] || continue
    echo "demo: removing what an earlier run left: $run"
    remove_run "$run"
  done
}
