#!/usr/bin/env bash
# Make the Debian root tree that the image starts from: packages only, nothing of ours.
set -euo pipefail

usage() {
  cat <<'HELP'
Usage: image/base.sh TARGET DIR
       image/base.sh --sources TARGET
Makes DIR/root with mmdebstrap, from the mirror that this machine's own apt is configured with.
  --sources  print the apt sources that would be used, and stop
HELP
}

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=lib.sh
. "$here/lib.sh"

case "$# ${1:-}" in
  *" --help") usage; exit 0 ;;
  "2 --sources") print_sources=yes target=$2 ;;
  "2 "[!-]*) print_sources=no target=$1 ;;
  *) usage >&2; exit 2 ;;
esac
[ "$target" = debian-12 ] || fail "no base root is made for $target" "targets: debian-12"
release=bookworm
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

# The mirror is whatever this machine uses for the same release; firmware is in a component of its own. Credentials that
# an address carries are used for fetching and kept out of the image.
sources() {
  local uri suite lines
  # shellcheck disable=SC2016 # apt and awk expand these
  lines=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 'Created-By: Packages' 'Origin: Debian' |
    awk -v release=$release '$2 ~ "^" release "(-updates|-security)?$" && !seen[$0]++')
  [ -n "$lines" ] || fail "this machine's apt knows no source of Debian $release" \
    "add one to /etc/apt/sources.list.d, run apt-get update, and try again"
  while read -r uri suite; do
    printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: main non-free-firmware\nSigned-By: %s\n\n' "$uri" "$suite" "$keyring"
  done <<<"$lines"
}

if [ $print_sources = yes ]; then
  sources
  exit 0
fi
need_root
root=$2/root
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

sources >"$work/debian.sources"
# How this machine reaches its mirror (proxies, certificates, clock checks) is used for fetching and removed afterwards.
apt-config dump --no-empty | grep -E '^Acquire::(https?::|Check-|Retries|ForceIPv)' >"$work/fetch.conf" || true
packages=$(sed 's/#.*//' "$here/packages/$target.txt" | tr -s ' \n' ',' | sed 's/^,//; s/,$//')

# The initial RAM disk is made once, later, when our hooks are in place.
INITRD=No mmdebstrap --quiet --variant=apt --format=directory --mode=root --architectures=amd64 \
  --aptopt="$work/fetch.conf" --dpkgopt="$here/dpkg.cfg" --keyring="$keyring" \
  --setup-hook="install -Dm644 '$here/rootfs/etc/kernel-img.conf' \"\$1/etc/kernel-img.conf\"" \
  --include="$packages" "$release" "$root" "$work/debian.sources" >&2

rm -f "$root"/etc/apt/apt.conf.d/99mmdebstrap "$root"/etc/apt/sources.list "$root"/etc/apt/sources.list.d/*
mv "$root/etc/dpkg/dpkg.cfg.d/99mmdebstrap" "$root/etc/dpkg/dpkg.cfg.d/90-bpci"
sed -E 's#(://)[^/@ ]*@#\1#' "$work/debian.sources" >"$root/etc/apt/sources.list.d/debian.sources"
chmod 644 "$root/etc/apt/sources.list.d/debian.sources"
