#!/usr/bin/env bash
# Install the node from a wheelhouse, without network, beside the version that may be running, and then point to it.
#
# PREFIX is a link to PREFIX-<digest of Python, dependencies and project>. A running node keeps its own files until it is
# restarted; an installation that breaks off leaves PREFIX as it was. Says "unchanged" or "installed".
set -euo pipefail

usage() {
  cat <<'HELP'
Usage: install-prefix.sh PREFIX WHEELHOUSE [--deps-only] [--beside] [--python PYTHON]
  PREFIX       where the node is found afterwards, such as /opt/bpci
  WHEELHOUSE   directory from scripts/wheelhouse.sh: wheels, requirements.txt, project.txt
  --deps-only  install the dependencies and leave the node itself to a later call, which is then quick
  --beside     install the new version, and leave the link and every other version as they are
  --python     Python 3.11 or later to build on (default: python3)
Example: install-prefix.sh /opt/bpci build/wheelhouse
HELP
}

python=python3
deps_only=no
beside=no
places=()
while [ $# -gt 0 ]; do
  case $1 in
    --help | -h) usage; exit 0 ;;
    --deps-only) deps_only=yes ;;
    --beside) beside=yes ;;
    --python) python=${2:?--python needs a value}; shift ;;
    -*) echo "error: unknown option '$1'" >&2; usage >&2; exit 2 ;;
    *) places+=("$1") ;;
  esac
  shift
done
[ ${#places[@]} -eq 2 ] || { usage >&2; exit 2; }
prefix=${places[0]%/}
wheelhouse=${places[1]}
for list in requirements.txt project.txt; do
  [ -f "$wheelhouse/$list" ] || { echo "error: $wheelhouse holds no $list; scripts/wheelhouse.sh makes one" >&2; exit 2; }
done
if [ -e "$prefix" ] && [ ! -L "$prefix" ]; then
  echo "error: $prefix is there and is not a link made by this script; move it away first" >&2
  exit 2
fi
if ! python=$(command -v "$python") || ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
  echo "error: Python 3.11 or later is needed; --python names one" >&2
  exit 2
fi

# What an installation is made from. It stands in the marker of a complete one, where the role node compares it.
made_from() { echo "python $python" && (cd "$wheelhouse" && cat -- "$@"); }
digest() { sha256sum | cut -c1-16; }
lists=(requirements.txt)
dependencies_id=deps-$(made_from "${lists[@]}" | digest)
id=$dependencies_id
if [ $deps_only = no ]; then
  lists+=(project.txt)
  id=$(made_from "${lists[@]}" | digest)
fi
target=$prefix-$id

install() { # install LIST: exactly the wheels that LIST pins by hash
  "$target/bin/python3" -m pip -q --disable-pip-version-check --no-cache-dir install --no-index --no-deps \
    --find-links "$wheelhouse" --require-hashes -r "$wheelhouse/$1"
}

mark() { # say that the target is complete, durably
  made_from "${lists[@]}" >"$target/.complete.part"
  sync "$target/.complete.part"
  mv "$target/.complete.part" "$target/.complete"
  sync "$target"
}

state=unchanged
if [ ! -e "$target/.complete" ]; then
  state=installed
  rm -rf "$target"
  if [ -e "$prefix-$dependencies_id/.complete" ]; then
    # Nothing can run from a prefix without the node, so it may be taken over; its scripts name the place they are in.
    mv "$prefix-$dependencies_id" "$target"
    rm "$target/.complete"
    grep -rlIZ "$prefix-$dependencies_id" "$target/bin" "$target/pyvenv.cfg" |
      xargs -0 -r sed -i "s|$prefix-$dependencies_id|$target|g"
  else
    "$python" -m venv "$target"
    "$target/bin/python3" -m pip -q --disable-pip-version-check uninstall --yes setuptools
    install requirements.txt
  fi
  [ $deps_only = yes ] || install project.txt
  sync -f "$target"
  mark
elif [ ! -s "$target/.complete" ]; then
  # A power cut took what the marker says; that it is there means that everything else had reached the disk.
  state=installed
  mark
fi
if [ $beside = yes ]; then
  echo "$state $target"
  exit 0
fi
previous=$(readlink "$prefix" || true)
if [ "$previous" != "$(basename "$target")" ]; then
  state=installed
  ln -sfn "$(basename "$target")" "$prefix.new"
  mv -T "$prefix.new" "$prefix"
fi
# The version before this one stays for processes that still run from it; older ones go.
for old in "$prefix"-*; do
  case $(basename "$old") in
    "$(basename "$target")" | "$previous") ;;
    *) rm -rf "$old" ;;
  esac
done
echo "$state $target"
