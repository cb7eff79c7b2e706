#!/usr/bin/env bash
# Make what is shipped from the machine that Packer provisioned.
set -euo pipefail

usage() {
  cat <<'HELP'
Usage: image/finish.sh TARGET MACHINE-DISK WHEELHOUSE VERSION KEY DIR
Takes the root file system out of MACHINE-DISK, removes what the build left in it, brings the node up to WHEELHOUSE,
and writes DIR/bpci-os-TARGET-VERSION.img.zst, .qcow2, .manifest.txt and .hardening.json. KEY is the build's SSH key; that it is nowhere in
the result is checked.
HELP
}

[ "${1:-}" = --help ] && { usage; exit 0; }
[ $# -eq 6 ] || { usage >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=lib.sh
. "$here/lib.sh"
need_root
target=$1 machine=$2 wheelhouse=$3 version=$4 key=$5 out=$6
root=$out/root name=bpci-os-$target-$version

remove_leftovers() {
  # how the build came in
  rm -rf root/.ssh root/.ansible root/.cache root/.bash_history root/.wget-hsts root/bootstrap var/cache/bpci-wheelhouse
  rm -f etc/systemd/network/00-build.network
  # what tells one machine from another: made anew at the first boot
  rm -f etc/ssh/ssh_host_* var/lib/dbus/machine-id
  : >etc/machine-id
  rm -rf var/lib/systemd/{random-seed,credential.secret,catalog,coredump,timesync,timers,linger,network,backlight,rfkill}
  rm -rf var/lib/private/* var/lib/chrony/* var/lib/dhcp/* var/lib/NetworkManager
  # what the first start makes anew, on the data partition
  rm -f etc/bpci/alerts/*
  # what it did
  find var/log -type f -delete
  rm -rf var/log/journal/* tmp/* tmp/.[!.]* var/tmp/* run/* lost+found/* var/backups/* var/crash/*
  # caches, and copies of what was before
  rm -rf var/lib/apt/lists/* var/cache/apt/*.bin var/cache/apt/archives/*.deb var/cache/debconf/*-old var/lib/dpkg/*-old
  rm -f var/cache/ldconfig/aux-cache etc/*- boot/*.old
}

remove_cloud_init() {
  # dpkg-query also knows packages that others only suggest
  # shellcheck disable=SC2016 # dpkg-query expands it
  if in_root "$root" dpkg-query -W -f '${db:Status-Status}\n' cloud-init 2>/dev/null | grep -qx installed; then
    in_root "$root" apt-get -q purge -y cloud-init netplan.io >&2
    in_root "$root" apt-get -q autoremove -y --purge >&2
  fi
  rm -rf "$root"/var/lib/cloud "$root"/etc/cloud "$root"/etc/netplan "$root"/etc/sudoers.d/90-cloud-init-users
}

verify_clean() {
  local found
  found=$(grep -rlaF --exclude-dir=proc --exclude-dir=sys "$(cut -d' ' -f2 "$key.pub")" "$root" || true)
  [ -z "$found" ] || fail "the build's key is in the image: $found"
  found=$(find "$root"/etc/ssh -name 'ssh_host_*'; find "$root"/home -mindepth 1; find "$root"/etc/bpci "$root"/var/lib/bpci -type f; find "$root"/root -name authorized_keys;
    find "$root"/var/log -type f; find "$root"/etc/machine-id -size +0; find "$root"/var/lib/systemd -name random-seed)
  [ -z "$found" ] || fail "these were left over: ${found//$'\n'/, }"
  found=$(awk -F: '$2 !~ /^[!*]/ { print $1 }' "$root/etc/shadow")
  [ -z "$found" ] || fail "these accounts have a password: ${found//$'\n'/, }"
  [ -u "$root/usr/bin/sudo" ] || fail "sudo has lost its setuid bit on the way"
}

update_node() {
  install -m 755 "$here/../ansible/roles/node/files/install-prefix.sh" "$root/root/install-prefix.sh"
  cp -r "$wheelhouse" "$root/root/wheelhouse"
  in_root "$root" /root/install-prefix.sh /opt/bpci /root/wheelhouse \
    --python "$(sed -n 's/^python //p' "$root/opt/bpci/.complete")" >&2
  rm -rf "$root/root/install-prefix.sh" "$root/root/wheelhouse"
  find "$root/opt" -mindepth 1 -maxdepth 1 -name 'bpci-*' ! -name "$(readlink "$root/opt/bpci")" -exec rm -rf {} +
}

say "reading the provisioned disk"
extract_root "$machine" "$root"

say "bringing the node up to date"
update_node

say "removing what the build left"
remove_cloud_init
(cd "$root" && remove_leftovers)
mkdir -p "$root/data" "$root/boot/efi" "$root/usr/lib/bpci"
{
  echo "target=$target"
  echo "version=$version"
  echo "commit=$(git -C "$here" describe --always --dirty --abbrev=12 2>/dev/null || echo unknown)"
  echo "date=$(date -u +%FT%TZ)"
} >"$root/usr/lib/bpci/image-release"

say "making the initial RAM disk"
in_root "$root" update-initramfs -u -k all >&2
verify_clean

say "scoring the hardening"
scored=$(realpath "$root") scores=$(realpath "$out")/$name.hardening.json
(cd "$here/.." && python3 -m image.score "$scored" "$scores" --content build/image/content)

say "assembling the disk"
"$here/disk.sh" "$root" "$out/disk.img"
# shellcheck disable=SC2016 # dpkg-query expands these
in_root "$root" dpkg-query -W -f '${Package}\t${Version}\t${Architecture}\n' >"$out/$name.manifest.txt"
rm -rf "$root"

say "compressing"
zstd -q -T0 -10 --no-progress "$out/disk.img" -o "$out/$name.img.zst"
qemu-img convert -O qcow2 "$out/disk.img" "$out/$name.qcow2"
rm -f "$out/disk.img"
(cd "$out" && sha256sum "$name".* >"$name.sha256")
