# shellcheck shell=bash
# What the installers share that join a network: which one, and a registration that is looked up there.

network='' node_name='' profile='' phrase_file=''
# shellcheck disable=SC2034 # lib.sh reads them
ports=(8545 443 9090 9093 9100) services=(bpci-nginx.service bpci-prometheus.service bpci-alertmanager.service bpci-node-exporter.service)

network_options() {
  cat <<'HELP'
  --network WHERE   the network to join: its network file, or the address of one of its nodes (http://...); needed once
  --name NAME       what the node is called in the registry (default: the host name)
  --profile NAME    what the machine is measured against: community, enterprise, dev (a small machine passes, and the
                    report says so)
  --phrase-file FILE
                    the owner's 24 words, of which the node's identity is made (default: a new one, whose words are shown once)
HELP
}

# shellcheck disable=SC2034 # lib.sh reads what it took
network_option() { # network_option OPTION [VALUE]...: sets taken to the words it took
  case $1 in
    --network) value_of "$1" $#; network=$2 taken=2 ;;
    --name) value_of "$1" $#; node_name=$2 taken=2 ;;
    --profile) value_of "$1" $#; profile=$2 taken=2 ;;
    --phrase-file) value_of "$1" $#; phrase_file=$2 taken=2 ;;
  esac
}

is_readable() { [ -f "$1" ] && [ -r "$1" ]; }

check_network() {
  local url='^https?://[][A-Za-z0-9.:-]+(/[A-Za-z0-9._~/-]*)?$' name='^[A-Za-z0-9._ -]{0,63}$'
  case $network in
    '') ;;
    http://* | https://*) [[ $network =~ $url ]] || fail 2 "'$network' is no address of a node" "write it like http://192.0.2.5:8545" ;;
    *) is_readable "$network" || fail 2 "$network cannot be read" "give the network's file, or the address of one of its nodes" ;;
  esac
  [ -z "$phrase_file" ] || is_readable "$phrase_file" || fail 2 "$phrase_file cannot be read" "give the file with the 24 words"
  [[ $profile =~ ^(community|enterprise|dev)$ ]] || fail 2 "there is no profile '$profile'" "community, enterprise or dev"
  [[ $node_name =~ $name ]] || fail 2 "'$node_name' is no name for a node" "letters, digits, dots, dashes, blanks"
  if is_set_up; then
    check_same_network
  else
    [ -n "$network" ] || fail 2 "which network to join is not said" "--network FILE, or --network http://... of one of its nodes"
  fi
}

# shellcheck disable=SC2154 # lib.sh names installer
check_same_network() { # a machine that is set up stays on its ledger
  local own=/etc/bpci/network.json named status=0
  [ -e $own ] || fail 1 "this machine's node has a ledger of its own, and joins no other" "$installer --uninstall removes it; then run this again"
  [ -n "$network" ] || return 0
  named=$(/usr/local/bin/bpci network show "$network" --json 2>/dev/null) || status=$?
  case $status in
    0) ;;
    3) return 0 ;; # a network that can't be reached just now is no reason to stop
    *) fail 2 "$network names no network" "bpci network show $network says why" ;;
  esac
  /opt/bpci/bin/python3 -c 'import json, sys
sys.exit(json.load(open(sys.argv[1]))["ledger_id"] != json.loads(sys.argv[2])["ledger_id"])' $own "$named" ||
    fail 1 "this machine's node belongs to another network than $network" "$installer --uninstall removes it; then run this again"
}

# shellcheck disable=SC2317 # in place of lib.sh's
identity_answers() {
  if [ -z "$phrase_file" ]; then
    printf '[identity]\nmode = "create"\n'
  else
    # Words alone, also of a list with numbers; nothing that could end the text that they stand in.
    printf '[identity]\nmode = "restore"\nphrase = "%s"\n' "$(tr -cs 'A-Za-z' ' ' <"$phrase_file")"
  fi
}

network_answers() { # network_answers NAME TYPE
  printf '[node]\nname = "%s"\ntype = "%s"\nhardware_profile = "%s"\n' "${node_name:-$1}" "$2" "$profile"
  case $network in
    http://* | https://*) printf '[join]\nmode = "network"\nnetwork_url = "%s"\n' "$network" ;;
    *)
      # Set-up reads it beside the answers.
      install -m 600 -- "$network" /run/bpci-network.json
      printf '[join]\nmode = "network"\nnetwork_file = "bpci-network.json"\n'
      ;;
  esac
}
