#!/usr/bin/env bash
# Build the image: make image, or image/build.sh TARGET.
set -euo pipefail

usage() {
  cat <<'HELP'
Usage: image/build.sh [TARGET]
       image/build.sh --base
Targets:
  debian-12     from packages of this machine's own apt mirror (the default)
  ubuntu-22.04  from Ubuntu's cloud image: UBUNTU_IMAGE=<file or URL> UBUNTU_IMAGE_SHA256=<its sum>
Results in build/image/out: bpci-os-<target>-<version>.img.zst (to flash), .qcow2, .manifest.txt, .hardening.json, .timings; SHA256SUMS.
--base stops after debian-12's first stage, the root tree with packages alone, and prints its path.
Each stage is kept under build/image/cache, and made again only when its inputs change; FORCE=1 makes all of them again.
HELP
}

base_only=no
case ${1:-debian-12} in
  --help | -h) usage; exit 0 ;;
  --base) base_only=yes target=debian-12 ;;
  debian-12 | ubuntu-22.04) target=${1:-debian-12} ;;
  *) usage >&2; exit 2 ;;
esac
cd "$(dirname "$0")/.."
repository=$PWD
# shellcheck source=lib.sh
. image/lib.sh
need_root
umask 022
# Packer finds Ansible in the project's environment
export PATH="$repository/.venv/bin:$PATH:/usr/sbin:/sbin" CHECKPOINT_DISABLE=1 PACKER_CACHE_DIR=$repository/build/image/packer-cache
cache=$repository/build/image/cache
out=$repository/build/image/out
mkdir -p "$cache" "$out"
for program in packer ansible-playbook qemu-system-x86_64 mmdebstrap mcopy mkfs.vfat sfdisk mke2fs zstd rsync lynis oscap; do
  command -v $program >/dev/null || fail "$program is not installed" "make image installs what it needs"
done
alone() { # alone LOCK: wait until no other build is at this part; the lock goes with this script, or with the next one
  exec 9>"build/image/$1"
  flock -n 9 || { say "another build is running: waiting for it"; flock 9; }
}

build_base() { image/base.sh "$target" "$1"; }
build_seed() { image/seed.sh "$base/root" "$wheelhouse" "$1"; }

cloud_seed() { # cloud_seed DIR: what Packer serves to a cloud image, and the key that opens it
  mkdir -p "$1/http" "$1/bootstrap"
  ssh-keygen -q -t ed25519 -N '' -C bpci-image-build -f "$1/build-key"
  sed "s|@PUBLIC_KEY@|$(cat "$1/build-key.pub")|" image/seed/user-data.in >"$1/http/user-data"
  echo "instance-id: bpci-image-build" >"$1/http/meta-data"
  cp -r image/rootfs image/bootstrap.sh "$1/bootstrap/"
  cp "image/packages/$target.txt" "$1/bootstrap/packages.txt"
  tar --owner=0 --group=0 -C "$1/bootstrap" -cf "$1/http/bootstrap.tar" .
}

provision() { # provision DIR
  local accelerator strategies
  accelerator=$(image/accel.sh)
  strategies=$(.venv/bin/python -c 'import ansible_mitogen; print(ansible_mitogen.__path__[0])')/plugins/strategy
  say "provisioning with Packer ($accelerator)"
  mkdir -p "$seed/http"
  if ! packer version | grep -q 'v1\.[0-6]\.'; then
    packer init image/plugins >&2
  fi
  # 9>&-: QEMU must not hold the lock when this script is gone
  packer build -color=false -var-file="image/$target.pkrvars.hcl" "${source[@]}" -var "ssh_key=$seed/build-key" \
    -var "seed_directory=$seed/http" -var "wheelhouse=$wheelhouse" -var "output_directory=$1/machine" \
    -var "strategy_plugins=$strategies" -var "accelerator=$accelerator" -var "cpus=$([ "$accelerator" = kvm ] && echo 2 || echo 1)" image 9>&- 2>&1 |
    while IFS= read -r line; do say "${line#==> }"; done
}

build_image() { image/finish.sh "$target" "$machine/machine/disk.qcow2" "$wheelhouse" "$version" "$seed/build-key" "$1"; }

# The base has a lock of its own: who needs that alone, the tests of native machines do, has not to wait for an image.
if [ "$target" = debian-12 ]; then
  alone base.lock
  stage "base-$target" "$(key_of "$target" "$(image/base.sh --sources "$target")" \
    "$(digest_of image/base.sh "image/packages/$target.txt" image/dpkg.cfg image/rootfs/etc/kernel-img.conf)")" build_base
  base=$result
  if [ $base_only = yes ]; then
    echo "$base/root"
    exit 0
  fi
fi

alone lock
say "gathering the node's wheels"
wheelhouse=$repository/build/image/wheelhouse
scripts/wheelhouse.sh "$wheelhouse"
version=$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)

if [ "$target" = debian-12 ]; then
  stage "seed-$target" "$(key_of "${base##*/}" "$(digest_of image/seed.sh image/disk.sh image/lib.sh image/grub image/rootfs \
    ansible/roles/node/files/install-prefix.sh "$wheelhouse/requirements.txt")")" build_seed
  source=(-var "source_image=$result/disk.img")
else
  if [ -z "${UBUNTU_IMAGE:-}" ] || [ -z "${UBUNTU_IMAGE_SHA256:-}" ]; then
    fail "which cloud image to start from is not said" \
      "take Ubuntu 22.04's amd64 server cloud image, and set UBUNTU_IMAGE and UBUNTU_IMAGE_SHA256"
  fi
  stage "seed-$target" "$(key_of "$UBUNTU_IMAGE_SHA256" "$(digest_of image/build.sh image/seed image/bootstrap.sh \
    "image/packages/$target.txt" image/rootfs)")" cloud_seed
  source=(-var "source_image=$UBUNTU_IMAGE" -var "source_checksum=sha256:$UBUNTU_IMAGE_SHA256")
fi
seed=$result
# The repository's path is an input, because the machine's disk names the seed disk by it. The node's own wheel is none:
# the stage after this one brings the node up to date, natively and in seconds.
stage "machine-$target" "$(key_of "${seed##*/}" "$repository" "$(digest_of ansible image/packer.pkr.hcl image/variables.pkr.hcl \
  "image/$target.pkrvars.hcl" data/mainnet)")" provision
machine=$result
stage "image-$target" "$(key_of "${machine##*/}" "$version" "$(digest_of image/finish.sh image/score.py image/score.sh \
  image/hardening image/disk.sh image/lib.sh image/grub \
  "$wheelhouse/requirements.txt" "$wheelhouse/project.txt")")" build_image

rm -f "$out/bpci-os-$target-"*
ln "$result/bpci-os-$target-$version".* "$out/"
cat "$cache"/*"-$target-"*/seconds >"$out/bpci-os-$target-$version.timings"
cat "$out"/bpci-os-*.sha256 >"$out/SHA256SUMS"
say "done: build/image/out"
cat "$out/bpci-os-$target-$version.timings" >&2
(cd "$out" && ls -sh1 bpci-os-*) >&2
