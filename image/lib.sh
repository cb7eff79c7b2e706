# shellcheck shell=bash
# Shared by the image's build scripts: messages, content keys, cached stages, commands inside a root tree.

printf -v now '%(%s)T' -1
export BUILD_STARTED=${BUILD_STARTED:-$now} # scripts that a build calls go on counting
say() { # say MESSAGE, with the seconds since the build started
  printf -v now '%(%s)T' -1
  printf '[%4d s] %s\n' $((now - BUILD_STARTED)) "$*" >&2
}

fail() { # fail MESSAGE [HINT]
  echo "error: $1" >&2
  [ $# -lt 2 ] || echo "hint: $2" >&2
  exit 1
}

need_root() { [ "$(id -u)" -eq 0 ] || fail "this needs root: files of every owner are written" "sudo $0"; }

# digest_of PATH...: one digest over the names, kinds, modes and contents of files and trees
digest_of() {
  find "$@" -name __pycache__ -prune -o \( -type f -printf '%p %m ' -exec sha256sum {} \; -o -type l -printf '%p %l\n' \) |
    LC_ALL=C sort | sha256sum | cut -d' ' -f1
}

# key_of WORD...: a short key for the words that name a stage's inputs
key_of() { printf '%s\0' "$@" | sha256sum | cut -c1-20; }

# stage NAME KEY COMMAND...: run COMMAND with a directory to fill as its last argument, unless that was done before from
# the same inputs. The directory gets its name only when it is complete; directories of other keys are dropped then.
# The result's path is left in $result; $cache is the directory of all stages.
stage() {
  local name=$1 key=$2 started=$SECONDS old
  shift 2
  result=${cache:?}/$name-$key
  if [ -d "$result" ] && [ -z "${FORCE:-}" ]; then
    say "$name: reused ($key, made $(date -r "$result" +%F))"
    return
  fi
  rm -rf "$result" "$cache/$name"-*.part
  mkdir -p "$result.part"
  say "$name: making $key"
  "$@" "$result.part"
  printf '%s\t%d s\n' "$name" $((SECONDS - started)) >"$result.part/seconds"
  mv "$result.part" "$result"
  for old in "$cache/$name"-*; do
    [ "$old" = "$result" ] || rm -rf "$old"
  done
  say "$name: made in $((SECONDS - started)) s"
}

# in_root ROOT COMMAND...: run a command inside a root tree. Its mounts and processes are in name spaces of their own, so
# that nothing outlives it: an interrupted build leaves no mount below a directory that the next build deletes.
in_root() {
  local root=$1
  shift
  # shellcheck disable=SC2016 # the inner shell expands these
  unshare --mount --pid --fork --kill-child --propagation private -- bash -euc '
    root=$1; shift
    mount -t proc proc "$root/proc"
    mount -t sysfs -o ro sysfs "$root/sys"
    mount --bind /dev "$root/dev"
    mount -t tmpfs tmpfs "$root/run"
    mount -t tmpfs tmpfs "$root/tmp"
    exec chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 HOME=/root DEBIAN_FRONTEND=noninteractive "$@"
  ' bash "$root" "$@"
}

# root_partition DISK: start and size, in sectors, of the partition with the root file system: ours by name, in a cloud
# image the largest
root_partition() {
  sfdisk --dump "$1" | sed -nE 's/.*start= *([0-9]+), size= *([0-9]+),.*/\2 \1 &/p' | sort -n |
    awk '{ last = $2 " " $1 } /name="bpci-root-a"/ { ours = last } END { print ours ? ours : last }'
}

# extract_root QCOW2 DIR: the root file system of a disk as a tree, with owners
extract_root() {
  local start size raw=$2.disk tries=0
  qemu-img convert -O raw "$1" "$raw"
  read -r start size < <(root_partition "$raw")
  start=$((start * 512)) size=$((size * 512))
  mkdir -p "$2" "$2.mounted"
  # The mount's name space ends with it, so nothing is left mounted. Another program may hold the last loop device for a
  # moment. Reading without mounting (debugfs) is no way out: it drops setuid bits and file capabilities.
  # shellcheck disable=SC2016 # the inner shell expands these
  until unshare --mount --propagation private -- bash -euc '
    mount -o ro,loop,offset="$3",sizelimit="$4" "$1" "$2.mounted"
    cp -a "$2.mounted/." "$2/"
  ' bash "$raw" "$2" "$start" "$size"; do
    [ $((tries += 1)) -lt 10 ] || fail "no loop device can be had" "losetup --all shows who holds them"
    find "$2" -mindepth 1 -delete
    sleep 3
  done
  rmdir "$2.mounted"
  rm "$raw"
}

# copy_ours ROOTFS ROOT: our files into a root tree, owned by root whoever checked them out, and whatever the umask was
copy_ours() { rsync -rl --chown=root:root --chmod=D755,Fgo=rX,Fu=rwX "$1/" "$2/"; }
