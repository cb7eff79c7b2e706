#!/usr/bin/env bash
# Turn this Debian 12 or Ubuntu 22.04 machine into a registered community node of a network: node, monitoring, backups,
# updates and the web front, as on the appliance. Network, firewall and SSH policy stay, unless --harden asks for them.
set -Eeuo pipefail

usage() {
  cat <<'HELP'
Usage: installers/community.sh --network WHERE [OPTION]...
HELP
  network_options
  common_options
  echo 'Example: sudo installers/community.sh --network http://192.0.2.20:8545 --name attic'
}

# shellcheck disable=SC2034 # lib.sh reads it
role_variables='-e web_enabled=true -e monitoring_enabled=true -e updates_automatic=true' own_plan=("join the network and register a community node")
own_option() { network_option "$@"; }
check_own() {
  profile=${profile:-community}
  check_network
}
finish_node() { :; }
node_answers() { network_answers "$1" bpi-community; }

here=$(CDPATH='' cd "$(dirname "$0")" && pwd)
# shellcheck disable=SC1091 source=lib.sh
. "$here/lib.sh"
# shellcheck disable=SC1091 source=network.sh
. "$here/network.sh"
main "$@"
