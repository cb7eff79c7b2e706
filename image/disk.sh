#!/usr/bin/env bash
# Make a bootable disk from a root tree: GPT, EFI boot chain, root A, root B, data. No loop devices are used.
set -euo pipefail

usage() {
  cat <<'HELP'
Usage: image/disk.sh [--no-data] ROOTDIR OUT.img
Writes OUT.img, a sparse raw disk whose root A holds ROOTDIR with its owners; the boot loader comes from ROOTDIR's own
signed packages (shim-signed, grub-efi-amd64-signed).
  --no-data  leave the data partition unused: the machine keeps everything in its root (as while it is provisioned)
HELP
}

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=lib.sh
. "$here/lib.sh"
# shellcheck source=rootfs/usr/lib/bpci/layout.sh
. "$here/rootfs/usr/lib/bpci/layout.sh"

data_size=128 # MiB; grows at first boot
data_use=data
while [ $# -gt 0 ]; do
  case $1 in
    --help) usage; exit 0 ;;
    --no-data) data_use=no-data; shift ;;
    -*) usage >&2; exit 2 ;;
    *) break ;;
  esac
done
[ $# -eq 2 ] || { usage >&2; exit 2; }
root=$1 disk=$2
export PATH=$PATH:/usr/sbin:/sbin

for file in /boot/vmlinuz /boot/initrd.img /usr/lib/shim/shimx64.efi.signed; do
  [ -e "$root$file" ] || fail "$root has no $file, so its disk would not boot"
done
# shellcheck source=/dev/null
distribution=$(. "$root/etc/os-release" && echo "$ID") # the signed GRUB looks for its configuration in EFI/<this>

rm -f "$disk"
truncate -s $(((DATA_START + data_size + 1) * MIB)) "$disk"
new_disk
partition_table $data_size | sfdisk -q "$disk"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# shellcheck disable=SC2016 # GRUB expands it
printf 'source ($root)/EFI/bpci/grub.cfg\n' >"$work/start.cfg"
disk_cfg $data_use >"$work/disk.cfg"
{ printf '# GRUB Environment Block\nslot=a\n'; head -c 1024 /dev/zero | tr '\0' '#'; } | head -c 1024 >"$work/grubenv"
esp=$work/esp.img
mkfs.vfat -C -F 32 -h $((ESP_START * 2048)) -n BPCI-ESP "$esp" $((ESP_SIZE * 1024)) >/dev/null
mmd -i "$esp" ::/EFI ::/EFI/BOOT ::/EFI/bpci "::/EFI/$distribution"
mcopy -i "$esp" "$root/usr/lib/shim/shimx64.efi.signed" ::/EFI/BOOT/BOOTX64.EFI
mcopy -i "$esp" "$root/usr/lib/shim/mmx64.efi.signed" ::/EFI/BOOT/mmx64.efi
mcopy -i "$esp" "$root/usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed" ::/EFI/BOOT/grubx64.efi
mcopy -i "$esp" "$work/start.cfg" "::/EFI/$distribution/grub.cfg"
mcopy -i "$esp" "$here/grub/grub.cfg" "$work/disk.cfg" "$work/grubenv" ::/EFI/bpci/
dd if="$esp" of="$disk" bs=1M seek=$ESP_START conv=notrunc,sparse status=none

root_file_system "$disk" a -E offset=$((ROOT_A_START * MIB)) -d "$root"
root_file_system "$disk" b -E offset=$((ROOT_B_START * MIB))
data_file_system "$disk" $data_size -E offset=$((DATA_START * MIB)),resize=$((2 ** 31)) -J size=32
