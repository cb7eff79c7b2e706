# shellcheck shell=bash
# What an installed node leaves on a machine, and its removal: whatever one of the roles made, by where it puts things.
# shellcheck disable=SC2154 # lib.sh says it

# Patterns, which match at the time of removal: files and directories that are the node's alone.
made() {
  shopt -s nullglob
  printf '%s\n' \
    /usr/local/bin/bpci /opt/bpci /opt/bpci.new /opt/bpci-* /usr/share/bpci /usr/lib/bpci \
    /usr/share/bash-completion/completions/bpci \
    /usr/lib/systemd/system/bpci-* /usr/lib/systemd/system/*.d/bpci*.conf \
    /etc/systemd/system/bpci-* /etc/systemd/system/*.d/bpci*.conf /etc/systemd/system/*.wants/bpci-* \
    /etc/systemd/*.conf.d/bpci*.conf \
    /usr/lib/sysusers.d/bpci*.conf /usr/lib/tmpfiles.d/bpci*.conf \
    /etc/needrestart/conf.d/{,zz-}bpci*.conf /etc/apt/apt.conf.d/52bpci-updates /etc/sysctl.d/60-bpci.conf \
    /etc/modprobe.d/bpci-*.conf /etc/security/limits.d/10-bpci.conf /etc/ssh/sshd_config.d/10-bpci.conf \
    /etc/nginx/bpci.conf /etc/fail2ban/*.d/bpci-*.conf /etc/grafana/provisioning/*/bpci.yml \
    /var/lib/prometheus/node-exporter/bpci_* \
    /etc/bpci /etc/bpci-machine.sha256 /var/lib/bpci /run/bpci /run/bpci-* /var/lib/systemd/timers/stamp-bpci-* \
    "$authority" "$cache" "$state" | while IFS= read -r path; do
    # Versions are named by what they were made from; another directory of that beginning is somebody's.
    [[ $path != /opt/bpci-* || $path =~ ^/opt/bpci-(deps-)?[0-9a-f]{16}$ ]] || continue
    if [ -e "$path" ] || [ -L "$path" ]; then printf '%s\n' "$path"; fi
  done | sort -u
  shopt -u nullglob
}

