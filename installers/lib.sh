# shellcheck shell=bash
# What the installers share: each names what it makes (role_variables, own_plan, own_option, check_own, node_answers,
# finish_node), sources this file and calls main.
# shellcheck disable=SC2034,SC2154 # what the sourcing installer and removing.sh read, what the installer names
set -Eeuo pipefail

readonly log=/var/log/bpci-installer.log
readonly state=/var/lib/bpci-installer     # what this installer made beside what the roles make
readonly cache=/var/cache/bpci-installer   # sources, wheels, Ansible
readonly authority=/usr/local/share/ca-certificates/bpci-installer.crt
readonly port=8545
readonly need_disk_mb=3000 need_memory_mb=900
# Ansible and what it needs; versions and hashes are those of requirements/dev.txt.
readonly ansible_packages='ansible-core|cffi|cryptography|jinja2|markupsafe|packaging|pycparser|pyyaml|resolvelib'

dry_run=no harden=no json=no uninstall=no yes=no proxy='' ca='' changed=0
readonly installer=$0
repository=$(cd "$(dirname "$0")/.." && pwd)

common_options() {
  cat <<'HELP'
  --dry-run         look whether this machine serves, say what would be done, and do nothing
  --harden          also set the SSH policy (keys only, no root) and the firewall; refused where that would lock you out
  --http-proxy URL  fetch everything through this proxy
  --ca FILE         also trust this certificate authority (PEM), as behind a proxy that opens TLS
  --json            print the result as one JSON document
  --uninstall       remove the node and everything it holds, its keys included; packages of the distribution stay
  --yes             ask nothing
Run it as root, from a clone of the repository. It may be repeated: what is in place already is left as it is, and what was
interrupted goes on.
Exit status: 0 done, 1 this machine does not serve or the node is not healthy, 2 wrong call, 3 something was not reachable.
Log: /var/log/bpci-installer.log
HELP
}

value_of() { # value_of OPTION COUNT: refuses an option without a value
  [ "$2" -ge 2 ] || { echo "error: $1 needs a value" >&2; usage >&2; exit 2; }
}

parse() {
  while [ $# -gt 0 ]; do
    case $1 in
      --help | -h) usage; exit 0 ;;
      --dry-run) dry_run=yes ;;
      --harden) harden=yes ;;
      --json) json=yes ;;
      --uninstall) uninstall=yes ;;
      --yes) yes=yes ;;
      --http-proxy) value_of "$1" $#; proxy=$2; shift ;;
      --ca) value_of "$1" $#; ca=$2; shift ;;
      *)
        taken=0
        own_option "$@"
        if [ $taken -eq 0 ]; then
          echo "error: unknown option '$1'" >&2; usage >&2; exit 2
        fi
        shift $((taken - 1))
        ;;
    esac
    shift
  done
}

say() { printf '%s\n' "$*" >&2; }
fail() { # fail STATUS MESSAGE HINT
  say "error: $2"
  say "hint: $3"
  exit "$1"
}

step_name='' step_status=1
step() { # step STATUS TITLE: begins a step whose failure ends in STATUS
  step_status=$1 step_name=$2
  say "==> $2"
  printf '\n==> %s %s\n' "$(date -u +%FT%TZ)" "$2" >>"$log"
}
logged() { "$@" >>"$log" 2>&1; }
explain_failure() {
  trap - ERR
  [ "$BASHPID" = $$ ] || exit "$step_status" # a subshell's failure is told once, by the script
  say "error: this step failed: $step_name"
  tail -n 15 "$log" | sed 's/^/    /' >&2
  say "hint: the whole log is $log; when its cause is mended, run this again, and it goes on from here"
  exit "$step_status"
}

# ---- what this machine is ------------------------------------------------------------------------------------------

check_root() { [ "$(id -u)" -eq 0 ] || fail 2 "this must run as root" "sudo $installer"; }

check_system() {
  [ -d /run/systemd/system ] || fail 1 "systemd does not run this machine" "use a machine or a container that systemd starts"
  # shellcheck source=/dev/null
  release=$(. /etc/os-release && echo "$ID $VERSION_ID")
  case $release in
    "debian 12") python=/usr/bin/python3 ;;
    # Its python3 is 3.10, and the node needs 3.11.
    "ubuntu 22.04") python=/usr/bin/python3.11 ;;
    *) fail 1 "this is $release" "Debian 12 and Ubuntu 22.04 are supported" ;;
  esac
}

