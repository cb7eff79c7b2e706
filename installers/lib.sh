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
# Ansible and what it needs; versions and hashes are those of requirements/dev.txt.
readonly ansible_packages='ansible-core|cffi|cryptography|jinja2|markupsafe|packaging|pycparser|pyyaml|resolvelib'

dry_run=no harden=no json=no uninstall=no yes=no proxy='' ca='' changed=0
ports=("$port") services=() # what must be free before, and runs afterwards beside the node
readonly installer=$0
repository=$(CDPATH='' cd "$(dirname "$0")/.." && pwd)
# Of whoever calls this, root's own may be so narrow that the node could not read its programs.
umask 022

common_options() {
  cat <<'HELP'
  --dry-run         look whether this machine serves, say what would be done, and do nothing
  --harden          also set the SSH policy (keys only, no root) and the firewall; refused where that would lock you out
  --http-proxy URL  fetch everything through this proxy; one that asks for a password belongs into the environment
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
begin() { # the log, and that no other run is under way, nor anything that a killed one has left running
  (umask 027 && touch "$log")
  chmod 0640 "$log"
  exec 8>/run/bpci-installer.lock
  flock --nonblock 8 || fail 1 "another run of an installer is under way, or what a killed one has begun" "wait until it ends; $log tells of it"
  trap forget EXIT
  forget
  trap explain_failure ERR
}
forget() { rm -f /run/bpci-answers.* /run/bpci-network.json /run/bpci-enterprise.*; }
explain_failure() {
  trap - ERR
  [ "$BASHPID" = $$ ] || exit "$step_status" # a subshell's failure is told once, by the script
  say "error: this step failed: $step_name"
  tail -n 15 "$log" | sed 's/^/    /' >&2
  say "hint: the whole log is $log; when its cause is mended, run this again, and it goes on from here"
  exit "$step_status"
}

# shellcheck disable=SC1091 source=checks.sh
. "$(dirname "${BASH_SOURCE[0]}")/checks.sh"

# ---- installing ----------------------------------------------------------------------------------------------------

let_packages_settle() { # the distribution's own daily run, as on a machine that was just switched on, and broken off ones
  local unit told=no
  for _ in $(seq 180); do
    for unit in apt-daily.service apt-daily-upgrade.service; do
      if [ "$(systemctl show -P ActiveState $unit)" = activating ]; then
        [ $told = yes ] || say "    waiting for the distribution's own package run ($unit)"
        told=yes
        sleep 5
        continue 2
      fi
    done
    break
  done
  printf 'DPkg::Lock::Timeout "600";\n' >"$cache/apt.conf"
  export APT_CONFIG=$cache/apt.conf DEBIAN_FRONTEND=noninteractive
  if [ -n "$(dpkg --audit)" ]; then
    logged dpkg --configure -a || true
    logged apt-get -q --fix-broken install -y --no-remove
  fi
}

install_packages() {
  step 3 "Packages for building the node"
  let_packages_settle
  if [ "$python" = /usr/bin/python3.11 ] && ! dpkg -s python3.11-dev python3.11-venv >/dev/null 2>&1; then
    logged apt-get -q update
    logged apt-get -q install -y --no-install-recommends python3.11-dev python3.11-venv
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
  ) | tar -x --no-same-owner --no-same-permissions -C "$cache/source"
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
  local recap=$cache/recap unfinished=$state/unfinished was_unfinished=no
  if [ -e "$unfinished" ]; then
    was_unfinished=yes
    act_on_declarations
  fi
  touch "$unfinished"
  (
    cd "$cache/source/ansible"
    # No colour and one locale, so that the log reads the same everywhere.
    # shellcheck disable=SC2086 # words are what is wanted
    ANSIBLE_NOCOLOR=1 ANSIBLE_LOCALHOST_WARNING=0 LC_ALL=C.UTF-8 "$cache/ansible/bin/ansible-playbook" \
      -e base_appliance=false -e "hardening_access=$harden" -e "node_wheelhouse=$cache/wheelhouse" \
      -e "node_python=$python" $role_variables site.yml
  ) 2>&1 | tee -a "$log" >"$recap"
  changed=$(grep -oE 'changed=[0-9]+' "$recap" | tail -n 1 | cut -d= -f2)
  [ $was_unfinished = no ] || act_on_settings
  rm "$unfinished"
}

