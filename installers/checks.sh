# shellcheck shell=bash
# What an installer asks before it changes anything: whether this machine serves, and whose node it becomes.
# shellcheck disable=SC2034,SC2154 # what the installers and lib.sh read and name

readonly need_disk_mb=3000 need_memory_mb=900
# What a run that was interrupted, or a newer version, still needs where wheels have been built before.
readonly need_disk_again_mb=600

is_set_up() { [ -e /var/lib/bpci/setup/complete ]; }

check_root() { [ "$(id -u)" -eq 0 ] || fail 2 "this must run as root" "sudo $installer"; }

check_appliance() {
  [ ! -e /usr/share/bpci/appliance ] || fail 1 "this machine is the appliance, which is a node as it is" \
    "sudo bpci setup makes it one's own, bpci machine reset --help says how it is given away"
}

check_system() {
  [ -d /run/systemd/system ] || fail 1 "systemd does not run this machine" "use a machine or a container that systemd starts"
  # shellcheck source=/dev/null
  release=$(. /etc/os-release && echo "${ID:-unknown} ${VERSION_ID:-}")
  case $release in
    "debian 12") python=/usr/bin/python3 ;;
    # Its python3 is 3.10, and the node needs 3.11.
    "ubuntu 22.04") python=/usr/bin/python3.11 ;;
    *) fail 1 "this is $release" "Debian 12 and Ubuntu 22.04 are supported" ;;
  esac
}

check_room() {
  local free_mb memory_mb directory wanted_mb=$need_disk_mb
  [ ! -e "$cache/wheelhouse/project.txt" ] || wanted_mb=$need_disk_again_mb
  for directory in /var /opt; do
    free_mb=$(df --output=avail -BM "$directory" | tail -n 1 | tr -dc 0-9)
    [ "$free_mb" -ge "$wanted_mb" ] ||
      fail 1 "$directory has $free_mb MB free, and $wanted_mb MB are needed" "make room, or use a larger disk"
  done
  memory_mb=$(($(awk '/^MemTotal:/ {print $2}' /proc/meminfo) / 1024))
  [ "$memory_mb" -ge $need_memory_mb ] ||
    fail 1 "this machine has $memory_mb MB of memory, and $need_memory_mb MB are needed" "give it more memory"
}

check_ports() { # what an interrupted run has started itself is no stranger
  local number
  ! is_set_up || return 0
  ! systemctl is-active --quiet bpci-node.service || return 0
  for number in "${ports[@]}"; do
    ! (exec 3<>"/dev/tcp/127.0.0.1/$number") 2>/dev/null ||
      fail 1 "something on this machine answers on port $number already" "ss -ltnp 'sport = $number' names it; stop it first"
  done
}

check_name() { # set-up names the machine as it is named already
  hostname=$(hostname)
  [[ $hostname =~ ^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$ ]] ||
    fail 1 "the host name '$hostname' is not one plain label" "hostnamectl set-hostname NAME, with a-z, 0-9 and - only"
}

check_way_out() { # proxy and authority, before anything is fetched
  local form='^https?://[^[:space:]@"]+$'
  case $proxy in
    '') ;;
    *@*)
      fail 2 "a password in --http-proxy could be read by everybody on this machine" \
        "set http_proxy and https_proxy in the environment instead, and sudo --preserve-env=http_proxy,https_proxy $installer"
      ;;
    *) [[ $proxy =~ $form ]] || fail 2 "'$proxy' is no proxy" "--http-proxy http://HOST:PORT" ;;
  esac
  if [ -n "$ca" ]; then
    grep -qs -e '-----BEGIN CERTIFICATE-----' -- "$ca" || fail 2 "$ca holds no certificate" "give a file in PEM format"
  fi
}

# The account that becomes the owner's: of whoever called sudo, else one that is made. It keeps the password that it has.
check_owner() {
  owner=owner owner_hash='' owner_field=''
  ! is_set_up || return 0
  local form='^[a-z_][a-z0-9_-]{0,30}$' caller=${SUDO_USER:-root}
  # shellcheck disable=SC2016 # signs of the hashes, and nothing to expand
  local yescrypt='\$y\$[./A-Za-z0-9]+\$[./A-Za-z0-9]{1,86}\$[./A-Za-z0-9]{43}' sha='\$6\$(rounds=[0-9]{1,9}\$)?[./A-Za-z0-9]{1,16}\$[./A-Za-z0-9]{86}'
  if [ "$caller" != root ]; then
    # Accounts of a directory service, or of names that set-up does not take, can't be changed by it.
    if [[ $caller =~ $form ]] && is_local "$caller"; then
      owner=$caller
    else
      say "The account '$caller' can't become the owner's here: one of the name 'owner' is made."
    fi
  fi
  if ! is_local "$owner"; then
    return 0
  fi
  if [ "$owner" = owner ] && [ "$caller" != owner ] && ! [ -e "$state/account" ]; then
    fail 1 "there is an account 'owner' already, and it would own the node" "call this by sudo from the account that shall own it"
  fi
  owner_field=$(awk -F: -v name="$owner" '$1 == name {print $2}' /etc/shadow)
  if [[ $owner_field =~ ^($yescrypt|$sha)$ ]]; then
    owner_hash=$owner_field
  elif [[ $owner_field != '' && $owner_field != [*!]* ]]; then
    fail 1 "the password of '$owner' is kept in a form that set-up does not take over" \
      "passwd $owner sets it anew in today's form; then run this again"
  fi
}

is_local() { # is_local NAME: whether an account is in this machine's own list
  awk -F: -v name="$1" '$1 == name {found = 1} END {exit !found}' /etc/passwd
}
