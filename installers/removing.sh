# shellcheck shell=bash
# What an installed node leaves on a machine, and its removal: whatever one of the roles made, by where it puts things.
# shellcheck disable=SC2154 # lib.sh says it

# Patterns, which match at the time of removal: files and directories that are the node's alone.
made() {
  shopt -s nullglob
  printf '%s\n' \
    /usr/local/bin/bpci* /opt/bpci /opt/bpci-* /usr/share/bpci /usr/lib/bpci \
    /usr/share/bash-completion/completions/bpci \
    /usr/lib/systemd/system/*bpci* /usr/lib/systemd/system/*.d/*bpci* \
    /etc/systemd/system/*bpci* /etc/systemd/system/*.d/*bpci* /etc/systemd/system/*.wants/bpci-* \
    /etc/systemd/*.conf.d/*bpci* \
    /usr/lib/sysusers.d/bpci*.conf /usr/lib/tmpfiles.d/bpci*.conf \
    /etc/needrestart/conf.d/*bpci* /etc/apt/apt.conf.d/*bpci* /etc/sysctl.d/*bpci* /etc/modprobe.d/*bpci* \
    /etc/security/limits.d/*bpci* /etc/ssh/sshd_config.d/*bpci* /etc/nginx/bpci.conf /etc/fail2ban/*.d/bpci-* \
    /etc/grafana/provisioning/*/bpci.yml \
    /var/lib/prometheus/node-exporter/bpci_* \
    /etc/bpci /etc/bpci-* /var/lib/bpci /var/cache/bpci* /run/bpci* /var/lib/systemd/timers/stamp-bpci-* \
    "$authority" "$cache" "$state" | while IFS= read -r path; do
    if [ -e "$path" ] || [ -L "$path" ]; then printf '%s\n' "$path"; fi
  done | sort -u
  shopt -u nullglob
}

stop_services() { # what is running, what would start, and mounts below what goes
  local units=()
  mapfile -t units < <(find /usr/lib/systemd/system -maxdepth 1 -type f -name 'bpci-*' ! -name '*@*' -printf '%f\n')
  [ ${#units[@]} -eq 0 ] || systemctl disable --now "${units[@]}" >>"$log" 2>&1 || true
  systemctl stop 'bpci-*' >>"$log" 2>&1 || true
}

remove_users() {
  local name owner
  owner=$1
  [ -z "$owner" ] || logged userdel --remove "$owner" || true
  for name in bpci bpci-console bpci-web bpci-backup bpci-update bpci-alert bpci-monitor; do
    ! getent passwd $name >/dev/null || logged userdel "$name"
  done
  # The numbers of containers' root, which a docker on this machine may use.
  if getent passwd dockremap >/dev/null && ! command -v dockerd >/dev/null; then logged userdel dockremap; fi
  for name in bpci bpci-owner bpci-metrics; do
    ! getent group $name >/dev/null || logged groupdel $name
  done
}

restore_packages() { # what the roles changed of what belongs to the distribution
  local figures=/var/lib/prometheus/node-exporter
  if [ -d $figures ] && getent passwd prometheus >/dev/null; then
    chown prometheus:prometheus $figures
    chmod 0755 $figures
  fi
  sed -i '/^# BEGIN BPCI: /,/^# END BPCI: /d' /etc/ufw/after.rules /etc/ufw/after6.rules 2>/dev/null || true
}

uninstall() {
  if [ "$yes" = no ] && [ "$dry_run" = no ]; then
    [ -t 0 ] || fail 2 "this removes the node and its keys, and there is no terminal to ask on" "--yes says that it is meant"
    read -r -p "Remove the node, its ledger and its keys from this machine? [y/N] " answer
    [[ $answer == [yY]* ]] || { say "nothing was removed"; exit 1; }
  fi
  local existing=() directory had_ssh_policy=no had_authority=no owner
  mapfile -t existing < <(made)
  if [ "$dry_run" = yes ]; then
    [ ${#existing[@]} -eq 0 ] || printf 'would remove %s\n' "${existing[@]}"
    return
  fi
  trap explain_failure ERR
  step 1 "Removing the node"
  [ ! -e /etc/ssh/sshd_config.d/10-bpci.conf ] || had_ssh_policy=yes
  [ ! -e "$authority" ] || had_authority=yes
  owner=$(cat "$state/account" 2>/dev/null || true)
  stop_services
  mapfile -t existing < <(made) # stopping leaves time stamps and takes sockets away
  if [ ${#existing[@]} -gt 0 ]; then
    rm -rf -- "${existing[@]}"
    # Directories that were made for single files of the node's, and belong to no package.
    printf '%s\n' "${existing[@]}" | xargs -d '\n' dirname | sort -ru | while IFS= read -r directory; do
      case $directory in
        /etc/*.d | /usr/lib/systemd/system/*.d | /etc/systemd/system/*.wants)
          dpkg -S "$directory" >/dev/null 2>&1 || rmdir --ignore-fail-on-non-empty "$directory"
          ;;
      esac
    done
  fi
  [ $had_authority = no ] || logged update-ca-certificates
  remove_users "$owner"
  restore_packages
  systemctl daemon-reload
  systemctl reset-failed 'bpci-*' >>"$log" 2>&1 || true
  systemctl try-restart systemd-journald.service
  if [ $had_ssh_policy = yes ]; then
    logged ufw delete allow "$port"/tcp || true
    logged ufw delete allow 443/tcp || true
    logged systemctl try-reload-or-restart ssh.service || true
    say "The firewall stays on, with SSH open; ufw disable turns it off."
  fi
  say "The node is gone. Kernel settings return at the next restart; packages of the distribution stay, and those that"
  say "were brought along (Prometheus, nginx) stay switched off."
}