# A run that was killed has put files in place without doing what comes of them, and a second one finds them as they should be.
act_on_declarations() {
  local file
  for file in /usr/lib/sysusers.d/bpci*.conf; do [ ! -e "$file" ] || logged systemd-sysusers "$file"; done
  for file in /usr/lib/tmpfiles.d/bpci*.conf; do [ ! -e "$file" ] || logged systemd-tmpfiles --create "$file" || true; done
}
act_on_settings() {
  local units=()
  logged systemctl daemon-reload
  logged systemctl restart systemd-sysctl.service systemd-journald.service
  mapfile -t units < <(systemctl list-units --plain --no-legend --state=active --type=service 'bpci-*' | awk '{print $1}' |
    grep -E '^bpci-(node|web|nginx|prometheus|alertmanager|node-exporter)[.]service$')
  [ ${#units[@]} -eq 0 ] || logged systemctl try-restart "${units[@]}"
  if [ $harden = yes ]; then
    logged systemctl try-reload-or-restart ssh.service
    logged ufw --force enable
  fi
}

answers() { # everything as it is on this machine, so that set-up changes none of it
  local zone keymap
  zone=$(readlink /etc/localtime | sed -n 's|.*/zoneinfo/||p' || true)
  [[ $zone =~ ^[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+){0,2}$ ]] || zone=UTC
  # Of several layouts the first, as set-up compares them.
  keymap=$(sed -nE 's/^XKBLAYOUT="?([a-z]{2,8})[",]*.*/\1/p; s/^XKBVARIANT="?([a-z0-9_-]{1,32})[",]*.*/:\1/p' \
    /etc/default/keyboard 2>/dev/null | LC_ALL=C sort -r | tr -d '\n' || true)
  [[ $keymap =~ ^[a-z]{2,8}(:[a-z0-9_-]{1,32})?$ ]] || keymap=us
  printf 'v = 1\n[machine]\nhostname = "%s"\ntimezone = "%s"\nkeymap = "%s"\n' "$hostname" "$zone" "$keymap"
  printf '[network]\nmode = "dhcp"\n[owner]\nname = "%s"\n' "$owner"
  if [ -n "$owner_hash" ]; then
    printf "password_hash = '%s'\n" "$owner_hash"
  else
    # An account without a password keeps having none that anybody knows.
    printf 'password = "%s"\n' "$(head -c 32 /dev/urandom | base64 -w0)"
  fi
  identity_answers
  node_answers "$hostname"
}
identity_answers() { printf '[identity]\nmode = "create"\n'; }

remember() { # what removal gives back; written before set-up changes it, and never a second time
  local file
  for file in /etc/default/keyboard /etc/timezone /etc/hosts; do
    [ -e $file ] || echo $file >>"$state/files"
  done
  if ! is_local "$owner"; then
    echo "$owner" >"$state/account"
  elif ! [ -e "$state/account" ]; then
    id -nG "$owner" | tr ' ' '\n' | grep -x sudo >/dev/null || echo "$owner" >"$state/sudo"
    [ -n "$owner_hash" ] || [ -e "$state/password" ] || echo "$owner:$owner_field" >"$state/password"
  fi
}

set_up() {
  is_set_up && return
  step 1 "Set-up: an identity, the service, ${own_plan[0]}"
  local file status=0
  remember
  file=$(mktemp -p /run bpci-answers.XXXXXX)
  answers >"$file"
  # What set-up says goes to the terminal and not into the log: the recovery phrase may be in it.
  /usr/local/bin/bpci setup --answers "$file" >&2 || status=$?
  [ $status -eq 0 ] || fail $status "set-up failed" "mend what it names, and run this again; journalctl -u bpci-node has what the node said"
  forget
  changed=$((changed + 1))
}

probe() { "$python" - "$@" <<'PYTHON'
import json, sys, urllib.request
direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
try:
    with direct.open(f"http://127.0.0.1:{sys.argv[1]}/v1/status", timeout=5) as reply:
        status = json.load(reply)
except (OSError, ValueError) as error:
    sys.exit(f"no answer yet: {error}")
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
  look_at_services
  report "$did" "$ledger"
}

look_at_services() { # set-up starts them, and waits for none
  local unit failed
  for unit in "${services[@]}"; do
    for _ in $(seq 90); do
      ! systemctl is-active --quiet "$unit" || continue 2
      sleep 1
    done
    fail 1 "the node is registered, but $unit does not run" "journalctl -u $unit says why; then run this again"
  done
  failed=$(systemctl list-units --plain --no-legend --state=failed 'bpci-*' | awk '{printf "%s ", $1}')
  [ -z "$failed" ] || fail 1 "the node is registered, but this failed: $failed" "systemctl status $failed; then run this again"
}

report() { # report DID LEDGER
  local addresses address urls=() web=()
  mapfile -t addresses < <(ip -o addr show scope global 2>/dev/null | awk '{print $4}' | cut -d/ -f1)
  for address in "${addresses[@]}" 127.0.0.1; do
    case $address in *:*) address="[$address]" ;; esac
    urls+=("http://$address:$port")
    [ ! -e /usr/lib/systemd/system/bpci-nginx.service ] || web+=("https://$address/")
  done
  if [ $json = yes ]; then
    "$python" -c 'import json, sys
did, ledger, changed, urls, web = sys.argv[1:]
print(json.dumps({"v": 1, "did": did, "ledger": ledger, "changed": int(changed), "urls": urls.split(), "web": web.split()}))' \
      "$1" "$2" "$changed" "${urls[*]}" "${web[*]}"
    return
  fi
  printf 'This machine is a node.\n  identity   %s\n  ledger     %s\n  addresses  %s\n' "$1" "$2" "${urls[*]}"
  if [ ${#web[@]} -gt 0 ]; then
    printf '  pages      %s\n' "${web[*]}"
    printf '  sign in    %s\n' "sudo bpci access list names the accounts, sudo bpci access password NAME sets a password"
  fi
  printf '  changed    %s\n  look       bpci node status\n  remove     %s --uninstall\n' "$changed" "$installer"
}

# shellcheck disable=SC1091 source=removing.sh
. "$(dirname "${BASH_SOURCE[0]}")/removing.sh"

# ---- the whole -----------------------------------------------------------------------------------------------------

reach_out() { # how this machine comes to what it downloads
  local all=/etc/ssl/certs/ca-certificates.crt
  [ -z "$proxy" ] || export http_proxy=$proxy https_proxy=$proxy
  # Whoever set a proxy meant the world, and not this machine's own node.
  export no_proxy=${no_proxy:+$no_proxy,}127.0.0.1,localhost,::1
  if [ -n "$ca" ] && ! cmp -s "$ca" $authority; then
    step 3 "Trust the given certificate authority"
    if ! command -v update-ca-certificates >/dev/null || ! command -v openssl >/dev/null; then
      logged apt-get -q update
      logged env DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends ca-certificates openssl
    fi
    logged openssl x509 -in "$ca" -noout || fail 2 "$ca holds no certificate" "give a file in PEM format"
    install -D -m 644 -- "$ca" $authority
    logged update-ca-certificates
  fi
  # pip brings authorities of its own along, and has to be told.
  [ ! -e $authority ] || export PIP_CERT=$all SSL_CERT_FILE=$all REQUESTS_CA_BUNDLE=$all
}

plan() {
  local packages lines line
  packages=$("$repository/scripts/host-setup.sh" --dry-run dev 2>&1 | sed 's/^installing //' | grep . || echo 'no packages')
  lines=("install $packages"
    "put Ansible into $cache, verified by hash" "build the node's wheels, verified by hash"
    "run ansible/site.yml on this machine (hardening_access=$harden $role_variables)" "${own_plan[@]}" "look whether it is healthy")
  if [ $json = yes ]; then
    printf '{"v": 1, "release": "%s", "plan": [' "$release"
    line=$(printf '"%s", ' "${lines[@]}") # nothing in them needs an escape
    printf '%s]}\n' "${line%, }"
    return
  fi
  say "This machine serves ($release). These would be done, each only where it is not done already:"
  printf '  %s\n' "${lines[@]}"
}

main() {
  parse "$@"
  check_root
  if [ $uninstall = yes ]; then
    uninstall
    return
  fi
  check_own
  check_way_out
  check_appliance
  check_system
  check_room
  check_name
  check_owner
  check_ports
  if [ $dry_run = yes ]; then
    plan
    return
  fi
  mkdir -p "$state" "$cache"
  begin
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
