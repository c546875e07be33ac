# Building what the demo runs. Sourced by demo.sh; needs REPO, BUILD and ATTACK.

# The build runs as the owner of the repository, so that sudo leaves no files of root's in it.
AS_OWNER=()
if [[ $(stat -c %u "$REPO") != 0 ]]; then
  AS_OWNER=(setpriv "--reuid=$(stat -c %u "$REPO")" "--regid=$(stat -c %g "$REPO")" --init-groups --reset-env)
fi

build_programs() {
  local log=$BUILD/demo-build.log targets=(
    relay/bridgehead-relay ctrl/bridgehead-ctrl ctrl/bridgehead bpf/steer.bpf.o
  )
  [[ $ATTACK ]] && targets+=(bench/bridgehead-flood)
  "${AS_OWNER[@]}" mkdir -p "$BUILD"
  echo "demo: building in $BUILD; the first time this takes minutes"
  if [[ ! -e $BUILD/build.ninja ]]; then
    foreground "${AS_OWNER[@]}" meson setup "$BUILD" "$REPO" >"$log" 2>&1 || build_failed "$log"
  fi
  if [[ -t 1 ]]; then # ninja counts its steps in one line there
    foreground "${AS_OWNER[@]}" ninja -C "$BUILD" "${targets[@]}" || build_failed
  else
    foreground "${AS_OWNER[@]}" ninja -C "$BUILD" "${targets[@]}" >"$log" 2>&1 || build_failed "$log"
  fi
}

build_failed() {
  if [[ ${1-} ]]; then
    grep -E -m 20 'FAILED|[Ee]rror|ERROR|undefined reference|missing packages' "$1" | cut -c 1-300 >&2
    echo "demo: all output of the build: $1" >&2
  fi
  echo "demo: the build failed. If $BUILD is from another tree or other options, remove it" >&2
  exit 1
}

# worker_cores N: the last N cores this process may use, as a YAML list.
worker_cores() {
  local part core cores=()
  for part in $(taskset -cp $$ | sed 's/.*: //; s/,/ /g'); do
    for ((core = ${part%-*}; core <= ${part#*-}; core++)); do cores+=("$core"); done
  done
  if ((${#cores[@]} < $1)); then
    echo "demo: --workers $1 needs $1 processor cores, and there are ${#cores[@]}" >&2
    return 1
  fi
  cores=("${cores[@]: -$1}")
  local IFS=,
  echo "[${cores[*]}]"
}
