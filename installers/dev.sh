#!/usr/bin/env bash
# Turn this Debian 12 or Ubuntu 22.04 machine into a development node: a ledger of its own, an identity made on the spot,
# the same roles as the appliance. What it leaves alone: network, firewall and SSH policy, unless --harden asks for them.
set -Eeuo pipefail

usage() {
  cat <<'HELP'
Usage: installers/dev.sh [OPTION]...
HELP
  common_options
  echo 'Example: sudo installers/dev.sh'
}

# shellcheck disable=SC2034 # lib.sh reads it
role_variables='' own_plan=("set up a node with a ledger of its own, on port 8545")
own_option() { :; }
check_own() { :; }
finish_node() { :; }
node_answers() { # node_answers NAME
  printf '[node]\nname = "%s"\nhardware_profile = "dev"\n[join]\nmode = "devnet"\n' "$1"
}

here=$(CDPATH='' cd "$(dirname "$0")" && pwd)
# shellcheck disable=SC1091 source=lib.sh
. "$here/lib.sh"
main "$@"
