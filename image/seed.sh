#!/usr/bin/env bash
# Make the disk that Packer boots: the base root with our files, the node's dependencies and a key of this build.
set -euo pipefail

usage() { echo "Usage: image/seed.sh BASE-ROOT WHEELHOUSE DIR   (makes DIR/disk.img and DIR/build-key)"; }

[ "${1:-}" = --help ] && { usage; exit 0; }
[ $# -eq 3 ] || { usage >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=lib.sh
. "$here/lib.sh"
need_root
base=$1 wheelhouse=$2 out=$3
root=$out/root

say "copying the base root"
cp -a --reflink=auto "$base" "$root"
copy_ours "$here/rootfs" "$root"
mkdir -p "$root/data" "$root/boot/efi"

say "installing the node's dependencies"
install -m 755 "$here/../ansible/roles/node/files/install-prefix.sh" "$root/root/install-prefix.sh"
cp -r "$wheelhouse" "$root/root/wheelhouse"
# the role names the interpreter in full, and the installation remembers it
in_root "$root" /root/install-prefix.sh /opt/bpci /root/wheelhouse --deps-only --python /usr/bin/python3 >&2
rm -rf "$root/root/install-prefix.sh" "$root/root/wheelhouse"

# made with the packages; as young as their sources in whole seconds they would be made again, slowly, at every boot
touch "$root"/etc/console-setup/cached_*
say "making the initial RAM disk"
for kernel in "$root"/lib/modules/*; do
  in_root "$root" update-initramfs -c -k "${kernel##*/}" >&2
  in_root "$root" linux-update-symlinks install "${kernel##*/}" "/boot/vmlinuz-${kernel##*/}"
done
rm -f "$root"/boot/*.old

# How the provisioner gets in; image/finish.sh takes it out again.
ssh-keygen -q -t ed25519 -N '' -C bpci-image-build -f "$out/build-key"
install -D -m 600 "$out/build-key.pub" "$root/root/.ssh/authorized_keys"
chmod 700 "$root/root/.ssh"
printf '[Match]\nName=en*\n[Network]\nDHCP=ipv4\n' >"$root/etc/systemd/network/00-build.network"
in_root "$root" systemctl -q enable systemd-networkd.service ssh.service
# Packages start what they bring; here it would only keep the one emulated processor from the roles, which decide later.
in_root "$root" systemctl -q disable auditd.service containerd.service docker.service docker.socket fail2ban.service \
  nginx.service prometheus.service prometheus-alertmanager.service prometheus-node-exporter.service smartmontools.service

say "assembling the disk"
"$here/disk.sh" --no-data "$root" "$out/disk.img"
rm -rf "$root"
