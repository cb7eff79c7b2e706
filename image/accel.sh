#!/usr/bin/env bash
# Say how QEMU can run guests here: "kvm" if a guest really runs under it, "tcg" (emulation) otherwise. That /dev/kvm
# exists and opens is not enough: in some virtual machines the guest dies in it.
set -euo pipefail

if [ "${1:-}" = --help ]; then
  echo "Usage: image/accel.sh   (prints kvm or tcg; the answer is remembered until the next boot of this machine)"
  exit 0
fi
cd "$(dirname "$0")/.."
cache=build/image/accel-$(</proc/sys/kernel/random/boot_id)
if [ -s "$cache" ]; then
  cat "$cache"
  exit 0
fi

# A kernel as guest reaches its own panic for want of a root file system; without one, the firmware must start.
probe() {
  local kernel='' candidate log guest sign
  [ -w /dev/kvm ] || return 1
  for candidate in build/image/cache/base-*/root/boot/vmlinuz "/boot/vmlinuz-$(uname -r)"; do
    [ -r "$candidate" ] && kernel=$candidate
  done
  log=$(mktemp)
  # shellcheck disable=SC2064 # the name is known now
  trap "rm -f '$log'" RETURN
  guest=(-machine q35 -bios /usr/share/ovmf/OVMF.fd) sign=Bds
  [ -z "$kernel" ] || guest=(-kernel "$kernel" -append "console=ttyS0 panic=-1") sign="Unable to mount root fs"
  # a shell of its own, because a guest that dies may take QEMU with it, and the shell would say so
  (timeout 15 qemu-system-x86_64 -accel kvm -cpu host -m 256 -nodefaults -display none -no-reboot \
    -serial "file:$log" "${guest[@]}" || true) >/dev/null 2>&1
  grep -q "$sign" "$log"
}

answer=tcg
! probe || answer=kvm
mkdir -p "$(dirname "$cache")"
rm -f build/image/accel-*
echo $answer >"$cache.part"
mv "$cache.part" "$cache"
echo $answer