check_room() {
  local free_mb memory_mb directory
  for directory in /var /opt; do
    free_mb=$(df --output=avail -BM "$directory" | tail -n 1 | tr -dc 0-9)
    [ "$free_mb" -ge $need_disk_mb ] ||
      fail 1 "$directory has $free_mb MB free, and $need_disk_mb MB are needed" "make room, or use a larger disk"
  done
  memory_mb=$(($(awk '/^MemTotal:/ {print $2}' /proc/meminfo) / 1024))
  [ "$memory_mb" -ge $need_memory_mb ] ||
    fail 1 "this machine has $memory_mb MB of memory, and $need_memory_mb MB are needed" "give it more memory"
}

check_port() {
  ! is_set_up || return 0
  ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null ||
    fail 1 "something on this machine answers on port $port already" "ss -ltnp 'sport = $port' names it; stop it first"
}

check_name() { # set-up names the machine as it is named already
  hostname=$(hostname)
  [[ $hostname =~ ^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$ ]] ||
    fail 1 "the host name '$hostname' is not one plain label" "hostnamectl set-hostname NAME, with a-z, 0-9 and - only"
}

is_set_up() { [ -e /var/lib/bpci/setup/complete ]; }

# ---- installing ----------------------------------------------------------------------------------------------------

install_packages() {
  step 3 "Packages for building the node"
  # Where a run was ended while a package was being set up.
  [ -z "$(dpkg --audit)" ] || logged env DEBIAN_FRONTEND=noninteractive dpkg --configure -a
  if [ "$python" = /usr/bin/python3.11 ] && ! dpkg -s python3.11-dev python3.11-venv >/dev/null 2>&1; then
    logged apt-get -q update
    logged env DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends python3.11-dev python3.11-venv
  fi
  logged "$repository/scripts/host-setup.sh" dev
}

copy_sources() { # building leaves files behind, and not root's in somebody's clone
  mkdir -p "$cache/source"
  (
    cd "$repository"
    for part in ansible appliance data pyproject.toml requirements scripts; do
      rm -rf "${cache:?}/source/$part"
    done
    tar -c --exclude=__pycache__ --exclude='*.egg-info' ansible appliance data pyproject.toml requirements scripts
  ) | tar -x -C "$cache/source"
}

install_ansible() {
  step 3 "Ansible, in an environment of its own"
  local wanted=$cache/ansible.txt
  # A requirement is a line that begins with its name, and goes on while lines end in a backslash.
  awk -v names="^($ansible_packages)==" '$0 ~ names {on = 1} on {print} !/\\$/ {on = 0}' \
    "$repository/requirements/dev.txt" >"$wanted"
  if ! cmp -s "$wanted" "$cache/ansible/complete"; then
    rm -rf "$cache/ansible"
    logged "$python" -m venv "$cache/ansible"
    logged "$cache/ansible/bin/pip" --disable-pip-version-check install --require-hashes --only-binary=:all: -r "$wanted"
    cp "$wanted" "$cache/ansible/complete"
  fi
}

build_wheelhouse() {
  step 3 "The node and its dependencies, as wheels checked by hash"
  logged env PYTHON="$python" "$cache/source/scripts/wheelhouse.sh" "$cache/wheelhouse"
}

run_roles() {
  step 1 "Users, service, limits (Ansible)"
  local recap=$cache/recap
  (
    cd "$cache/source/ansible"
    # No colour and one locale, so that the log reads the same everywhere.
    # shellcheck disable=SC2086 # words are what is wanted
    ANSIBLE_NOCOLOR=1 ANSIBLE_LOCALHOST_WARNING=0 LC_ALL=C.UTF-8 "$cache/ansible/bin/ansible-playbook" \
      -e base_appliance=false -e "hardening_access=$harden" -e "node_wheelhouse=$cache/wheelhouse" \
      -e "node_python=$python" $role_variables site.yml
  ) 2>&1 | tee -a "$log" >"$recap"
  changed=$(grep -oE 'changed=[0-9]+' "$recap" | tail -n 1 | cut -d= -f2)
}

answers() { # everything as it is on this machine, so that set-up changes none of it
  local zone keymap owner=${SUDO_USER:-} hash=''
  zone=$(readlink /etc/localtime | sed -n 's|.*/zoneinfo/||p')
  keymap=$(sed -n 's/^XKBLAYOUT="\?\([a-z]\{2,8\}\)"\?$/\1/p' /etc/default/keyboard 2>/dev/null || true)
  if [ -z "$owner" ] || [ "$owner" = root ]; then
    owner=owner
    getent passwd owner >/dev/null || echo owner >"$state/account"
  fi
  hash=$(getent shadow "$owner" | cut -d: -f2 | grep -E '^[$](y|6)[$]' || true)
  printf 'v = 1\n[machine]\nhostname = "%s"\ntimezone = "%s"\nkeymap = "%s"\n' "$hostname" "${zone:-UTC}" "${keymap:-us}"
  printf '[network]\nmode = "dhcp"\n[owner]\nname = "%s"\n' "$owner"
  if [ -n "$hash" ]; then
    printf "password_hash = '%s'\n" "$hash"
  else
    # An account without a password keeps having none that anybody knows.
    printf 'password = "%s"\n' "$(head -c 32 /dev/urandom | base64 -w0)"
  fi
  printf '[identity]\nmode = "create"\n'
  node_answers "$hostname"
}

