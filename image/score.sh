#!/usr/bin/env bash
# Let Lynis, OpenSCAP and systemd look at a root tree, with the mounts that the machine will have, without changing the tree.
set -euo pipefail

usage() {
  cat <<'HELP'
Usage: image/score.sh ROOT PROFILES DIR
Looks at ROOT and leaves in DIR: lynis.dat, NAME.xml for each line "NAME CODENAME DATASTREAM PROFILE" of the file PROFILES
("-" leaves the root's own code name), and units.txt. image/score.py calls this and reads it.
HELP
}

[ "${1:-}" = --help ] && { usage; exit 0; }
[ $# -eq 3 ] || { usage >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=lib.sh
. "$here/lib.sh"
need_root
for program in lynis oscap systemd-analyze; do
  command -v "$program" >/dev/null || fail "$program is not installed" "scripts/host-setup.sh image"
done

# The rest runs in name spaces of its own: nothing is left mounted, and nobody else's processes and network are seen.
if [ -z "${BPCI_SCORING:-}" ]; then
  export BPCI_SCORING=1
  exec unshare --mount --pid --net --uts --ipc --fork --kill-child --mount-proc --propagation private -- "$0" "$@"
fi
root=$(readlink -f "$1") profiles=$(readlink -f "$2") out=$(readlink -f "$3")

mkdir "$out/work"
mount -t tmpfs -o size=1G tmpfs "$out/work"
copy() { # copy NAME: a tree over ROOT whose changes are thrown away; its path is left in $m
  m=$out/work/$1/root
  mkdir -p "$out/work/$1/changes" "$out/work/$1/kernel" "$m"
  mount -t overlay overlay -o "lowerdir=$root,upperdir=$out/work/$1/changes,workdir=$out/work/$1/kernel" "$m"
  mounts
}

# What /etc/fstab and the initial RAM disk mount on a machine, with their options, and the table that says so.
mounts() {
  local path kind options
  {
    echo "/dev/disk/bpci/root / ext4 rw,noatime 0 0"
    while read -r _ path kind options _; do
      [ "$kind" = tmpfs ] || continue
      mkdir -p "$m$path"
      mount -t tmpfs -o "$options" tmpfs "$m$path"
      echo "tmpfs $path tmpfs rw,$options 0 0"
    done < <(grep -v '^#' "$root/etc/fstab")
    while read -r path options; do
      case $path in '' | '#'*) continue ;; esac
      [ -d "$m/$path" ] || continue
      mount --bind "$m/$path" "$m/$path"
      mount -o "remount,bind,$options" "$m/$path"
      echo "/dev/disk/bpci/data /$path ext4 rw,$options 0 0"
    done <"$root/usr/lib/bpci/data-mounts"
  } >"$m.mounts"
  mkdir -p "$m/proc"
  cp "$m.mounts" "$m/proc/mounts" # where oscap looks; where /proc is mounted it says the same
}

# The kernel that runs here is not the machine's: what it is asked for is answered as the tree's files set it.
settings() { # settings DIR: /proc/sys of a machine that has read ROOT's settings
  local name value file
  (cd /proc/sys && find . -type f -readable -exec sh -c 'for f; do mkdir -p "$0/${f%/*}" && cat "$f" >"$0/$f"; done' "$1" {} + 2>/dev/null) || true
  while IFS='=' read -r name value; do
    file=$1/$(echo "$name" | tr -d ' ' | tr . /)
    [ ! -f "$file" ] || echo "$value" | tr -s ' ' '\t' | sed 's/^\t//' >"$file"
  done < <(systemd-analyze cat-config --root="$root" sysctl.d | sed -nE 's/^-?([a-z][^=*]*)=(.*)/\1=\2/p')
}

lynis_in() { # the whole of Lynis is what this machine has installed
  copy lynis
  mount -t proc proc "$m/proc"
  mount -t sysfs -o ro sysfs "$m/sys"
  mount -t devtmpfs -o ro dev "$m/dev"
  mount -t tmpfs -o nodev,nosuid,mode=755 tmpfs "$m/run"
  cp -r /etc/lynis "$m/etc/"
  cp -r /usr/share/lynis "$m/usr/share/"
  cp /usr/sbin/lynis "$m/usr/sbin/"
  # It compares the kernel that runs, which is this machine's, with the one below /boot.
  echo skip-test=KRNL-5830 >"$m/etc/lynis/custom.prf"
  mkdir "$m/run/out"
  mount --bind "$out/work/settings" "$m/proc/sys"
  chroot "$m" env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 HOME=/root \
    lynis audit system --quick --no-colors --report-file /run/out/lynis.dat --log-file /run/out/lynis.log >"$out/lynis.txt" 2>&1 || true
  cp "$m/run/out/"* "$out/"
}

# oscap takes the data base of packages, and how it is read, from this machine's own paths.
oscap_in() {
  local name codename datastream profile status
  copy oscap
  mount --bind "$out/work/settings" /proc/sys
  mount --bind "$m/etc/apt" /etc/apt
  mount --bind "$m/var/lib/dpkg" /var/lib/dpkg
  mount --bind "$m/var/lib/apt" /var/lib/apt
  while read -r name codename datastream profile; do
    rm -f "$m/etc/lsb-release"
    # Rules for another distribution apply to what says that it is one.
    [ "$codename" = - ] || printf 'DISTRIB_ID=Ubuntu\nDISTRIB_CODENAME=%s\n' "$codename" >"$m/etc/lsb-release"
    # Now and then all of its threads wait for one another, for ever (seen with 1.3.7): it takes half a minute.
    for _ in 1 2; do
      status=0
      OSCAP_PROBE_ROOT=$m timeout --kill-after=10 600 oscap xccdf eval --skip-validation --profile "$profile" \
        --results "$out/$name.xml" "$datastream" >"$out/$name.txt" 2>"$out/$name.log" || status=$?
      [ $status -eq 124 ] || [ $status -eq 137 ] || break
    done
    # 2: some rules do not hold
    [ $status -eq 0 ] || [ $status -eq 2 ] || { tail -n 5 "$out/$name.log" >&2; fail "oscap could not look at $name ($status)"; }
  done <"$profiles"
}

# How much each service could do to the machine: those of ours, and those of others that a file of ours confines.
units_in() {
  local unit units
  units=$(cd "$root" && find etc/systemd/system usr/lib/systemd/system \( -name 'bpci*.service' -type f -printf '%f\n' \) -o \
    \( -path '*.service.d/*bpci*.conf' -printf '%h\n' \) | sed 's,.*/,,; s,[.]d$,,; s,@[.],@one.,' | sort -u)
  for unit in $units; do
    systemd-analyze security --no-pager --offline=yes --root="$root" "$unit" 2>/dev/null | sed -n 's/.*Overall exposure level for //p'
  done >"$out/units.txt"
}

mkdir "$out/work/settings"
settings "$out/work/settings"
units_in &
units=$!
lynis_in &
lynis=$!
oscap_in
wait $units
wait $lynis
