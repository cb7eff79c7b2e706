# shellcheck shell=bash
# shellcheck disable=SC2034 # used by the scripts that read this
# The disk's layout, in one place for the image build, for installing to another disk and for the second root.
#
# GPT: 1 bpci-esp (FAT32), 2 bpci-root-a, 3 bpci-root-b, 4 bpci-data, the last one, which grows. Partitions are found by
# their PARTUUIDs, which every disk gets anew; the boot loader reads them from EFI/bpci/disk.cfg.

MIB=1048576
ESP_START=1 ESP_SIZE=512             # MiB
ROOT_SIZE=4096                       # MiB, each of the two
ROOT_A_START=$((ESP_START + ESP_SIZE))
ROOT_B_START=$((ROOT_A_START + ROOT_SIZE))
DATA_START=$((ROOT_B_START + ROOT_SIZE))
export MKE2FS_CONFIG=${BASH_SOURCE[0]%/*}/mke2fs.conf

new_uuid() { cat /proc/sys/kernel/random/uuid; }

# new_disk: fresh identifiers for a disk, in variables
new_disk() {
  disk_uuid=$(new_uuid) esp_uuid=$(new_uuid) root_a_uuid=$(new_uuid) root_b_uuid=$(new_uuid) data_uuid=$(new_uuid)
}

# partition_table DATA_MIB|rest: sfdisk's input; with "rest", data takes what is left
partition_table() {
  local size='' linux=0FC63DAF-8483-4772-8E79-3D69D8477DE4 system=C12A7328-F81F-11D2-BA4B-00A0C93EC93B
  [ "$1" = rest ] || size=" size=${1}MiB,"
  echo "label: gpt"
  echo "label-id: $disk_uuid"
  echo "start=${ESP_START}MiB, size=${ESP_SIZE}MiB, type=$system, uuid=$esp_uuid, name=bpci-esp"
  echo "start=${ROOT_A_START}MiB, size=${ROOT_SIZE}MiB, type=$linux, uuid=$root_a_uuid, name=bpci-root-a"
  echo "start=${ROOT_B_START}MiB, size=${ROOT_SIZE}MiB, type=$linux, uuid=$root_b_uuid, name=bpci-root-b"
  echo "start=${DATA_START}MiB,$size type=$linux, uuid=$data_uuid, name=bpci-data"
}

# disk_cfg data|no-data: what the boot loader reads to find this disk's partitions
disk_cfg() {
  echo "# The PARTUUIDs of this disk; read by grub.cfg beside it."
  echo "set bpci_root_a=$root_a_uuid"
  echo "set bpci_root_b=$root_b_uuid"
  [ "$1" = no-data ] || echo "set bpci_data=$data_uuid"
}

# root_file_system TARGET SLOT [MKE2FS-ARGUMENT...]; TARGET is a device, or a file with -E offset= and a size in MiB
root_file_system() {
  local target=$1 slot=$2
  shift 2
  mke2fs -q -F -t ext4 -L "bpci-root-$slot" -m 1 "$@" "$target" "${ROOT_SIZE}M"
}

# data_file_system TARGET SIZE_MIB [MKE2FS-ARGUMENT...]. A file system that is born small keeps the geometry of a small
# one for ever, so what can't change when it grows is set for the disk it will fill.
data_file_system() {
  local target=$1 size=$2
  shift 2
  mke2fs -q -F -t ext4 -T bpci-data -L bpci-data -m 1 "$@" "$target" "${size}M"
}
