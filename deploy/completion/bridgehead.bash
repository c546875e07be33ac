# Bash completion for the bridgehead command, also to be sourced from ~/.bashrc.

_bridgehead() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
  local common='--run-dir --json --help' subcommands='check status sessions drops bridges upstreams connections sources drain undrain reload version'
  local word subcommand='' i run_dir=()
  COMPREPLY=()

  # The first word that is neither an option nor an option's value is the subcommand.
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=${COMP_WORDS[i]}
    case $word in
      --run-dir)
        ((++i < COMP_CWORD)) && run_dir=(--run-dir "${COMP_WORDS[i]}")
        ;;
      --bridge | --client | --limit | --listener | --upstream | --watch | --wait) ((i++)) ;;
      -*) ;;
      *)
        subcommand=$word
        break
        ;;
    esac
  done

  case $previous in
    --run-dir)
      mapfile -t COMPREPLY < <(compgen -d -- "$current")
      return
      ;;
    --bridge)
      mapfile -t COMPREPLY < <(compgen -W "$(_bridgehead_bridges "${run_dir[@]}")" -- "$current")
      return
      ;;
    --client | --limit | --listener | --upstream | --watch | --wait) return ;;
  esac

  local words
  case $subcommand in
    '') words="$common --version $subcommands" ;;
    check)
      if [[ $current != -* ]]; then
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -f -X '!*.@(yaml|yml)' -- "$current"; compgen -d -- "$current")
        return
      fi
      words="$common --host --reference"
      ;;
    status) words="$common --watch" ;;
    sessions) words="$common --bridge --client --limit" ;;
    drops) words="$common --all --watch" ;;
    connections) words="$common --listener --upstream --client --limit" ;;
    sources) words="$common --limit" ;;
    bridges | upstreams | reload | version) words=$common ;;
    drain | undrain)
      if [[ $current != -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$(_bridgehead_bridges "${run_dir[@]}")" -- "$current")
        return
      fi
      words=$common
      [[ $subcommand == drain ]] && words+=' --wait'
      ;;
    *) return ;;
  esac
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}

# The names of the bridges, as far as the relay's counters tell.
_bridgehead_bridges() {
  bridgehead "$@" bridges --json 2>/dev/null | sed -n 's/^ *"name": "\(.*\)",$/\1/p'
}

complete -F _bridgehead bridgehead