stop_services() { # what is running, and what would start
  local units=()
  mapfile -t units < <(find /usr/lib/systemd/system -maxdepth 1 -type f -name 'bpci-*' ! -name '*@*' -printf '%f\n')
  [ ${#units[@]} -eq 0 ] || systemctl disable --now "${units[@]}" >>"$log" 2>&1 || true
  systemctl stop 'bpci-*' >>"$log" 2>&1 || true
}

check_mounts() { # a disk that somebody has mounted below what goes would go with it
  local found
  found=$(awk '$2 ~ "^/(var/lib|etc|opt|run|var/cache)/bpci[^/]*/" {print $2}' /proc/self/mounts | head -n 1)
  [ -z "$found" ] || fail 1 "$found is mounted below what would be removed, and would lose what is on it" "umount $found first"
}

remove_users() {
  local name owner
  owner=$1
  if [ -n "$owner" ] && is_local "$owner"; then
    logged userdel --remove "$owner" || ! is_local "$owner" ||
      say "The account '$owner' stays, since somebody works in it: userdel --remove $owner takes it away."
  fi
  for name in bpci bpci-console bpci-web bpci-backup bpci-update bpci-alert bpci-monitor; do
    ! is_local $name || logged userdel "$name"
  done
  # The numbers of containers' root, which a docker on this machine may use.
  if is_local dockremap && ! command -v dockerd >/dev/null; then logged userdel dockremap; fi
  for name in bpci bpci-owner bpci-metrics; do
    ! getent group $name >/dev/null || logged groupdel $name
  done
}

give_back() { # give_back SUDO PASSWORD FILES: what set-up changed of the account that called, and files that were not there
  local name field file
  if [ -n "$1" ] && is_local "$1"; then logged gpasswd --delete "$1" sudo || true; fi
  name=${2%%:*} field=${2#*:}
  # It had no password; what it has now nobody knows.
  if [ -n "$name" ] && is_local "$name"; then logged usermod --password "$field" "$name"; fi
  while IFS= read -r file; do
    case $file in
      /etc/default/keyboard | /etc/timezone | /etc/hosts) dpkg -S "$file" >/dev/null 2>&1 || rm -f "$file" ;;
    esac
  done <<<"$3"
}

restore_packages() { # what the roles changed of what belongs to the distribution
  local figures=/var/lib/prometheus/node-exporter
  if [ -d $figures ] && getent passwd prometheus >/dev/null; then
    chown prometheus:prometheus $figures
    chmod 0755 $figures
  fi
}

remove_empty_directories() { # that were made for single files of the node's, and belong to no package; reads the files
  local directory
  xargs -r -d '\n' dirname | sort -ru | while IFS= read -r directory; do
    while [[ $directory == /etc/*/* || $directory == /usr/lib/systemd/system/*.d || $directory == /usr/share/bash-completion* ]] ||
      [[ $directory =~ ^/etc/(fail2ban|needrestart|modprobe.d|grafana|nginx)$ ]]; do
      ! dpkg -S "$directory" >/dev/null 2>&1 || break
      rmdir "$directory" 2>/dev/null || break
      directory=${directory%/*}
    done
  done
}

uninstall() {
  check_appliance
  if [ "$yes" = no ] && [ "$dry_run" = no ]; then
    [ -t 0 ] || fail 2 "this removes the node and its keys, and there is no terminal to ask on" "--yes says that it is meant"
    read -r -p "Remove the node, its ledger and its keys from this machine? [y/N] " answer || true
    [[ ${answer:-} == [yY]* ]] || { say "nothing was removed"; exit 1; }
  fi
  local existing=() had_ssh_policy=no had_authority=no had_monitoring=no owner sudo password files
  mapfile -t existing < <(made)
  if [ "$dry_run" = yes ]; then
    [ ${#existing[@]} -eq 0 ] || printf 'would remove %s\n' "${existing[@]}"
    return
  fi
  begin
  step 1 "Removing the node"
  check_mounts
  [ ! -e /etc/ssh/sshd_config.d/10-bpci.conf ] || had_ssh_policy=yes
  [ ! -e "$authority" ] || had_authority=yes
  [ ! -e /usr/lib/tmpfiles.d/bpci-monitoring.conf ] || had_monitoring=yes
  owner=$(cat "$state/account" 2>/dev/null || true)
  sudo=$(cat "$state/sudo" 2>/dev/null || true)
  password=$(cat "$state/password" 2>/dev/null || true)
  files=$(cat "$state/files" 2>/dev/null || true)
  stop_services
  # What this remembers goes last, so that a removal that breaks off can be gone on with.
  mapfile -t existing < <(made | grep -vxF -e "$state") # stopping leaves time stamps and takes sockets away
  empty "${existing[@]}"
  [ $had_authority = no ] || logged update-ca-certificates
  give_back "$sudo" "$password" "$files"
  remove_users "$owner"
  [ $had_monitoring = no ] || restore_packages
  systemctl daemon-reload
  systemctl reset-failed 'bpci-*' >>"$log" 2>&1 || true
  logged systemctl try-restart systemd-journald.service
  if [ $had_ssh_policy = yes ]; then
    sed -i '/^# BEGIN BPCI: /,/^# END BPCI: /d' /etc/ufw/after.rules /etc/ufw/after6.rules
    logged ufw delete allow "$port"/tcp || true
    logged ufw delete allow 443/tcp || true
    logged ufw reload || true
    logged systemctl try-reload-or-restart ssh.service || true
    say "The firewall stays on, with SSH open; ufw disable turns it off."
  fi
  rm -rf "$state"
  say "The node is gone. Kernel settings return at the next restart; packages of the distribution stay, and those that"
  say "were brought along (Prometheus, nginx) stay switched off."
  [ "$json" = no ] || printf '{"v": 1, "removed": %s}\n' "${#existing[@]}"
}

empty() { # empty PATH...: remove them; of a file system that is mounted there its content alone
  local path
  [ $# -gt 0 ] || return 0
  for path in "$@"; do
    if mountpoint -q "$path"; then
      find "$path" -xdev -mindepth 1 -delete
      say "$path is empty, and stays, since something is mounted there."
    else
      rm -rf --one-file-system -- "$path"
    fi
  done
  printf '%s\n' "$@" | remove_empty_directories
}
