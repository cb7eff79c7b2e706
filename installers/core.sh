#!/usr/bin/env bash
# Turn this Debian 12 or Ubuntu 22.04 machine into an enterprise's node of a network: what community.sh makes, and a
# validator of a bank that asks for its authority. Network, firewall and SSH policy stay, unless --harden asks for them.
set -Eeuo pipefail

bank='' approvals='' stake=1000000

usage() {
  cat <<'HELP'
Usage: installers/core.sh --network WHERE --bank NAME --regulatory-approval NAMES [OPTION]...
  --bank NAME       public name of the bank whose authority is asked for; the network's guardians grant it
  --regulatory-approval NAMES
                    its approvals, with commas between, such as sec,cftc
  --stake COINS     what it puts behind its validator, whole BPI (default: 1000000); on test networks the faucet gives it
                    as far as it gives so much, elsewhere it has to be sent to the node's account first
HELP
  network_options
  common_options
  echo 'Example: sudo installers/core.sh --network network.json --bank "First Bank" --regulatory-approval sec,cftc'
}

# shellcheck disable=SC2034 # lib.sh reads it
role_variables='-e web_enabled=true -e monitoring_enabled=true -e updates_automatic=true'
# shellcheck disable=SC2034 # lib.sh reads it
own_plan=("join the network and register an enterprise's node" "create its identity, ask for the bank's authority, stake, set up the validator")

# shellcheck disable=SC2034 # lib.sh reads what it took
own_option() {
  case $1 in
    --bank) value_of "$1" $#; bank=$2 taken=2 ;;
    --regulatory-approval) value_of "$1" $#; approvals=$2 taken=2 ;;
    --stake) value_of "$1" $#; stake=$2 taken=2 ;;
    *) network_option "$@" ;;
  esac
}

check_own() {
  profile=${profile:-enterprise}
  check_network
  [ -n "$bank" ] || fail 2 "which bank it is is not said" "--bank NAME"
  [[ $bank =~ ^.{3,40}$ ]] || fail 2 "'$bank' is no name for a bank" "--bank NAME, 3 to 40 characters"
  [[ $approvals =~ ^[a-z0-9.-]{1,40}(,[a-z0-9.-]{1,40}){0,15}$ ]] ||
    fail 2 "no approvals of regulators are named" "--regulatory-approval sec,cftc: a-z, 0-9, dots and dashes"
  [[ $stake =~ ^[1-9][0-9]{0,9}$ ]] || fail 2 "'$stake' is no stake" "--stake COINS, whole BPI, such as 1000000"
}

# shellcheck disable=SC2154 # lib.sh names log and python
finish_node() {
  step 1 "Identity, authority, stake, validator"
  local found=/run/bpci-enterprise.json told=/run/bpci-enterprise.problem status=0
  local command=(/usr/local/bin/bpci enterprise init --bank "$bank" --regulatory-approval "$approvals" --stake "${stake}00000000" --json)
  # Of words that the node was made of; else the validator's keys are drawn.
  [ -z "$phrase_file" ] || command+=(--phrase-file "$phrase_file")
  "${command[@]}" >"$found" 2>"$told" || status=$?
  cat "$found" "$told" >>"$log"
  if [ $status -ne 0 ]; then
    fail $status "the node is registered, but no validator yet: $(missing_of "$found" "$told")" \
      "do what it asks for, and run this again: what is done stays done"
  fi
  # How much of it this run did.
  changed=$((changed + $("$python" -c 'import json, sys; print(len(json.load(open(sys.argv[1]))["done"]))' "$found")))
  logged /usr/local/bin/bpci notary join-committee || say "It has no part in the committees yet: bpci notary join-committee says why."
}

missing_of() { # missing_of RESULT PROBLEM: in one line what a command lacked, of whichever of the two it left
  "$python" - "$@" <<'PYTHON'
import json, sys
result, problem = (open(name).read() for name in sys.argv[1:])
try:
    if result.strip():
        said = json.loads(result)["missing"]
    else:
        found = json.loads(problem[problem.index("{"):])
        said = [found["title"], found.get("hint")]
except (ValueError, KeyError):
    said = problem.strip().splitlines()[-1:] or ["it said nothing"]
print("; ".join(part for part in said if part))
PYTHON
}
node_answers() { network_answers "$1" bpci-enterprise; }

here=$(CDPATH='' cd "$(dirname "$0")" && pwd)
# shellcheck disable=SC1091 source=lib.sh
. "$here/lib.sh"
# shellcheck disable=SC1091 source=network.sh
. "$here/network.sh"
main "$@"
