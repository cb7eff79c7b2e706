#!/usr/bin/env bash
# Make a Vagrant box (libvirt) of the image that was built last.
set -euo pipefail

usage() {
  cat <<'HELP'
Usage: image/box.sh [TARGET]      (default: debian-12; needs root, and an image made by make image)
Writes build/image/out/bpci-os-<target>-<version>.box: the image, with an account "vagrant" that a key inside the box opens
and that may do everything, and with answers, by which it becomes a development node with a ledger of its own when it
first starts. For development only. Use it: BPCI_BOX=<file> vagrant up --provider=libvirt
HELP
}

[ "${1:-}" = --help ] && { usage; exit 0; }
cd "$(dirname "$0")/.."
# shellcheck source=lib.sh
. image/lib.sh
# shellcheck source=rootfs/usr/lib/bpci/layout.sh
. image/rootfs/usr/lib/bpci/layout.sh
need_root
umask 022
target=${1:-debian-12}
out=$PWD/build/image/out
images=("$out/bpci-os-$target-"*.qcow2)
[ -e "${images[0]}" ] || fail "there is no image of $target" "make image TARGET=$target"
name=$(basename "${images[0]}" .qcow2)
work=$PWD/build/image/box.part
rm -rf "$work"
mkdir -p "$work/box"
root=$work/root

say "reading the image"
extract_root "${images[0]}" "$root"

say "adding the account" # number 1000 is for the owner that set-up makes
ssh-keygen -q -t ed25519 -N '' -C "$name.box" -f "$work/box/vagrant-key"
in_root "$root" useradd -m -u 1999 -s /bin/bash -G sudo,bpci-owner -K PASS_MAX_DAYS=-1 vagrant
install -d -m 700 "$root/home/vagrant/.ssh"
install -m 600 "$work/box/vagrant-key.pub" "$root/home/vagrant/.ssh/authorized_keys"
in_root "$root" chown -R vagrant:vagrant /home/vagrant
echo 'vagrant ALL=(ALL) NOPASSWD: ALL' >"$root/etc/sudoers.d/vagrant"
chmod 440 "$root/etc/sudoers.d/vagrant"
in_root "$root" systemctl -q enable ssh.service
# Vagrant's own SSH client knows none of the image's ways to agree on a key.
printf 'KexAlgorithms curve25519-sha256,ecdh-sha2-nistp384,ecdh-sha2-nistp256\n' >"$root/etc/ssh/sshd_config.d/05-vagrant.conf"

say "assembling the box"
image/disk.sh "$root" "$work/disk.img"
# Set-up finds its answers on the EFI partition. The password fits nobody's: it is thrown away here.
esp=$work/disk.img@@$((ESP_START * MIB))
hash=$(head -c 24 /dev/urandom | base64 | openssl passwd -6 -stdin)
owner="name = \"vagrant\"\npassword_hash = \"$hash\"\nssh_keys = [\"$(cat "$work/box/vagrant-key.pub")\"]"
sed "s|^name = \"owner\"\$|$owner|" image/answers.dev.toml >"$work/answers.toml"
mmd -i "$esp" ::/bpci
mcopy -i "$esp" "$work/answers.toml" ::/bpci/answers.toml
qemu-img convert -O qcow2 "$work/disk.img" "$work/box/box.img"
size=$(qemu-img info --output=json "$work/box/box.img" | sed -nE 's/.*"virtual-size": ([0-9]+).*/\1/p')
printf '{"provider": "libvirt", "format": "qcow2", "virtual_size": %d}\n' $(((size + 1073741823) / 1073741824)) \
  >"$work/box/metadata.json"
cat >"$work/box/Vagrantfile" <<'RUBY'
# frozen_string_literal: true

Vagrant.configure('2') do |config|
  config.ssh.username = 'vagrant'
  config.ssh.private_key_path = File.expand_path('vagrant-key', __dir__)
  config.vm.provider 'libvirt' do |machine|
    machine.machine_type = 'q35'
    machine.loader = '/usr/share/ovmf/OVMF.fd'
    machine.disk_bus = 'virtio'
    machine.machine_virtual_size = 16 # GB; data grows to the end of the disk
  end
end
RUBY
tar -C "$work/box" -I 'gzip -1' -cf "$work/$name.box" metadata.json Vagrantfile vagrant-key box.img
mv "$work/$name.box" "$out/"
rm -rf "$work"
say "made build/image/out/$name.box"
