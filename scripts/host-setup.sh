#!/usr/bin/env bash
# Install the distribution packages that a make target needs, once. Groups: dev, image, check, test.
set -euo pipefail

usage() {
  cat <<'HELP'
Usage: scripts/host-setup.sh [--dry-run] GROUP...
Groups:
  dev    Python environment and compiled wheels
  image  building and booting the image (mmdebstrap, packer, qemu, firmware)
  check  linters that come as distribution packages (shellcheck, packer, vagrant)
  long   what the long tests run beside that (libvirt, for Vagrant)
  test   what the test suite runs beside the image (system containers, name spaces, a browser, npm for scripts/test-tools.sh)
Example: scripts/host-setup.sh dev image
HELP
}

dry_run=no
groups=()
for argument in "$@"; do
  case $argument in
    --help | -h) usage; exit 0 ;;
    --dry-run) dry_run=yes ;;
    dev | image | check | long | test) groups+=("$argument") ;;
    *) echo "error: unknown group '$argument'" >&2; usage >&2; exit 2 ;;
  esac
done
[ ${#groups[@]} -gt 0 ] || { usage >&2; exit 2; }

packages_of() {
  case $1 in
    dev) echo python3 python3-venv python3-dev gcc libc6-dev libsystemd-dev pkg-config ca-certificates ;;
    image) echo packer qemu-system-x86 qemu-utils ovmf mmdebstrap debian-archive-keyring mtools dosfstools fdisk \
      e2fsprogs zstd rsync openssh-client openssl lynis openscap-scanner ssg-debderived systemd ;;
    check) echo shellcheck packer vagrant vagrant-libvirt openssh-client ;;
    long) echo libvirt-daemon-system libvirt-clients dnsmasq-base iptables ;;
    test)
      echo mmdebstrap debian-archive-keyring systemd systemd-container dbus iproute2 git openssh-client chromium fonts-dejavu-core restic rclone swtpm tpm2-tools
      # Where npm came with another Node.js than the distribution's, that one stays.
      command -v npm >/dev/null || echo npm
      ;;
  esac
}

missing=()
for group in "${groups[@]}"; do
  for package in $(packages_of "$group"); do
    dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
  done
done
[ ${#missing[@]} -gt 0 ] || exit 0

echo "installing packages: ${missing[*]}" >&2
[ "$dry_run" = no ] || exit 0
if [ "$(id -u)" -ne 0 ]; then
  echo "error: these packages are missing and only root can install them: ${missing[*]}" >&2
  echo "hint: run this target as root once, or install them yourself" >&2
  exit 1
fi
export DEBIAN_FRONTEND=noninteractive
apt-get -q update >&2
apt-get -q install -y --no-install-recommends "${missing[@]}" >&2
