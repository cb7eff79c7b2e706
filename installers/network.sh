# shellcheck shell=bash
# What the installers share that join a network: which one, and a registration that is looked up there.

network='' node_name='' profile=''

network_options() {
  cat <<'HELP'
  --network WHERE   the network to join: its network file, or the address of one of its nodes (http://...); needed once
  --name NAME       what the node is called in the registry (default: the host name)
  --profile NAME    what the machine is measured against: community, enterprise, dev (a small machine passes, and the
                    report says so)
HELP
}

# shellcheck disable=SC2034 # lib.sh reads what it took
network_option() { # network_option OPTION [VALUE]...: sets taken to the words it took
  case $1 in
    --network) value_of "$1" $#; network=$2 taken=2 ;;
    --name) value_of "$1" $#; node_name=$2 taken=2 ;;
    --profile) value_of "$1" $#; profile=$2 taken=2 ;;
  esac
}

check_network() {
  is_set_up && return
  [ -n "$network" ] || fail 2 "which network to join is not said" "--network FILE, or --network http://... of one of its nodes"
  case $network in
    http://* | https://*) ;;
    *) [ -r "$network" ] || fail 2 "$network cannot be read" "give the network's file, or the address of one of its nodes" ;;
  esac
  [[ $profile =~ ^(community|enterprise|dev)$ ]] || fail 2 "there is no profile '$profile'" "community, enterprise or dev"
  [[ $node_name =~ ^[A-Za-z0-9._\ -]{0,63}$ ]] || fail 2 "'$node_name' is no name for a node" "letters, digits, dots, dashes, blanks"
}

network_answers() { # network_answers NAME TYPE
  printf '[node]\nname = "%s"\ntype = "%s"\nhardware_profile = "%s"\n' "${node_name:-$1}" "$2" "$profile"
  case $network in
    http://* | https://*) printf '[join]\nmode = "network"\nnetwork_url = "%s"\n' "$network" ;;
    *)
      # Set-up reads it beside the answers.
      install -m 600 "$network" /run/bpci-network.json
      printf '[join]\nmode = "network"\nnetwork_file = "bpci-network.json"\n'
      ;;
  esac
}
