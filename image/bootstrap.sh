#!/usr/bin/env bash
# Bring a distribution's cloud image to where the roles begin: packages, and our files. Runs inside the machine.
set -euo pipefail

if [ "${1:-}" = --help ]; then
  echo "Usage: bootstrap.sh   (run in the machine by image/packer.pkr.hcl; packages.txt and rootfs/ lie beside it)"
  exit 0
fi
here=$(cd "$(dirname "$0")" && pwd)
export DEBIAN_FRONTEND=noninteractive

# before the packages, because initial RAM disk and kernel links are made when they are installed
cp -r --no-preserve=ownership "$here/rootfs/." /
mkdir -p /data /boot/efi
mapfile -t packages < <(sed 's/#.*//' "$here/packages.txt" | tr -s ' ' '\n' | grep .)
apt-get -q update
apt-get -q purge -y snapd lxd-agent-loader multipath-tools
apt-get -q install -y --no-install-recommends -o Dpkg::Options::=--force-confold "${packages[@]}"
apt-get -q autoremove -y --purge