set_up() {
  is_set_up && return
  step 1 "Set-up: an identity, the service, ${own_plan[0]}"
  local file
  file=$(mktemp -p /run bpci-answers.XXXXXX)
  answers >"$file"
  # What set-up says goes to the terminal and not into the log: the recovery phrase may be in it.
  if ! /usr/local/bin/bpci setup --answers "$file" >&2; then
    rm -f "$file" /run/bpci-network.json
    fail 1 "set-up failed" "mend what it names, and run this again; journalctl -u bpci-node has what the node said"
  fi
  rm -f "$file" /run/bpci-network.json
  changed=$((changed + 1))
}

probe() { "$python" - "$@" <<'PYTHON'
import json, sys, urllib.request
with urllib.request.urlopen(f"http://127.0.0.1:{sys.argv[1]}/v1/status", timeout=5) as reply:
    status = json.load(reply)
print(status["node"]["registered"] is True, status["node"]["did"], status["ledger"]["id"])
PYTHON
}

validate() {
  step 1 "Looking at the node"
  logged systemctl is-active bpci-node.service
  local registered='' did='' ledger='' _
  for _ in $(seq 30); do
    read -r registered did ledger < <(probe $port 2>>"$log") && [ "$registered" = True ] && break
    sleep 1
  done
  [ "$registered" = True ] || fail 1 "the node answers, but is not registered" "journalctl -u bpci-node"
  logged /usr/local/bin/bpci node status
  report "$did" "$ledger"
}

report() { # report DID LEDGER
  local addresses address urls=()
  mapfile -t addresses < <(ip -o addr show scope global 2>/dev/null | awk '{print $4}' | cut -d/ -f1)
  for address in "${addresses[@]}" 127.0.0.1; do
    case $address in
      *:*) urls+=("http://[$address]:$port") ;;
      *) urls+=("http://$address:$port") ;;
    esac
  done
  if [ $json = yes ]; then
    "$python" -c 'import json, sys
did, ledger, changed, *urls = sys.argv[1:]
print(json.dumps({"v": 1, "did": did, "ledger": ledger, "changed": int(changed), "urls": urls}))' \
      "$1" "$2" "$changed" "${urls[@]}"
    return
  fi
  printf 'This machine is a node.\n  identity   %s\n  ledger     %s\n  addresses  %s\n' "$1" "$2" "${urls[*]}"
  printf '  changed    %s\n  look       bpci node status\n  remove     %s --uninstall\n' "$changed" "$installer"
}

# shellcheck disable=SC1091 source=removing.sh
. "$(dirname "${BASH_SOURCE[0]}")/removing.sh"

# ---- the whole -----------------------------------------------------------------------------------------------------

reach_out() { # how this machine comes to what it downloads
  if [ -n "$ca" ] && ! cmp -s "$ca" $authority; then
    openssl x509 -in "$ca" -noout 2>/dev/null || fail 2 "$ca holds no certificate" "give a file in PEM format"
    step 3 "Trust the given certificate authority"
    if ! command -v update-ca-certificates >/dev/null; then
      logged env DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends ca-certificates
    fi
    install -D -m 644 "$ca" $authority
    logged update-ca-certificates
  fi
  if [ -n "$proxy" ]; then
    export http_proxy=$proxy https_proxy=$proxy no_proxy=127.0.0.1,localhost,::1
  fi
}

plan() {
  say "This machine serves ($release). These would be done, each only where it is not done already:"
  printf '  %s\n' "install $("$repository/scripts/host-setup.sh" --dry-run dev 2>&1 | sed 's/^installing //' | grep . || echo 'no packages')" \
    "put Ansible into $cache, verified by hash" "build the node's wheels, verified by hash" \
    "run ansible/site.yml on this machine (hardening_access=$harden $role_variables)" "${own_plan[@]}" "look whether it is healthy"
}

main() {
  parse "$@"
  check_root
  if [ $uninstall = yes ]; then
    uninstall
    return
  fi
  check_own
  check_system
  check_room
  check_name
  check_port
  if [ $dry_run = yes ]; then
    plan
    return
  fi
  mkdir -p "$state" "$cache"
  touch "$log"
  chmod 0640 "$log"
  trap explain_failure ERR
  reach_out
  install_packages
  copy_sources
  install_ansible
  build_wheelhouse
  run_roles
  set_up
  finish_node
  validate
}
